"""Show what would be sent, or send it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.maintenance.publishing.card import default_title
from benchmark.maintenance.publishing.parcel import About, Progress, Sent, Target, find_target, open_parcel, read_token


@dataclass(frozen=True)
class Published:
    """What would be sent, and what was.

    Attributes:
        target: Where.
        title: Of its page.
        contents: Kind of file, number and bytes.
        files: Names.
        num_cells: Cells of the export.
        sent: None of a dry run.
    """

    target: Target
    title: str
    contents: list[dict[str, str | int]]
    files: tuple[str, ...]
    num_cells: int
    sent: Sent | None


def publish(
    source: str | Path,
    to: str,
    *,
    licence: str,
    title: str = "",
    creators: tuple[str, ...] = (),
    private: bool = False,
    host: str | None = None,
    yes: bool = False,
    bars: bool = False,
    progress: Progress = lambda *_: None,
) -> Published:
    """Check an export and, with ``yes``, send it to a Hugging Face repository or a Zenodo draft.

    Args:
        source: Folder or zip of ``bench export``.
        to: ``huggingface:OWNER/NAME``, ``zenodo`` or ``zenodo:NUMBER``.
        licence: Identifier of the licence of maps, weights and records, as cc-by-4.0.
        title: Of the page; made from the models if "".
        creators: Authors "Family, Given"; Zenodo wants at least one.
        private: A new Hugging Face repository is private.
        host: Another server.
        yes: Send; else nothing leaves this machine.
        bars: Show progress bars of the Hugging Face client.
        progress: Called with the bytes sent to Zenodo and in all.
    Raises:
        BenchError: The export does not hold, the token is missing, or the server refuses; in one line.
    """
    target = find_target(to, host)
    _check_options(target, licence, creators, private)
    token = read_token(target.service) if yes else ""
    with open_parcel(source) as parcel:
        about = About(title or default_title(parcel.records), licence, creators)
        sent = None
        if yes and target.service == "huggingface":
            from benchmark.maintenance.publishing import huggingface

            sent = huggingface.send(parcel, target, about, token, private=private, bars=bars)
        elif yes:
            from benchmark.maintenance.publishing import zenodo

            with tempfile.TemporaryDirectory(prefix="bench-publish-") as scratch:
                sent = zenodo.send(parcel, target, about, token, scratch=Path(scratch), progress=progress)
        return Published(target, about.title, parcel.contents(), parcel.files, len(parcel.records), sent)


def _check_options(target: Target, licence: str, creators: tuple[str, ...], private: bool) -> None:
    if not licence.strip():
        raise BenchError("--licence is empty: name the licence of maps, weights and records, as cc-by-4.0")
    if target.service == "zenodo" and not any(creator.strip() for creator in creators):
        raise BenchError('Zenodo needs an author: pass --creator "Family, Given", once for each')
    if target.service == "zenodo" and private:
        raise BenchError("--private is for Hugging Face; a Zenodo draft is private until you publish it on its page")
