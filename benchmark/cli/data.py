"""`bench data list`, `check`, `split` and `show`: the datasets on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from benchmark.cli import complete
from benchmark.cli.app import data_app, integers, names
from benchmark.cli.options import CacheDir, DataRoot, Json, SplitSeed
from benchmark.cli.printing import events, print_json, print_rows, say
from benchmark.errors import BenchError

if TYPE_CHECKING:
    from benchmark.data.listing.items import Item


@data_app.command("list")
def data_list(data_root: DataRoot = None, as_json: Json = False) -> None:
    """List the known datasets, and which are below the data root.

    Example: bench data list --data-root ~/datasets
    """
    from benchmark.data.listing.found import list_datasets

    rows = [asdict(row) for row in list_datasets(data_root)]
    if as_json:
        print_json(rows)
    else:
        print_rows(rows)


@data_app.command("check")
def data_check(
    datasets: Annotated[
        list[str] | None,
        typer.Argument(help="Datasets or groups; all on disk if unset.", autocompletion=complete.datasets),
    ] = None,
    data_root: DataRoot = None,
    as_json: Json = False,
) -> None:
    """Read every image and mask of a dataset and report counts, sizes, mask levels and errors. Nothing is changed.

    Example: bench data check kvasir
    """
    from benchmark.data.audit.check import check_datasets

    with events(as_json=as_json) as display:
        reports = check_datasets(
            datasets or [], data_root, progress=lambda name, *counts: display.phase(f"check {name}", *counts)
        )
    if as_json:
        print_json([asdict(report) for report in reports])
    else:
        print("\n".join(report.to_text() for report in reports))
    raise typer.Exit(int(any(not report.ok for report in reports)))


@data_app.command("split")
def data_split(
    split: Annotated[
        str,
        typer.Argument(
            help="paper, grouped, pranet, paper-skin, official, kfold:5:1, leave-out:PART, a folder with train.txt, or "
            "an exported FILE.json.",
            autocompletion=complete.splits,
        ),
    ],
    datasets: Annotated[
        str, typer.Option(help="Names, groups or FILE.toml, comma-separated.", autocompletion=complete.datasets)
    ] = "polyp",
    split_seed: SplitSeed = 0,
    export: Annotated[Path | None, typer.Option(help="Write ids and content hashes to this file.")] = None,
    allow_missing: Annotated[bool, typer.Option("--allow-missing", help="Continue without absent images.")] = False,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Create a split, show its sizes, and export it; or compare the images on disk with an exported one.

    `bench run --split FILE.json` trains on it; an image whose content has changed is refused by name.

    Example: bench data split grouped --datasets polyp --export grouped.json
    """
    from benchmark.data.splits.choose import obtain_split, save_split

    made = obtain_split(
        split, names(datasets), root=data_root, seed=split_seed, allow_missing=allow_missing, cache_dir=cache_dir
    )
    if export is not None:
        save_split(made, export)
    if as_json:
        facts: dict[str, Any] = {"split": made.name, "seed": made.seed, "datasets": made.counts()}
        print_json({**facts, "missing": made.missing, "partial": made.partial})
        return
    print_rows(made.counts())
    for what, notes in (("missing", made.missing), ("partial", made.partial)):
        for dataset, note in notes.items():
            say(f"{what}    {dataset}: {note}")
    if export is not None:
        say(f"split {made.name} (seed {made.seed}) is in {export}: bench run --split {export}")


@data_app.command("show")
def data_show(
    dataset: Annotated[str, typer.Argument(help="A dataset, or FILE.toml.", autocompletion=complete.datasets)],
    out: Annotated[Path | None, typer.Option(help="Output file; show-NAME.png if unset.")] = None,
    num: Annotated[int, typer.Option(help="Number of images shown, evenly spaced.", min=1, max=600)] = 24,
    corruption: Annotated[
        str | None,
        typer.Option(
            help="Show the first image under these corruptions (core, all or names) at every severity instead.",
            autocompletion=complete.corruptions,
        ),
    ] = None,
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Draw a contact sheet with the outlines of the masks, and print sizes, polyp areas and numbers of polyps.

    Example: bench data show kvasir --out kvasir.png --num 36
    """
    from benchmark.data.listing.datasets import expand_datasets, list_dataset
    from benchmark.report.figures.contact_sheet import contact_sheet, save_sheet, spread, survey

    members = expand_datasets([dataset], data_root)
    if len(members) > 1:
        raise BenchError(f"{dataset} is a group: show one of {', '.join(members)}")
    (name,) = members
    file = out or Path(f"show-{name}.png")
    items = list_dataset(name, data_root, cache_dir=cache_dir)
    if corruption is not None:
        _show_corruptions(name, items, names(corruption), file, as_json=as_json)
        return
    shown = spread(items, num)
    say(f"reading {len(items)} masks")
    with events(as_json=as_json) as display:
        found = survey(name, items, partial(display.phase, f"read {name}"))
    kind = "synthetic images" if found.synthetic else "real images, for research only: do not publish"
    save_sheet(contact_sheet(f"{found.title}: {len(shown)} of {len(items)} ({kind})", shown), file)
    if as_json:
        print_json({**asdict(found), "shown": [item.id for item in shown], "file": str(file)})
        return
    print(found.to_text())
    say(f"wrote {file} ({kind})")


@data_app.command("corrupt")
def data_corrupt(
    dataset: Annotated[str, typer.Argument(help="A dataset, or FILE.toml.", autocompletion=complete.datasets)],
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")] = Path("corrupted"),
    corruptions: Annotated[
        str, typer.Option(help="core, all or names, comma-separated.", autocompletion=complete.corruptions)
    ] = "core",
    severities: Annotated[str, typer.Option(help="1 (mild) to 5, comma-separated.")] = "1,2,3,4,5",
    images: Annotated[
        Literal["pranet", "all"], typer.Option(help="The images of PraNet's test lists, or every image.")
    ] = "pranet",
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    as_json: Json = False,
) -> None:
    """Write corrupted test images for networks that are not run here; their maps go to `bench robust --maps CELL=DIR`.

    The pixels are those that `bench robust` shows to networks: OUT/<corruption>-<severity>/<dataset>/<id>.png.

    Example: bench data corrupt kvasir --corruptions jpeg,low_light --severities 1,3,5 --out corrupted
    """
    from benchmark.data.listing.datasets import expand_datasets
    from benchmark.robustness.corrupted_files import write_corrupted
    from benchmark.scoring.map_records import listed_set

    members = expand_datasets([dataset], data_root)
    if len(members) > 1:
        raise BenchError(f"{dataset} is a group: write one of {', '.join(members)}")
    chosen = listed_set(members[0], root=data_root, part=images, cache_dir=cache_dir)
    with events(as_json=as_json) as display:
        folders = write_corrupted(
            chosen.items,
            out,
            corruptions=names(corruptions),
            severities=integers(severities, "--severities"),
            notice=display.notice,
            progress=partial(display.phase, "write"),
        )
    if as_json:
        print_json({"dataset": chosen.name, "images": len(chosen.items), "folders": [str(path) for path in folders]})
        return
    print(f"{len(chosen.items)} images of {chosen.title} in {len(folders)} folders: {out}")


def _show_corruptions(name: str, items: Sequence[Item], chosen: list[str], file: Path, *, as_json: bool) -> None:
    from benchmark.data.listing.datasets import dataset_info
    from benchmark.report.figures.contact_sheet import save_sheet
    from benchmark.robustness.corruption_sheet import corruption_sheet

    if not items:
        raise BenchError(f"dataset {name!r} has no images: bench data check {name} shows why")
    info = dataset_info(name)
    kind = "synthetic image" if info.synthetic else "real image, for research only: do not publish"
    sheet, drawn, unfit = corruption_sheet(f"{info.title} {items[0].id} ({kind})", items[0], chosen)
    save_sheet(sheet, file)
    if as_json:
        print_json(
            {"dataset": name, "shown": [items[0].id], "corruptions": drawn, "left_out": unfit, "file": str(file)}
        )
        return
    print(f"{len(drawn)} corruptions at 5 severities: {file}")
    say(f"wrote {file} ({kind})" + (f"; left out as not applicable: {', '.join(unfit)}" if unfit else ""))
