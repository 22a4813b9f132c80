"""Read single files: images, masks, maps; content hashes; generated files."""
