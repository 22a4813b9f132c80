"""`bench serve`: a page on this machine that shows what trained networks see in a picture, and how far to trust it."""
