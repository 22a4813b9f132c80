"""Find errors, duplicates and leaks in datasets and splits."""
