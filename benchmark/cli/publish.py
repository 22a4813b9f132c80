"""`bench publish`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import RESULTS, app
from benchmark.cli.options import Json
from benchmark.cli.printing import Flags, events, print_json, print_rows, say


@app.command(rich_help_panel=RESULTS)
def publish(
    source: Annotated[Path, typer.Argument(metavar="EXPORT", help="Folder or zip of bench export.")],
    to: Annotated[
        str,
        typer.Option(help="huggingface:OWNER/NAME, zenodo (a new draft) or zenodo:NUMBER (go on with that draft)."),
    ],
    licence: Annotated[str, typer.Option(help="Licence of maps, weights and records: cc-by-4.0, ...")],
    title: Annotated[str, typer.Option(help="Title of the page; made from the models if unset.")] = "",
    creator: Annotated[list[str] | None, typer.Option(help='Author for Zenodo, "Family, Given"; repeatable.')] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new Hugging Face repository private.")] = False,
    host: Annotated[
        str | None,
        typer.Option(help="Another server, as https://sandbox.zenodo.org; HF_ENDPOINT sets that of Hugging Face."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send it; by default nothing leaves this machine.")] = False,
    as_json: Json = False,
) -> None:
    """Show what an export would send to a Hugging Face repository or a Zenodo draft, and with --yes send it.

    The export is checked first, as bench import does. The token is read from HF_TOKEN or ZENODO_TOKEN, and never
    printed. On Hugging Face, README.md and the folder export of a dataset repository are written, and files of an
    earlier export there are removed. Zenodo gets one zip in a draft, which you publish on its page. A second call skips
    what has arrived. Needs the extra publish for Hugging Face.

    Example: bench publish supplement --to huggingface:me/polyp-records --licence cc-by-4.0
    """
    from dataclasses import asdict

    from benchmark.maintenance.publishing.publish import publish as send

    bars = sys.stderr.isatty() and not as_json and not Flags.quiet
    with events(as_json=as_json) as shown:
        done = send(
            source,
            to,
            licence=licence,
            title=title,
            creators=tuple(creator or ()),
            private=private,
            host=host,
            yes=yes,
            bars=bars,
            progress=lambda have, of: shown.phase("send", have, of),
        )
    if as_json:
        facts = {"target": str(done.target), "title": done.title, "licence": licence, "contents": done.contents}
        print_json({**facts, "files": done.files, "sent": None if done.sent is None else asdict(done.sent)})
        return
    if done.sent is None:
        print_rows([{**row, "to": str(done.target)} for row in done.contents])
        size = f"{sum(int(row['bytes']) for row in done.contents) / 1e6:.1f} MB"
        say(f"{done.title!r}, licence {licence}: {done.num_cells} cells, {size} would be sent (pass --yes)")
        return
    print(done.sent.url)
    say(f"{done.sent.num_bytes / 1e6:.1f} MB sent{'; ' if done.sent.next_step else ''}{done.sent.next_step}")
