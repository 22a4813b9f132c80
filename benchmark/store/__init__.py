"""The results folder: paths, content of a record, reading and writing."""
