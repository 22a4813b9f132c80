"""Which images show one picture: candidates by hashes, proof by alignment, exact by pixels."""
