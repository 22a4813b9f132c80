"""The commands as functions: ``import benchmark as bench; bench.run(...)``. Mistakes raise ``BenchError``.

Options have the names of the command line's, in Python's spelling; names may be one string, comma-separated, or a list.
"""

from benchmark.api.files import export as export
from benchmark.api.files import import_export as import_export
from benchmark.api.files import measure as measure
from benchmark.api.files import plots as plots
from benchmark.api.files import predict as predict
from benchmark.api.reports import compare as compare
from benchmark.api.reports import profile_models as profile_models
from benchmark.api.reports import tables as tables
from benchmark.api.scoring import ensemble as ensemble
from benchmark.api.scoring import evaluate_checkpoint as evaluate_checkpoint
from benchmark.api.scoring import evaluate_maps as evaluate_maps
from benchmark.api.scoring import robust as robust
from benchmark.api.sharing import board as board
from benchmark.api.sharing import export_onnx as export_onnx
from benchmark.api.sharing import publish as publish
from benchmark.api.sharing import track as track
from benchmark.api.sharing import write_report as write_report
from benchmark.api.training import ablate as ablate
from benchmark.api.training import estimate as estimate
from benchmark.api.training import plan_study as plan_study
from benchmark.api.training import run as run
from benchmark.api.training import tune as tune
from benchmark.prediction.loaded import load_model as load_model
from benchmark.report.records.frames import load_results as load_results
