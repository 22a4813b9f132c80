"""The results folder: where things lie, what a record holds, how it is written and read."""
