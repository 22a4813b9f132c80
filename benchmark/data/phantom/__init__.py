"""The synthetic datasets: phantom, and phantom-faulty with one fault each."""
