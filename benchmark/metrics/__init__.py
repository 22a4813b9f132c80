"""Scoring of polyp maps: the field's protocols, digit for digit, many times faster.

Importing this package loads numpy only; numba, scipy, Pillow and py_sod_metrics are loaded where first needed.
"""

from benchmark.metrics.aggregate import Accumulator, aggregate
from benchmark.metrics.boundary import hd95, surface_dice
from benchmark.metrics.engine import score, score_all
from benchmark.metrics.lesions import count_lesions
from benchmark.metrics.levels import quantise
from benchmark.metrics.named import PROTOCOLS, get_protocol, load_protocol
from benchmark.metrics.plan_cache import PlanCache
from benchmark.metrics.plans import Plan, plan
from benchmark.metrics.protocol import Protocol
from benchmark.metrics.scores import Scores
from benchmark.metrics.strata import mask_facts

__all__ = [
    "PROTOCOLS",
    "Accumulator",
    "Plan",
    "PlanCache",
    "Protocol",
    "Scores",
    "aggregate",
    "count_lesions",
    "get_protocol",
    "hd95",
    "load_protocol",
    "mask_facts",
    "plan",
    "quantise",
    "score",
    "score_all",
    "surface_dice",
]
