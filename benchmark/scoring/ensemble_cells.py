"""Which cells an ensemble averages, and on which images it may be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmark.data.files.hashing import content_hash
from benchmark.data.listing.datasets import expand_datasets, list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.splits.files import trained_contents
from benchmark.errors import BenchError
from benchmark.scoring.cell_images import scored_items
from benchmark.store import io
from benchmark.store.cells import fitting_cells
from benchmark.store.layout import ResultsLayout
from benchmark.store.schema import LEAK_KINDS, Record, TestResult
from benchmark.study.images import TestImages

if TYPE_CHECKING:
    from benchmark.prediction.network import Network
    from benchmark.study.plan import Request


@dataclass(frozen=True)
class Members:
    """The cells that are averaged, in the order of their names."""

    records: tuple[Record, ...]

    @property
    def share_split(self) -> bool:
        """Whether all of them trained and validated on the same images."""
        return len({(one.split.fingerprint_train, one.split.fingerprint_val) for one in self.records}) == 1

    def title(self, flips: Sequence[str]) -> str:
        """Return a name for tables, such as ``U-Net, 3 seeds, flips``."""
        titles = list(dict.fromkeys(_title(one) for one in self.records))
        parts = [" + ".join(titles)]
        for word, found in (
            ("folds", {one.split.fingerprint_train for one in self.records}),
            ("seeds", {one.seed for one in self.records}),
        ):
            parts += [f"{len(found)} {word}"] if len(found) > 1 else []
        return ", ".join([*parts, *(["flips"] if flips else [])])

    def origin(self, averaged: str, flips: Sequence[str]) -> str:
        """Return what tables say below: of what the maps are the mean, and where they were rounded."""
        seeds: dict[str, list[str]] = {}
        for one in self.records:
            seeds.setdefault(one.cell.rpartition("/")[0], []).append(str(one.seed))
        cells = ", ".join(
            f"{cell} (seed{'s' if len(each) > 1 else ''} {', '.join(each)})" for cell, each in seeds.items()
        )
        what = "8-bit maps" if averaged == "maps" else "probabilities, rounded once,"
        turned = f" and of flipped images ({', '.join(flips)})" if flips else ""
        return f"ensemble: mean of the {what} of {cells}{turned}"

    def networks(self, request: Request, model: str | None) -> list[Network]:
        """Load the best weights of every cell."""
        from benchmark.prediction.network import network_of_run

        files = {one.cell: model if one.model.startswith("file:") else None for one in self.records}
        return [
            network_of_run(one.cell, results=request.results, model=files[one.cell], device=request.device)
            for one in self.records
        ]


def _title(record: Record) -> str:
    dropped = f" w/o {', '.join(record.ablation)}" if record.ablation else ""
    return f"{record.model_title or record.model}{dropped}"


def choose_members(layout: ResultsLayout, runs: Sequence[str], *, alone: bool) -> Members:
    """Return the finished cells that some names mean; a name may fit several.

    Args:
        layout: Results folder.
        runs: See ``make_ensemble``.
        alone: One cell is enough: its flips are averaged.
    Raises:
        BenchError: A name fits none, a cell is itself no single training, or there is nothing to average.
    """
    records = {record.cell: record for record in io.read_records(layout.root)}
    finished = [cell for cell, one in records.items() if one.status == "ok" and not one.origin]
    found: dict[str, Record] = {}
    for run in runs:
        cells = fitting_cells(run, finished)
        if not cells:
            known = ", ".join(sorted(finished)) or "none"
            raise BenchError(f"{run}: no finished cell of bench run or ablate; {layout.root} holds {known}")
        found |= {cell: records[cell] for cell in cells}
    if len(found) < 2 and not alone:
        raise BenchError(
            f"{', '.join(runs)}: only {', '.join(found) or 'nothing'}, and a mean needs two; name more cells, or add "
            "--flips hflip for the mean over flipped images"
        )
    return Members(tuple(found[cell] for cell in sorted(found)))


def test_images(
    members: Members, layout: ResultsLayout, datasets: Sequence[str], *, request: Request, again: bool
) -> dict[str, TestImages]:
    """Return the images of each test set.

    Args:
        members: The cells.
        layout: Results folder.
        datasets: Names or groups; empty for every set that some cell scored.
        request: Where images lie.
        again: The networks predict, so that a set need not have been scored by all cells.
    Raises:
        BenchError: The cells scored other images, maps were not kept, or one of several splits trained on an image.
    """
    wanted = expand_datasets(datasets, request.data_root) if datasets else _scored_by_any(members)
    tests = {}
    for name in wanted:
        tests[name] = _images_of(members, layout, name, request, again=again)
        if not again:
            _require_maps(members, layout, name, tests[name].items)
        _require_untrained(members, layout, name, tests[name])
    return tests


def _scored_by_any(members: Members) -> list[str]:
    return list(dict.fromkeys(name for one in members.records for name in one.tests))


def _images_of(members: Members, layout: ResultsLayout, name: str, request: Request, *, again: bool) -> TestImages:
    """The images that all cells scored; where the networks predict and no cell scored the set, all of its images."""
    tested = [one for one in members.records if name in one.tests]
    prints = {one.tests[name].fingerprint for one in tested}
    where = {"data_root": request.data_root, "cache_dir": request.cache_dir}
    if len(tested) == len(members.records) and len(prints) == 1:
        first = tested[0]
        result = first.tests[name]
        items = scored_items(first, name, layout.cell(first.cell), **where)  # type: ignore[arg-type]
        return TestImages(items, result.of or result.n)
    if again and not tested:
        every = tuple(list_dataset(name, request.data_root, cache_dir=request.cache_dir))
        return TestImages(every, len(every))
    if len(prints) > 1:
        what = f"its cells scored {len(prints)} different sets of images"
    else:
        lacking = next(one.cell for one in members.records if name not in one.tests)
        what = f"{lacking} did not score it"
    alike = [other for other in _scored_by_any(members) if other != name and _alike(members, other)]
    way = (
        f"choose with --datasets {','.join(alike)}" if alike else "name a set that none of them scored, --from-weights"
    )
    raise BenchError(f"{name}: {what}, and a mean needs the same ones; {way}")


def _alike(members: Members, name: str) -> bool:
    return len({one.tests[name].fingerprint if name in one.tests else "" for one in members.records}) == 1


def with_leaks(members: Members, name: str, result: TestResult) -> TestResult:
    """Return the result with the leaks that some cell's record lists, each image once.

    On a set that the cells did not score only exact copies were looked for, and none is there.
    """
    lists = [one.tests[name].leaked if name in one.tests else None for one in members.records]
    leaked: dict[str, list[str]] | None = None
    if all(one is not None for one in lists):
        taken: set[str] = set()
        leaked = {}
        for kind in LEAK_KINDS:
            ids = sorted({image for one in lists for image in (one or {}).get(kind, ())} - taken)
            taken |= set(ids)
            leaked[kind] = ids
    counts = {"num_leaked": None, **{f"num_leaked_{kind}": 0 if kind == "exact" else None for kind in LEAK_KINDS}}
    return TestResult.model_validate({**result.model_dump(), **counts, "leaked": leaked})


def _require_maps(members: Members, layout: ResultsLayout, name: str, items: Sequence[Item]) -> None:
    for one in members.records:
        paths = layout.cell(one.cell)
        lacking = [item.id for item in items if not paths.map(name, item.id).is_file()]
        if lacking:
            raise BenchError(
                f"{one.cell}: {len(lacking)} of {len(items)} maps of {name} were not kept; average what its weights "
                "predict with --from-weights, or run the cell again with --if-exists overwrite"
            )


def _require_untrained(members: Members, layout: ResultsLayout, name: str, images: TestImages) -> None:
    """Refuse images that a cell trained or validated on, where the cells do not share one split.

    Cells of one split leak alike, and their records say what; among several, one's test image is another's training.
    """
    scored_all = all(name in one.tests for one in members.records)
    if members.share_split and scored_all:
        return
    contents: Mapping[str, str] = {content_hash(item): item.id for item in images.items}
    for one in members.records:
        file = layout.splits / f"{one.split.name}-{one.split.fingerprint_train[:8]}.json"
        if not file.is_file():
            raise BenchError(f"{file} is gone: nobody can tell whether {one.cell} trained on images of {name}")
        both = sorted(contents[digest] for digest in trained_contents(file) & contents.keys())
        if both:
            raise BenchError(
                f"{name}: {one.cell} trained or validated on {len(both)} of its images ({both[0]}, ...), and an "
                "ensemble is scored only on images that none of its cells has seen; name other sets with --datasets"
            )
