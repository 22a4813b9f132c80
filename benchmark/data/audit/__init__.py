"""Find faults, duplicates and leaks in datasets and splits."""
