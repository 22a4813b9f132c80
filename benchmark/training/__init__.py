"""One network's training: the loop, its steps, optimisers, losses by name, validation, states to go on from."""
