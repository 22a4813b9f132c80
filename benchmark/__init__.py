"""A benchmark and ablation harness for polyp segmentation.

Importing this package loads nothing heavy; sub-modules, and the functions of ``benchmark.api`` (``run``, ``ablate``,
``evaluate_maps``, ``load_model``, ``load_results``, ...), are loaded on first use.
"""

from typing import TYPE_CHECKING, Any

from benchmark._version import __version__

_API = (
    "ablate",
    "board",
    "compare",
    "ensemble",
    "estimate",
    "evaluate_checkpoint",
    "evaluate_maps",
    "export",
    "export_onnx",
    "import_export",
    "load_model",
    "load_results",
    "measure",
    "plan_study",
    "plots",
    "predict",
    "profile_models",
    "publish",
    "robust",
    "run",
    "tables",
    "track",
    "tune",
    "write_report",
)

__all__ = ["BenchError", "__version__", *_API]

if TYPE_CHECKING:  # in the form that marks re-exports for type checkers
    from benchmark.api import ablate as ablate
    from benchmark.api import board as board
    from benchmark.api import compare as compare
    from benchmark.api import ensemble as ensemble
    from benchmark.api import estimate as estimate
    from benchmark.api import evaluate_checkpoint as evaluate_checkpoint
    from benchmark.api import evaluate_maps as evaluate_maps
    from benchmark.api import export as export
    from benchmark.api import export_onnx as export_onnx
    from benchmark.api import import_export as import_export
    from benchmark.api import load_model as load_model
    from benchmark.api import load_results as load_results
    from benchmark.api import measure as measure
    from benchmark.api import plan_study as plan_study
    from benchmark.api import plots as plots
    from benchmark.api import predict as predict
    from benchmark.api import profile_models as profile_models
    from benchmark.api import publish as publish
    from benchmark.api import robust as robust
    from benchmark.api import run as run
    from benchmark.api import tables as tables
    from benchmark.api import track as track
    from benchmark.api import tune as tune
    from benchmark.api import write_report as write_report
    from benchmark.errors import BenchError as BenchError


def __getattr__(name: str) -> Any:
    """Load a name on first use."""
    from importlib import import_module

    if name == "BenchError":
        return import_module("benchmark.errors").BenchError
    if name in _API:
        return getattr(import_module("benchmark.api"), name)
    raise AttributeError(f"module 'benchmark' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
