"""Records selected for one table or figure, and their per-image scores."""
