"""Names that the shell completes after an option; each list is built when Tab is pressed and loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

Candidates = list[tuple[str, str]]


def models(incomplete: str) -> Candidates:
    """Groups, the six, the field's, and their variants."""
    from benchmark.models.registry import FIELD, MODELS, VARIANTS

    known = {spec.name: spec.title for spec in (*MODELS.values(), *FIELD.values(), *VARIANTS.values())}
    groups = {"all": "the paper's six", "paper": "the same", "field": "the field's", "every": "both"}
    return _listed(incomplete, {**groups, **known})


def datasets(incomplete: str) -> Candidates:
    """Datasets and groups."""
    from benchmark.data.listing.datasets import DATASETS, GROUPS

    groups = {name: ", ".join(members) for name, members in GROUPS.items()}
    return _listed(incomplete, {**groups, **{name: info.title for name, info in DATASETS.items()}})


def corruptions(incomplete: str) -> Candidates:
    """Groups and names of corruptions."""
    from benchmark.robustness.corruptions import CORRUPTIONS, GROUPS

    groups = {name: f"{len(members)} corruptions" for name, members in GROUPS.items()}
    return _listed(incomplete, {**groups, **{one.name: one.summary for one in CORRUPTIONS.values()}})


def recipes(incomplete: str) -> Candidates:
    """Packaged recipes, and TOML files in the working folder."""
    from importlib import resources

    files = resources.files("benchmark.recipes").iterdir()
    packaged = {f.name.removesuffix(".toml"): "packaged" for f in files if f.name.endswith(".toml")}
    return _plain(incomplete, {**dict(sorted(packaged.items())), **_files(incomplete, ".toml")})


def studies(incomplete: str) -> Candidates:
    """Packaged studies, and TOML files in the working folder."""
    from benchmark.study.files import study_names

    return _plain(incomplete, {**dict.fromkeys(study_names(), "packaged"), **_files(incomplete, ".toml")})


def protocols(incomplete: str) -> Candidates:
    """Named protocols, and TOML files in the working folder."""
    from benchmark.metrics.named import PROTOCOLS

    named = {name: protocol.description for name, protocol in PROTOCOLS.items()}
    return _plain(incomplete, {**named, **_files(incomplete, ".toml")})


def splits(incomplete: str) -> Candidates:
    """Named splits, and exported ones in the working folder."""
    from benchmark.data.splits.choose import SPLITS

    return _plain(incomplete, {**dict.fromkeys(SPLITS, "drawn by this package"), **_files(incomplete, ".json")})


def devices(incomplete: str) -> Candidates:
    """Kinds of device; `bench doctor` says which of them exist."""
    return _plain(incomplete, dict.fromkeys(("auto", "cpu", "cuda", "cuda:0", "mps"), ""))


def _plain(incomplete: str, known: Mapping[str, str]) -> Candidates:
    return [(name, text) for name, text in known.items() if name.startswith(incomplete)]


def _listed(incomplete: str, known: Mapping[str, str]) -> Candidates:
    """Complete the last of several names, comma-separated; those already given are not offered again."""
    before, comma, last = incomplete.rpartition(",")
    given = set(before.split(","))
    fitting: Iterable[str] = (name for name in known if name.startswith(last) and name not in given)
    return [(before + comma + name, known[name]) for name in fitting]


def _files(incomplete: str, suffix: str) -> dict[str, str]:
    folder = Path(incomplete).parent if "/" in incomplete else Path()
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix == suffix)
    except OSError:
        return {}
    start = "./" if incomplete.startswith("./") and folder == Path() else ""
    return {f"{start}{path}": "file" for path in found}
