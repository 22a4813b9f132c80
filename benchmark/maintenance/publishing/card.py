"""What the public page of an export says: Markdown for Hugging Face, HTML for Zenodo; every figure is a record's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape

from benchmark.maintenance.publishing.parcel import About, Parcel
from benchmark.store.schema import Record

FOLDER = "export"
_PROTOCOL = "pranet"
_NO_DEVICE = "For research; not a medical device, and not tested as one."
_SYNTHETIC = "Some cells were trained or tested on synthetic images: their scores compare nothing."


def default_title(records: Sequence[Record]) -> str:
    """A title made from the models."""
    titles = list(dict.fromkeys(record.model_title for record in records))
    named = ", ".join(titles[:4]) + (f" and {len(titles) - 4} more" if len(titles) > 4 else "")
    return f"Polyp segmentation records: {named}"


def markdown(parcel: Parcel, about: About, repository: str) -> str:
    """The ``README.md`` of a repository, with the fields that Hugging Face reads at its head."""
    head = ["---", f"license: {json.dumps(about.licence)}", f"pretty_name: {json.dumps(about.title)}"]
    head += ["tags:", "- image-segmentation", "- polyp-segmentation", "- benchmark", "---"]
    rows = [_row(record, name) for record in parcel.records for name in record.tests]
    local = repository.rpartition("/")[2]
    lines = [
        *head,
        "",
        f"# {_plain(about.title)}",
        "",
        *_facts(parcel),
        "",
        "| cell | test set | images | mDSC | leaked images |",
        "|---|---|--:|--:|--:|",
        *["| " + " | ".join(_plain(part) for part in row) + " |" for row in rows],
        "",
        f"mDSC by protocol `{_PROTOCOL}`, one training a row. Check the export and read it with polyp-bench:",
        "",
        "```",
        f"hf download {repository} --repo-type dataset --local-dir {local}",
        f"bench import {local}/{FOLDER} --results theirs",
        "bench tables --results theirs",
        "```",
    ]
    return "\n".join(lines) + "\n"


def html(parcel: Parcel, name: str) -> str:
    """The description of a deposit."""
    facts = "".join(f"<p>{escape(fact)}</p>" for fact in _facts(parcel) if fact)
    return (
        f"{facts}<p>Check and read it with polyp-bench: <code>bench import {escape(name)} --results theirs</code></p>"
    )


def _facts(parcel: Parcel) -> list[str]:
    kinds = ", ".join(str(row["what"]) for row in parcel.contents())
    cells = f"{len(parcel.records)} cell{'s' if len(parcel.records) > 1 else ''}"
    facts = [f"Export of a polyp-bench study: {cells} ({kinds}), without images. {_NO_DEVICE}"]
    if any(record.synthetic for record in parcel.records):
        facts += ["", _SYNTHETIC]
    return facts


def _row(record: Record, name: str) -> tuple[str, ...]:
    test = record.tests[name]
    value = test.scores.get(_PROTOCOL, {}).get("mDSC")
    leaked = "not counted" if test.num_leaked is None else str(test.num_leaked)
    return record.cell, test.title, str(test.n), "" if value is None else f"{value:.3f}", leaked


def _plain(text: str) -> str:
    """Text that Markdown and HTML show as it is."""
    return escape(" ".join(text.split()), quote=False).replace("|", "\\|")
