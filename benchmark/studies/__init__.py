"""Studies that come with the package, and how a study file is read."""
