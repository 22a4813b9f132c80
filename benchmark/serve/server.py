"""Load the networks, then listen until a signal."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError
from benchmark.prediction.loaded import LoadedModel, load_model
from benchmark.serve.about import facts_of_cell, facts_of_checkpoint
from benchmark.serve.access import LOOPBACK


@dataclass(frozen=True)
class Loaded:
    """Networks by id, and what is known of each."""

    models: Mapping[str, LoadedModel]
    facts: Mapping[str, Mapping[str, Any]]


def load_cells(runs: list[str], *, model: str | None, results: Path, device: str) -> Loaded:
    """Load the best weights of cells.

    Raises:
        BenchError: A cell is not found, occurs twice, or has no weights.
    """
    from benchmark.prediction.network import cell_of
    from benchmark.store import io

    models: dict[str, LoadedModel] = {}
    facts: dict[str, dict[str, Any]] = {}
    for number, run in enumerate(runs, 1):
        record = io.read_record(cell_of(run, results).record)
        if any(one.get("cell") == record.cell for one in facts.values()):
            raise BenchError(f"--run {run}: {record.cell} is named twice; name each cell once")
        models[f"m{number}"] = load_model(run, model=model, results=results, device=device)
        facts[f"m{number}"] = facts_of_cell(record, results)
    return Loaded(models, facts)


def load_released(model: str, checkpoint: Path, *, recipe: str, device: str) -> Loaded:
    """Load a released checkpoint.

    Raises:
        BenchError: It is missing or does not fit.
    """
    one = load_model(model=model, checkpoint=checkpoint, recipe=recipe, device=device)
    return Loaded({"m1": one}, {"m1": facts_of_checkpoint(one, checkpoint)})


def listen(host: str, port: int) -> socket.socket:
    """Bind; port 0 takes a free one.

    Raises:
        BenchError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except (OSError, OverflowError) as error:
        bound.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise BenchError(f"--host {host} --port {port}: {reason}; choose another port, or 0 for a free one") from None
    return bound


def serve(loaded: Loaded, bound: socket.socket, host: str, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; beyond loopback only to who brings the token that is printed."""
    import uvicorn

    from benchmark.serve.app import make_app

    token = None if host in LOOPBACK else secrets.token_urlsafe(24)
    app = make_app(loaded.models, loaded.facts, hosts=LOOPBACK if token is None else None, token=token)
    port = bound.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    say(f"open http://{shown}:{port}/{f'?token={token}' if token else ''}")
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=5, server_header=False
    )
    uvicorn.Server(config).run(sockets=[bound])
