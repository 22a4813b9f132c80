"""Denoising in front of segmentation, and how well it restores an image that we made noisy ourselves."""
