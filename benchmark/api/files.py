"""Draw, predict, measure, export and import: functions that write files, as the commands of their names do."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.api.arguments import Names, as_names, as_path, refuse_unknown, shown_events

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.maintenance.export import Exported
    from benchmark.maintenance.importing import Imported
    from benchmark.prediction.outputs import Kind
    from benchmark.report.figures.draw import Drawn


def predict(
    inputs: str | Path | Sequence[str | Path],
    run: str | Path | None = None,
    *,
    out: str | Path = "predictions",
    save: Sequence[Kind] = ("masks", "probs", "overlays"),
    threshold: float = 0.5,
    batch: int | None = None,
    quiet: bool = True,
    **source: Any,
) -> pd.DataFrame:
    """Predict images, folders and videos, as ``bench predict`` does.

    Args:
        inputs: Files and folders.
        run: A cell; or ``model`` and ``checkpoint``, as for ``load_model``.
        out: Folder of what is written.
        save: Kinds of picture beside ``predictions.csv``.
        threshold: A pixel is polyp where its probability is above.
        batch: Images at once; the recipe's if unset.
        quiet: No progress on standard error.
        **source: Further arguments of ``load_model``: model, checkpoint, recipe, results, device.
    Returns:
        One row per image and frame: area, parts, confidence, or the error of a file that cannot be read.
    Raises:
        BenchError: No such cell or input, or the outputs cannot be written.
    Example:
        >>> import benchmark as bench
        >>> rows = bench.predict("frame.png", "file_tiny_net_build", model="./tiny_net.py:build", out="seen")
        >>> len(rows), bool((rows["area_px"] >= 0).all())
        (1, True)
    """
    import pandas as pd

    from benchmark.prediction.loaded import load_model
    from benchmark.prediction.sources import check_out, find_sources

    given = [Path(one) for one in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    sources = find_sources(given)
    check_out(Path(out), given, sources)
    network = load_model(run, **source).network
    from benchmark.prediction.files import Job, predict_all

    with shown_events(quiet) as events:
        size = batch or network.recipe.batch_size
        job = Job(network, Path(out), save, threshold, size, events.notice, partial(events.phase, "predict"))
        predict_all(job, sources)
    return pd.DataFrame(job.rows)


def plots(
    which: Names = (),
    results: str | Path = "results",
    *,
    out: str | Path | None = None,
    models: Names = (),
    datasets: Names = (),
    **options: Any,
) -> Drawn:
    """Draw figures from the records, as ``bench plots`` does.

    Args:
        which: Kinds of figure; all if empty.
        results: Results folder.
        out: Folder of the files; ``RESULTS/figures`` if unset.
        models: Only these. datasets: Only these test sets.
        **options: protocol, measure, recipe, split, seeds, kind ("ablation"); reference, rows, wide, dpi, data_root.
    Returns:
        The files, and why a figure was skipped.
    Raises:
        BenchError: An unknown name, or no record.
    Example:
        >>> import benchmark as bench
        >>> drawn = bench.plots("parameters", "results/reference/cpu-study/main", datasets="kvasir", out="figures")
        >>> sorted(path.name for path in drawn.files)
        ['parameters-kvasir.pdf', 'parameters-kvasir.png']
    """
    from benchmark.report.figures.draw import choose_evidence, draw_plots

    chosen = {"protocol": "pranet", "measure": "mDSC", "recipe": None, "split": None, "seeds": None, "kind": "main"}
    drawn = {"reference": None, "rows": None, "wide": False, "dpi": 300, "data_root": None, "cache_dir": None}
    refuse_unknown(options, [*chosen, *drawn])
    evidence = choose_evidence(
        Path(results),
        models=as_names(models) or None,
        datasets=as_names(datasets) or None,
        **{name: options.get(name, default) for name, default in chosen.items()},
    )
    if isinstance(options.get("rows"), str):
        options["rows"] = as_names(options["rows"])
    paths = {name: as_path(options.get(name)) for name in ("data_root", "cache_dir")}
    return draw_plots(
        as_names(which),
        evidence,
        out=as_path(out),
        **{**drawn, **{name: options[name] for name in drawn if name in options}, **paths},
    )


def measure(
    metric: str,
    results: str | Path = "results",
    *,
    models: Names = (),
    datasets: Names = (),
    data_root: str | Path | None = None,
    cache_dir: str | Path | None = None,
    quiet: bool = True,
) -> pd.DataFrame:
    """Compute a metric of a file on the maps that cells keep, as ``bench measure`` does; nothing is trained.

    Args:
        metric: ``FILE.py:function`` of a map (H, W) uint8 and a mask (H, W) bool.
        results: Results folder.
        models: Only these. datasets: Only these test sets or groups.
        data_root: Folder with the datasets. cache_dir: Where phantom images are drawn.
        quiet: No progress on standard error.
    Returns:
        One row per cell and test set: the mean, the number of images, and of those left undefined.
    Raises:
        BenchError: The function cannot be loaded or fails, or no cell keeps maps.
    Example:
        >>> import benchmark as bench
        >>> from pathlib import Path
        >>> text = "def share(prob, mask): return float((prob > 127).mean())"
        >>> size = Path("my_metric.py").write_text(text)
        >>> shares = bench.measure("./my_metric.py:share")
        >>> len(shares), bool(shares["share"].between(0, 1).all())
        (1, True)
    """
    import pandas as pd

    from benchmark.data.listing.datasets import expand_datasets
    from benchmark.scoring import custom_metric

    loaded, root = custom_metric.load_metric(metric), as_path(data_root)
    with shown_events(quiet) as events:
        measured = custom_metric.measure(
            loaded,
            Path(results),
            models=as_names(models) or None,
            datasets=expand_datasets(as_names(datasets), root) if datasets else None,
            data_root=root,
            cache_dir=as_path(cache_dir),
            progress=events.phase,
        )
    return pd.DataFrame(custom_metric.summarise(measured, loaded))


def export(
    out: str | Path,
    results: str | Path = "results",
    *,
    protocols: Names = (),
    compact: bool = False,
    maps: bool = False,
    weights: bool = False,
    archive: str | Path | None = None,
) -> Exported:
    """Copy a study's records to publish, as ``bench export`` does.

    Args:
        out: Folder of the export.
        results: Results folder.
        protocols: Keep these only; all if empty.
        compact: Scores of single images and curves in single precision.
        maps: Also probability maps. weights: Also ``best.pt`` with a model card.
        archive: Also pack it into this zip.
    Raises:
        BenchError: No records, or a folder or archive that is there already.
    Example:
        >>> import benchmark as bench
        >>> done = bench.export("supplement", "results/reference/cpu-study/paper-split", protocols="pranet")
        >>> [cell.split("/")[0] for cell in done.cells]
        ['bsanet', 'unet']
    """
    from benchmark.maintenance.export import export_records

    held = {"compact": compact, "maps": maps, "weights": weights, "archive": as_path(archive)}
    return export_records(Path(results), Path(out), protocols=as_names(protocols) or None, **held)  # type: ignore[arg-type]


def import_export(source: str | Path, results: str | Path = "results") -> Imported:
    """Check an export and add its cells to a results folder, as ``bench import`` does.

    Raises:
        BenchError: What is wrong with it, in one line.
    Example:
        >>> import benchmark as bench
        >>> done = bench.export("theirs", "results/reference/cpu-study/paper-split", protocols="pranet")
        >>> [cell.split("/")[0] for cell in bench.import_export("theirs", "imported").cells]
        ['bsanet', 'unet']
    """
    from benchmark.maintenance.importing import import_export as bring

    return bring(str(source), Path(results))
