"""Score external maps; they become ordinary records. No torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config import config_hash
from benchmark.data.files.hashing import fingerprint
from benchmark.data.files.maps import SUFFIXES
from benchmark.data.files.masks import read_truth
from benchmark.data.listing.datasets import dataset_info, list_dataset
from benchmark.data.listing.items import Item
from benchmark.data.listing.published import published_ids
from benchmark.errors import BenchError
from benchmark.metrics import Protocol
from benchmark.metrics.families import Family
from benchmark.metrics.named import rules_from_files
from benchmark.scoring.kept_maps import measure_set, write_measured
from benchmark.scoring.map_folders import FOLDER_NAMES, MapSet, collect, find_folder
from benchmark.scoring.score_maps import Scored, score_maps
from benchmark.store import io
from benchmark.store.layout import CellPaths, ResultsLayout, cell_id
from benchmark.store.schema import Record, SplitInfo, TestResult

if TYPE_CHECKING:
    import pandas as pd

    from benchmark.study.events import Events

ORIGIN_MAPS = "maps by their authors"
_ALLOWED = ("missing", "surplus")  # by --allow-partial
WORDS_FOR_MASKS = frozenset(
    ("mask", "gt", "groundtruth", "truth", "label", "annotation", "segmentation", "test", "val", "validation", "data")
)
"""Names of folders that many datasets share, without plural: they identify no test set."""


@dataclass(frozen=True)
class TestSet:
    """Images under a name, their expected number, and possible names of their maps' folders."""

    __test__ = False
    name: str
    title: str
    items: tuple[Item, ...]
    of: int
    folders: tuple[str, ...] = ()


def listed_set(name: str, *, root: Path | None, part: str = "pranet", cache_dir: Path | None = None) -> TestSet:
    """The test images of a dataset.

    Args:
        name: Dataset.
        root: Data root.
        part: ``pranet``: the test images of PraNet's published lists (100 of Kvasir, 62 of CVC-ClinicDB; every image
            of a dataset without list); ``all``: every image.
        cache_dir: For phantom.
    """
    items = list_dataset(name, root, cache_dir=cache_dir)
    ids = published_ids(name, "test") if part == "pranet" else ()
    if ids:
        listed = set(ids)
        items = [item for item in items if item.id in listed]
    info = dataset_info(name)
    folders = (name, *FOLDER_NAMES.get(name, ()))
    return TestSet(name, info.title, tuple(items), len(ids) or info.expected or len(items), folders)


def folder_set(masks: Path) -> TestSet:
    """Return the masks of a folder as a test set; the images are not needed.

    Raises:
        BenchError: No folder, no mask, or two masks of one name.
    """
    if not masks.is_dir():
        raise BenchError(f"--masks {masks}: not a folder; expected one mask per map")
    files = sorted(p for p in masks.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    items = tuple(Item(masks.name, file.stem, file, file, file.stem) for file in files)
    if not items:
        raise BenchError(f"--masks {masks}: holds no mask (expected {', '.join(SUFFIXES)})")
    if len({item.id for item in items}) < len(items):
        raise BenchError(f"--masks {masks}: two files share a name; keep one mask per image")
    title = _telling_name(masks)
    return TestSet(_slug(title), title, items, len(items), (masks.name, masks.absolute().parent.name))


def _telling_name(masks: Path) -> str:
    """Return the last folder of the path as given that is not a word for masks: ``Kvasir/masks`` is Kvasir."""
    names = [name for name in reversed(masks.parts) if name.strip("./\\")]
    return next((name for name in names if _plain(name) not in WORDS_FOR_MASKS), masks.absolute().name)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower()).removesuffix("s")


def evaluate_maps(
    predictions: Path,
    sets: Sequence[TestSet],
    *,
    name: str,
    results: Path,
    protocols: Sequence[Protocol],
    engine: str,
    allow_partial: bool,
    boundary: bool = False,
    families: Sequence[Family] = (),
    cache_dir: Path | None,
    events: Events,
) -> Record:
    """Score external maps and write a record beside the trained cells' records.

    Scores of other test sets in a record of the same name are kept if scored alike.

    Raises:
        BenchError: Maps are of a wrong size, unreadable, NaN or otherwise unusable; or some are missing or surplus and
            ``allow_partial`` is off (a notice names them); or nothing is left to score. An
            all-black map is valid.
    """
    tests: dict[str, TestResult] = {}
    parts: list[Scored] = []
    values: dict[str, dict[str, pd.DataFrame]] = {family.name: {} for family in families}
    for one in sets:
        chosen, maps = _sound_maps(predictions, one, allow_partial, events)
        scored = score_maps(
            chosen,
            lambda item, paths=maps.paths: paths[item.id],  # type: ignore[misc]
            dataset=one.name,
            protocols=protocols,
            engine=engine,
            cache_dir=cache_dir,
            read=maps.read,
            read_mask=read_truth,
            boundary=boundary,
            progress=partial(events.phase, f"score {one.name}"),
        )
        parts.append(scored)
        tests[one.name] = _test_result(one, chosen, scored)
        for family in families:
            told = _told(events, f"{family.name} {one.name}", len(chosen))
            values[family.name][one.name] = measure_set(family, chosen, maps.of, told, read_mask=read_truth)
    payload = {"maps": name, "engine": engine, "boundary": boundary, "protocols": {p.name: p.hash for p in protocols}}
    cell = cell_id(_slug(name), ablation=(), recipe="maps", config=config_hash(payload), seed=0)
    paths = ResultsLayout(results).cell(cell)
    for one in sets:
        _check_same_images(results, name, one, tests[one.name].fingerprint)
    tests, parts = _with_others(paths, tests, parts)
    record = make_record(cell, _slug(name), name, protocols, tests, engine=engine, origin=ORIGIN_MAPS, weights={})
    _write_scores(paths, parts)
    io.mark(results)
    for family in families:
        write_measured(paths, family, record, values[family.name])
    io.write_record(paths, record)
    return record


def _told(events: Events, what: str, total: int) -> Callable[[int], None]:
    return lambda done: events.phase(what, done, total)


def _sound_maps(predictions: Path, one: TestSet, allow_partial: bool, events: Events) -> tuple[list[Item], MapSet]:
    """Return the images of a test set whose maps can be scored, and the maps.

    Raises:
        BenchError: Maps are missing, surplus or unusable, as for ``evaluate_maps``.
    """
    folder = find_folder(predictions, one.folders, [item.id for item in one.items])
    maps = collect(folder, one.items)
    for line in maps.describe():
        events.notice(f"{one.name}: {line}")
    if len(one.items) < one.of:
        events.notice(f"{one.name}: only {len(one.items)} of its {one.of} images are in the data root")
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in maps.faults.items())
    unusable = ", ".join(f"{len(names)} {kind}" for kind, names in maps.faults.items() if kind not in _ALLOWED)
    if (counts or len(one.items) < one.of) and not allow_partial:
        what = counts or f"{one.of - len(one.items)} images missing from the data root"
        ways = "fix or remove them" if unusable else "add or remove them, or pass --allow-partial"
        raise BenchError(f"maps in {folder} for {one.name}: {what} (named above); {ways}")
    if unusable:
        raise BenchError(
            f"maps in {folder} for {one.name}: {unusable} (named above); fix or remove them: --allow-partial is for "
            "missing and surplus maps only"
        )
    chosen = [item for item in one.items if item.id in maps.paths]
    if not chosen:
        raise BenchError(f"maps in {folder} for {one.name}: none can be scored ({counts})")
    return chosen, maps


def _check_same_images(results: Path, name: str, one: TestSet, fingerprint: str) -> None:
    """Refuse to score other images under a name that stands for some already: one would overwrite the other.

    Raises:
        BenchError: A record of the same name holds a test set of that name with other images.
    """
    for path in sorted(ResultsLayout(results).runs.glob(f"{_slug(name)}/maps-*/seed0/run.json")):
        record = io.read_record(path)
        old = record.tests.get(one.name)
        whole = old is not None and old.of is None and one.of == len(one.items)
        if record.model_title == name and old is not None and whole and old.fingerprint != fingerprint:
            raise BenchError(
                f"{one.title}: {name} has scores of a test set of that name on different images ({old.n} in "
                f"{record.cell}); rename the folder of masks, pass another --name, or delete that cell's folder"
            )


def _with_others(
    paths: CellPaths, tests: dict[str, TestResult], parts: list[Scored]
) -> tuple[dict[str, TestResult], list[Scored]]:
    """Add the test sets of the record on disk that were not scored now."""
    if not paths.record.is_file():
        return tests, parts
    others = {key: result for key, result in io.read_record(paths.record).tests.items() if key not in tests}
    if not others:
        return tests, parts
    rows = io.read_scores(paths.scores)
    curves = {key: array for key, array in io.read_npz(paths.curves).items() if key.split("/")[1] in others}
    return {**others, **tests}, [Scored(rows[rows["dataset"].isin(list(others))], curves, {}), *parts]


def _test_result(one: TestSet, chosen: Sequence[Item], scored: Scored) -> TestResult:
    return TestResult(
        title=one.title,
        n=len(chosen),
        of=one.of if len(chosen) < one.of else None,
        fingerprint=fingerprint(chosen),
        scores=scored.summary,
        empty_masks=scored.empty_masks,
    )


def make_record(
    cell: str,
    model: str,
    title: str,
    protocols: Sequence[Protocol],
    tests: dict[str, TestResult],
    *,
    engine: str,
    origin: str,
    weights: dict[str, str],
) -> Record:
    nobody = SplitInfo(name="", seed=0, num_train=0, num_val=0, fingerprint_train="", fingerprint_val="")
    return Record(
        cell=cell,
        model=model,
        model_title=title,
        recipe_name="",
        recipe={},
        recipe_hash="",
        split=nobody,
        seed=0,
        status="ok",
        origin=origin,
        pretrained=dict(weights),
        engine=engine,
        synthetic=any(dataset_info(name).synthetic for name in tests),
        protocols={protocol.name: protocol.hash for protocol in protocols},
        own_protocols=rules_from_files(protocols),
        tests=tests,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _write_scores(paths: CellPaths, parts: Sequence[Scored]) -> None:
    import pandas as pd

    io.write_parquet(paths.scores, pd.concat([part.rows for part in parts], ignore_index=True))
    io.write_npz(paths.curves, {key: value for part in parts for key, value in part.curves.items()})


def _slug(name: str) -> str:
    slug = re.sub(r"[^A-Za-z0-9_.]+", "_", name).strip("_.")
    if not slug:
        raise BenchError(f"name {name!r}: expected at least one letter or digit")
    return slug.lower()
