"""How hard the fuzzing tries: a few inputs in the suite, many with BENCH_FUZZ=N."""

from __future__ import annotations

import os

import pytest
from fuzzing import TRIED
from hypothesis import HealthCheck, settings

settings.register_profile(
    "bench",
    max_examples=int(os.environ.get("BENCH_FUZZ", "30")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("bench")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many inputs the fuzzing tried."""
    if TRIED:
        parts = ", ".join(f"{name} {count}" for name, count in sorted(TRIED.items()))
        terminalreporter.write_line(f"inputs tried: {sum(TRIED.values())} ({parts})")
