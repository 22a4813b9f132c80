"""From a network to maps: of test sets, and of images, folders and videos without masks."""
