"""A trained network on images and videos that have no masks: `bench predict`."""
