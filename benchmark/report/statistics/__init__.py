"""How sure a mean is: intervals, paired comparisons, ranks, parts of variance."""
