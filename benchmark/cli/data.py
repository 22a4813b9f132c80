"""`bench data ...`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import data_app, names
from benchmark.cli.options import CacheDir, DataRoot, Json, Quiet, SplitSeed


@data_app.command("list")
def data_list(data_root: DataRoot = None, as_json: Json = False) -> None:
    """List the known datasets, and which are found below the data root.

    Example: bench data list --data-root ~/datasets
    """
    from benchmark.commands import describe

    describe.data_list(data_root, as_json=as_json)


@data_app.command("check")
def data_check(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(help="Datasets or groups; all that are found if unset.", autocompletion=complete.datasets),
    ] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Read every image and mask of a dataset and report counts, sizes, mask levels and faults. Nothing is changed.

    Example: bench data check kvasir
    """
    from benchmark.commands import describe

    raise typer.Exit(describe.data_check(datasets or [], data_root, as_json=as_json))


@data_app.command("fetch")
def data_fetch(
    datasets: Annotated[
        list[str],
        typer.Argument(
            help="Datasets, pranet (both bundles), or the groups polyp, skin.", autocompletion=complete.datasets
        ),
    ],
    data_root: DataRoot = None,
    mirror: Annotated[
        str | None,
        typer.Option(help="Address list FILE.toml, or a folder or address with the archives.", envvar="BENCH_MIRROR"),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(help="Checksums of first downloads; DATA_ROOT/bench-data.lock.json if unset.")
    ] = None,
    keep_archives: Annotated[bool, typer.Option("--keep-archives", help="Keep the archives after unpacking.")] = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Download datasets into the data root, checked and unpacked, or say step by step how to get them by hand.

    A broken download goes on where it stopped when the command is given again. What is there is never overwritten.
    Exit code 1 where a dataset has to be got by hand.

    Example: bench data fetch kvasir pranet --data-root ~/datasets
    """
    from benchmark.commands import fetch

    code = fetch.data_fetch(
        datasets, data_root, mirror=mirror, lock=lock, keep_archives=keep_archives, as_json=as_json, quiet=quiet
    )
    raise typer.Exit(code)


@data_app.command("split")
def data_split(
    split: Annotated[
        str,
        typer.Argument(
            help="paper, grouped, pranet, paper-skin, or an exported FILE.json.", autocompletion=complete.splits
        ),
    ],
    datasets: Annotated[
        str, typer.Option(help="Names, groups or FILE.toml, comma-separated.", autocompletion=complete.datasets)
    ] = "polyp",
    split_seed: SplitSeed = 0,
    export: Annotated[Path | None, typer.Option(help="Write ids and content hashes to this file.")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Go on without absent images.")] = False,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Draw a split, say who trains and who tests, and export it; or hold the images at hand against an exported one.

    `bench run --split FILE.json` trains on it; an image whose content is another is refused by name.

    Example: bench data split grouped --datasets polyp --export grouped.json
    """
    from benchmark.commands import splitting

    splitting.data_split(
        split,
        names(datasets),
        seed=split_seed,
        root=data_root,
        cache_dir=cache_dir,
        export=export,
        allow_missing=allow_missing,
        as_json=as_json,
    )


@data_app.command("show")
def data_show(
    dataset: Annotated[str, typer.Argument(help="A dataset, or FILE.toml.", autocompletion=complete.datasets)],
    out: Annotated[Path | None, typer.Option(help="The picture; show-NAME.png if unset.")] = None,
    num: Annotated[int, typer.Option(help="Images on the picture, evenly spaced.", min=1, max=600)] = 24,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Draw a contact sheet with the outlines of the masks, and print sizes, polyp areas and numbers of polyps.

    Example: bench data show kvasir --out kvasir.png --num 36
    """
    from benchmark.commands import show

    show.data_show(dataset, data_root, out=out, num=num, cache_dir=cache_dir, as_json=as_json, quiet=quiet)
