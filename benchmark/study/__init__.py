"""What is asked for: plan, cells, reuse of earlier records, events, ablations, study files."""
