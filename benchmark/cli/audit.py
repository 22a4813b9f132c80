"""`bench audit published` and `bench audit data`: errors in published numbers and in datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli.app import audit_app
from benchmark.cli.options import CacheDir, DataRoot, SplitSeed
from benchmark.cli.printing import say


@audit_app.command("published")
def audit_published(
    files: Annotated[list[Path] | None, typer.Argument(help="CSV files; the packaged ones if unset.")] = None,
    notes: Annotated[bool, typer.Option("--notes", help="Also report plausible but notable values.")] = False,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the findings to this JSON file.")] = None,
) -> None:
    """Check tables from papers: ranges, Dice against IoU, claims of being best, equal numbers across papers.

    A CSV file needs the columns dataset, model and any of mDSC, mIoU, S_alpha, F_beta_w, E_phi_max, MAE. The exit code
    is 1 if an error was found.

    Example: bench audit published
    """
    from benchmark.report.literature.audit import audit_published as audit
    from benchmark.report.literature.audit import findings_json
    from benchmark.report.literature.published import published_files, published_folder, unread_columns

    paths = list(files or []) or published_files(published_folder())
    findings = audit(paths, notes=notes)
    if json_file is not None:
        from benchmark.store import io

        io.write_text(json_file, findings_json(findings))
    for one in findings:
        print(f"{one.severity} ({one.rule}) in {one.table}, {one.dataset}, {one.model}: {one.message}")
    for path in paths:
        if unread := unread_columns(path):
            say(f"{path.name}: ignored columns: {', '.join(unread)}")
    say(f"{len(findings)} findings in {', '.join(path.name for path in paths)}")
    if any(one.severity == "error" for one in findings):
        raise typer.Exit(1)


@audit_app.command("data")
def audit_data(
    names: Annotated[list[str] | None, typer.Argument(help="Datasets or groups; all on disk if unset.")] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Also list the leaked test images of this split (paper, pranet, FILE.json, ...)."),
    ] = None,
    split_seed: SplitSeed = 0,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all findings to this JSON file.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Write an HTML page that shows the pairs (contains images).")
    ] = None,
) -> None:
    """Find duplicate images: identical, near-identical, with conflicting masks, across datasets, across a split.

    Example: bench audit data kvasir clinicdb colondb --html audit.html
    """
    from benchmark.data.audit.report import to_json, to_text
    from benchmark.data.audit.run import audit_datasets, audit_named_split

    def progress(what: str, done: int, total: int) -> None:
        if done == total or done % 256 == 0:
            say(f"{what}: {done} of {total}")

    wanted = names or []
    if split is not None:
        found = audit_named_split(split, wanted, data_root, seed=split_seed, cache_dir=cache_dir, progress=progress)
    else:
        found = audit_datasets(wanted, data_root, cache_dir=cache_dir, progress=progress)
    if json_file is not None:
        from benchmark.store import io

        io.write_json(json_file, to_json(found))
    if html_file is not None:
        from benchmark.data.audit.page import to_html
        from benchmark.store import io

        io.write_text(html_file, to_html(found))
    print(to_text(found))
