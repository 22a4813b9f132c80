"""`bench audit published`: arithmetic on printed numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.commands.printing import say
from benchmark.store import io


def audit_published(files: Sequence[Path], *, notes: bool, json_file: Path | None) -> None:
    """Print and write what does not hold in printed tables."""
    from benchmark.report.literature.published import audit_published as audit
    from benchmark.report.literature.published import findings_json, published_files, published_folder

    paths = list(files) or published_files(published_folder())
    findings = audit(paths, notes=notes)
    if json_file is not None:
        io.write_text(json_file, findings_json(findings))
    for one in findings:
        print(f"{one.severity} ({one.rule}) in {one.table}, {one.dataset}, {one.model}: {one.message}")
    checked = ", ".join(path.name for path in paths)
    say(Console(stderr=True), f"{len(findings)} findings in {checked}")
