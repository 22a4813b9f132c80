"""Printed names and order of models and test sets: as in the paper."""

from __future__ import annotations

from collections.abc import Iterable

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


def _rank(name: str, known: Iterable[str]) -> int:
    order = list(known)
    return order.index(name) if name in order else len(order)


def model_order(name: str) -> tuple[int, int, str]:
    """Sort key: the paper's rows, then other models by name, BSANet last."""
    return (name == OURS, _rank(name, MODEL_TITLES), name)


def dataset_order(name: str) -> int:
    """Sort key: the paper's Tables 1 to 4, then the rest in the given order."""
    return _rank(name, DATASET_TITLES)


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
