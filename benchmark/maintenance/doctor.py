"""What this machine has for a study, what is missing, and how to get it. Nothing is downloaded or changed."""

from __future__ import annotations

import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from benchmark.errors import BenchError

State = Literal["ok", "missing", "broken"]
LOW_SPACE_GB = 5.0
FOR_DEVELOPMENT = ("test", "lint", "docs", "dev")
"""Extras for work on the package itself; they are not checked."""
_TOOLS = {
    "chromium": (("chromium", "chromium-browser", "google-chrome", "chrome"), "needed only by the test of `bench ui`"),
    "pdflatex": (("pdflatex",), "typesets the tables of `bench tables --latex`; from TeX Live"),
    "git": (("git",), "records name the commit that made them; from your system's packages"),
}


@dataclass(frozen=True)
class Finding:
    """One checked item.

    Attributes:
        area: versions, extras, devices, data, weights, space, results or tools.
        name: What it is.
        state: ``ok``; ``missing`` (a study can do without); ``broken`` (every study needs it).
        found: Version, number, place.
        how: How to get or repair it; empty if nothing is wrong.
    """

    area: str
    name: str
    state: State
    found: str
    how: str = ""


def examine(
    data_root: Path | None = None,
    results: Path = Path("results"),
    cache_dir: Path | None = None,
    *,
    weights: bool = True,
) -> list[Finding]:
    """Check everything, in the order of the table.

    Args:
        data_root: Data root; None takes BENCH_DATA_ROOT.
        results: Results folder; it need not exist.
        cache_dir: Cache folder; None for the user's.
        weights: Also build each of the six models from its ImageNet weights (some seconds each), offline.
    """
    findings = [*_versions(), *_devices(), *_data(data_root)]
    if weights:
        findings += _weights()
    return [*findings, *_space(results, cache_dir), *_records(results), *_tools()]


def _versions() -> Iterator[Finding]:
    from benchmark._version import __version__
    from benchmark.runtime.source_tree import source_state

    commit, state = source_state()
    source = f"commit {commit[:8]}" if commit else f"no commit ({state})"
    yield Finding("versions", "polyp-bench", "ok", f"{__version__}, {source}")
    yield Finding("versions", "python", "ok", platform.python_version())
    try:
        wanted = metadata.requires("polyp-bench") or []
    except metadata.PackageNotFoundError:
        how = "python -m pip install -e . in the source tree"
        yield Finding("versions", "distribution", "missing", "polyp-bench is imported but not installed", how)
        return
    yield from _requirements(wanted)


def _requirements(wanted: Sequence[str]) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    for requirement in map(Requirement, wanted):
        extra = _extra(requirement.marker)
        if extra in FOR_DEVELOPMENT or requirement.name == "polyp-bench":  # an extra that asks for other extras
            continue
        have = _installed(requirement.name)
        fits = have is not None and requirement.specifier.contains(have, prereleases=True)
        if extra is None:
            how = "" if fits else f"python -m pip install '{requirement.name}{requirement.specifier}'"
            yield Finding("versions", requirement.name, "ok" if fits else "broken", have or "not installed", how)
        else:
            how = "" if fits else f"python -m pip install 'polyp-bench[{extra}]'"
            name = f"{requirement.name} [{extra}]"
            yield Finding("extras", name, "ok" if fits else "missing", have or "not installed", how)


def _extra(marker: object) -> str | None:
    """The extra that a requirement's marker names; None where it names none."""
    named = re.search(r"""extra\s*==\s*["']([^"']+)""", str(marker or ""))
    return named.group(1) if named else None


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _devices() -> Iterator[Finding]:
    try:
        import torch
    except Exception as error:  # a broken install fails in many ways
        yield Finding("devices", "torch", "broken", f"{type(error).__name__}: {error}", "reinstall torch")
        return
    yield Finding("devices", "cpu", "ok", f"{os.cpu_count()} cores, {torch.get_num_threads()} threads of torch")
    cards = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if _cuda(torch) else []
    for number, card in enumerate(cards):
        yield Finding("devices", f"cuda:{number}", "ok", card)
    if not cards:
        how = "install a CUDA build of torch and the driver; --device cpu needs neither"
        yield Finding("devices", "cuda", "missing", f"torch {torch.__version__} sees no GPU", how)


def _cuda(torch: object) -> bool:
    return bool(torch.cuda.is_available())  # type: ignore[attr-defined]


def _data(root: Path | None) -> Iterator[Finding]:
    from benchmark.data.listing.found import list_datasets

    try:
        rows = list_datasets(root)
    except BenchError as error:
        yield Finding("data", "data root", "broken", str(error), "give a folder that exists to --data-root")
        return
    for row in rows:
        how = "" if row.found and not row.note else f"bench data fetch {row.name}" if not row.found else row.note
        found = f"{row.num_images} of {row.expected} images" if row.found else "not found"
        whole = row.found and row.num_images == row.expected
        state: State = "ok" if whole else "missing"
        yield Finding(
            "data",
            row.name,
            state,
            found + (" (synthetic)" if "synthetic" in row.note else ""),
            how if not whole else "",
        )


def _weights() -> Iterator[Finding]:
    os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported: it looks into its cache only
    from benchmark.models.registry import MODELS, build_model

    for spec in MODELS.values():
        name = f"{spec.name} ({spec.encoder or 'its encoder'})"
        try:
            build_model(spec, pretrained=True)
        except BenchError as error:
            how = " ".join(str(error).split())
            yield Finding(
                "weights", name, "missing", "no ImageNet weights; recipes with pretrained=false need none", how
            )
        else:
            yield Finding("weights", name, "ok", "ImageNet weights load")


def _space(results: Path, cache_dir: Path | None) -> Iterator[Finding]:
    from benchmark.data.files.generated import default_cache_dir

    places = {"results": results, "cache": cache_dir or default_cache_dir(), "temporary": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        there = _nearest(folder)
        free = shutil.disk_usage(there).free / 1e9
        text = f"{free:.1f} GB free at {folder}"
        if not os.access(there, os.W_OK):
            yield Finding("space", name, "broken", f"{folder} cannot be written", "choose another folder")
        elif free < LOW_SPACE_GB:
            yield Finding(
                "space", name, "missing", text, f"free some space (bench clean), {LOW_SPACE_GB:.0f} GB or more"
            )
        else:
            yield Finding("space", name, "ok", text)


def _nearest(folder: Path) -> Path:
    """The folder itself or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def _records(results: Path) -> Iterator[Finding]:
    from benchmark.store import io
    from benchmark.store.layout import ResultsLayout

    if not results.is_dir():
        yield Finding("results", "records", "missing", f"{results}: no such folder yet", "bench run creates it")
        return
    good, bad = 0, []
    for path in sorted(ResultsLayout(results).runs.rglob("run.json")):
        try:
            io.read_record(path)
            good += 1
        except BenchError as error:
            bad.append(str(error))
    for text in bad:
        yield Finding("results", "record", "broken", text.partition(": ")[0], text.partition(": ")[2])
    yield Finding("results", "records", "ok", f"{good} readable in {results}")


def _tools() -> Iterator[Finding]:
    for name, (commands, how) in _TOOLS.items():
        found = next(filter(None, map(shutil.which, commands)), None)
        yield Finding("tools", name, "ok" if found else "missing", found or "not found", "" if found else how)
