"""Uncertainty of means: intervals, paired comparisons, ranks, components of variance."""
