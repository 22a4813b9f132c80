"""Progress of one cell and of many, on standard error."""
