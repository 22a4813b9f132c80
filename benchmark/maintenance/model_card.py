"""A card that goes with weights: what they are, how they were trained, how they score, what they are not for."""

from __future__ import annotations

from benchmark.data.listing.datasets import dataset_info
from benchmark.store.schema import Record, TestResult

_PROTOCOL = "pranet"


def model_card(record: Record) -> str:
    """Markdown of a record's card; every figure is the record's."""
    without = f" without {', '.join(record.ablation)}" if record.ablation else ""
    warning = "**Trained or tested on synthetic images: its scores compare nothing.**"
    synthetic = ["", warning] if record.synthetic else []
    split = record.split
    lines = [
        f"# {record.model_title}{without}",
        "",
        "Segments polyps in colonoscopy images. For research; not a medical device, and not tested as one.",
        *synthetic,
        "",
        "## Weights",
        "",
        f"- `best.pt`, SHA-256 `{record.best_sha256}`; load by `bench.load_model` or `bench predict --run`.",
        f"- {record.num_params:,} parameters." if record.num_params else "- Number of parameters not recorded.",
        f"- Started from {_start(record)}.",
        "",
        "## Training",
        "",
        f"- Cell `{record.cell}`, seed {record.seed}.",
        f"- Recipe `{record.recipe_name}` at {record.recipe.get('image_size')} px.",
        f"- Split `{split.name}` (seed {split.seed}): {split.num_train} images train, {split.num_val} choose the epoch "
        f"({record.best_epoch}).",
        f"- Code: commit {record.environment.get('commit') or 'not known'}.",
        "",
        "## Scores",
        "",
        "| test set | protocol | images | mDSC | leaked images |",
        "|---|---|--:|--:|--:|",
        *[_row(test) for test in record.tests.values()],
        "",
        "One training; `bench tables --ci` gives intervals from the scores of single images beside this file.",
        "",
        "## Data and licence",
        "",
        *[f"- {dataset_info(name).title}: {dataset_info(name).licence}" for name in record.tests],
        "- The images' terms bind who trains on them; weights trained on research-only images are for research only.",
    ]
    return "\n".join(lines) + "\n"


def _start(record: Record) -> str:
    used, name = record.pretrained.get("used", bool(record.pretrained.get("name"))), record.pretrained.get("name")
    return f"pretrained weights {name or ''}".strip() if used else "random values"


def _row(test: TestResult) -> str:
    protocol = _PROTOCOL if _PROTOCOL in test.scores else next(iter(test.scores), "")
    value = test.scores.get(protocol, {}).get("mDSC")
    leaked = "not counted" if test.num_leaked is None else str(test.num_leaked)
    return f"| {test.title} | {protocol} | {test.n} | {'' if value is None else f'{value:.3f}'} | {leaked} |"
