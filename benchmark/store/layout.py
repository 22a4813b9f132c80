"""Paths in a results folder. No other file joins them, and none leads out of the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmark.errors import BenchError


@dataclass(frozen=True)
class CellPaths:
    """The files of one cell."""

    folder: Path

    @property
    def record(self) -> Path:
        return self.folder / "run.json"

    @property
    def history(self) -> Path:
        return self.folder / "history.csv"

    @property
    def scores(self) -> Path:
        return self.folder / "scores.parquet"

    @property
    def curves(self) -> Path:
        return self.folder / "curves.npz"

    @property
    def best(self) -> Path:
        return self.folder / "best.pt"

    @property
    def last(self) -> Path:
        return self.folder / "last.pt"

    @property
    def summary(self) -> Path:
        return self.folder / "model.txt"

    @property
    def system(self) -> Path:
        return self.folder / "system.csv"

    @property
    def stamp(self) -> Path:
        """What the scores of a network with parts switched off were made from."""
        return self.folder / "stamp.json"

    @property
    def all_worst(self) -> Path:
        return self.folder / "worst"

    def worst(self, dataset: str) -> Path:
        """Picture of the worst images of one test set."""
        return self.all_worst / f"{_name(dataset)}.png"

    def maps(self, dataset: str) -> Path:
        """Folder of the 8-bit probability maps of one test set."""
        return self.folder / "maps" / _name(dataset)

    def metric(self, name: str, code: str) -> Path:
        """Per-image values of a custom metric, by name and hash of its text."""
        return self.folder / "metrics" / _name(f"{name}-{code}.parquet")

    def robust(self, dataset: str, name: str) -> Path:
        """Result on one corrupted test set (``.json``; its per-image rows beside it as ``.parquet``)."""
        return self.all_robust / _name(dataset) / _name(f"{name}.json")

    @property
    def packed_robust(self) -> Path:
        """Results on corrupted test sets in one file, as exports hold them; the rows beside it as ``.parquet``."""
        return self.all_robust / "packed.json"

    @property
    def all_robust(self) -> Path:
        """Results on corrupted test sets, in a folder per test set."""
        return self.folder / "robust"

    def switched_off(self, parts: Sequence[str]) -> Path:
        """Folder of the scores of this network with some parts switched off."""
        return self.folder / "switched-off" / _name("+".join(parts))

    def map(self, dataset: str, image_id: str) -> Path:
        """The probability map of one image."""
        return self.maps(dataset) / f"{_name(image_id)}.png"


@dataclass(frozen=True)
class ResultsLayout:
    """The parts of a results folder."""

    root: Path

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def tables(self) -> Path:
        return self.root / "tables"

    @property
    def figures(self) -> Path:
        return self.root / "figures"

    @property
    def splits(self) -> Path:
        return self.root / "splits"

    @property
    def robust(self) -> Path:
        """What each ``bench robust`` asked for, one file per name."""
        return self.root / "robust"

    def lock(self, cell_id: str) -> Path:
        """Folder of the lock of one cell."""
        return self.root / "locks" / _name(cell_id.replace("/", "__"))

    def jobs(self, name: str) -> Path:
        """Folder of the files of some Slurm jobs."""
        return self.root / "jobs" / name

    @property
    def tuning(self) -> Path:
        return self.root / "tuning"

    @property
    def tuning_journal(self) -> Path:
        """The trials of ``bench tune``, unless a database is given."""
        return self.tuning / "studies.journal"

    def tuned(self, name: str | None) -> Path:
        """The tuned recipe of one model, or of all models tuned together."""
        return self.tuning / (
            "tuned.toml" if name is None else _name(f"tuned-{name.replace(':', '_').replace('/', '_')}.toml")
        )

    def trial_state(self, study: str, slot: int) -> Path:
        """The state of an unfinished trial."""
        return self.tuning / "unfinished" / _name(study.replace("/", "__")) / f"{slot}.pt"

    @property
    def profile(self) -> Path:
        return self.root / "profile.csv"

    @property
    def commands(self) -> Path:
        return self.root / "commands"

    def command(self, command_id: str) -> Path:
        """The file of one command."""
        return self.commands / f"{_name(command_id)}.json"

    @property
    def study(self) -> Path:
        return self.root / "study.json"

    @property
    def mlflow_lock(self) -> Path:
        return self.root / ".mlflow.lock"

    @property
    def mlflow_db(self) -> Path:
        return self.root / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        return self.root / "mlartifacts"

    def cell(self, cell_id: str) -> CellPaths:
        """Paths of the cell ``<model>[-<ablation>]/<recipe>-<hash8>/seed<k>``."""
        return CellPaths(self.runs.joinpath(*map(_name, cell_id.split("/"))))


def _name(text: str) -> str:
    """Return a name from a record, a split or a manifest as one file or folder name; refuse any other path.

    Raises:
        BenchError: It is empty, too long for a file system, or has a slash, dots alone or a NUL.
    """
    if text.strip(". ") == "" or any(bad in text for bad in "/\\\0") or len(text.encode(errors="replace")) > 250:
        raise BenchError(f"name {text[:80]!r} cannot be a file name; expected no slash, no '..', at most 250 bytes")
    return text


def cell_id(model: str, *, ablation: tuple[str, ...], recipe: str, config: str, seed: int) -> str:
    """Return ``<model>[-<ablation>]/<recipe>-<hash8>/seed<k>`` with characters that every file system accepts."""
    name = "-".join([model.replace(":", "_").replace("/", "_"), *(f"no-{part}" for part in ablation)])
    return f"{name}/{recipe}-{config}/seed{seed}"
