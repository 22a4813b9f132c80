"""`bench tune`: equal budgets, then recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.console import Console

from benchmark.commands.printing import print_json, print_rows, say, teller
from benchmark.runtime.signals import exit_code

if TYPE_CHECKING:
    from pathlib import Path

    from benchmark.tuning.plan import Asked, Tuning
    from benchmark.tuning.result import Found


def tune(asked: Asked, *, workers: int, as_json: bool, quiet: bool) -> int:
    """Run the trials that are missing, write the recipes. Returns the exit code: 0, 130 after Ctrl-C."""
    console = Console(stderr=True)
    try:
        _tune(console, asked, workers, as_json, quiet)
    except KeyboardInterrupt as stop:
        say(console, "stopped by a signal: finished trials are kept; the same command goes on from here")
        return exit_code(stop)
    return 0


def _tune(console: Console, asked: Asked, workers: int, as_json: bool, quiet: bool) -> None:
    found, files = perform(console, asked, workers=workers, quiet=quiet)
    _print_found(found, files, as_json)
    if not as_json:
        both = next(path for path in files if path.name == "tuned.toml")
        say(console, f"train with them: bench run --models {','.join(asked.request.models)} --recipe {both}")


def perform(console: Console, asked: Asked, *, workers: int, quiet: bool) -> tuple[list[Found], list[Path]]:
    """Run the trials that are missing and write the files; returns what was found, and the files."""
    from benchmark.execution.runner import check_weights, check_writable
    from benchmark.tuning.figures import draw_tuning
    from benchmark.tuning.plan import plan_tuning
    from benchmark.tuning.result import collect, write_results
    from benchmark.tuning.work import open_slots

    tuning = plan_tuning(asked, teller(console, quiet))
    check_writable(tuning.images.layout.root)
    check_weights(tuning.images)
    slots = open_slots(tuning)
    if not quiet:
        _print_plan(console, tuning, [len(ours.finished()) for ours in slots])
    _work(console, tuning, workers, quiet)
    found = collect(tuning, slots)
    return found, write_results(tuning, found) + draw_tuning(tuning, found, slots, teller(console, quiet))


def _work(console: Console, tuning: Tuning, workers: int, quiet: bool) -> None:
    from benchmark.display.progress import bar, watch
    from benchmark.tuning.work import open_slots, work, work_together

    slots = open_slots(tuning)
    wanted = sum(ours.trials for ours in slots)
    if sum(len(ours.finished()) for ours in slots) == wanted:
        return
    if workers == 1:
        with watch(console, quiet=quiet) as watcher:
            work(tuning, watcher)
        return
    with bar(console, "trials", quiet=quiet) as tell:

        def look() -> None:
            tell(sum(len(ours.finished()) for ours in slots), wanted)

        work_together(tuning.asked, workers, look, teller(console, quiet=False))


def _print_plan(console: Console, tuning: Tuning, done: list[int]) -> None:
    asked, info = tuning.asked, tuning.images.info
    fields = ", ".join(tuning.space.search)
    say(console, f"split      {info.name} (seed {info.seed}): {info.num_train} train, {info.num_val} validate")
    say(
        console,
        f"search     {fields} ({tuning.space.hash}), {asked.trials} trials per model, recipe {asked.request.recipe}",
    )
    for target, number in zip(tuning.targets, done, strict=True):
        kept = "" if target.cell.spec.takes_encoder or "encoder" not in tuning.space.search else "; encoder as designed"
        say(console, f"model      {target.cell.spec.title}: {number} of {asked.trials} trials are finished{kept}")
    if tuning.synthetic:
        say(console, "note       synthetic images: what is found says nothing about real polyps")


def _print_found(found: list[Found], files: list[Path], as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"model": one.target.cell.spec.name, "trials": one.trials, "score": round(one.score, 4), **one.fields}
        for one in found
    ]
    if as_json:
        models = [{**row, "trials_list": one.rows} for row, one in zip(rows, found, strict=True)]
        print_json({"models": models, "files": [str(path) for path in files]})
        return
    keys = dict.fromkeys(key for row in rows for key in row)
    print_rows([{key: row.get(key) for key in keys} for row in rows])
    print("\n".join(map(str, files)))
