"""Send an export to Zenodo as a draft, by its documented deposit interface (developers.zenodo.org).

Zenodo has no client of its own. ``zenodo-client``, the best kept of the others, sends the token in the address, where
servers log it, and cannot go on with a draft on another host; so ``requests`` it is, with the token in a header.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from benchmark._version import __version__
from benchmark.errors import BenchError
from benchmark.maintenance.bulk import pack
from benchmark.maintenance.publishing.card import html
from benchmark.maintenance.publishing.parcel import About, Parcel, Progress, Sent, Target

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (10.0, 120.0)


def send(
    parcel: Parcel, target: Target, about: About, token: str, *, scratch: Path, progress: Progress = lambda *_: None
) -> Sent:
    """Put the export's zip into a draft; publishing the draft, which cannot be undone, is left to its page.

    Args:
        parcel: The export; one that is a folder is packed first.
        target: A new draft, or the number of one, to go on after an interruption or to replace its zip.
        about: Title, licence and authors of the draft.
        token: With the scope ``deposit:write``.
        scratch: Folder for the zip of an export that is a folder.
        progress: Called with the bytes sent and in all.
    Raises:
        BenchError: No such draft, no permission, a draft that is published, or a connection that broke; the line names
            the draft to go on with.
    """
    archive = parcel.archive or _packed(parcel, scratch)
    with _Draft(target, token) as draft:
        draft.open()
        draft.describe(_metadata(parcel, about, archive.name))
        sent = draft.put(archive, progress)
        others = sorted(name for name in draft.files if name != archive.name)
        kept = f"; it also holds {', '.join(others)}" if others else ""
        step = f"draft {draft.number}: look at it and publish it there{kept}"
        return Sent(draft.page, draft.number, sent, step)


def _packed(parcel: Parcel, scratch: Path) -> Path:
    archive = scratch / f"{parcel.name}.zip"
    pack(parcel.root, [parcel.root / name for name in parcel.files], archive)
    return archive


def _metadata(parcel: Parcel, about: About, name: str) -> dict[str, Any]:
    return {
        "title": about.title,
        "upload_type": "dataset",
        "description": html(parcel, name),
        "creators": [{"name": creator} for creator in about.creators],
        "access_right": "open",
        "license": about.licence.lower(),
        "keywords": ["polyp segmentation", "benchmark", "colonoscopy"],
    }


class _Draft:
    """A deposit that is not published yet, and the session that writes it.

    Attributes:
        number: "" before it is made.
        page: Its address for people.
        files: Name -> MD5 of what it holds.
    """

    def __init__(self, target: Target, token: str) -> None:
        import requests

        self._target, self._token, self._bucket = target, token, ""
        self.number, self.page, self.files = target.name, "", dict[str, str]()
        self._session = requests.Session()
        self._session.headers["User-Agent"] = f"polyp-bench/{__version__}"
        self._session.auth = self._authorise  # also keeps requests from sending a password of ~/.netrc instead

    def __enter__(self) -> _Draft:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def _authorise(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def open(self) -> None:
        """Make the draft, or look at the one named."""
        if self.number:
            found = self._ask("GET", f"/api/deposit/depositions/{self.number}")
        else:
            found = self._ask("POST", "/api/deposit/depositions", json={})
        links = found.get("links") or {}
        self.number, self._bucket = str(found.get("id", "")), str(links.get("bucket", ""))
        self.page = str(links.get("html") or f"{self._target.host}/deposit/{self.number}")
        if found.get("submitted"):
            raise self._fault("is published already; open a new version on its page and name that draft")
        if not self.number.isdecimal() or not self._bucket.startswith(f"{self._target.host}/"):
            raise self._fault("the server's answer is not Zenodo's; check --host")
        listed = [one for one in found.get("files") or [] if isinstance(one, dict)]
        self.files = {str(one.get("filename")): _md5_of(one) for one in listed}

    def describe(self, metadata: Mapping[str, Any]) -> None:
        """Write title, authors and licence."""
        self._ask("PUT", f"/api/deposit/depositions/{self.number}", json={"metadata": metadata})

    def put(self, archive: Path, progress: Progress) -> int:
        """Upload a file unless the draft holds it; returns the bytes sent."""
        with archive.open("rb") as file:
            expected = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if self.files.get(archive.name) == expected:
            return 0
        size = archive.stat().st_size
        with archive.open("rb") as file:
            body = _Counted(file, size, progress)
            stored = self._ask("PUT", f"{self._bucket}/{quote(archive.name)}", data=body)
        self.files[archive.name] = _md5_of(stored)
        if self.files[archive.name] != expected:
            raise self._fault(f"{archive.name} arrived damaged (MD5); run again to send it anew")
        return size

    def _ask(self, method: str, where: str, **content: Any) -> dict[str, Any]:
        address = where if where.startswith(self._target.host) else f"{self._target.host}{where}"
        with self._one_line():
            # a redirect would repeat the request elsewhere
            reply = self._session.request(method, address, timeout=TIMEOUT_S, allow_redirects=False, **content)
            if reply.status_code not in (200, 201, 202):
                raise self._fault(_refusal(reply, self.number))
            found = reply.json()
        if not isinstance(found, dict):
            raise self._fault("the server's answer is not Zenodo's; check --host")
        return found

    @contextmanager
    def _one_line(self) -> Iterator[None]:
        import requests

        try:
            yield
        except requests.exceptions.JSONDecodeError:
            raise self._fault("the server's answer is not Zenodo's; check --host") from None
        except requests.ConnectionError as error:
            raise self._fault(f"the connection broke ({_innermost(error)}); {self._again()}") from error
        except requests.RequestException as error:
            raise self._fault(f"{_innermost(error)}; {self._again()}") from error

    def _again(self) -> str:
        return f"go on with --to zenodo:{self.number}" if self.number else "nothing was made; run it again"

    def _fault(self, reason: str) -> BenchError:
        where = f"{self._target.host} draft {self.number}" if self.number else self._target.host
        return BenchError(f"{where}: {reason}".replace(self._token, "***"))


class _Counted:
    """A file that counts what is read from it; requests sends it in blocks and takes its length for the header."""

    def __init__(self, file: Any, size: int, progress: Progress) -> None:
        self._file, self._size, self._progress = file, size, progress

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        block: bytes = self._file.read(min(size, 1 << 20) if size > 0 else 1 << 20)
        self._progress(self._file.tell(), self._size)
        return block


def _md5_of(stored: Mapping[str, Any]) -> str:
    return str(stored.get("checksum", "")).removeprefix("md5:")


def _refusal(reply: requests.Response, number: str) -> str:
    status = reply.status_code
    again = f"go on with --to zenodo:{number}" if number else "run it again"
    if status == 401:
        return "the server does not accept the token of ZENODO_TOKEN (401); create one with the scope deposit:write"
    if status == 403:
        return "ZENODO_TOKEN may not write this (403); it needs the scope deposit:write, and the draft must be yours"
    if status in (404, 410):
        return f"no such draft ({status}); check its number, or make a new one with --to zenodo"
    if status == 400:
        return f"the server refuses the metadata (400): {_said(reply)}; correct it and {again}"
    return f"the server answers {status}; {again}"


def _said(reply: requests.Response) -> str:
    """What Zenodo says of the fields that it refuses."""
    try:
        found = reply.json()
        faults = [f"{one.get('field')}: {one.get('message')}" for one in found.get("errors") or []]
        return "; ".join(faults)[:200] or str(found.get("message"))[:200]
    except (ValueError, AttributeError, TypeError):
        return "without a reason"


def _innermost(error: BaseException) -> str:
    while error.__cause__ is not None or (error.args and isinstance(error.args[0], BaseException)):
        error = error.__cause__ or error.args[0]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _innermost(reason)
    return (" ".join(str(error).split()) or type(error).__name__)[:200]
