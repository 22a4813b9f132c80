"""What each command does between its parsed options and what it prints."""
