"""Printed names and order of models and test sets: as in the paper."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

MODEL_TITLES = {
    "unet": "U-Net",
    "unetplusplus": "Unet++",
    "pranet": "PraNet",
    "sanet": "SANet",
    "ldnet": "LDNet",
    "bsanet": "BSANet",
}
OURS = "bsanet"

DATASET_TITLES = {
    "kvasir": "Kvasir",
    "etis": "ETIS",
    "colondb": "CVC-ColonDB",
    "endoscene": "CVC-EndoScene",
    "clinicdb": "CVC-ClinicDB",
    "cvc300": "CVC-300",
    "isic2016": "ISIC 2016",
    "isic2018": "ISIC 2018",
    "ph2": "PH2",
}

_FEW_SEEDS, _FEW_RUNS = 8, 3


def _rank(name: str, known: Iterable[str]) -> int:
    order = list(known)
    return order.index(name) if name in order else len(order)


def model_order(name: str) -> tuple[int, int, str]:
    """Sort key: the paper's rows, then other models by name, BSANet last."""
    return (name == OURS, _rank(name, MODEL_TITLES), name)


def dataset_order(name: str) -> int:
    """Sort key: the paper's Tables 1 to 4, then the rest in the given order."""
    return _rank(name, DATASET_TITLES)


def recorded_model(name: str) -> str:
    """Return a model's name in records: ``./my_net.py:build``, as it is trained, is ``file:my_net:build``."""
    file, _, function = name.rpartition(":") if not name.endswith(".py") else (name, "", "build")
    return f"file:{PurePath(file).stem}:{function}" if file.endswith(".py") else name


def model_title(name: str, recorded: str | None = None) -> str:
    """Return the printed name of a model; the paper's network is marked as ours."""
    title = MODEL_TITLES.get(name) or recorded or name
    return f"{title} (ours)" if name == OURS else title


def dataset_title(name: str, recorded: str | None = None) -> str:
    """Return the printed name of a test set; one that mirrors a real set says that it is synthetic."""
    mirrored = name.removeprefix("phantom-")
    if recorded is None and mirrored != name:
        return f"Phantom-{DATASET_TITLES.get(mirrored, mirrored).removeprefix('CVC-')} (synthetic)"
    return recorded or DATASET_TITLES.get(name, name)


def seed_words(seeds: Iterable[int]) -> str:
    """Return seeds for a note: up to eight one by one, more as ranges, and of those the first three and a count."""
    found = list(dict.fromkeys(seeds))
    if len(found) <= _FEW_SEEDS:
        return ", ".join(map(str, found))
    ordered, runs = sorted(found), list[list[int]]()
    for seed in ordered:
        if runs and seed == runs[-1][-1] + 1:
            runs[-1].append(seed)
        else:
            runs.append([seed])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    more = sum(map(len, runs[_FEW_RUNS:]))
    return ", ".join(words[:_FEW_RUNS]) + (f" and {more} more" if more else "")
