"""A cell's results on corrupted test sets in two files, as exports hold them, instead of hundreds."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import CellPaths
from benchmark.store.robust_results import RobustResult, read_result, read_rows, result_path

if TYPE_CHECKING:
    import pandas as pd

Key = tuple[str, str, int, str]
"""Test set, corruption, severity, denoiser."""
MEASURE = "dice"
"""The only score of single images that is packed: the one of the tables. Means of the others stand in the results."""
_KEYS = ["dataset", "corruption", "severity", "denoise"]
_STAMP = ("commit", "commit_state", "device_name")


def pack_results(source: CellPaths, copy: CellPaths, *, protocols: Collection[str], compact: bool = False) -> bool:
    """Write a cell's results into another folder, packed; return whether there are any.

    Args:
        source: The cell.
        copy: Where the packed files go.
        protocols: Those to keep.
        compact: Keep scores of single images in single precision.
    Raises:
        BenchError: A result or its rows cannot be read.
    """
    import pandas as pd

    results = {key: find_result(source, *key) for key in result_keys(source)}
    if not results:
        return False
    parts, kept = [], []
    for key, one in results.items():
        assert one is not None
        for protocol in sorted(set(one.protocols) & set(protocols)):
            rows = find_rows(source, *key, protocol).reset_index()[["id", "group", MEASURE]]
            parts.append(rows.assign(protocol=protocol, **dict(zip(_KEYS, key, strict=True))))
        kept.append(_without(one, protocols))
    rows = pd.concat(parts, ignore_index=True)[[*_KEYS, "protocol", "id", "group", MEASURE]]
    io.write_parquet(copy.packed_robust.with_suffix(".parquet"), rows.astype({MEASURE: "float32"}) if compact else rows)
    io.write_json(copy.packed_robust, {"schema": 1, "results": kept})
    return True


def _without(result: RobustResult, protocols: Collection[str]) -> dict[str, Any]:
    """A result without other protocols, and of its environment the code and the device alone."""
    scores = {name: result.test.scores[name] for name in result.test.scores if name in protocols}
    empty = {name: value for name, value in result.test.empty_masks.items() if name in protocols}
    test = result.test.model_copy(update={"scores": scores, "empty_masks": empty})
    update = {
        "test": test,
        "protocols": {name: value for name, value in result.protocols.items() if name in protocols},
        "environment": {key: result.environment[key] for key in _STAMP if key in result.environment},
    }
    return result.model_copy(update=update).model_dump(mode="json", by_alias=True, exclude_defaults=True)


def result_keys(paths: CellPaths) -> list[Key]:
    """What a cell was measured on, in order; single files come before packed ones of the same name."""
    loose = [read_result(path) for path in sorted(paths.all_robust.glob("*/*.json"))]
    keys = [(one.dataset, one.corruption, one.severity, one.denoise) for one in loose]
    return list(dict.fromkeys([*keys, *_packed(paths)]))


def find_result(paths: CellPaths, dataset: str, corruption: str, severity: int, denoise: str) -> RobustResult | None:
    """Return a result, from its own file or from the packed ones; None where it was not measured.

    Raises:
        BenchError: It is damaged.
    """
    path = result_path(paths, dataset, corruption, severity, denoise)
    if path.is_file():
        return read_result(path)
    return _packed(paths).get((dataset, corruption, severity, denoise))


def find_rows(
    paths: CellPaths, dataset: str, corruption: str, severity: int, denoise: str, protocol: str
) -> pd.DataFrame:
    """Return a result's scores of single images under one protocol, index ``id``.

    Raises:
        BenchError: They are missing, unreadable, or differ in number from the result.
    """
    path = result_path(paths, dataset, corruption, severity, denoise)
    if path.is_file():
        return read_rows(path, protocol)
    key = (dataset, corruption, severity, denoise)
    rows = _packed_rows(paths).get((*key, protocol))
    result = _packed(paths).get(key)
    if rows is None or result is None or len(rows) != result.test.num_scored(protocol) or not rows.index.is_unique:
        raise BenchError(
            f"{paths.packed_robust.with_suffix('.parquet')}: no or too few rows of {dataset}, {corruption} {severity}, "
            f"{denoise} under {protocol}; ask for the export again"
        )
    return rows


def cell_results(paths: CellPaths) -> list[RobustResult]:
    """Every readable result of a cell; a damaged one is left out (``bench robust`` names it)."""
    found = {}
    with suppress(BenchError):
        found = dict(_packed(paths))
    for path in sorted(paths.all_robust.glob("*/*.json")):
        with suppress(BenchError):
            one = read_result(path)
            found[one.dataset, one.corruption, one.severity, one.denoise] = one
    return [found[key] for key in sorted(found)]


def is_current(paths: CellPaths, wanted: RobustResult, notice: Callable[[str], None]) -> bool:
    """Return whether the result on disk is complete and current; a damaged one is reported and replaced."""
    key = (wanted.dataset, wanted.corruption, wanted.severity, wanted.denoise)
    try:
        found = find_result(paths, *key)
        if found is None:
            return False
        if found.same_as(wanted):
            find_rows(paths, *key, next(iter(wanted.protocols)))
            return True
    except BenchError as error:
        notice(f"measured again: {error}")
        return False
    notice(f"measured again: {result_path(paths, *key)} has different weights, images, corruption, denoiser or scoring")
    return False


def packed_results(paths: CellPaths) -> list[RobustResult]:
    """Return the packed results of a cell; none where it has no packed file.

    Raises:
        BenchError: The file is damaged.
    """
    return list(_packed(paths).values())


def _packed(paths: CellPaths) -> dict[Key, RobustResult]:
    path = paths.packed_robust
    return _read(path, path.stat().st_mtime_ns) if path.is_file() else {}


def _packed_rows(paths: CellPaths) -> dict[tuple[str, str, int, str, str], pd.DataFrame]:
    path = paths.packed_robust.with_suffix(".parquet")
    return _read_rows(path, path.stat().st_mtime_ns) if path.is_file() else {}


@lru_cache(maxsize=64)
def _read(path: Path, _changed: int) -> dict[Key, RobustResult]:
    try:
        found = [RobustResult.model_validate(one) for one in io.read_json(path)["results"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        fault = io.first_fault(error)
        raise BenchError(f"{path}: not readable packed results ({fault}); ask for the export again") from None
    return {(one.dataset, one.corruption, one.severity, one.denoise): one for one in found}


@lru_cache(maxsize=64)
def _read_rows(path: Path, _changed: int) -> dict[tuple[str, str, int, str, str], pd.DataFrame]:
    rows = io.read_scores(path, [*_KEYS, "protocol", "id", "group", MEASURE])
    return {
        key: part.set_index("id").sort_index()  # type: ignore[misc]
        for key, part in rows.groupby([*_KEYS, "protocol"], sort=False)
    }
