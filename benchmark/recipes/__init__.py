"""Recipes as TOML files; loaded by benchmark.config."""
