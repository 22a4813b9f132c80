"""Download one archive: resumed after an interruption, verified, and under its final name only when complete.

Pooch holds the rules (checksum, temporary name, rename), gdown knows Google Drive's pages; what they lack and is added
here is resuming over HTTP: the part so far stays beside the target as ``<file>.part``, and the next call asks the
server for the rest (``Range``), provided that the file is unchanged (``If-Range``).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from benchmark.data.fetching.sources import Archive
from benchmark.errors import BenchError
from benchmark.untrusted import read_json

if TYPE_CHECKING:
    import requests

Progress = Callable[[int, int | None], None]
"""Called with the bytes downloaded and, if known, in all."""

CHUNK = 1 << 18
TIMEOUT_S = (10.0, 60.0)
TRIES = 4
PAUSE_S = 1.0
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


class Cut(OSError):  # noqa: N818 (reads as what it says)
    """The connection broke before the end; the part so far is kept."""


def download(
    archive: Archive,
    folder: Path,
    *,
    checksum: str,
    kind: str = "published",
    progress: Progress = lambda *_: None,
) -> Path:
    """Fetch an archive into ``folder`` and return its path; one that exists and is intact is not fetched again.

    Args:
        archive: What to fetch.
        folder: Where it is kept until it is unpacked; must exist.
        checksum: "md5:..." or "sha256:..." that it must have; "" accepts any.
        kind: Where that checksum comes from, for the message.
        progress: Called with the bytes done and in all.
    Raises:
        BenchError: A dead address, a broken connection (the part so far is kept), a wrong checksum (the file is
            removed), or no space.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("WARNING")
    target = folder / archive.file
    fetch = _gdown if archive.via == "gdown" else _resume
    source = archive.url

    def downloader(_url: str, output: str, _pooch: object) -> None:
        fetch(archive, target, progress)
        _part(target).replace(output)
        _state(target).unlink(missing_ok=True)

    try:
        pooch.retrieve(source, checksum or None, fname=archive.file, path=folder, downloader=downloader)
    except requests.HTTPError as error:
        raise BenchError(_refused(source, error)) from error
    except Cut as error:
        raise BenchError(f"{source}: {error}; run the same command again to continue") from error
    except requests.RequestException as error:
        raise BenchError(f"{source}: {_reason(error)}; check the connection or pass --mirror") from error
    except ValueError as error:  # pooch's error for a wrong checksum
        raise BenchError(
            f"{source}: the file does not have the {kind} checksum {checksum}; it was removed. Try again; if "
            "it stays so, the file has changed: compare it with the owner's page before trusting it"
        ) from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "no space left" if full else error.strerror or str(error)
        raise BenchError(f"cannot write {target}: {what}; free some space and run the same command again") from error
    return target


def file_checksum(path: Path, kind: str = "sha256") -> str:
    """Return "sha256:..." (or "md5:...") of a file."""
    with path.open("rb") as file:
        return f"{kind}:{hashlib.file_digest(file, kind).hexdigest()}"


def require_space(folder: Path, needed: int, what: str) -> None:
    """Refuse in advance what would not fit.

    Raises:
        BenchError: If fewer than ``needed`` bytes are free.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise BenchError(
            f"no space for {what} in {folder}: {_mb(needed)} needed, {_mb(free)} free; free some or pass --data-root"
        )


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _state(target: Path) -> Path:
    return target.with_name(f"{target.name}.part.json")


def _resume(archive: Archive, target: Path, progress: Progress) -> None:
    """Fill ``<target>.part``; a broken connection is retried a few times."""
    if archive.url.startswith("file://"):
        _copy(Path(unquote(urlsplit(archive.url).path)), target, progress)
        return
    for attempt in range(TRIES):
        try:
            _stream(archive.url, target, progress)
            return
        except Cut:
            if attempt == TRIES - 1:
                raise
        time.sleep(PAUSE_S * 2**attempt)


def _stream(url: str, target: Path, progress: Progress) -> None:
    import requests

    part = _part(target)
    with _connection_errors(part), requests.Session() as session:
        have, total, headers = _begin(url, target)
        if have and have == total:  # complete, but stopped before the rename; the checksum decides
            return
        reply = session.get(url, headers=headers, stream=True, timeout=TIMEOUT_S)
        if reply.status_code in _RETRIED:
            raise Cut(f"the server is busy ({reply.status_code} {reply.reason})")
        if reply.status_code == 416:  # the part is as long as the file, or the file has changed
            _forget(target)
            raise Cut("the part already downloaded does not fit the server's file")
        reply.raise_for_status()
        if reply.status_code != 206 or _start(reply) != have:
            have = 0  # no Range, or a changed file: start over
        total = _total(reply, have)
        require_space(target.parent, (total or 0) - have, target.name)
        _state(target).write_text(json.dumps({"url": url, **_validator(reply), "total": total}), encoding="utf-8")
        with part.open("ab" if have else "wb") as file:
            while chunk := reply.raw.read1(CHUNK):  # flush, so that an interruption loses nothing
                file.write(chunk)
                have += len(chunk)
                progress(have, total)
    if total is not None and have != total:
        raise Cut(f"the connection ended after {_mb(have)} of {_mb(total)}")


def _begin(url: str, target: Path) -> tuple[int, int | None, dict[str, str]]:
    """Return how many bytes are downloaded, how many there are, and the headers that ask for the rest."""
    headers = {"Accept-Encoding": "identity"}
    state: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):
        state = dict(read_json(_state(target)))
    have = _part(target).stat().st_size if _part(target).is_file() else 0
    if have == 0 or state.get("url") != url:
        return 0, None, headers
    headers["Range"] = f"bytes={have}-"
    if state.get("validator"):
        headers["If-Range"] = state["validator"]
    return have, state.get("total"), headers


def _forget(target: Path) -> None:
    _part(target).unlink(missing_ok=True)
    _state(target).unlink(missing_ok=True)


def _validator(reply: requests.Response) -> dict[str, str]:
    """Return what identifies this version of the file: a strong ETag, else the date of its last change."""
    tag = reply.headers.get("ETag", "")
    return {"validator": tag if tag and not tag.startswith("W/") else reply.headers.get("Last-Modified", "")}


def _start(reply: requests.Response) -> int:
    """First byte of a partial reply: "bytes 100-199/200" gives 100."""
    text = reply.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(text) if text.isdecimal() else -1


def _total(reply: requests.Response, have: int) -> int | None:
    length = reply.headers.get("Content-Length", "")
    if not length.isdecimal() or reply.headers.get("Content-Encoding", "identity") != "identity":
        return None
    return have + int(length)


@contextlib.contextmanager
def _connection_errors(part: Path) -> Iterator[None]:
    """Turn a broken connection into ``Cut``, whichever layer reports it."""
    import requests
    import urllib3

    broken = (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError)
    try:
        yield
    except requests.exceptions.SSLError:
        raise
    except (*broken, urllib3.exceptions.HTTPError, ConnectionError) as error:
        have = part.stat().st_size if part.is_file() else 0
        raise Cut(f"the connection broke after {_mb(have)} ({_reason(error)})") from error


def _copy(origin: Path, target: Path, progress: Progress) -> None:
    """Copy from a mirror that is a folder."""
    if not origin.is_file():
        raise BenchError(f"{origin} does not exist: put the archive there or pass another --mirror")
    total, have = origin.stat().st_size, 0
    require_space(target.parent, total, target.name)
    try:
        with origin.open("rb") as source, _part(target).open("wb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                have += len(chunk)
                progress(have, total)
    except OSError:
        _forget(target)
        raise


def _gdown(archive: Archive, target: Path, progress: Progress) -> None:
    """Let gdown handle Google Drive's pages; it resumes by itself."""
    import gdown
    import gdown.exceptions

    require_space(target.parent, archive.size_mb << 20, target.name)
    whole = target.with_name(f"{target.name}.gdown")
    arguments: dict[str, Any] = {"url": archive.url, "output": str(whole), "quiet": True, "use_cookies": False}
    arguments |= {"resume": True, "retries": TRIES - 1, "timeout": TIMEOUT_S, "progress": progress}
    try:
        gdown.download(**arguments)
    except gdown.exceptions.FileURLRetrievalError as error:
        raise BenchError(
            f"{archive.url}: Google Drive refuses the file now ({_reason(error)}); try again tomorrow (downloads are "
            "limited by the day), or download it in a browser and pass its folder by --mirror"
        ) from error
    except gdown.exceptions.DownloadError as error:
        if "byte range" in str(error):  # the server cannot resume: start over next time
            for piece in target.parent.glob(f"{whole.name}*"):
                piece.unlink(missing_ok=True)
        raise Cut(_reason(error)) from error
    whole.replace(_part(target))


def _refused(url: str, error: requests.HTTPError) -> str:
    reply = error.response
    if reply is None:
        return f"{url}: {_reason(error)}; open it in a browser, or pass --mirror"
    status, reason = reply.status_code, reply.reason
    if status in (404, 410):
        return f"{url}: not found ({status} {reason}): the address is dead; pass --mirror with another, or see the page"
    return f"{url}: the server refuses ({status} {reason}); open it in a browser, or pass --mirror"


def _reason(error: BaseException) -> str:
    """Return the innermost reason in one short line."""
    while error.__cause__ is not None or (error.args and isinstance(error.args[0], BaseException)):
        error = error.__cause__ or error.args[0]
    reason = getattr(error, "reason", None)
    if isinstance(reason, BaseException):
        return _reason(reason)
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def drop_leftovers(folder: Path) -> None:
    """Remove ``folder`` if it is empty."""
    with contextlib.suppress(OSError):
        os.rmdir(folder)  # noqa: PTH106 (refuses a folder that is not empty, which is the point)
