"""Checkpoints that are intact or refused: a checksum of the content and the name of their cell.

``best.pt`` is a plain state dict for ``torch.load``; its SHA-256 stands in the record. ``last.pt``, the state of an
unfinished training, carries its own: a line that names the format, the SHA-256 of the rest, and what ``torch.save``
wrote. Nothing is unpickled before the checksum holds, and then only tensors and plain values (``weights_only``).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

from benchmark.errors import BenchError
from benchmark.store.io import write_through

_MAGIC = b"polyp-bench training state 1 sha256 "
_HEADER_BYTES = len(_MAGIC) + 64 + 1


class DamagedCheckpointError(BenchError):
    """The file is damaged, changed, or belongs to another cell."""


def save_weights(path: Path, weights: dict[str, Any]) -> str:
    """Write a state dict atomically.

    Returns:
        The SHA-256 of the file, for the record.
    Raises:
        BenchError: No space left, no permission; the old file is then unchanged.
    """

    def write(file: BinaryIO) -> str:
        return _save(file, weights)

    return write_through(path, write)


def load_weights(path: Path, sha256: str | None) -> dict[str, Any]:
    """Read a state dict on the CPU.

    Args:
        path: A file that ``save_weights`` wrote.
        sha256: Checksum in the record; None if an older record has none.
    Raises:
        DamagedCheckpointError: The content differs from the record, or is not a checkpoint.
    """
    content = _read(path)
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise DamagedCheckpointError(
            f"{path}: not the file of its record (SHA-256 {found[:12]}..., expected {sha256[:12]}...); "
            "restore it or train again with --if-exists overwrite"
        )
    return _load(path, content)


def save_state(path: Path, state: dict[str, Any], *, owner: str) -> None:
    """Write the state of an unfinished training atomically.

    Args:
        path: Target file.
        state: Tensors and plain values.
        owner: The cell; only the same cell may continue from it.
    Raises:
        BenchError: No space left, no permission; the old file is then unchanged.
    """

    def write(file: BinaryIO) -> str:
        file.write(_MAGIC + b"0" * 64 + b"\n")
        digest = _save(file, {**state, "owner": owner})
        file.seek(len(_MAGIC))
        file.write(digest.encode())
        return digest

    write_through(path, write)


def load_state(path: Path, *, owner: str) -> dict[str, Any]:
    """Read the state of an unfinished training, on the CPU.

    Raises:
        DamagedCheckpointError: Damaged, changed, of a different format, or another cell's.
    """
    content = _read(path)
    header, body = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if not header.startswith(_MAGIC):
        raise DamagedCheckpointError(f"{path}: not a training state of this version")
    if hashlib.sha256(body).hexdigest().encode() != header[len(_MAGIC) : -1]:
        raise DamagedCheckpointError(f"{path}: damaged or changed, its checksum does not match")
    state = _load(path, body)
    if state.pop("owner", None) != owner:
        raise DamagedCheckpointError(f"{path}: belongs to another cell than {owner}")
    return state


class _Hashing(io.RawIOBase):
    """A file that hashes what is written through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.sha256 = file, hashlib.sha256()
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.failure = error
            raise


def _save(file: BinaryIO, payload: dict[str, Any]) -> str:
    import torch

    through: Any = _Hashing(file)
    try:
        torch.save(payload, through)
    except RuntimeError:  # torch's writer hides the operating system's error behind its own
        if through.failure is not None:
            raise through.failure from None
        raise
    return through.sha256.hexdigest()


def _load(path: Path, content: bytes) -> dict[str, Any]:
    import torch

    try:
        _refuse_compressed(content)
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on any error of its readers and unpicklers
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DamagedCheckpointError(f"{path}: not a checkpoint ({reason})") from None
    if not isinstance(loaded, dict):
        raise DamagedCheckpointError(f"{path}: holds no state dict")
    for name, value in loaded.items():
        if isinstance(value, torch.Tensor) and (value.layout != torch.strided or value.is_complex()):
            raise DamagedCheckpointError(f"{path}: {name} is sparse or complex; expected plain real tensors")
    return loaded


def _refuse_compressed(content: bytes) -> None:
    """Refuse compressed entries: torch never writes any, and they may grow a thousandfold."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        packed = [info.filename for info in archive.infolist() if info.compress_type != zipfile.ZIP_STORED]
    if packed:
        raise ValueError(f"{packed[0]} is compressed, which torch never does")


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():
            raise DamagedCheckpointError(f"{path}: not a regular file")
        return path.read_bytes()
    except OSError as error:
        raise DamagedCheckpointError(f"{path}: cannot be read ({error.strerror})") from None
