"""Where the cells of a study run: in this process, in several processes here, on a Ray cluster, in Slurm jobs."""
