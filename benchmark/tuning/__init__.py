"""Tuning with an equal budget: the same trials, search space and pruner for every model, on validation images only."""
