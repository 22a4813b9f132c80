"""Named, seeded corruptions of an image at five severities: ``CORRUPTIONS``, ``select``, ``corrupt``."""

from benchmark.robustness.corruptions.base import SEVERITIES, Corruption, Pixels, corruption_seed
from benchmark.robustness.corruptions.registry import CORRUPTIONS, GROUPS, applicable, corrupt, get_corruption, select

__all__ = [
    "CORRUPTIONS",
    "GROUPS",
    "SEVERITIES",
    "Corruption",
    "Pixels",
    "applicable",
    "corrupt",
    "corruption_seed",
    "get_corruption",
    "select",
]
