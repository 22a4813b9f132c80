"""From decoded images to network input: pixel cache, batches, augmentation, normalisation."""
