"""`bench audit data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import audit_app
from benchmark.cli.options import CacheDir, DataRoot, Quiet, SplitSeed


@audit_app.command("data")
def audit_data(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets or groups; all that are found if unset.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Also: which test images of this split (paper, pranet, ...) training has seen.")
    ] = None,
    split_seed: SplitSeed = 0,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything that was found.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write one page with the pairs side by side (holds their pixels).")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Look for images that are there twice: identical, nearly so, with conflicting masks, across sets, across a split.

    Example: bench audit data kvasir clinicdb colondb --html audit.html
    """
    from benchmark.commands import data_audit

    data_audit.audit_data(
        names or [],
        data_root,
        split=split,
        split_seed=split_seed,
        cache_dir=cache_dir,
        json_file=json_file,
        html_file=html_file,
        quiet=quiet,
    )
