"""A PostgreSQL cluster of the tests' own, started from Debian's programs."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


def postgres_program(name: str) -> str | None:
    """On the path, or where Debian keeps it."""
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(kept[-1]) if kept else shutil.which(name)


def plain_user() -> str | None:
    """PostgreSQL refuses to run as root: somebody else then, who owns the cluster."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        return int(bound.getsockname()[1])


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """The address of an empty database; the cluster lives in a temporary folder and is deleted at the end."""
    pytest.importorskip("psycopg2", reason="psycopg2 is not installed: no PostgreSQL test")
    initdb, pg_ctl = postgres_program("initdb"), postgres_program("pg_ctl")
    if initdb is None or pg_ctl is None:
        pytest.skip("PostgreSQL is not installed: no PostgreSQL test")
    folder, user, port = Path(tempfile.mkdtemp(prefix="bench-pg-")), plain_user(), free_port()
    if user is not None:
        shutil.chown(folder, user, pwd.getpwnam(user).pw_gid)

    def call(*command: str) -> None:
        log = folder.with_suffix(".log")
        with log.open("wb") as file:  # a pipe would stay open for as long as the server runs
            done = subprocess.run(command, cwd=folder, user=user, stdout=file, stderr=file, timeout=120)
        text = log.read_text(errors="replace")
        log.unlink()
        assert done.returncode == 0, text

    data = str(folder / "data")
    try:
        call(initdb, "-D", data, "-U", "bench", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C")
        options = f"-p {port} -k {folder} -h 127.0.0.1 -c fsync=off"
        call(pg_ctl, "-D", data, "-o", options, "-l", str(folder / "server.log"), "-w", "start")
        yield f"postgresql+psycopg2://bench:unused@127.0.0.1:{port}/postgres"
    finally:
        with contextlib.suppress(AssertionError):
            call(pg_ctl, "-D", data, "-m", "immediate", "stop")
        shutil.rmtree(folder)
