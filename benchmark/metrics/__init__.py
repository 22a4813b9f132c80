"""Numbers about maps: curves, structure, weighted F, boundary, aggregation (numpy, scipy, numba; never torch)."""
