"""Records as ``run.json`` holds them, made by hand for the report's tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmark.store.schema import Record

MODELS = ("unet", "unetplusplus", "pranet", "sanet", "ldnet", "bsanet")
KEYS = ("mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE")
MakeRecord = Callable[..., dict[str, Any]]


def _scores(value: float) -> dict[str, float]:
    return {key: value if key != "MAE" else 1 - value for key in KEYS}


@pytest.fixture
def make_record() -> MakeRecord:
    """Return a function that makes one valid record; ``tests`` maps a test set to its mDSC or to all its scores."""

    def make(
        model: str = "bsanet",
        *,
        seed: int = 0,
        tests: dict[str, float | dict[str, float]] | None = None,
        n: int = 100,
        leaked: int = 0,
        protocol_hash: str = "aa11bb22",
        fingerprint: str = "f0",
        split: dict[str, Any] | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        scored = {"kvasir": 0.8} if tests is None else tests
        record = {
            "schema": 1,
            "cell": f"{model}/quick-11112222/seed{seed}",
            "model": model,
            "model_title": {"unet": "U-Net", "bsanet": "BSANet"}.get(model, model),
            "recipe_name": "quick",
            "recipe": {},
            "recipe_hash": "11112222",
            "split": {
                "name": "paper",
                "seed": 0,
                "num_train": 10,
                "num_val": 5,
                "fingerprint_train": "0123456789abcdef",
                "fingerprint_val": "0",
                **(split or {}),
            },
            "seed": seed,
            "status": "ok",
            "pretrained": {"used": False, "name": None, "sha256": None},
            "num_params": 1000,
            "protocols": {"pranet": protocol_hash},
            "tests": {
                name: {
                    "title": {"kvasir": "Kvasir", "colondb": "CVC-ColonDB"}.get(name, name),
                    "n": n,
                    "fingerprint": fingerprint,
                    "num_leaked": leaked,
                    "scores": {"pranet": s if isinstance(s, dict) else _scores(s)},
                }
                for name, s in scored.items()
            },
            "created": "2025-01-01T00:00:00Z",
            **fields,
        }
        return Record.model_validate(record).to_json()

    return make
