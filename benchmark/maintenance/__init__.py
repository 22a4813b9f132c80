"""Look after a machine and a results folder: doctor, clean, export."""
