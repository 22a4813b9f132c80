"""Unpack an untrusted archive: members stay inside the target, and the target appears complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from benchmark.data.fetching.download import CHUNK, require_space
from benchmark.data.listing.folders import ACCEPTED, IMAGE_SUFFIXES, shown
from benchmark.errors import BenchError

Progress = Callable[[int, int | None], None]

MAX_RATIO = 10
"""Images hardly compress: an archive that claims a higher ratio does not hold images."""

MAX_MEMBERS = 200_000
_SLACK = 64 << 20
_JUNK = frozenset({"__MACOSX"})


class ArchiveFault(BenchError):  # noqa: N818 (reads as what it says)
    """The archive is damaged or malicious; it cannot be used."""


def unpack(
    archive: Path,
    target: Path,
    *,
    max_bytes: int | None = None,
    extra: Mapping[str, str] | None = None,
    pictures: bool = True,
    progress: Progress = lambda *_: None,
) -> None:
    """Unpack a zip archive so that ``target`` holds its content.

    A single folder at the archive's top becomes ``target``; else everything goes into it. The work is done beside
    ``target``, in a hidden folder that is renamed at the end.

    Args:
        archive: The zip file.
        target: The folder to make; must not exist.
        max_bytes: Refuse content of more bytes than this; None for ten times the archive's size.
        extra: Texts of further files to put into ``target``, by name.
        pictures: Refuse an archive that holds no image.
        progress: Called with the bytes written.
    Raises:
        ArchiveFault: For a file that is not a complete zip, a member that would leave the target, a link, an encrypted
            member, or too much content.
        BenchError: For no space or no write permission. Nothing is left behind in either case.
    """
    limit = max_bytes or MAX_RATIO * archive.stat().st_size + _SLACK
    with _one_line_errors(archive, target), zipfile.ZipFile(archive) as opened:
        members = _members(opened, archive, limit, pictures)
        require_space(target.parent, sum(info.file_size for info, _ in members), f"the content of {archive.name}")
        with _sibling(target) as folder:
            _write(opened, members, folder, progress)
            top = folder / _top(members)
            for name, text in (extra or {}).items():
                (top / name).write_text(text, encoding="utf-8")
            top.rename(target)


def _members(
    opened: zipfile.ZipFile, archive: Path, limit: int, pictures: bool
) -> list[tuple[zipfile.ZipInfo, PurePosixPath]]:
    """Return the files to write with their paths, or refuse the archive if any is bad."""
    infos = [info for info in opened.infolist() if not info.is_dir()]
    infos = [info for info in infos if not _JUNK & set(PurePosixPath(info.filename).parts)]
    if not infos:
        raise ArchiveFault(f"archive {archive} is empty: fetch it again, or check the address")
    if len(infos) > MAX_MEMBERS or sum(info.file_size for info in infos) > limit:
        size = sum(info.file_size for info in infos)
        raise ArchiveFault(
            f"archive {archive} holds {len(infos)} files of {size / 1e6:.0f} MB, more than the {limit / 1e6:.0f} MB "
            f"or {MAX_MEMBERS} files allowed: not unpacked; if it is genuine, raise max_unpacked_mb in an address list"
        )
    members = [(info, _safe_path(info, archive)) for info in infos]
    seen: dict[str, str] = {}
    for info, path in members:
        first = seen.setdefault(str(path).casefold(), info.filename)
        if first is not info.filename:
            raise ArchiveFault(f"archive {archive}: {first!r} and {info.filename!r} claim the same place: not unpacked")
    above = {str(parent).casefold() for _, path in members for parent in path.parents}
    for clash in sorted(above & seen.keys()):
        raise ArchiveFault(f"archive {archive}: {seen[clash]!r} is both a file and a folder: not unpacked")
    if pictures and not any(PurePosixPath(info.filename).suffix.lower() in IMAGE_SUFFIXES for info in infos):
        names = shown([info.filename for info in infos], 3)
        raise ArchiveFault(f"archive {archive} holds no image, but {names}: check the address; expected {ACCEPTED}")
    return members


def _safe_path(info: zipfile.ZipInfo, archive: Path) -> PurePosixPath:
    """Return a member's path, which must stay below where it is unpacked.

    ``orig_filename`` is checked too: zipfile cuts a name at a NUL, and turns the system's separator into a slash.
    """
    for name in (info.filename, info.orig_filename):
        path = PurePosixPath(name.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name or not path.parts:
            raise ArchiveFault(
                f"archive {archive}: member {name!r} would be written outside the target folder: nothing was unpacked; "
                "get the archive from its owner"
            )
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        what = "a link" if kind == stat.S_IFLNK else "not a regular file"
        raise ArchiveFault(f"archive {archive}: member {info.filename!r} is {what}: nothing was unpacked")
    if info.flag_bits & 1:
        raise ArchiveFault(f"archive {archive}: member {info.filename!r} is encrypted: unpack it manually")
    return PurePosixPath(info.filename.replace("\\", "/"))


def _write(
    opened: zipfile.ZipFile, members: list[tuple[zipfile.ZipInfo, PurePosixPath]], folder: Path, progress: Progress
) -> None:
    """Write the members; zipfile checks each one's length and CRC as it is read."""
    total, done = sum(info.file_size for info, _ in members), 0
    for info, path in members:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with opened.open(info) as source, target.open("xb") as file:
            while chunk := source.read(CHUNK):
                file.write(chunk)
                done += len(chunk)
                progress(done, total)


def _top(members: list[tuple[zipfile.ZipInfo, PurePosixPath]]) -> str:
    """Return the single top folder, or "." if there is none."""
    tops = {path.parts[0] for _, path in members}
    return tops.pop() if len(tops) == 1 and all(len(path.parts) > 1 for _, path in members) else "."


@contextlib.contextmanager
def _sibling(target: Path) -> Iterator[Path]:
    """A hidden folder beside ``target``, removed at the end; what is renamed out of it stays."""
    base = Path(tempfile.mkdtemp(prefix=f".unpacking-{target.name}-", dir=target.parent))
    folder = base / "content"  # so that the folder itself can be renamed too
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(base, ignore_errors=True)


@contextlib.contextmanager
def _one_line_errors(archive: Path, target: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        detail = " ".join(str(error).split())
        raise ArchiveFault(f"archive {archive} is damaged or not a zip file ({detail}); fetch it again") from error
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        what = "no space left" if full else error.strerror or str(error)
        raise BenchError(f"cannot unpack {archive} to {target}: {what}; free space or check permissions") from error
