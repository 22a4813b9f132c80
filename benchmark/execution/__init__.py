"""Run cells: one after another, on several devices, in several processes, on Ray, in Slurm jobs."""
