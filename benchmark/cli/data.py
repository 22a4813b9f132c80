"""`bench data ...`."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.cli.app import DataRoot, Json, data_app


@data_app.command("list")
def data_list(data_root: DataRoot = None, as_json: Json = False) -> None:
    """List the known datasets, and which are found below the data root.

    Example: bench data list --data-root ~/datasets
    """
    from benchmark.commands import describe

    describe.data_list(data_root, as_json=as_json)


@data_app.command("check")
def data_check(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets or groups; all that are found if unset.")] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Read every image and mask of a dataset and report counts, sizes, mask levels and faults. Nothing is changed.

    Example: bench data check kvasir
    """
    from benchmark.commands import describe

    raise typer.Exit(describe.data_check(names or [], data_root, as_json=as_json))
