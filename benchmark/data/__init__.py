"""Datasets, layouts, splits, the pixel cache and the synthetic phantom."""
