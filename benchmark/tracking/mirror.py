"""Write commands and records as MLflow runs: each once and complete, equal from a live study and from the store."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.commands import Command, read_commands, study_id
from benchmark.store.layout import ResultsLayout
from benchmark.store.robust_pack import cell_results
from benchmark.store.schema import Record
from benchmark.tracking import content
from benchmark.tracking.connect import connect, place_of
from benchmark.tracking.view import view_tags

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

_RUN_STATUS = {
    "ok": "FINISHED",
    "finished": "FINISHED",
    "interrupted": "KILLED",
    "skipped": "KILLED",
    "running": "RUNNING",
}
_LOCK_S = 120


@dataclass(frozen=True)
class Counts:
    """Result of mirroring: runs written, and runs that were up to date."""

    written: int
    kept: int


class Mirror:
    """One study in MLflow: an experiment, a parent run per command, a nested run per cell.

    Args:
        layout: The results folder; one folder is one study and one experiment.
        checkpoints: Keep ``best.pt`` with each run.

    Attributes:
        is_new: Whether MLflow did not know the study.

    Raises:
        BenchError: The server is unreachable.
        Exception: Whatever MLflow raises, here and in every method; the caller decides whether that matters.
    """

    def __init__(self, layout: ResultsLayout, *, checkpoints: bool = False) -> None:
        self.layout = layout
        self.checkpoints = checkpoints
        self.study = study_id(layout)
        self._drop_misplaced()
        self.client: MlflowClient = connect(layout)
        found = self._find_experiment()
        self.is_new = found is None
        self.experiment_id = found or self._make_experiment()

    def sync(self, records: Sequence[Record], commands: Sequence[Command]) -> Counts:
        """Bring the mirror up to date with these commands and records; correct runs are unchanged."""
        with self._locked():
            known = self._known()
            makers: dict[tuple[str, str], str] = {}
            for command in commands:
                run_id = self._write_command(command, known.get(command.id, []))
                for cell, created in command.cells.items():
                    makers.setdefault((cell, created), run_id)
            written = [self._write_cell(r, makers.get((r.cell, r.created)), known.get(r.cell, [])) for r in records]
            self._preset(
                [*(key for runs in known.values() for key in runs[0].data.metrics), *content.score_keys(records)]
            )
        return Counts(sum(written), len(written) - sum(written))

    def rebuild(self, records: Sequence[Record], commands: Sequence[Command]) -> Counts:
        """Delete every run of this study and write all of them again."""
        with self._locked():
            for runs in self._known().values():
                for run in runs:
                    self._delete(run)
        return self.sync(records, commands)

    def run_of(self, cell: str) -> Run | None:
        """Return the run of a cell, if it was mirrored."""
        return next(iter(self._known().get(cell, [])), None)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time, so that two never write the same cell."""
        from filelock import FileLock

        with FileLock(self.layout.mlflow_lock, timeout=_LOCK_S):
            yield

    def _drop_misplaced(self) -> None:
        """Start over if files of a lost database remain, or the folder was moved away from its paths."""
        if not place_of(self.layout).own:
            return
        database, artifacts = self.layout.mlflow_db, self.layout.mlflow_artifacts
        if database.exists() and _location_in(database, self.study) not in (None, artifacts.resolve().as_uri()):
            database.unlink()
        stray = _stray_in(database, artifacts.resolve().as_uri()) if database.exists() else None
        if stray:
            raise BenchError(
                f"{database}: a run's files are recorded in {stray}, outside the results folder: not opened; "
                "remove it if you do not know whose runs these are (bench track rebuilds it from the records)"
            )
        if artifacts.exists() and not database.exists():
            shutil.rmtree(artifacts)

    def _find_experiment(self) -> str | None:
        """By ``MLFLOW_EXPERIMENT_NAME`` where that is set, otherwise by the study's id."""
        given = os.environ.get("MLFLOW_EXPERIMENT_NAME")
        if given:
            named = self.client.get_experiment_by_name(given)
            return named.experiment_id if named else None
        matches = self.client.search_experiments(filter_string=f"tags.`bench.study` = '{self.study}'", max_results=1)
        return matches[0].experiment_id if matches else None

    def _make_experiment(self) -> str:
        location = self.layout.mlflow_artifacts.resolve().as_uri() if place_of(self.layout).own else None
        tags = {"bench.study": self.study, "mlflow.experimentKind": "custom_model_development"}
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or self._name()
        return self.client.create_experiment(name, artifact_location=location, tags=tags)

    def _name(self) -> str:
        folder = self.layout.root.resolve()
        return f"polyp-bench {folder.parent.name if folder.name == 'results' else folder.name} {self.study}"

    def _known(self) -> dict[str, list[Run]]:
        """Runs of this study by cell or command, newest first."""
        known: dict[str, list[Run]] = {}
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], f"tags.`bench.study` = '{self.study}'", max_results=1000, page_token=token
            )
            for run in page:
                known.setdefault(run.data.tags.get("bench.key", ""), []).append(run)
            token = page.token
            if not token:
                return known

    def _write_command(self, command: Command, old: Sequence[Run]) -> str:
        """Write or bring up to date a parent run. It is never replaced: its cells' runs point at it."""
        from mlflow.entities import Param, RunTag

        digest = content.command_digest(command)
        if old and old[0].data.tags.get("bench.digest") == digest:
            return old[0].info.run_id
        run_id = (
            old[0].info.run_id
            if old
            else self._create(command.id, f"bench {command.name} {command.id}", command.created)
        )
        params = [Param(key, value) for key, value in content.command_params(command).items()]
        tags = [RunTag(key, value) for key, value in content.command_tags(command).items()]
        self.client.log_batch(run_id, params=params, tags=tags)
        for name in command.files:
            file = self.layout.root / name
            if file.is_file() and file.resolve().is_relative_to(self.layout.root.resolve()):
                self.client.log_artifact(run_id, str(file), Path(name).parent.as_posix())
        self._finish(run_id, digest, command.status, content.to_ms(command.ended) if command.ended else None)
        return run_id

    def _write_cell(self, record: Record, parent: str | None, old: Sequence[Run]) -> bool:
        """Write a cell's run unless it is up to date; return whether it was written."""
        digest = content.digest(record, parent, cell_results(self.layout.cell(record.cell)))
        good = next((run for run in old if run.data.tags.get("bench.digest") == digest), None)
        for run in old:
            if run is not good:
                self._delete(run)
        if good is not None:
            self._add_checkpoint(good.info.run_id, record, good.data.tags)
            return False
        parent_tag = {"mlflow.parentRunId": parent} if parent else {}
        run_id = self._create(
            record.cell, content.run_name(record), record.created, {**content.tags(record), **parent_tag}
        )
        self._log(run_id, record)
        self._add_checkpoint(run_id, record, {})
        self._finish(run_id, digest, record.status, content.ended_ms(record))
        return True

    def _log(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Param

        params = [Param(key, value) for key, value in content.params(record).items()]
        metrics = content.metrics(self.layout, record)
        for start in range(0, len(params), 100):  # MLflow's greatest batch: 100 parameters, 1000 of all
            self.client.log_batch(run_id, params=params[start : start + 100])
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run_id, metrics=metrics[start : start + 1000])
        self.client.log_inputs(run_id, content.inputs(record))
        for file, folder in content.files(self.layout, record):
            self.client.log_artifact(run_id, str(file), folder)

    def _add_checkpoint(self, run_id: str, record: Record, tags: Mapping[str, str]) -> None:
        best = self.layout.cell(record.cell).best
        if self.checkpoints and best.is_file() and "bench.checkpoint" not in tags:
            self.client.log_artifact(run_id, str(best), "checkpoint")
            self.client.set_tag(run_id, "bench.checkpoint", f"checkpoint/{best.name}")

    def _create(self, key: str, name: str, created: str, tags: Mapping[str, str] | None = None) -> str:
        own = {"bench.study": self.study, "bench.key": key}
        run = self.client.create_run(
            self.experiment_id, start_time=content.to_ms(created), tags={**own, **(tags or {})}, run_name=name[:250]
        )
        return run.info.run_id

    def _finish(self, run_id: str, digest: str, status: str, end_ms: int | None) -> None:
        """Write the digest last: a run without it was interrupted and is written again."""
        self.client.set_tag(run_id, "bench.digest", digest)
        name = _RUN_STATUS.get(status, "FAILED")
        if name == "RUNNING":
            self.client.update_run(run_id, status=name)
        else:
            self.client.set_terminated(run_id, name, end_time=end_ms)

    def _delete(self, run: Run) -> None:
        """MLflow keeps a deleted run's files; in our own folder they would accumulate."""
        self.client.delete_run(run.info.run_id)
        if place_of(self.layout).own:
            shutil.rmtree(self.layout.mlflow_artifacts / run.info.run_id, ignore_errors=True)

    def _preset(self, score_keys: Sequence[str]) -> None:
        """Prepare the page that ``bench ui`` opens."""
        experiment = self.client.get_experiment(self.experiment_id)
        for key, value in view_tags(score_keys).items():
            if experiment.tags.get(key) != value:
                self.client.set_experiment_tag(self.experiment_id, key, value)


def mirror_all(layout: ResultsLayout, *, rebuild: bool = False, checkpoints: bool = False) -> tuple[Mirror, Counts]:
    """Mirror a whole results folder; return the open mirror and the counts."""
    records, commands = io.read_records(layout.root), read_commands(layout)
    mirror = Mirror(layout, checkpoints=checkpoints)
    return mirror, (mirror.rebuild if rebuild else mirror.sync)(records, commands)


def _stray_in(database: Path, artifacts: str) -> str | None:
    """A local folder outside ``artifacts`` that a run claims for its files: a page would show its content."""
    import sqlite3
    from contextlib import closing, suppress

    places: list[str] = []
    with closing(sqlite3.connect(database)) as connection:
        for query in ("SELECT artifact_uri FROM runs", "SELECT artifact_location FROM logged_models"):
            with suppress(sqlite3.Error):
                places += [str(place) for (place,) in connection.execute(query) if place]
    local = (place for place in places if place.startswith(("file:", "/", ".")))
    return next((place for place in local if ".." in place or not place.startswith(artifacts)), None)


def _location_in(database: Path, study: str) -> str | None:
    """Where an sqlite mirror believes its files to be; None for a database that does not know the study."""
    import sqlite3
    from contextlib import closing

    query = (
        "SELECT artifact_location FROM experiments JOIN experiment_tags USING (experiment_id) "
        "WHERE key = 'bench.study' AND value = ?"
    )
    try:
        with closing(sqlite3.connect(database)) as connection:
            row = connection.execute(query, (study,)).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row else None
