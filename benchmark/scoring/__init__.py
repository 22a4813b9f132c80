"""From maps and masks to rows of scores: test sets, maps of others, released checkpoints, custom metrics."""
