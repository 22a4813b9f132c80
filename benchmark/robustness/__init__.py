"""Corrupted test sets, denoising in front of segmentation, and their effect on scores."""
