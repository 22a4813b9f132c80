"""Download datasets: addresses, checksums, archives."""
