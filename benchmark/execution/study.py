"""Train, score, tabulate and mirror a planned study, or the variants of an ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from benchmark.errors import BenchError
from benchmark.execution.ablation import Proof, measure_costs, prove
from benchmark.execution.placement import Placement
from benchmark.execution.runner import check_weights, check_writable, run_study
from benchmark.execution.switched_off import SwitchedOff, evaluate_switched_off
from benchmark.execution.trial_pass import try_networks
from benchmark.store import io
from benchmark.study.events import SILENT, Events, ManyEvents
from benchmark.study.plan import plan_study, resolve_models
from benchmark.study.reuse import is_finished
from benchmark.study.variants import choose_switched_off, choose_variants
from benchmark.tracking.command import TrackedEvents, asked_of, tracked

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmark.report.sheets.sheet import Sheet
    from benchmark.report.tables.scores import Table
    from benchmark.store.schema import Record
    from benchmark.study.plan import Request, Study
    from benchmark.tracking.command import Tracker

HERE = Placement()


@dataclass(frozen=True)
class Trained:
    """Result of a study: one record per cell in the plan's order, its tables, and the files that were written."""

    records: list[Record]
    tables: list[Table]
    files: list[Path]

    @property
    def failed(self) -> list[Record]:
        """Records of cells that did not finish."""
        return [record for record in self.records if record.status != "ok"]

    @property
    def nondeterministic(self) -> list[str]:
        """Operations that have no deterministic form (``--deterministic``)."""
        return nondeterministic(self.records)


@dataclass(frozen=True)
class AblationPlan:
    """The variants of one model as a study, with the proof that each switch changes the network.

    ``off`` names further parts that are only switched off in the trained full networks.
    """

    study: Study
    proofs: list[Proof]
    off: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ablation:
    """Result of an ablation; no tables where a cell failed, since every variant must have finished."""

    records: list[Record]
    tables: list[Sheet]
    files: list[Path]

    @property
    def failed(self) -> list[Record]:
        """Records of cells that did not finish."""
        return [record for record in self.records if record.status != "ok"]


def try_study(study: Study) -> list[str]:
    """Build and try the network of each unfinished cell once; return warnings, one line each (see ``try_networks``).

    Raises:
        BenchError: A network cannot be built, or returns what cannot be trained or scored.
    """
    return try_networks([cell for cell in study.cells if not is_finished(study, cell)])


def check_study(study: Study, placement: Placement = HERE) -> None:
    """Check that the results folder can be written, and start each unfinished network from its weights once.

    Raises:
        BenchError: Something is missing; nothing was trained.
    """
    check_writable(study.layout.root)
    check_weights(study, here=placement.executor == "local")


def train_study(
    study: Study,
    *,
    placement: Placement = HERE,
    track: bool = False,
    checkpoints: bool = False,
    events: Events | ManyEvents = SILENT,
) -> Trained:
    """Train and score every cell that is not finished, and write the study's tables.

    Args:
        study: The plan; see ``check_study``.
        placement: Where cells run.
        track: Mirror each record into MLflow.
        checkpoints: Keep the best weights in MLflow, too.
        events: Receive progress: ``ManyEvents`` unless ``placement.is_here``.
    """
    from benchmark.report.sheets.files import write_tables

    with tracked(
        study.layout,
        "run",
        asked_of(study.request),
        track=track,
        checkpoints=checkpoints,
        notice=events.notice,
    ) as tracker:
        records = _run_cells(study, placement, tracker, events)
        tables = _study_tables(study, records)
        files = write_tables(tables, study.layout.tables, ["latex", "markdown", "csv"])
        tracker.files += files
    return Trained(records, tables, files)


def fold_requests(request: Request) -> list[Request]:
    """Return one request for each fold that ``kfold:K`` stands for; the request itself for any other split."""
    from benchmark.data.splits.rules import all_folds

    return [replace(request, split=name) for name in all_folds(request.split)]


def fold_tables(request: Request, records: Sequence[Record]) -> list[Table]:
    """Build the tables over the folds of a request from the records of all of them, and write them."""
    from functools import partial

    from benchmark.report.sheets.files import write_tables
    from benchmark.report.tables.build import build_tables
    from benchmark.report.tables.folds import find_folds
    from benchmark.report.tables.folds import fold_tables as join
    from benchmark.store.layout import ResultsLayout

    found = [record for record in records if record.tests]
    folds = find_folds(found, recipe=None, split=None) if found else None
    if folds is None:
        return []
    build = partial(build_tables, records, protocol=request.printed.name)
    tables = join(folds, lambda label: build(split=label))
    write_tables(tables, ResultsLayout(request.results).tables, ["latex", "markdown", "csv"])
    return tables


def plan_ablation(
    request: Request,
    drop: Sequence[str],
    *,
    off: Sequence[str] = (),
    factorial: bool = False,
    placement: Placement = HERE,
    notice: Callable[[str], None] = lambda _: None,
) -> AblationPlan:
    """Plan the variants of one model and prove their switches; nothing is trained.

    Args:
        request: Names one model.
        drop: Parts to leave out; all that the model declares if empty.
        off: Further parts to switch off in the trained full networks; no variant is trained without them.
        factorial: Every subset of the parts.
        placement: Where cells will run.
        notice: Receives one line per lengthy step.
    Raises:
        BenchError: Not one model, an unknown part, a switch that does nothing, or see ``check_study``.
    """
    models = resolve_models(request)
    if len(models) != 1:
        raise BenchError(f"--model {','.join(request.models)}: an ablation takes one model, for example bsanet")
    switched = choose_switched_off(models[0][0], off)
    variants = choose_variants(*models[0], drop, factorial=factorial)
    study = plan_study(replace(request, ablations=variants), notice)
    check_study(study, placement)
    for note in try_study(study):
        notice(note)
    return AblationPlan(study, prove(study.cells[0], variants), switched)


def train_ablation(
    plan: AblationPlan,
    *,
    placement: Placement = HERE,
    track: bool = False,
    checkpoints: bool = False,
    events: Events | ManyEvents = SILENT,
) -> Ablation:
    """Train and score the variants, and write the comparison and its forest plot; arguments as ``train_study``."""
    study = plan.study
    with tracked(
        study.layout,
        "ablate",
        asked_of(study.request),
        track=track,
        checkpoints=checkpoints,
        notice=events.notice,
    ) as tracker:
        records = _run_cells(study, placement, tracker, events)
        if any(record.status != "ok" for record in records):
            return Ablation(records, [], [])
        off = _switched_off(plan, records, placement, events)
        tables, files = _compare_variants(study, records, measure_costs(study.cells[0], plan.proofs), off)
        tracker.files += files
    return Ablation(records, tables, files)


def nondeterministic(records: Sequence[Record]) -> list[str]:
    """Return the operations without a deterministic form, as the records name them."""
    return [name for record in records for name in record.environment.get("nondeterministic", [])]


def _run_cells(study: Study, placement: Placement, tracker: Tracker, events: Events | ManyEvents) -> list[Record]:
    """Train and score every cell, in this process or where ``placement`` says."""
    if placement.is_here:
        return run_study(study, TrackedEvents(cast(Events, events), tracker))
    from benchmark.execution.driver import run_spread

    return run_spread(study, placement, cast(ManyEvents, events), lambda one: TrackedEvents(one, tracker))


def _switched_off(
    plan: AblationPlan, records: Sequence[Record], placement: Placement, events: Events | ManyEvents
) -> list[SwitchedOff]:
    """Evaluate the full networks with parts switched off, here; not where the cells ran on other machines."""
    if placement.executor != "local":
        events.notice(
            "no part is switched off in the trained networks, as they ran elsewhere; the same command without "
            "--executor evaluates them so"
        )
        return []
    told = cast(Events, events) if placement.is_here else SILENT
    return evaluate_switched_off(plan.study, records, told, further=plan.off)


def _compare_variants(
    study: Study,
    records: Sequence[Record],
    costs: dict[tuple[str, ...], dict[str, float]],
    off: Sequence[SwitchedOff],
) -> tuple[list[Any], list[Path]]:
    from benchmark.report.figures.comparisons import forest
    from benchmark.report.figures.style import save_figure
    from benchmark.report.tables.ablations import ablation_tables, write_ablation, write_ablation_page

    rows = [io.read_scores(study.layout.cell(record.cell).scores) for record in records]
    rows = [frame[frame["dataset"].isin(list(study.split.tests))] for frame in rows]
    switched = [
        (
            one.parts,
            one.seed,
            one.rows[one.rows["dataset"].isin(list(study.split.tests))].drop(columns="seed", errors="ignore"),
        )
        for one in off
    ]
    made, compared = ablation_tables(records, rows, costs, switched=switched)
    name = study.cells[0].spec.name.replace(":", "_")
    written = write_ablation(made, study.layout.tables, name)
    note = "synthetic images: these differences say nothing about real polyps" if study.synthetic else ""
    drawn = save_figure(forest(compared, note=note), study.layout.figures, f"ablation-{name}")
    picture = next(path.read_bytes() for path in drawn if path.suffix == ".png")
    written += [write_ablation_page(made, study.layout.tables, name, picture), *drawn]
    return list(made), written


def _study_tables(study: Study, records: Sequence[Record]) -> list[Table]:
    """Build the tables of this study, a blank one for each missing test set; none where no cell has scores."""
    from benchmark.report.tables.build import build_tables

    main = [record for record in records if not record.ablation]
    if not any(record.tests for record in main):
        return []
    sets = [*study.split.tests, *study.split.missing]
    models = list(dict.fromkeys(r.model for r in main))
    return build_tables(main, protocol=study.request.printed.name, models=models, datasets=sets)
