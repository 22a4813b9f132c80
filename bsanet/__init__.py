"""BSANet, the bilateral spatial attention network. Imports torch and timm only."""
