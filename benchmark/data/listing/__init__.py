"""From a folder to a list of items: layouts, folders, manifests, groups."""
