"""The registry of networks, and what a network is made of."""
