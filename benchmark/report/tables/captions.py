"""Required content of a caption, so that a table is self-explanatory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.report.records import select
from benchmark.report.records.identity import is_foreign
from benchmark.report.records.names import dataset_title, seed_words
from benchmark.report.tables.leaks import count_kinds, describe_leaks
from benchmark.report.tables.rows import Row
from benchmark.store.schema import Record


@dataclass(frozen=True)
class Facts:
    """The same for every row of one test set.

    Attributes:
        n: Images scored. of: Images that the set holds, where fewer were scored.
        leaked: Leaked test images by kind; older records count exact copies only; empty if not counted.
        weights: What the networks started from, with names where they differ.
        commit: Of the code that made the records.
        picked: Test sets by whose images checkpoints were picked, with names where they differ; mostly empty.
        tuned: Number of trials of ``bench tune``, with names where it differs; empty where nothing was tuned.
    """

    protocol: str
    protocol_hash: str = ""
    split: str = ""
    recipe: str = ""
    recipe_hash: str = ""
    seeds: tuple[int, ...] = ()
    n: int | None = None
    of: int | None = None
    synthetic: bool = False
    weights: str = ""
    leaked: Mapping[str, int] = field(default_factory=dict)
    commit: str = ""
    tuned: str = ""
    picked: str = ""


def gather_facts(
    records: Sequence[Record], rows: Sequence[Row], dataset: str, protocol: str, seeds: tuple[int, ...]
) -> Facts:
    """Collect what the records of one test set have in common."""
    ours = [r for r in records if not is_foreign(r)]
    tests = [r.tests[dataset] for r in ours or records if dataset in r.tests]
    hashes = [r.protocols[protocol] for r in records if protocol in r.protocols]
    digests = sorted({r.recipe_hash[:8] for r in ours})
    commits = sorted({commit_label(r.environment) for r in ours} - {""})
    name, seed, *_ = select.split_label(ours[0]).split(":") if ours else ("", "")
    return Facts(
        protocol=protocol,
        protocol_hash=hashes[0][:8] if hashes else "",
        split=f"{name} (seed {seed})" if name and seed else name,
        recipe=_join_recipes(ours),
        recipe_hash=digests[0] if len(digests) == 1 else "",
        seeds=seeds,
        n=tests[0].n if len({test.n for test in tests}) == 1 else None,
        of=tests[0].of if tests else None,
        synthetic=any(r.synthetic for r in records if dataset in r.tests),
        weights=_join_weights(rows),
        leaked=count_kinds(tests) if ours else {},
        commit=", ".join(commits),
        tuned=_join_tuned(ours, dataset),
        picked=_join_picked(ours),
    )


def caption(what: str, title: str, facts: Facts, *, with_std: bool = False) -> str:
    """Return the caption as plain text: what was measured, on what, how, and how it was made."""
    sentences = [f"{what} on {title}{count_images(facts, title)}", *_how_made(facts, with_std).values()]
    return ". ".join(sentences) + "."


def common_facts(facts: Sequence[tuple[str, Facts]], *, with_std: bool) -> list[str]:
    """Return what tables of several test sets state together, each fact once; one that differs names its sets.

    Args:
        facts: Title of each test set, and its facts.
        with_std: Deviations over seeds are printed.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for title, one in facts:
        for kind, text in _how_made(one, with_std).items():
            found.setdefault(kind, {}).setdefault(text, []).append(title)
    sentences = []
    for by_text in found.values():
        for text, titles in by_text.items():
            sentences.append(text if len(titles) == len(facts) else f"{text} ({', '.join(titles)})")
    return sentences


def _how_made(facts: Facts, with_std: bool) -> dict[str, str]:
    """The sentences on protocol, split, recipe, seeds, weights, leaks and code, by what they are about."""
    spaced = facts.recipe.replace(",", ", ")  # so that a long list of fields can break across lines
    said = {
        "protocol": f"Protocol {facts.protocol}{_in_brackets(facts.protocol_hash)}",
        "split": facts.split and f"Split {facts.split}",
        "recipe": facts.recipe and f"Recipe {spaced}{_in_brackets(facts.recipe_hash)}",
        "tuned": facts.tuned and f"Recipe tuned on validation images {facts.tuned}",
        "picked": facts.picked,
        "seeds": _seeds(facts.seeds, with_std) if facts.seeds else "",
        "weights": facts.weights and f"Weights: {facts.weights}",
        "leaks": describe_leaks(facts.leaked) if facts.leaked else "",
        "commit": facts.commit and f"Commit {facts.commit}",
        "synthetic": "Synthetic images: these numbers say nothing about real polyps" if facts.synthetic else "",
    }
    return {kind: text for kind, text in said.items() if text}


def commit_label(environment: Mapping[str, Any]) -> str:
    """Return the first digits of the commit, or why there is none; older records name one despite local changes."""
    commit = str(environment.get("commit") or "")[:8]
    if environment.get("commit_state") == "modified":
        return "none (modified source tree)"
    return f"{commit} with local changes" if commit and environment.get("dirty") else commit


def count_images(facts: Facts, title: str) -> str:
    """Return the number of images in brackets, of how many where some are missing; empty where rows differ."""
    if facts.n is None:
        return ""
    kind = "synthetic images" if facts.synthetic and "synthetic" not in title else "images"
    return f" ({facts.n} of {facts.of} {kind})" if facts.of and facts.of != facts.n else f" ({facts.n} {kind})"


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def _seeds(seeds: Sequence[int], with_std: bool) -> str:
    if len(seeds) == 1:
        return f"Seed {seeds[0]}"
    spread = " and standard deviation" if with_std else ""
    return f"Seeds {seed_words(seeds)} (mean{spread})"


def _join_recipes(records: Sequence[Record]) -> str:
    labels = {select.recipe_label(record) for record in records}
    if len(labels) < 2:
        return "".join(labels)
    return f"{' and '.join(dict.fromkeys(record.recipe_name for record in records))} (see column Setting)"


def _join_weights(rows: Sequence[Row]) -> str:
    by_weights: dict[str, list[str]] = {}
    for row in rows:
        if row.weights and not row.foreign:
            by_weights.setdefault(row.weights, []).append(row.title.removesuffix(" (ours)"))
    if len(by_weights) <= 1:
        return "".join(by_weights)
    return "; ".join(f"{weights}: {', '.join(titles)}" for weights, titles in by_weights.items())


def _join_picked(records: Sequence[Record]) -> str:
    """Say which checkpoints were picked on test images, and on whose."""
    sets = {r.model_title or r.model: select.picked_on(r) for r in records}
    if not any(sets.values()):
        return ""
    by_sets: dict[str, list[str]] = {}
    for title, names in sets.items():
        if names:
            by_sets.setdefault(", ".join(map(dataset_title, names)), []).append(title)
    if len(by_sets) == 1 and len(next(iter(by_sets.values()))) == len(sets):
        return f"Checkpoints picked on test images of {next(iter(by_sets))}: optimistic scores"
    said = "; ".join(f"{', '.join(titles)} on {names}" for names, titles in by_sets.items())
    return f"Checkpoints picked on test images, so that these scores are optimistic: {said}"


def _join_tuned(records: Sequence[Record], dataset: str) -> str:
    """Say ``with 20 trials``, or which model with how many where they differ."""
    by_trials: dict[int | None, list[str]] = {}
    for record in records:
        if dataset in record.tests:
            titles = by_trials.setdefault(record.recipe.get("tuned_trials"), [])
            title = record.model_title or record.model
            titles += [title] if title not in titles else []
    if not any(by_trials):
        return ""
    if len(by_trials) == 1:
        return _trials(next(iter(by_trials)))
    return "; ".join(f"{_trials(trials)}: {', '.join(titles)}" for trials, titles in by_trials.items())


def _trials(number: int | None) -> str:
    return "not at all" if number is None else f"with {number} trial{'s' if number > 1 else ''}"
