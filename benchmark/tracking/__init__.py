"""MLflow as a mirror of the store. The store is authoritative: deleting MLflow loses nothing.

``connect`` finds the server or the file, ``content`` translates a record into MLflow's terms, ``mirror`` writes it
once, ``view`` presets the comparison page, ``server`` runs the page, ``models`` registers checkpoints. MLflow is
imported on first use only: it costs more than a second.
"""
