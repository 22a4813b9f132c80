"""The rivals: one paper, one self-contained file. Imports torch, timm and segmentation-models-pytorch only."""
