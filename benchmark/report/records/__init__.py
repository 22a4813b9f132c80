"""Records selected for one table or figure, and the per-image scores behind them."""
