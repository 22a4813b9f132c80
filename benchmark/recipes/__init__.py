"""Recipes as TOML files, and what reads and explains them."""
