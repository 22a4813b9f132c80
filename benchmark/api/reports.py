"""Tables from the records, and the cost of networks; nothing is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import Names, as_names, refuse_unknown
from benchmark.errors import unknown_name

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.report.sheets.sheet import Sheet
    from benchmark.report.tables.sides import Compared


def tables(results: str | Path = "results", kind: str = "main", **options: Any) -> list[Sheet]:
    """Build tables from the records alone, as ``bench tables`` does; nothing is written.

    Args:
        results: Results folder.
        kind: main, ablation, efficiency, by (with ``by="size"``) or worst (with ``worst=10``).
        **options: Further fields of ``benchmark.report.tables.request.TableRequest``: models, protocol, ci, rank, ...
    Returns:
        Sheets, each with ``caption``, ``data`` (rows), ``to_markdown()``, ``to_latex()``, ``to_html()``, ``to_csv()``.
    Example:
        >>> import benchmark as bench
        >>> (sheet,) = bench.tables("results/reference/cpu-study/main", datasets="kvasir", models="unet,bsanet")
        >>> print(sheet.frame[["model", "mDSC", "MAE"]].round(3).to_string(index=False))
         model  mDSC   MAE
          unet 0.474 0.192
        bsanet 0.486 0.186
    """
    from benchmark.report.tables.request import TableRequest, build

    known = {field.name for field in fields(TableRequest)}
    kinds = ("main", "ablation", "efficiency", "by", "worst")
    if kind not in kinds:
        raise unknown_name("kind of table", kind, kinds)
    refuse_unknown(options, known)
    for option in ("models", "datasets"):
        if isinstance(options.get(option), str):
            options[option] = as_names(options[option])
    return [one.sheet for one in build(TableRequest(results=Path(results), kind=kind, **options))]


def compare(a: str, b: str, results: str | Path = "results", **options: Any) -> Compared:
    """Say what changed between two sets of results, as ``bench compare`` does.

    Args:
        a: Before: a results folder, ``FOLDER@COMMIT``, or ``@COMMIT`` in ``results``.
        b: After, likewise.
        results: Where ``@COMMIT`` is looked up.
        **options: protocol, recipe, recipe_b, split, top (changed images listed per model and test set).
    Returns:
        Configuration, numbers with paired intervals, images; ``to_json()`` gives plain values.
    Raises:
        BenchError: A folder or commit is not there, or nothing can be compared.
    Example:
        >>> import benchmark as bench
        >>> study = "results/reference/cpu-study"
        >>> found = bench.compare(f"{study}/transfer-random", f"{study}/transfer-imagenet").to_json()
        >>> first = next(row for row in found["numbers"] if row["measure"] == "mDSC")
        >>> first["dataset"], first["model"], round(first["difference"], 3)
        ('kvasir', 'U-Net', 0.312)
    """
    from benchmark.report.tables.sides import compare_folders

    known = {"protocol": "pranet", "recipe": None, "recipe_b": None, "split": None, "top": 10}
    refuse_unknown(options, known)
    return compare_folders(str(a), str(b), results=Path(results), **{**known, **options})


def profile_models(
    models: Names = "all",
    *,
    size: int = 256,
    batches: Sequence[int] = (1, 16),
    repeats: int = 10,
    device: str = "cpu",
    train: str | None = None,
    onnx: bool = False,
) -> pd.DataFrame:
    """Measure parameters, multiply-adds, latency and peak memory, as ``bench profile`` does; nothing is written.

    ``train`` names a recipe whose training steps are timed too; ``onnx``: each network's ONNX file, by onnxruntime.

    Example:
        >>> import benchmark as bench
        >>> cost = bench.profile_models("./tiny_net.py:build", size=64, batches=[1], repeats=1)
        >>> int(cost["num_params"][0]), bool(cost["latency_ms"][0] > 0)
        (1457, True)
    """
    import pandas as pd

    from benchmark.costs.profile import as_rows, profile
    from benchmark.models.registry import expand_models

    specs = expand_models(as_names(models))
    rows = profile(specs, size=size, batches=batches, repeats=repeats, device=device, recipe=train, onnx=onnx)
    return pd.DataFrame(as_rows(rows))
