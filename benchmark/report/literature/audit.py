"""An audit of published numbers by arithmetic alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from benchmark.report.literature.claims import check_claims, claims_of, read_claims
from benchmark.report.literature.published import Finding, PublishedRow, read_published
from benchmark.report.literature.rules import check_across, check_row


def audit_published(paths: Sequence[Path], *, notes: bool = False) -> list[Finding]:
    """Check published tables: ranges, Dice against IoU, claims of being best, equal numbers across papers.

    A file ``x.claims.toml`` beside ``x.csv`` holds what the paper's text says about its tables. A file of the user's
    own that repeats a table which comes with the package is held against that table's claims.

    Args:
        paths: CSV files; numbers are compared across papers among the files given.
        notes: Also report what is plausible but notable: rows possible only at the very edge of the
            arithmetic, loose words of the text, numbers of other setups.
    Returns:
        Findings by file and row, then claims, then comparisons; empty if there are none.
    Raises:
        BenchError: A file is missing or malformed.
    """
    findings: list[Finding] = []
    every: list[PublishedRow] = []
    for path in paths:
        rows = read_published(path)
        every += rows
        findings += [finding for row in rows for finding in check_row(row, notes=notes)]
        claims = claims_of(path, rows)
        if claims is not None:
            findings += check_claims(read_claims(claims), rows, where=claims, notes=notes)
    return findings + [one for one in check_across(every) if notes or one.severity != "note"]


def findings_json(findings: Sequence[Finding]) -> str:
    """Return a JSON array: one object with table, dataset, model, rule and message per finding."""
    keys = ("table", "dataset", "model", "rule", "message")
    lines = ",\n".join(json.dumps({key: getattr(one, key) for key in keys}, ensure_ascii=False) for one in findings)
    return f"[\n{lines}\n]\n" if lines else "[]\n"
