"""The measures that `bench tables` and `bench evaluate` compute on request, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from benchmark.errors import BenchError
from benchmark.metrics import load_protocol
from benchmark.metrics.families import Family, boundary, calibration, lesions, precision
from benchmark.report.records.protocols import resolve_protocol, rules_of
from benchmark.report.tables.request import TableRequest, dataset_names, model_names
from benchmark.scoring.kept_maps import measure_kept
from benchmark.store import io

WITHOUT_PROTOCOL: Mapping[str, Callable[[], Family]] = {"lesions": lesions, "calibration": calibration}
"""Families whose values are the same under every protocol."""


def with_values(
    request: TableRequest,
    *,
    overlap: float | None = None,
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> TableRequest:
    """Measure what a table on request prints, from the maps that cells keep, and note why some cells have no values.

    Args:
        request: Whose ``kind`` names the family.
        overlap: Least IoU at which a lesion is found.
        data_root: Where the masks are.
        cache_dir: For phantom.
        progress: Told the cell and set in hand, images done and in all.
    Raises:
        BenchError: An overlap out of range, or a protocol that the records do not describe.
    """
    family = lesions(overlap) if request.kind == "lesions" and overlap is not None else _family(request)
    if family.of_image is None:
        return replace(request, family=family)
    reasons = measure_kept(
        family,
        request.results,
        models=model_names(request.models),
        datasets=dataset_names(request.datasets),
        data_root=data_root,
        cache_dir=cache_dir,
        progress=progress,
    )
    return replace(request, family=family, reasons=reasons)


def _family(request: TableRequest) -> Family:
    if request.kind in WITHOUT_PROTOCOL:
        return WITHOUT_PROTOCOL[request.kind]()
    if request.kind == "precision":
        return precision()
    records = io.read_records(request.results)
    name = resolve_protocol(records, request.protocol)
    rules = load_protocol(request.protocol) if request.protocol.endswith(".toml") else rules_of(records, name)
    if rules is None:
        raise BenchError(
            f"protocol {name!r} came from a file, which records of older versions do not keep; pass it as --protocol "
            "FILE.toml"
        )
    return boundary(rules)
