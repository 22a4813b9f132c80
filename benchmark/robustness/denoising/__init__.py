"""Denoising in front of segmentation, and its quality on images with synthetic noise."""
