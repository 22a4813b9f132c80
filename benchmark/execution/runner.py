"""Run the cells of a study one after the other, each under its lock; check beforehand what can be checked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmark.data.splits.files import save_split
from benchmark.errors import BenchError
from benchmark.execution.cell import run_cell, unreachable
from benchmark.execution.process_group import check_devices
from benchmark.models.build import build_network
from benchmark.models.registry import code_stamp, load_checkpoint
from benchmark.runtime.device import make_fabric
from benchmark.runtime.memory import give_back
from benchmark.store import io
from benchmark.store.locks import Lock
from benchmark.store.schema import Record
from benchmark.study.cells import Cell
from benchmark.study.events import Events
from benchmark.study.plan import Study
from benchmark.study.reuse import is_finished

SECONDS_BETWEEN_LOOKS = 2.0


def run_study(study: Study, events: Events) -> list[Record]:
    """Run every cell in turn; one that fails, or whose folder cannot be used, does not stop the others.

    A cell that another process on the same results folder has locked is skipped, taken over if that process dies, and
    waited for at the end, so that every process ends with the whole study.

    Raises:
        BenchError: The disk is full or the results folder cannot be written: continuing would lose work.
        KeyboardInterrupt: After the running cell was recorded as interrupted.
    """
    begin(study, events)
    locks = {cell.id: Lock(study.layout.lock(cell.id)) for cell in study.cells}
    records: dict[str, Record] = {}
    waited: set[str] = set()
    while len(records) < len(study.cells):
        before = len(records)
        for number, cell in enumerate(study.cells, start=1):
            if cell.id in records:
                continue
            lock = locks[cell.id]
            record = attempt(study, cell, number, lock, events, after_another=cell.id in waited)
            if record is not None:
                records[cell.id] = record
            elif cell.id not in waited:
                waited.add(cell.id)
                events.notice(f"{cell.id}: locked by {lock.holder()}; skipping")
        if len(records) == before:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    return [records[cell.id] for cell in study.cells]


def begin(study: Study, events: Events, *, here: bool = True) -> None:
    """Prepare for the first cell: check the folder, the device and every image, save the split.

    Args:
        study: The plan.
        events: Receive progress.
        here: Whether its cells run on this machine: its device and pixel cache are then tried and filled.
    """
    check_writable(study.layout.root)
    prepare(study, events, here=here)
    save_split(study.split, study.layout.splits / f"{study.split.name}-{study.info.fingerprint_train[:8]}.json")


def attempt(
    study: Study, cell: Cell, number: int, lock: Lock, events: Events, *, after_another: bool = False
) -> Record | None:
    """Run a cell if its lock is free; None where another process holds it.

    Args:
        study: The plan.
        cell: One of its cells.
        number: Its position, from 1.
        lock: The cell's.
        events: Receive progress.
        after_another: Another process held it before; what that one finished is kept.
    Raises:
        BenchError: The disk is full or the results folder cannot be written: continuing would lose work.
    """
    with ExitStack() as stack:
        try:
            held = stack.enter_context(lock.attempt())
        except BenchError as error:
            return _pass_over(study, cell, number, events, error)
        return _run_held(study, cell, number, events, after_another=after_another) if held else None


def _pass_over(study: Study, cell: Cell, number: int, events: Events, error: BenchError) -> Record:
    """Go on without a cell whose lock cannot be had; a finished one needs none."""
    kept = is_finished(study, cell)
    record = io.read_record(study.layout.cell(cell.id).record) if kept else unreachable(study, cell, error)
    events.cell_started(cell, number, len(study.cells))
    events.cell_finished(record, kept=kept)
    return record


def _run_held(study: Study, cell: Cell, number: int, events: Events, *, after_another: bool) -> Record:
    """Run a cell whose lock is held; what another process has just finished is kept."""
    if after_another:
        study = replace(study, request=replace(study.request, if_exists="resume"))
    events.cell_started(cell, number, len(study.cells))
    record, kept = run_cell(study, cell, events)
    if not kept:  # a kept cell has built no network
        give_back()
    events.cell_finished(record, kept=kept)
    return record


def prepare(study: Study, events: Events, *, here: bool = True) -> None:
    """Check the device and every image that an unfinished cell needs, before anything is trained here.

    Raises:
        BenchError: The device does not exist, or an image or mask, which is named, cannot be used.
    """
    todo = [cell for cell in study.cells if not is_finished(study, cell)]
    unfinished = {cell.id for cell in todo}
    _tell_of_other_code(study, [cell for cell in study.cells if cell.id not in unfinished], events)
    if here:
        check_devices(study.request.device, study.request.devices, todo)
    for cell in todo if here else ():
        make_fabric(study.request.device, cell.recipe)
        for size in {cell.recipe.train_size, cell.recipe.image_size}:
            for name in study.pixels.datasets:
                study.pixels.open(name, cell.recipe, size, events.phase)


def check_weights(study: Study, *, here: bool = True) -> None:
    """Load the weights that each unfinished network starts from once, so that missing ones are reported at once.

    Args:
        study: The plan.
        here: Whether its cells run on this machine: its devices are then counted, too.
    Raises:
        BenchError: They are missing or do not fit; the message says how to get them or do without. Or the number
            of devices is impossible.
    """
    todo = [cell for cell in study.cells if not is_finished(study, cell)]
    if here:
        check_devices(study.request.device, study.request.devices, todo)
    for start, cell in {cell.start: cell for cell in todo if cell.start is not None}.items():
        load_checkpoint(cell.spec, build_network(cell.spec, cell.recipe, pretrained=False), start.path)
    todo = [cell for cell in todo if cell.recipe.pretrained and cell.start is None]
    for cell in {(cell.spec.name, cell.ablation): cell for cell in todo}.values():
        build_network(cell.spec, cell.recipe, drop=cell.ablation, weights=cell.weights, pretrained=True)


def _tell_of_other_code(study: Study, kept: Sequence[Cell], events: Events) -> None:
    """Report which kept cells were trained by a different version of the code."""
    titles: dict[str, None] = {}
    stamps = {name: code_stamp(spec) for name, spec in {cell.spec.name: cell.spec for cell in kept}.items()}
    for cell in kept:
        then = io.read_record(study.layout.cell(cell.id).record).environment.get("code")
        if then is not None and then != stamps[cell.spec.name]:
            titles[cell.spec.title] = None
    if titles:
        events.notice(
            f"kept as they are, though the code has changed since (environment.code in run.json): {', '.join(titles)}; "
            "--if-exists overwrite trains them again"
        )


def check_writable(folder: Path) -> None:
    """Refuse a results folder that cannot be written before anything is trained."""
    io.mark(folder)
