"""`bench plots` and `bench report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import RESULTS, app, integers, names
from benchmark.cli.options import CacheDir, DataRoot, Json, Results
from benchmark.cli.printing import print_json, print_rows, say


@app.command(rich_help_panel=RESULTS)
def plots(
    which: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Kinds of figure; all if unset.", show_default=False)
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the kinds of figure and what each needs.")] = False,
    results: Results = Path("results"),
    out: Annotated[Path | None, typer.Option(help="Folder for the files; RESULTS/figures if unset.")] = None,
    models: Annotated[str | None, typer.Option(help="Only these models.", autocompletion=complete.models)] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Only these test sets or groups.", autocompletion=complete.datasets)
    ] = None,
    protocol: Annotated[
        str, typer.Option(help="Scoring protocol of the numbers.", autocompletion=complete.protocols)
    ] = "pranet",
    measure: Annotated[
        str, typer.Option(help="Score that is drawn: mDSC, mIoU, S_alpha, F_beta_w, E_phi_max, MAE.")
    ] = "mDSC",
    recipe: Annotated[
        str | None, typer.Option(help="Only this recipe (name or name-hash8).", autocompletion=complete.recipes)
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.", autocompletion=complete.splits)] = None,
    seeds: Annotated[str | None, typer.Option(help="Average these seeds; all that were run if unset.")] = None,
    reference: Annotated[str | None, typer.Option(help="Reference model; bsanet, else the first, if unset.")] = None,
    ablation: Annotated[bool, typer.Option("--ablation", help="Ablated variants beside their full model.")] = False,
    rows: Annotated[
        str | None,
        typer.Option(help="Images of the qualitative grid: best, median, worst, disagreement, worst:3, or ids."),
    ] = None,
    wide: Annotated[bool, typer.Option("--wide", help="Qualitative grid across both columns (7 in).")] = False,
    dpi: Annotated[int, typer.Option(help="Resolution of the PNG.", min=50, max=1200)] = 300,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Draw figures from the records: vector PDF and PNG, at the width of a column (3.3 in).

    A figure whose input is missing is skipped with a reason.

    Example: bench plots curves forest --datasets phantom
    """
    from benchmark.report.figures.catalogue import PLOTS
    from benchmark.report.figures.draw import choose_evidence, draw_plots, nothing_drawn

    if list_:
        kinds = [{"name": name, "shows": plot.sentence, "needs": plot.needs} for name, plot in PLOTS.items()]
        (print_json if as_json else print_rows)(kinds)
        return
    evidence = choose_evidence(
        results,
        protocol=protocol,
        measure=measure,
        models=names(models) if models else None,
        datasets=names(datasets) if datasets else None,
        recipe=recipe,
        split=split,
        seeds=integers(seeds, "--seeds") if seeds else None,
        kind="ablation" if ablation else "main",
    )
    done = draw_plots(
        which or [],
        evidence,
        out=out,
        reference=reference,
        rows=names(rows) if rows else None,
        wide=wide,
        dpi=dpi,
        data_root=data_root,
        cache_dir=cache_dir,
        on_files=lambda files: None if as_json else print("\n".join(map(str, files)), flush=True),
    )
    for reason in dict.fromkeys(done.skipped.values()):
        say(f"skipped {', '.join(stem for stem, why in done.skipped.items() if why == reason)}: {reason}")
    if as_json:
        print_json({"files": [str(path) for path in done.files], "skipped": done.skipped})
    if not done.files:
        raise nothing_drawn(results, done.skipped)


@app.command(rich_help_panel=RESULTS)
def report(
    results: Results = Path("results"),
    out: Annotated[Path | None, typer.Option(help="HTML file; RESULTS/report.html if unset.")] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    protocol: Annotated[str, typer.Option(help="Scoring protocol of the numbers.")] = "pranet",
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Embed images and maps if the data is on disk.")
    ] = True,
    worst: Annotated[
        int, typer.Option(help="Worst images per test set, model and measure in the gallery.", min=1, max=20)
    ] = 4,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Write one self-contained HTML page: sortable tables, figures, worst images, data, environment, commands.

    A page with images of real datasets must not be redistributed; --no-images omits them.

    Example: bench report --results results --out report.html
    """
    from benchmark.report.page.write import write_report
    from benchmark.robustness.page_sections import robust_sections

    done = write_report(
        results,
        out,
        title=title,
        sections=robust_sections(results),
        protocol=protocol,
        images=images,
        worst=worst,
        data_root=data_root,
        cache_dir=cache_dir,
    )
    if as_json:
        print_json({"file": str(done.file), "mb": round(done.num_bytes / 1e6, 3)})
        return
    print(done.file)
    say(f"{done.num_bytes / 1e6:.1f} MB; open it in a browser, it needs no network")
