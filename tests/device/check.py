"""Try the training path on one device, from networks to throughput, in one command that needs no network.

    python tests/device/check.py                 # on a GPU: eight minutes at most
    python tests/device/check.py --device cpu --short

Every step prints a line; at the end a table and, in ``--out``, a JSON file that ``bench estimate --hardware FILE.json``
reads as a measured device. Steps that the time no longer allows are named as left out. Exits with 1 where one failed.
A bare machine needs Python 3.12 and torch; ``wheels.sh`` brings the rest along. mlflow and optuna are not needed.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

import torch  # noqa: E402
from case import Case, Left, Result  # noqa: E402
from correct import CORRECT  # noqa: E402
from speed import SPEED  # noqa: E402

from benchmark.runtime.environment import describe  # noqa: E402

STEPS = {**CORRECT, **SPEED}


def main() -> int:
    """Run the steps in order; 0 if none failed."""
    args = _arguments()
    case = Case.of(args.device, short=args.short, models=args.models)
    begun, results = time.monotonic(), []
    print(f"{case.device}: {describe(str(case.device))['device_name']}, torch {torch.__version__}", flush=True)
    for name, step in STEPS.items():
        if args.only and name not in args.only:
            continue
        result = _run(case, name, step, left=args.limit - (time.monotonic() - begun))
        results.append(result)
        print(result.line(), flush=True)
    _write(args.out, case, results, time.monotonic() - begun)
    failed = [result.name for result in results if result.status == "failed"]
    print(f"\n{len(results)} steps in {time.monotonic() - begun:.0f} s; failed: {', '.join(failed) or 'none'}")
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--short", action="store_true", help="one small network, 64 px: shows that every step runs")
    parser.add_argument("--models", nargs="+", help="names of the registry; unset: the paper's six")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), help="these steps")
    parser.add_argument("--limit", type=float, default=460.0, help="seconds after which no step is begun")
    parser.add_argument("--out", type=Path, default=Path("device-check.json"))
    return parser.parse_args()


def _run(case: Case, name: str, step: object, *, left: float) -> Result:
    begun = time.monotonic()
    if left <= 0:
        return Result(name, "left out", "the time is up")
    try:
        facts = step(case, left)  # type: ignore[operator]
        status, text = "ok", ""
    except Left as reason:
        facts, status, text = {}, "left out", str(reason)
    except Exception as error:
        traceback.print_exc()
        facts, status, text = (
            {},
            "failed",
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        )
    return Result(name, status, text, round(time.monotonic() - begun, 1), facts)


def _write(out: Path, case: Case, results: list[Result], seconds: float) -> None:
    profile = [row for result in results for row in result.facts.pop("profile", [])]
    payload = {
        "device_check": 1,
        "device": str(case.device),
        "environment": {**describe(str(case.device)), "host": None, "python": platform.python_version()},
        "short": case.short,
        "seconds": round(seconds, 1),
        "steps": [vars(result) for result in results],
        "profile": profile,
    }
    out.write_text(json.dumps(payload, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
