"""`bench robust`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import TRAIN, app, given, integers, names
from benchmark.cli.options import CacheDir, DataRoot, Device, Engine, Json, Results
from benchmark.cli.printing import events, print_json, print_tables, say
from benchmark.errors import BenchError

_OF_KEPT = ("--kept", "--name", "--results", "--out", "--json")


@app.command(rich_help_panel=TRAIN)
def robust(
    context: typer.Context,
    runs: Annotated[str | None, typer.Option(help="Parts of cell names, comma-separated; all cells if unset.")] = None,
    models: Annotated[
        str | None,
        typer.Option(help="Models, comma-separated; also FILE.py:function.", autocompletion=complete.models),
    ] = None,
    corruptions: Annotated[
        str, typer.Option(help="core, all or names, comma-separated.", autocompletion=complete.corruptions)
    ] = "core",
    severities: Annotated[str, typer.Option(help="1 (mild) to 5, comma-separated.")] = "1,2,3,4,5",
    datasets: Annotated[
        str | None,
        typer.Option(help="Test sets; those that all chosen cells share if unset.", autocompletion=complete.datasets),
    ] = None,
    denoise: Annotated[
        str,
        typer.Option(
            help="Denoisers in front of the network, one at a time: none, gaussian, median, nlm, tv, wavelet, FILE.pt.",
        ),
    ] = "none",
    reference: Annotated[
        str, typer.Option(help="Reference model of mCE and of differences.", autocompletion=complete.models)
    ] = "unet",
    checkpoints: Annotated[
        list[Path] | None,
        typer.Option("--checkpoint", help="A released checkpoint that bench evaluate scored; may be repeated."),
    ] = None,
    maps: Annotated[
        list[str] | None,
        typer.Option(
            help="CELL=DIR: maps that others predicted on corrupted images (bench data corrupt), one folder per "
            "corruption, for a cell of bench evaluate --predictions; may be repeated."
        ),
    ] = None,
    name: Annotated[
        str,
        typer.Option(help="Name of this comparison, where one results folder holds several; file names begin with it."),
    ] = "",
    kept: Annotated[
        bool,
        typer.Option(
            "--kept",
            help="Only make the tables and figures of earlier comparisons again (all, or that of --name), from what is "
            "on file: no image is read, nothing is measured.",
        ),
    ] = False,
    seen: Annotated[
        bool, typer.Option("--seen", help="Also test corruptions that a cell was trained on; tables mark them.")
    ] = False,
    protocol: Annotated[
        str, typer.Option(help="Protocol of the tables.", autocompletion=complete.protocols)
    ] = "pranet",
    engine: Engine = "fast",
    workers: Annotated[int, typer.Option(help="Processes on this machine.", min=1)] = 1,
    device: Device = "auto",
    results: Results = Path("results"),
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for tables and figures; RESULTS/tables and RESULTS/figures if unset.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Score finished cells on corrupted test images, without training; write tables and figures.

    Each result is stored beside the cell's record, so the same command resumes. Tables give the clean
    score, the mean over corruptions and severities, retention and mCE, with intervals and paired differences.

    Example: bench robust --models unet,bsanet --corruptions core --denoise none,nlm
    """
    from benchmark.robustness.cells import Asked
    from benchmark.robustness.study import kept_robustness, robustness

    asked = Asked(
        results=results,
        runs=tuple(names(runs or "")),
        models=tuple(names(models or "")),
        corruptions=tuple(names(corruptions)),
        severities=tuple(integers(severities, "--severities")),
        datasets=tuple(names(datasets or "")),
        denoisers=tuple(names(denoise)),
        protocol=protocol,
        engine=engine,
        reference=reference,
        seen=seen,
        device=device,
        workers=workers,
        data_root=data_root,
        cache_dir=cache_dir,
        checkpoints=tuple(checkpoints or ()),
        maps=dict(_folder(text) for text in maps or ()),
        name=name,
    )
    chosen = [option for option in given(context) if option not in _OF_KEPT]
    if kept and chosen:
        raise BenchError(f"--kept repeats comparisons as they were asked for: leave out {', '.join(chosen)}, or --kept")
    with events(as_json=as_json) as display:
        if kept:
            found = kept_robustness(results, name, out=out)
        else:
            found = robustness(asked, out=out, notice=display.notice, progress=display.phase)
    if as_json:
        print_json(
            {
                "tables": {sheet.stem: list(sheet.data) for sheet in found.sheets},
                "files": [str(path) for path in found.files],
                "measured": found.num_measured,
                "results": found.num_results,
            }
        )
        return
    print_tables(found.sheets, "markdown")
    say(f"{found.num_measured} of {found.num_results} results measured now; the others were kept")
    say("wrote " + ", ".join(str(path) for path in found.files))


def _folder(text: str) -> tuple[str, Path]:
    """Split ``CELL=DIR``."""
    cell, equals, folder = text.partition("=")
    if not cell or not equals or not folder:
        raise BenchError(f"--maps {text}: expected CELL=DIR, for example --maps sanet-maps=corrupted-maps")
    return cell, Path(folder)
