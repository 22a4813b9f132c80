"""Corrupted test sets, denoising in front of segmentation, and what both do to a model's scores."""
