"""The machine: devices, precision, determinism, environment, signals."""
