"""`bench tables` and `bench compare`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import RESULTS, OptionalValue, app, integers, names
from benchmark.cli.options import Json, Results, expanded
from benchmark.cli.printing import events, print_json, print_tables, say
from benchmark.cli.table_options import OnRequest, PrintOptions
from benchmark.errors import BenchError

ALL_LEAKS = "exact,near,sequence"


@app.command(cls=OptionalValue, rich_help_panel=RESULTS)
@expanded
def tables(
    form: PrintOptions,
    more: OnRequest,
    results: Results = Path("results"),
    latex: Annotated[bool, typer.Option("--latex", help="Write and print LaTeX.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Write and print Markdown (the default).")] = False,
    html: Annotated[bool, typer.Option("--html", help="Write and print HTML.")] = False,
    csv: Annotated[bool, typer.Option("--csv", help="Write and print CSV.")] = False,
    protocol: Annotated[
        str, typer.Option(help="Scoring protocol of the printed numbers.", autocompletion=complete.protocols)
    ] = "pranet",
    models: Annotated[str | None, typer.Option(help="Only these models.", autocompletion=complete.models)] = None,
    datasets: Annotated[
        str | None, typer.Option(help="Only these test sets or groups.", autocompletion=complete.datasets)
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="Only this recipe (name or name-hash8).", autocompletion=complete.recipes)
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.", autocompletion=complete.splits)] = None,
    seeds: Annotated[str | None, typer.Option(help="Average these seeds; all that were run if unset.")] = None,
    std: Annotated[bool, typer.Option("--std", help="Print the standard deviation over seeds.")] = False,
    ci: Annotated[bool, typer.Option("--ci", help="Print 95 % intervals below the means.")] = False,
    significance: Annotated[
        str | None,
        typer.Option(metavar="[REFERENCE]", help="Mark significant differences from this model (bsanet if unnamed)."),
    ] = None,
    primary: Annotated[
        str, typer.Option(help="The measure that --significance tests; the others are descriptive.")
    ] = "mDSC",
    wilcoxon: Annotated[
        bool, typer.Option("--wilcoxon", help="With --significance: also Wilcoxon's signed-rank test.")
    ] = False,
    power: Annotated[
        bool, typer.Option("--power", help="Also the smallest difference that this design can detect.")
    ] = False,
    rank: Annotated[bool, typer.Option("--rank", help="Also a table of average ranks over the test sets.")] = False,
    means: Annotated[
        bool, typer.Option("--means", help="Also a table of means over all, seen and unseen test sets.")
    ] = False,
    ablation: Annotated[bool, typer.Option("--ablation", help="Show ablated variants below their full model.")] = False,
    efficiency: Annotated[
        bool, typer.Option("--efficiency", help="Print parameters, MACs, latency and memory instead.")
    ] = False,
    published: Annotated[
        str | None,
        typer.Option(metavar="[FILE.csv]", help="Compare with published numbers instead, with a verdict."),
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Print scores and miss rate by size, group, polyps or border instead.")
    ] = None,
    worst: Annotated[int | None, typer.Option(help="List this many worst images per model and set.")] = None,
    exclude_leaked: Annotated[
        bool, typer.Option("--exclude-leaked", help="Also print the scores without leaked test images.")
    ] = False,
    leak_kinds: Annotated[str, typer.Option(help="Leaks to exclude: exact, near, sequence.")] = ALL_LEAKS,
    settings: Annotated[
        bool, typer.Option("--settings", help="Let recipes share a table, with a column that names them.")
    ] = False,
    title: Annotated[
        list[str] | None, typer.Option(metavar="MODEL=TEXT", help="Print this name for a model; repeatable.")
    ] = None,
    short_captions: Annotated[
        bool, typer.Option("--short-captions", help="One-sentence captions; details move to a note.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the files; RESULTS/tables if unset.")] = None,
    as_json: Json = False,
) -> None:
    """Write one table per test set in the paper's form, from the records alone.

    Several formats can be combined: all are written, the first of latex, markdown, html, csv is printed.

    Example: bench tables --latex
    """
    from benchmark.report.sheets.excel import check_excel, write_excel
    from benchmark.report.sheets.files import write_tables
    from benchmark.report.tables.request import TableRequest, build
    from benchmark.store.layout import ResultsLayout

    if leak_kinds != ALL_LEAKS and not exclude_leaked:
        say("ignored: --leak-kinds has no effect without --exclude-leaked")
    if wilcoxon and significance is None:
        say("ignored: --wilcoxon has no effect without --significance")
    if primary != "mDSC" and significance is None and not power:
        say("ignored: --primary has no effect without --significance or --power")
    request = TableRequest(
        results=results,
        kind=_one_kind(
            {
                "--ablation": ablation,
                "--efficiency": efficiency,
                "--published": published is not None,
                "--by": by is not None and not any(more.asked.values()),
                "--worst": worst is not None,
                **more.asked,
            }
        ),
        protocol=protocol,
        models=names(models) if models else None,
        datasets=names(datasets) if datasets else None,
        recipe=recipe,
        split=split,
        seeds=integers(seeds, "--seeds") if seeds else None,
        std=std,
        ci=ci,
        significance=significance,
        primary=primary,
        wilcoxon=wilcoxon,
        power=power,
        rank=rank,
        means=means,
        by=by,
        worst=worst,
        published=Path(published) if published is not None else None,
        exclude=tuple(names(leak_kinds)) if exclude_leaked else (),
        settings=settings,
        titles=_titles(title or []),
        short=short_captions,
        **form.wishes,
    )
    wanted = {"latex": latex, "markdown": markdown, "html": html, "csv": csv}
    formats = [name for name, on in wanted.items() if on] or ["markdown"]
    if form.excel:
        check_excel(form.excel)
    if more.overlap is not None and not more.lesions:
        say("ignored: --overlap has no effect without --lesions")
    if any(more.asked.values()):
        from benchmark.scoring.requested import with_values

        with events(as_json=as_json) as shown:
            where = {"data_root": more.data_root, "cache_dir": more.cache_dir}
            request = with_values(request, overlap=more.overlap, progress=shown.phase, **where)
    made = build(request)
    written = write_tables(made, out or ResultsLayout(results).tables, formats)
    written += [write_excel(made, form.excel)] if form.excel else []
    if as_json:
        print_json([dict(row) for table in made for row in table.sheet.data])
        return
    print_tables(made, formats[0])
    say("wrote " + ", ".join(str(path) for path in written))


def _titles(pairs: Sequence[str]) -> dict[str, str]:
    """Turn ``bsanet=BSANet`` into a mapping."""
    for pair in pairs:
        if "=" not in pair.strip("="):
            raise BenchError(f"--title {pair}: expected MODEL=TEXT, for example --title bsanet=BSANet")
    return {model: text for model, _, text in (pair.partition("=") for pair in pairs)}


def _one_kind(asked: dict[str, bool]) -> str:
    """Return the kind of table: ``main``, or that of the one option that selects another."""
    found = [option for option, on in asked.items() if on]
    if len(found) > 1:
        raise BenchError(f"give either {' or '.join(found)}; run the command once for each")
    return found[0].removeprefix("--") if found else "main"


@app.command(rich_help_panel=RESULTS)
def compare(
    a: Annotated[str, typer.Argument(help="Before: a results folder, FOLDER@COMMIT, or @COMMIT in --results.")],
    b: Annotated[str, typer.Argument(help="After: as BEFORE.")],
    results: Results = Path("results"),
    protocol: Annotated[str, typer.Option(help="Scoring protocol of the numbers.")] = "pranet",
    recipe: Annotated[str | None, typer.Option(help="Only this recipe.")] = None,
    recipe_b: Annotated[
        str | None, typer.Option(help="Recipe of AFTER, if another: native[select] is native with that field changed.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    top: Annotated[int, typer.Option(help="Changed images to list per model and test set.")] = 10,
    as_json: Json = False,
) -> None:
    """Show what changed between two sets of results: configuration, numbers with paired intervals, images.

    Example: bench compare results-before results
    """
    from benchmark.report.tables.compare_text import to_markdown
    from benchmark.report.tables.sides import compare_folders

    where = {"results": results, "protocol": protocol, "recipe": recipe, "recipe_b": recipe_b, "split": split}
    found = compare_folders(a, b, top=top, **where)  # type: ignore[arg-type]
    if as_json:
        print_json({"a": a, "b": b, **found.to_json()})
    else:
        print(to_markdown(found, a, b))
