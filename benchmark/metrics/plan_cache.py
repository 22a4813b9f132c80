"""Plans on disk: bounded, written atomically, checked when read, rebuilt when damaged."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import BenchError
from benchmark.metrics.levels import Mask, check_mask
from benchmark.metrics.plans import Plan
from benchmark.metrics.plans import plan as make_plan

_MAGIC = int.from_bytes(b"polyplan", "little")
_VERSION = 1
_HEADER = 24  # words: magic, version, digest 2, shape 2, num_fg, sums 2, box 4, ring, quadrants 8, total, checksum

Words = NDArray[np.uint64]


def mask_digest(mask: Mask) -> bytes:
    """Return 16 bytes that identify a mask: a hash of its shape and bits."""
    state = hashlib.sha256(repr(mask.shape).encode())  # processors have instructions for this one
    state.update(np.packbits(mask).data)
    return state.digest()[:16]


class PlanCache:
    """Plans of masks in a directory, one file each (about two bytes per pixel), by the mask's hash.

    Safe for several processes: files appear complete or not at all, and a damaged one is rebuilt. When the
    directory outgrows its bound, the files unused for longest go first.

    Args:
        directory: Made if it is absent.
        max_mb: Bound in MiB (2**20 bytes), > 0.
    Raises:
        BenchError: If the directory cannot be made or the bound is not positive.
    """

    def __init__(self, directory: str | Path, max_mb: float = 2048) -> None:
        self.directory = Path(directory)
        if not max_mb > 0:
            raise BenchError(f"plan cache: max_mb = {max_mb!r}: expected a number above 0")
        self._limit = int(max_mb * 2**20)
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BenchError(
                f"plan cache {self.directory}: cannot be made: {error.strerror}; give another directory"
            ) from error
        self._used = sum(size for _, size, _ in self._files())

    def get(self, mask: NDArray[np.bool_]) -> Plan:
        """Return the plan of a mask, from disk if it is there and sound, else made and kept.

        Raises:
            BenchError: If the mask is not a boolean (H, W) array.
        """
        mask = check_mask(mask)
        digest = mask_digest(mask)
        path = self.directory / f"{digest.hex()}.plan"
        plan = _read(path, digest, mask.shape)
        if plan is None:
            plan = make_plan(mask)
            self._write(path, _pack(plan, digest))
        return plan

    def _write(self, path: Path, words: Words) -> None:
        """Write a file whole or not at all; a full or read-only disk costs speed only."""
        if words.nbytes > self._limit:
            return
        temporary = None
        try:
            with tempfile.NamedTemporaryFile(dir=self.directory, suffix=".part", delete=False) as file:
                temporary = file.name
                words.tofile(file)
            os.replace(temporary, path)  # noqa: PTH105
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            return
        self._used += words.nbytes
        if self._used > self._limit:
            self._shrink()

    def _shrink(self) -> None:
        """Delete the files unused for longest until nine tenths of the bound are left."""
        files = sorted(self._files())
        self._used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._used <= 0.9 * self._limit:
                break
            path.unlink(missing_ok=True)
            self._used -= size

    def _files(self) -> list[tuple[float, int, Path]]:
        """Return (time of last use, bytes, path) of each plan, and of parts that a killed process left."""
        found = []
        for entry in os.scandir(self.directory):
            if entry.name.endswith((".plan", ".part")):
                try:
                    facts = entry.stat()
                except FileNotFoundError:  # another process was faster
                    continue
                found.append((facts.st_mtime, facts.st_size, Path(entry.path)))
        return found


def _pack(plan: Plan, digest: bytes) -> Words:
    """Return a plan as one array of words: header, ranks, the two halves of the ring."""
    rank, at, source = (_words(part) for part in (plan.rank, plan.ring_at, plan.ring_from))
    header = np.zeros(_HEADER, np.uint64)
    facts = (*plan.shape, plan.num_fg, plan.row_sum, plan.col_sum, *plan.box, len(plan.ring_at))
    header[:2] = _MAGIC, _VERSION
    header[2:4] = np.frombuffer(digest, np.uint64)
    header[4:14] = facts
    header[14:22] = plan.quadrants.ravel()
    header[22] = plan.weight_total
    words = np.concatenate([header, rank, at, source])
    words[23] = _checksum(words)
    return words


def _words(part: NDArray) -> Words:
    """Return an array's bytes, padded with zeros to whole words."""
    raw = np.zeros(_num_words(part.nbytes), np.uint64)
    raw.view(np.uint8)[: part.nbytes] = np.ascontiguousarray(part).view(np.uint8).ravel()
    return raw


def _num_words(num_bytes: int) -> int:
    return (num_bytes + 7) // 8


def _checksum(words: Words) -> int:
    """Return the sum of all words but the one that holds it, modulo 2**64; any single damage changes it."""
    return (int(words.sum()) - int(words[_HEADER - 1])) % 2**64


def _read(path: Path, digest: bytes, shape: tuple[int, int]) -> Plan | None:
    """Return the plan in a file, or None if the file is absent or not exactly what was written."""
    try:
        with path.open("rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            words = np.zeros(size // 8, np.uint64)
            if size % 8 or len(words) < _HEADER or file.readinto(words.data) != size:
                return None
    except OSError:
        return None
    facts: list[int] = words[:_HEADER].tolist()
    if facts[:2] != [_MAGIC, _VERSION] or words[2:4].tobytes() != digest or tuple(facts[4:6]) != shape:
        return None
    num_ring = facts[13]
    sizes = (_num_words(2 * shape[0] * shape[1]), _num_words(4 * num_ring), _num_words(4 * num_ring))
    if len(words) != _HEADER + sum(sizes) or facts[23] != _checksum(words):
        return None
    _touch(path)
    return _unpack(words, facts, shape, sizes)


def _unpack(words: Words, facts: list[int], shape: tuple[int, int], sizes: tuple[int, int, int]) -> Plan:
    words.flags.writeable = False
    ring = _HEADER + sizes[0]
    plan = Plan(
        num_fg=facts[6],
        row_sum=facts[7],
        col_sum=facts[8],
        box=(facts[9], facts[10], facts[11], facts[12]),
        quadrants=np.array(facts[14:22], np.int64).reshape(2, 4),
        rank=words[_HEADER:ring].view(np.uint16)[: shape[0] * shape[1]].reshape(shape),
        ring_at=words[ring : ring + sizes[1]].view(np.int32)[: facts[13]],
        ring_from=words[ring + sizes[1] :].view(np.int32)[: facts[13]],
    )
    plan.__dict__["weight_total"] = facts[22]  # the place of a cached property's value
    return plan


def _touch(path: Path) -> None:
    """Note the use for the order of deletion; a read-only directory has no need of it."""
    try:
        os.utime(path)
    except OSError:
        return
