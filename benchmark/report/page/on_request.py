"""Tables of measures on request, for the page: of those that were measured before."""

from __future__ import annotations

from typing import Any

from benchmark.metrics.families import boundary, calibration, lesions
from benchmark.report.figures.evidence import Evidence
from benchmark.report.records.protocols import rules_of
from benchmark.report.records.select import set_title
from benchmark.report.tables.families import family_tables, is_measured


def measured_tables(evidence: Evidence) -> list[dict[str, Any]]:
    """Return a table per family and test set that has values; the page shows each like a table of scores."""
    rules = rules_of(evidence.records, evidence.protocol)
    families = [lesions(), calibration(), *([boundary(rules)] if rules is not None else [])]
    made = []
    for family in families:
        if not is_measured(evidence.records, evidence.results, family):
            continue
        for sheet in family_tables(evidence.records, evidence.results, family, protocol=evidence.protocol):
            if any(line["n"] is not None for line in sheet.data):
                dataset = str(sheet.data[0]["dataset"])
                made.append(
                    {
                        "dataset": dataset,
                        "title": f"{family.title}: {set_title(evidence.records, dataset)}",
                        "sheet": sheet,
                        "measures": [],
                        "rows": [("", cells) for cells in sheet.rows],
                    }
                )
    return made
