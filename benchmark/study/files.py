"""A study file: several commands under one name, so that one command repeats a whole study. Strict TOML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from benchmark.errors import BenchError, unknown_name
from benchmark.untrusted import MAX_TOML_BYTES, FormatFault, parse_toml, read_text

TRAINING = ("run", "ablate")
COMMANDS = (*TRAINING, "denoise train", "robust", "tables", "plots", "report")
_PLACES = ("--data-root", "--cache-dir", "--device")
_TAKEN = {"robust": (*_PLACES, "--workers"), "denoise train": _PLACES}
_OWN = ("results", "dry-run", "json", "help")
"""Options that the study file may not set."""
RESULTS = "{results}"
"""Stands for the study's results folder in the values of options."""
_ALSO = {"denoise train": ("datasets", "split", "split-seed", "allow-missing")}
"""Options of [training] that other commands than those that train cells take over."""


@dataclass(frozen=True)
class Part:
    """One command of a study; its results go to ``folder`` below the study's results folder."""

    command: str
    folder: str
    arguments: tuple[str, ...]

    def argv(self, results: Path, extra: tuple[str, ...] = ()) -> list[str]:
        """Return the arguments of ``bench``; training commands get all of ``extra``, others those that they know."""
        more = extra if self.command in TRAINING else _applicable(extra, _TAKEN.get(self.command, ()))
        place = () if self.command == "denoise train" else ("--results", str(results / self.folder))
        given = [word.replace(RESULTS, str(results)) for word in self.arguments]
        return [*self.command.split(), *given, *place, *more]


def _applicable(extra: tuple[str, ...], taken: tuple[str, ...]) -> tuple[str, ...]:
    """Keep the options of a training command that another command has too."""
    pairs = (extra[i : i + 2] for i, word in enumerate(extra) if word in taken)
    return tuple(word for pair in pairs for word in pair)


def study_names() -> list[str]:
    """Names of the packaged studies."""
    files = resources.files("benchmark.study").iterdir()
    return sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml"))


def load_study(name: str, options: Mapping[str, Mapping[str, bool]]) -> list[Part]:
    """Read a study.

    Args:
        name: A packaged study, or the path of a TOML file.
        options: For each command, its options (without dashes), and whether they take a value.
    Raises:
        BenchError: Unknown study, command or option; a value of a wrong type; not TOML.
    """
    table = _read(name)
    where = f"study {name}"
    training, parts = table.pop("training", {}), table.pop("part", [])
    if table:
        raise BenchError(f"{where}: {unknown_name('table', next(iter(table)), ('training', 'part'))}")
    if not isinstance(training, dict) or not isinstance(parts, list) or not parts:
        raise BenchError(
            f"{where}: expected at least one [[part]] with command = 'run', and [training] for shared options"
        )
    return [_part(f"{where}, part {number}", part, training, options) for number, part in enumerate(parts, 1)]


def _part(where: str, part: Any, training: dict[str, Any], options: Mapping[str, Mapping[str, bool]]) -> Part:
    if not isinstance(part, dict) or "command" not in part:
        raise BenchError(f"{where}: expected a table with command = one of {', '.join(COMMANDS)}")
    given = dict(part)
    command, folder = given.pop("command"), given.pop("folder", ".")
    if command not in COMMANDS:
        raise BenchError(f"{where}: {unknown_name('command', str(command), COMMANDS)}")
    if not isinstance(folder, str) or PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts:
        raise BenchError(f"{where}: folder = {folder!r}: expected the name of a folder below --results")
    shared = training if command in TRAINING else {k: v for k, v in training.items() if k in _ALSO.get(command, ())}
    fields = {**shared, **given}
    return Part(command, folder, _arguments(where, command, fields, options[command]))


def _arguments(where: str, command: str, fields: dict[str, Any], known: Mapping[str, bool]) -> tuple[str, ...]:
    words: list[str] = []
    for key, value in fields.items():
        allowed = sorted(set(known) - set(_OWN))
        if key not in allowed:
            raise BenchError(f"{where}: {unknown_name(f'option of bench {command}', key, allowed)}")
        values = value if isinstance(value, list) else [value]
        if known[key] and all(isinstance(one, str | int | float) and not isinstance(one, bool) for one in values):
            words += [word for one in values for word in (f"--{key}", str(one))]
        elif not known[key] and isinstance(value, bool):
            words += [f"--{key}"] if value else []
        else:
            raise BenchError(
                f"{where}: {key} = {value!r}: expected {'text or a number' if known[key] else 'true or false'}"
            )
    return tuple(words)


def _read(name: str) -> dict[str, Any]:
    path = Path(name)
    if path.suffix == ".toml":
        try:
            text = read_text(path, max_bytes=MAX_TOML_BYTES)
        except (OSError, ValueError) as error:
            raise BenchError(
                f"study file {name}: cannot read it ({error}); packaged studies are {', '.join(study_names())}"
            ) from None
    elif name in study_names():
        text = (resources.files("benchmark.study") / f"{name}.toml").read_text(encoding="utf-8")
    else:
        raise unknown_name("study", name, study_names())
    try:
        return parse_toml(text)
    except FormatFault as error:
        raise BenchError(f"study file {name}: not valid TOML: {error}") from None
