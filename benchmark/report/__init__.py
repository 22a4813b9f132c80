"""Tables, plots and statistics from records (never torch)."""
