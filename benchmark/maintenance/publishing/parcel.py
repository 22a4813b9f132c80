"""What is sent and to whom: a checked export, its size, its address and its token."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from benchmark.errors import BenchError, unknown_name
from benchmark.maintenance.importing import check_export, unpack_export
from benchmark.store.schema import Record

Service = Literal["huggingface", "zenodo"]
TOKENS: dict[str, str] = {"huggingface": "HF_TOKEN", "zenodo": "ZENODO_TOKEN"}
HOSTS: dict[str, str] = {"huggingface": "https://huggingface.co", "zenodo": "https://zenodo.org"}
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_WHERE = "expected huggingface:OWNER/NAME, zenodo (a new draft) or zenodo:NUMBER (a draft that is there)"
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Target:
    """Where an export goes.

    Attributes:
        service: Which.
        name: Repository ``OWNER/NAME``, or number of a draft; "" for a new draft.
        host: Address of the server, without a slash at the end.
    """

    service: Service
    name: str
    host: str

    def __str__(self) -> str:
        kept = f"datasets/{self.name}" if self.service == "huggingface" else f"deposit/{self.name or '(a new draft)'}"
        return f"{self.host}/{kept}"


@dataclass(frozen=True)
class About:
    """What the public page says beside the records: title, licence (an SPDX identifier), authors "Family, Given"."""

    title: str
    licence: str
    creators: tuple[str, ...] = ()


@dataclass(frozen=True)
class Parcel:
    """A checked export.

    Attributes:
        name: Of the export's folder, or of its zip without the ending.
        root: Folder that holds it.
        files: Names below ``root``.
        records: Of its cells.
        archive: The zip that it came from, if it did.
    """

    name: str
    root: Path
    files: tuple[str, ...]
    records: tuple[Record, ...]
    archive: Path | None

    def contents(self) -> list[dict[str, str | int]]:
        """One row per kind of file: how many, and their bytes."""
        sizes: dict[str, list[int]] = {"records and scores": [], "maps": [], "weights and cards": []}
        for name in self.files:
            kind = "maps" if "/maps/" in name else "records and scores"
            kind = "weights and cards" if name.endswith((".pt", "/model-card.md")) else kind
            sizes[kind].append((self.root / name).stat().st_size)
        return [{"what": kind, "files": len(each), "bytes": sum(each)} for kind, each in sizes.items() if each]

    @property
    def num_bytes(self) -> int:
        """Size of all files."""
        return sum((self.root / name).stat().st_size for name in self.files)


@dataclass(frozen=True)
class Sent:
    """What is there now.

    Attributes:
        url: Page of the repository or draft.
        name: Repository, or number of the draft.
        num_bytes: Size of what was sent; files that were there already count for Hugging Face, not for Zenodo.
        next_step: What is left to do by hand; "" if nothing.
    """

    url: str
    name: str
    num_bytes: int
    next_step: str


@contextmanager
def open_parcel(source: str | Path) -> Iterator[Parcel]:
    """Open an export and check it as ``bench import`` does; a zip is unpacked into a temporary folder.

    Raises:
        BenchError: It is no export, holds no cell, or something in it does not hold.
    """
    if re.match(r"https?://", str(source)):
        raise BenchError(f"{source}: publish a folder or zip of this machine; fetch it first")
    path = Path(source)
    with tempfile.TemporaryDirectory(prefix="bench-publish-") as stage:
        root = unpack_export(str(path), Path(stage))
        records, files = check_export(root, str(source))
        if not records:
            raise BenchError(f"{source}: holds no cell; make an export with 'bench export'")
        packed = None if path.is_dir() else path
        yield Parcel(path.resolve().name if packed is None else path.stem, root, tuple(files), tuple(records), packed)


def find_target(text: str, host: str | None = None) -> Target:
    """Read ``--to`` and ``--host``.

    Raises:
        BenchError: An unknown service, a name that it cannot have, or a host that a token must not be sent to.
    """
    service, _, name = text.partition(":")
    if service not in TOKENS:
        raise unknown_name("service", service, TOKENS)
    if service == "huggingface":
        formed = re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", name, re.ASCII)
        fits = formed is not None and not re.search(r"--|\.\.|\.git$", name)
    else:
        fits = re.fullmatch(r"zenodo(:[0-9]{1,18})?", text) is not None
    if not fits:
        raise BenchError(f"--to {text}: {_WHERE}")
    return Target(service, name, _host(host or _from_environment(service) or HOSTS[service]))  # type: ignore[arg-type]


def read_token(service: Service) -> str:
    """Return the token from the service's environment variable; it is never printed or stored.

    Raises:
        BenchError: It is not set, or cannot be a token.
    """
    variable = TOKENS[service]
    token = os.environ.get(variable, "").strip()
    if not token:
        raise BenchError(f"{variable} is not set: create a token that may write, and put it into that variable")
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise BenchError(f"{variable} holds characters that no token has; copy the token again")
    return token


def _from_environment(service: str) -> str | None:
    return os.environ.get("HF_ENDPOINT") if service == "huggingface" else None


def _host(address: str) -> str:
    """A server's address, over which a token may travel."""
    try:
        parts = urlsplit(address)
        local = parts.hostname in _LOOPBACK
        sound = parts.hostname and not parts.username and parts.path in ("", "/") and not parts.query
    except ValueError:
        local, sound, parts = False, None, urlsplit("")
    if not sound or not (parts.scheme == "https" or (parts.scheme == "http" and local)):
        raise BenchError(f"host {address}: expected https://NAME; a token is sent to it, so http is refused")
    return f"{parts.scheme}://{parts.netloc}"
