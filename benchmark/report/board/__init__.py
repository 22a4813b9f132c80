"""`bench board`: a leaderboard of exports whose figures it recomputes before it shows them."""
