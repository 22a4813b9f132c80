"""Show and pass on results: the page, the leaderboard, the deposit, MLflow, a network as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from benchmark.api.arguments import as_path, refuse_unknown, shown_events
from benchmark.errors import BenchError, unknown_name

if TYPE_CHECKING:
    from benchmark.maintenance.publishing.publish import Published
    from benchmark.prediction.onnx_file import Exported
    from benchmark.report.board.collect import Board
    from benchmark.report.page.write import Page
    from benchmark.tracking.mirror import Counts


def write_report(results: str | Path = "results", out: str | Path | None = None, **options: Any) -> Page:
    """Write all results as one HTML page, as ``bench report`` does.

    Args:
        results: Results folder.
        out: HTML file; ``RESULTS/report.html`` if unset.
        **options: title, protocol, images (embed real ones or not), worst, data_root, cache_dir.
    Returns:
        ``file`` and ``num_bytes``.
    Raises:
        BenchError: An unknown option, or no record.
    """
    from benchmark.report.page.page import PageOptions
    from benchmark.report.page.write import write_report as write
    from benchmark.robustness.page_sections import robust_sections

    known = {field.name for field in fields(PageOptions)}
    refuse_unknown(options, known)
    options |= {name: as_path(options[name]) for name in ("data_root", "cache_dir") if name in options}
    return write(Path(results), as_path(out), sections=robust_sections(Path(results)), **options)


def board(
    exports: str | Path,
    out: str | Path | None = "site",
    *,
    title: str = "Polyp segmentation leaderboard",
    maps: bool = True,
    data_root: str | Path | None = None,
    cache_dir: str | Path | None = None,
    quiet: bool = True,
) -> Board:
    """Recompute the figures of several exports and write a leaderboard of those that hold, as ``bench board`` does.

    Args:
        exports: One folder per submission.
        out: Folder of the page; None to write nothing.
        title: Its heading.
        maps: Score the maps of exports again where the masks are at hand.
        data_root: Where the masks are. cache_dir: For phantom.
        quiet: No progress on standard error.
    Returns:
        ``lines`` and what was ``refused``, with reasons.
    Raises:
        BenchError: No export is there, or the page cannot be written.
    """
    from benchmark.report.board.collect import collect
    from benchmark.report.board.site import write_site
    from benchmark.scoring.from_maps import MapCheck

    with shown_events(quiet) as events:
        check = MapCheck(as_path(data_root), as_path(cache_dir), events.phase) if maps else None
        made = collect(Path(exports), check)
    if out is not None:
        write_site(made, Path(exports), Path(out), title=title)
    return made


def publish(source: str | Path, to: str, *, licence: str, creators: Sequence[str] = (), **options: Any) -> Published:
    """Show what an export would send to Hugging Face or Zenodo, and with ``yes=True`` send it, as ``bench publish``.

    Args:
        source: Folder or zip of ``export``.
        to: ``huggingface:OWNER/NAME``, ``zenodo`` or ``zenodo:NUMBER``.
        licence: Of maps, weights and records, as cc-by-4.0.
        creators: Authors "Family, Given"; Zenodo wants at least one.
        **options: title, private, host, yes.
    Returns:
        What would be sent; ``sent`` is None unless it was.
    Raises:
        BenchError: The export does not hold, the token is missing, or the server refuses.
    """
    from benchmark.maintenance.publishing.publish import publish as send

    known = ("title", "private", "host", "yes")
    refuse_unknown(options, known)
    return send(source, to, licence=licence, creators=tuple(creators), **options)


def track(
    results: str | Path = "results",
    to: Literal["mlflow", "tensorboard", "wandb"] = "mlflow",
    *,
    rebuild: bool = False,
    log_checkpoints: bool = False,
) -> Counts:
    """Bring MLflow, TensorBoard or Weights & Biases up to date with the records, as ``bench track`` does.

    Args:
        results: Results folder.
        to: Where to; the last two are extras.
        rebuild: Write every run again.
        log_checkpoints: Store the best weights in MLflow too.
    Returns:
        How many runs were ``written`` and ``kept``.
    Raises:
        BenchError: The package is missing, or the server is unreachable or refuses.
    """
    from benchmark.store import io
    from benchmark.store.layout import ResultsLayout

    layout, places = ResultsLayout(Path(results)), ("mlflow", "tensorboard", "wandb")
    if to not in places:
        raise unknown_name("tracker", to, places)
    if to == "mlflow":
        from benchmark.tracking.page import update_mirror

        return update_mirror(layout, rebuild=rebuild, checkpoints=log_checkpoints)[1]
    if log_checkpoints:
        raise BenchError(f"to={to!r}: takes no checkpoints; log_checkpoints is for MLflow")
    from benchmark.tracking.elsewhere import write_elsewhere

    return write_elsewhere(layout, io.read_records(layout.root), to, rebuild=rebuild)


def export_onnx(
    run: str | Path | None = None,
    out: str | Path = "network.onnx",
    *,
    images: Sequence[str | Path] = (),
    batch: int = 1,
    **source: Any,
) -> Exported:
    """Write a cell's or a checkpoint's network as ONNX and compare it with the network, as ``bench onnx`` does.

    Args:
        run: A cell; or ``model`` and ``checkpoint``, as for ``load_model``.
        out: The file.
        images: Images or folders to check it with; three synthetic ones if empty.
        batch: Images at once; part of the file.
        **source: Further arguments of ``load_model``: model, checkpoint, recipe, results.
    Returns:
        Opset, size, greatest difference of a probability, and milliseconds of a batch by both.
    Raises:
        BenchError: The extra is missing, the network cannot be exported, or its maps differ; then nothing is written.
    """
    from benchmark.data.phantom.samples import NAMES, sample_picture
    from benchmark.prediction.loaded import load_model
    from benchmark.prediction.onnx_file import export_onnx as write
    from benchmark.prediction.sources import find_sources, read_upright

    sources = [one for one in find_sources([Path(one) for one in images]) if not one.is_video] if images else []
    if images and not sources:
        raise BenchError(f"images {images[0]}: holds no image; give images or folders of images")
    loaded = load_model(run, **{"device": "cpu", **source})
    pixels = [read_upright(one.path) for one in sources] or [sample_picture(name) for name in NAMES]
    return write(loaded.network, Path(out), pixels, batch=batch)
