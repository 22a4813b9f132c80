"""Training of one network: the loop, its steps, optimisers, losses by name, validation, checkpoints."""
