"""`bench board`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import RESULTS, app
from benchmark.cli.options import CacheDir, DataRoot, Json
from benchmark.cli.printing import events, print_json, say, tell

EXIT_REFUSED = 1


@app.command(rich_help_panel=RESULTS)
def board(
    exports: Annotated[Path, typer.Argument(metavar="DIR", help="One folder per submission, made by bench export.")],
    out: Annotated[Path, typer.Option(help="Folder of the page.")] = Path("site"),
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    maps: Annotated[
        bool, typer.Option(help="Score the maps of exports made with --maps again, where the masks are at hand.")
    ] = True,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "Polyp segmentation leaderboard",
    as_json: Json = False,
) -> None:
    """Recompute the figures of several exports and write a leaderboard of those that hold.

    Refused, by name and with the reason: figures that do not follow from the scores of single images, scores that do
    not follow from the maps, partly scored sets, leaks that were not looked for, other images (with the same split) or
    another protocol than the others'. Exit code 1 if anything was refused. The page says of each row whether it was
    recomputed from maps or from scores, and needs no server and no network.

    Example: bench board submissions --out site --data-root ~/datasets
    """
    from dataclasses import asdict

    from benchmark.report.board.collect import collect
    from benchmark.report.board.site import write_site

    with events(as_json=as_json) as shown:
        check = None
        if maps:
            from benchmark.scoring.from_maps import MapCheck

            check = MapCheck(data_root, cache_dir, shown.phase)
        made = collect(exports, check)
    written = write_site(made, exports, out, title=title)
    for one in made.refused:
        tell(
            f"refused: {one.submission} {one.cell}: {one.reason}"
            if one.cell
            else f"refused: {one.submission}: {one.reason}"
        )
    if as_json:
        print_json({"page": str(written[0]), "rows": len(made.lines), "refused": [asdict(one) for one in made.refused]})
    else:
        print(written[0])
        from_maps = sum(not line.not_from_maps for line in made.lines)
        rows = f"{len(made.lines)} rows from {len(made.submissions)} submissions, {from_maps} recomputed from maps"
        say(f"{rows}; {len(made.refused)} cells refused")
    raise typer.Exit(EXIT_REFUSED if made.refused else 0)
