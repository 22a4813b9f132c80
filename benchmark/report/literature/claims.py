"""Claims of a paper's text about its tables, checked against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.measures import MEASURE_KEYS, MEASURES
from benchmark.report.literature.published import Finding, PublishedRow, Severity, published_folder, read_published
from benchmark.untrusted import read_toml

ClaimKind = Literal["best", "second", "num_best", "num_second"]
_LOWER_IS_BETTER = {measure.key for measure in MEASURES if not measure.higher_is_better}


@dataclass(frozen=True)
class Claim:
    """One sentence about one model on one test set.

    Attributes:
        location: Place of the sentence. quote: Its words.
        kind: ``best`` or ``second`` in every one of ``measures``; ``num_best`` or ``num_second`` in exactly
            ``count`` of them. Equal printed values share their place.
        loose: The sentence can be read so that it holds; a contradiction is then a note, not an error.
    """

    location: str
    quote: str
    dataset: str
    model: str
    kind: ClaimKind
    measures: tuple[str, ...]
    count: int | None = None
    loose: bool = False


def claims_file(table: Path) -> Path:
    """Return the path of the claims that go with a CSV: ``x.claims.toml`` beside ``x.csv``."""
    return table.with_name(f"{table.stem}.claims.toml")


def claims_of(path: Path, rows: Sequence[PublishedRow]) -> Path | None:
    """Return the claims that go with a table: those beside its file, or of the packaged table that it repeats."""
    beside = claims_file(path)
    if beside.is_file():
        return beside
    folder = published_folder()
    for known in sorted(folder.glob("*.csv")):
        if claims_file(known).is_file() and _content(rows) == _content(read_published(known)):
            return claims_file(known)
    return None


def _content(rows: Sequence[PublishedRow]) -> list[tuple[Any, ...]]:
    return sorted((row.dataset.lower(), row.model.lower(), *sorted(row.values.items())) for row in rows)


def read_claims(path: Path) -> list[Claim]:
    """Read claims from TOML, a list of ``[[claim]]`` tables with the fields of ``Claim``.

    Raises:
        BenchError: Not TOML, or a field is missing, unknown or has no such value.
    """
    try:
        entries = read_toml(path).get("claim", [])
    except (OSError, ValueError) as error:
        raise BenchError(f"{path}: not a readable TOML file: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BenchError(f"{path}: expected [[claim]] tables, got {entries!r}")
    return [_read_claim(entry, where=f"{path}, claim {i}") for i, entry in enumerate(entries, start=1)]


def check_claims(
    claims: Sequence[Claim], rows: Sequence[PublishedRow], *, where: Path, notes: bool = False
) -> list[Finding]:
    """Return one finding for each claim that the rows contradict; of loose ones only with ``notes``.

    Raises:
        BenchError: A claim names a row or a number that the table lacks.
    """
    asked = [claim for claim in claims if notes or not claim.loose]
    return [finding for claim in asked if (finding := _check(claim, rows, where))]


def _read_claim(entry: Mapping[str, Any], *, where: str) -> Claim:
    known = [f.name for f in fields(Claim)]
    for name in entry:
        if name not in known:
            raise BenchError(f"{where}: {unknown_name('field', name, known)}")
    for name in known:
        optional = name == "loose" or (name == "count" and not str(entry.get("kind", "")).startswith("num_"))
        if name not in entry and not optional:
            raise BenchError(f"{where}: field {name!r} is missing; expected {', '.join(known)}")
    if entry["kind"] not in get_args(ClaimKind):
        raise BenchError(f"{where}: {unknown_name('kind', str(entry['kind']), get_args(ClaimKind))}")
    if not isinstance(entry["measures"], list):
        raise BenchError(f"{where}: measures = {entry['measures']!r}: expected a list such as ['mDSC']")
    for measure in entry["measures"]:
        if measure not in MEASURE_KEYS:
            raise BenchError(f"{where}: {unknown_name('measure', str(measure), MEASURE_KEYS)}")
    return Claim(**{**entry, "measures": tuple(entry["measures"])})


def _check(claim: Claim, rows: Sequence[PublishedRow], where: Path) -> Finding | None:
    peers = [row for row in rows if row.dataset == claim.dataset]
    mine = [row for row in peers if row.model == claim.model]
    lacking = [m for m in claim.measures if not mine or m not in mine[0].values]
    if lacking:
        raise BenchError(f"{where}: the table has no {lacking[0]} of {claim.model} on {claim.dataset}")
    places = {m: _place(m, mine[0], peers) for m in claim.measures}
    fault = _fault(claim, places, mine[0], peers)
    if fault is None:
        return None
    message = f'the text says "{claim.quote}" ({claim.location}), but {fault}'
    severity: Severity = "note" if claim.loose else "error"
    return Finding(mine[0].table, claim.dataset, claim.model, "claim", message, severity)


def _beats(measure: str, a: PublishedRow, b: PublishedRow) -> bool:
    if measure not in a.values:
        return False
    if measure in _LOWER_IS_BETTER:
        return a.values[measure] < b.values[measure]
    return a.values[measure] > b.values[measure]


def _place(measure: str, row: PublishedRow, peers: Sequence[PublishedRow]) -> int:
    """Return 1 for the best printed value, 2 for the next one, and so on."""
    return 1 + len({peer.values[measure] for peer in peers if _beats(measure, peer, row)})


def _fault(claim: Claim, places: Mapping[str, int], row: PublishedRow, peers: Sequence[PublishedRow]) -> str | None:
    wanted = 1 if claim.kind.endswith("best") else 2
    word = "best" if wanted == 1 else "second"
    holding = [measure for measure, place in places.items() if place == wanted]
    if claim.kind.startswith("num_"):
        if len(holding) == claim.count:
            return None
        listed = f" ({', '.join(holding)})" if holding else ""
        return f"{row.model} is {word} in {len(holding)} of the {len(places)} measures{listed}, not in {claim.count}"
    failing = [measure for measure in places if measure not in holding]
    return "; ".join(_who(measure, row, peers, word) for measure in failing) or None


def _who(measure: str, row: PublishedRow, peers: Sequence[PublishedRow], word: str) -> str:
    better = [f"{peer.model} prints {peer.values[measure]}" for peer in peers if _beats(measure, peer, row)]
    ahead = f"{' and '.join(better)}, better than" if better else "nobody is better than"
    return f"in {measure} {row.model} is not {word}: {ahead} its {row.values[measure]}"
