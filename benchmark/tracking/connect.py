"""Where the mirror is: a file in the results folder, or the server that ``MLFLOW_TRACKING_URI`` names."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import urllib.error
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from benchmark.data.files.generated import default_cache_dir
from benchmark.errors import BenchError
from benchmark.store import io
from benchmark.store.layout import ResultsLayout

if TYPE_CHECKING:
    from mlflow import MlflowClient

PROBE_S = 3.0
"""Seconds after which a server that does not answer counts as unreachable."""
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_SETTINGS = {
    "MLFLOW_LOGGING_LEVEL": "WARNING",  # silence messages on its database set-up
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for results
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # its defaults, 120 s and 7 retries, would delay a study by minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}


@dataclass(frozen=True)
class Place:
    """Where runs are written.

    Attributes:
        uri: What MLflow calls the tracking URI.
        own: Whether it is the file in the results folder.
    """

    uri: str
    own: bool

    @property
    def is_server(self) -> bool:
        """Whether it is a server."""
        return urlsplit(self.uri).scheme in ("http", "https")

    @property
    def shown(self) -> str:
        """The URI without a password."""
        parts = urlsplit(self.uri)
        return self.uri.replace(f":{parts.password}@", ":***@") if parts.password else self.uri


def place_of(layout: ResultsLayout) -> Place:
    """``MLFLOW_TRACKING_URI`` where it is set, otherwise an sqlite file in the results folder."""
    given = os.environ.get("MLFLOW_TRACKING_URI")
    return Place(given, False) if given else Place(f"sqlite:///{layout.mlflow_db.resolve()}", True)


def connect(layout: ResultsLayout) -> MlflowClient:
    """Return a client of the mirror.

    Raises:
        BenchError: No answer within a few seconds.
    """
    place = place_of(layout)
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    _probe(place)
    if place.own:
        lay_database(layout.mlflow_db)
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=place.uri)


def _probe(place: Place) -> None:
    """Fail early where MLflow itself would retry for minutes."""
    parts = urlsplit(place.uri)
    try:
        if place.is_server:
            url = place.uri.rstrip("/") + "/health"
            with urllib.request.urlopen(url, timeout=PROBE_S):  # nosec B310 # is_server: http or https
                return
        kind = parts.scheme.partition("+")[0]
        if parts.hostname and kind in _DATABASE_PORTS:
            socket.create_connection((parts.hostname, parts.port or _DATABASE_PORTS[kind]), timeout=PROBE_S).close()
    except urllib.error.HTTPError:
        return  # the server answers; the client finds out whether login works
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise BenchError(
            f"no MLflow answers at {place.shown} ({reason}); start it, or correct MLFLOW_TRACKING_URI"
        ) from None


def lay_database(path: Path) -> None:
    """Copy an empty database from the cache: MLflow takes seconds to make one out of all its past schemas."""
    if path.exists():
        return
    template = default_cache_dir() / f"mlflow-{metadata.version('mlflow')}.db"
    if not template.exists():
        _make_template(template)
    if template.exists():
        with io.explain_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(template, path)


def _make_template(template: Path) -> None:
    from mlflow import MlflowClient

    fresh = template.with_name(f".{template.name}.{os.getpid()}")
    try:
        template.parent.mkdir(parents=True, exist_ok=True)
        MlflowClient(tracking_uri=f"sqlite:///{fresh.resolve()}").search_experiments(max_results=1)
        with closing(sqlite3.connect(fresh)) as database:
            database.execute("DELETE FROM experiments")  # MLflow recreates the default one, with its own paths
            database.commit()
        fresh.replace(template)
    except OSError:
        fresh.unlink(missing_ok=True)  # without a cache MLflow creates the database itself
