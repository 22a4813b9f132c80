"""What a dataset consists of: layouts, folders, manifests, groups; a folder becomes a list of items."""
