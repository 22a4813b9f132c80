"""From maps and masks to rows of scores: test sets, external maps, released checkpoints, custom metrics."""
