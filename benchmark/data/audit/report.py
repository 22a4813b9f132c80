"""An audit as lines for a terminal and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.data.listing.items import natural_key

if TYPE_CHECKING:
    from benchmark.data.audit.leaks import Leak
    from benchmark.data.audit.search import Audit, Conflict
    from benchmark.data.listing.items import Item
    from benchmark.data.twins.find import NearPair

_SHOWN, _SHOWN_NAMES = 40, 5
LOOKED_FOR = (
    "equal pixels; copies re-encoded, resized, brightened, mirrored, or cropped by about 5 %. "
    "Not found: larger crops, turns by 90 degrees, other frames of one polyp"
)
_KINDS = {
    "exact": "identical to a training image",
    "near": "nearly identical to a training image",
    "sequence": "of a training sequence or scene",
}


def name_of(item: Item) -> str:
    """Return ``<dataset>/<id>``."""
    return f"{item.dataset}/{item.id}"


def to_text(audit: Audit) -> str:
    """Return the whole audit as lines; long lists are truncated, JSON and HTML are complete."""
    total = sum(map(len, audit.items.values()))
    sets = ", ".join(f"{name} {len(items)}" for name, items in audit.items.items())
    within = [pair for pair in audit.near if pair.same_group]
    across = [pair for pair in audit.near if not pair.same_group]
    inner = [cluster for cluster in audit.exact if _repeats(cluster)]
    spread = len(audit.exact) - len(inner)
    lines = [f"audited {total} images: {sets}"]
    lines += [f"incomplete   {name}: {what}" for name, what in audit.partial.items()]
    lines += [f"missing      {name}: {what}" for name, what in audit.missing.items()]
    lines += [f"unreadable   {fault}" for fault in audit.unreadable]
    lines.append(
        f"exact        {len(inner)} groups of identical images in one set"
        + (f"; {spread} images that are repeated only in other datasets" if spread else "")
    )
    lines += _cut(f"  {_names(cluster)}" for cluster in inner)
    lines.append(f"masks        {len(audit.conflicts)} groups of identical images whose masks differ")
    lines += _cut(f"  {_conflict(one)}" for one in audit.conflicts)
    lines.append(f"near         {len(across)} pairs of near-duplicates, and {len(within)} within known sequences")
    lines += _cut(f"  {_pair(pair)}" for pair in across)
    lines.append(f"containment  {len(audit.containment)} sets that share images with another")
    lines += [f"  {_contained(*one)}" for one in audit.containment]
    for one in audit.same_names:
        lines.append(f"same names   {len(one.names)} file names occur in both {one.first} and {one.second}")
        lines += _cut(f"  {name}" for name in one.names[:_SHOWN_NAMES])
    lines.append(f"looked for   {LOOKED_FOR}")
    if audit.split:
        lines.append(f"split        {audit.split}")
    for name, leaks in audit.leaks.items():
        lines += _leak_lines(name, leaks)
    return "\n".join(lines)


def _contained(inner: str, outer: str, num_exact: int, num_any: int, of: int) -> str:
    extra = f" ({num_any - num_exact} of them near-duplicates)" if num_any > num_exact else ""
    return f"{num_any} of {of} images of {inner} are also in {outer}{extra}"


def _repeats(cluster: Sequence[Item]) -> bool:
    return len({item.dataset for item in cluster}) < len(cluster)


def _leak_lines(name: str, leaks: Sequence[Leak]) -> list[str]:
    if not leaks:
        return [f"test {name}: no leaked image"]
    counts = {kind: [leak for leak in leaks if leak.kind == kind] for kind in _KINDS}
    parts = [f"{len(found)} {_KINDS[kind]}" for kind, found in counts.items() if found]
    adjacent = sum(_is_next(leak) for leak in counts["sequence"])
    if adjacent:
        parts[-1] += f" ({adjacent} beside an adjacent frame)"
    lines = [f"test {name}: {len(leaks)} leaked images: {', '.join(parts)}"]
    return lines + _cut(f"  {leak.id} <- {leak.twin} ({leak.kind})" for leak in leaks)


def _is_next(leak: Leak) -> bool:
    ours, theirs = leak.id.rpartition("-")[2], leak.twin.rpartition("/")[2].rpartition("-")[2]
    digits = ours.lstrip("f"), theirs.lstrip("f")
    return all(text.isdecimal() for text in digits) and abs(int(digits[0]) - int(digits[1])) == 1


def _cut(lines: Iterable[str]) -> list[str]:
    every = list(lines)
    return every if len(every) <= _SHOWN else [*every[:_SHOWN], f"  and {len(every) - _SHOWN} more"]


def _names(items: Iterable[Item]) -> str:
    return " = ".join(map(name_of, items))


def _conflict(one: Conflict) -> str:
    values = dice_of(one)
    shown = ", ".join(values[:6]) + (f" and {len(values) - 6} more" if len(values) > 6 else "")
    return f"{_names(one.items)}: Dice of masks {shown or 'unknown'}" + "".join(f"; {f}" for f in one.unreadable)


def dice_of(one: Conflict) -> list[str]:
    """Return "108/139 0.944" for each pair of masks that differs; an id in several datasets is listed once."""
    seen: dict[tuple[str, ...], float] = {}
    for (a, b), dice in one.dice.items():
        seen.setdefault(tuple(sorted((one.items[a].id, one.items[b].id), key=natural_key)), dice)
    return [f"{'/'.join(ids)} {dice:.3f}" for ids, dice in seen.items()]


def _pair(pair: NearPair) -> str:
    turned = f", mirrored {pair.mirrored}" if pair.mirrored else ""
    return f"{name_of(pair.first)} ~ {name_of(pair.second)} (correlation {pair.correlation:.3f}{turned})"


def to_json(audit: Audit) -> dict[str, Any]:
    """Return all findings, by ids."""
    return {
        "num_images": {name: len(items) for name, items in audit.items.items()},
        "partial": dict(audit.partial),
        "missing": dict(audit.missing),
        "unreadable": list(audit.unreadable),
        "exact": [[name_of(item) for item in cluster] for cluster in audit.exact],
        "conflicts": [
            {
                "images": [name_of(item) for item in one.items],
                "dice": [
                    {"images": [name_of(one.items[a]), name_of(one.items[b])], "dice": dice}
                    for (a, b), dice in one.dice.items()
                ],
                "unreadable": list(one.unreadable),
            }
            for one in audit.conflicts
        ],
        "near": [
            {
                "images": [name_of(pair.first), name_of(pair.second)],
                "correlation": pair.correlation,
                "mirrored": pair.mirrored,
                "window": list(pair.window),
                "same_group": pair.same_group,
            }
            for pair in audit.near
        ],
        "containment": [one._asdict() for one in audit.containment],
        "same_names": [one._asdict() for one in audit.same_names],
        "looked_for": LOOKED_FOR,
        "split": audit.split,
        "leaks": {name: [leak._asdict() for leak in leaks] for name, leaks in audit.leaks.items()},
    }
