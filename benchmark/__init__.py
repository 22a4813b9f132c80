"""A benchmark and ablation harness for polyp segmentation.

Importing this package loads nothing heavy; sub-modules are imported where they are used.
"""

__version__ = "0.1.0"
