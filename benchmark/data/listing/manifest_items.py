"""From a manifest to items: match names, pair images with masks, draw what is annotated, find groups and parts."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import regex

from benchmark.data.listing.annotations import Outline, black_masks, draw_masks, read_annotations
from benchmark.data.listing.folders import ACCEPTED, Pair, composed, looks_like_image, pair_by_id, refuse_pipe, shown
from benchmark.data.listing.items import Item, natural_key
from benchmark.data.listing.manifest import Manifest
from benchmark.errors import BenchError

_MATCH_S = 0.5


def manifest_items(manifest: Manifest, *, home: Path | None = None, cache_dir: Path | None = None) -> list[Item]:
    """Return the items that a manifest describes, in natural order of their ids.

    Args:
        manifest: What ``load_manifest`` read.
        home: The folder that its patterns start from; None for what it says itself.
        cache_dir: Where masks are drawn from annotations; None for the user's cache folder.
    Raises:
        BenchError: If a pattern matches nothing, an image has no mask or no group, or two files claim one id.
    """
    root = home or manifest.path.parent / manifest.root
    if not root.is_dir():
        raise BenchError(f"manifest {manifest.path}: root {root} is not a folder; it is relative to the manifest")
    pairs = _pairs(manifest, root, cache_dir) if manifest.images else []
    negatives = _by_id(manifest, root, manifest.negatives, manifest.image_id, "negatives") if manifest.negatives else {}
    known = {pair.id: pair.image for pair in pairs}
    negatives = {name: path for name, path in negatives.items() if known.get(name) != path}
    twice = sorted(negatives.keys() & known.keys())
    if twice:
        both = f"{negatives[twice[0]]} and {known[twice[0]]}"
        raise BenchError(f"manifest {manifest.path}: {both} have the same id {twice[0]!r}: narrow negatives")
    pairs += pair_by_id(negatives, black_masks(negatives, cache_dir=cache_dir))
    pairs.sort(key=lambda pair: natural_key(pair.id))
    groups = _groups(manifest, [pair.id for pair in pairs])
    return [
        Item(
            manifest.name,
            pair.id,
            pair.image,
            pair.mask,
            f"{manifest.name}-{groups[pair.id]}",
            _part(manifest, pair.id),
            channels=manifest.channels,
            mask_threshold=manifest.mask_threshold,
            mask_colours=manifest.mask_colours and pair.id not in negatives,
        )
        for pair in pairs
    ]


def _pairs(manifest: Manifest, root: Path, cache_dir: Path | None) -> list[Pair]:
    """Pair images with their mask files, or with masks drawn from annotations."""
    if manifest.annotations:
        images = _by_id(manifest, root, manifest.images, manifest.image_id, "images")
        return pair_by_id(images, _drawn(manifest, root, images, cache_dir))
    masks = _by_id(manifest, root, manifest.masks, manifest.mask_id, "masks")
    images = _by_id(manifest, root, manifest.images, manifest.image_id, "images", without=set(masks.values()))
    return pair_by_id(images, masks)


def _part(manifest: Manifest, name: str) -> str:
    match = _matched(manifest, manifest.part, name) if manifest.part else None
    if manifest.part and match is None:
        raise BenchError(
            f"manifest {manifest.path}: part {manifest.part!r} does not match {name}; every image needs one"
        )
    return manifest.part_names.get(match["part"], match["part"]) if match else ""


def _drawn(manifest: Manifest, root: Path, images: dict[str, Path], cache_dir: Path | None) -> dict[str, Path]:
    """Draw the annotated masks of images, by id; an image that no file annotates has none."""
    given = sorted({path for glob in manifest.annotations for path in _glob(manifest, root, glob, "annotations")})
    if not given:
        raise BenchError(f"manifest {manifest.path}: annotations = {', '.join(manifest.annotations)}: no file matches")
    outlines = read_annotations(given, shapes=manifest.shapes, labels=manifest.labels)
    by_path = {PurePosixPath(name).with_suffix("").as_posix(): one for name, one in outlines.items()}
    by_stem: dict[str, list[Outline]] = {}
    for name, one in by_path.items():
        by_stem.setdefault(composed(PurePosixPath(name).name), []).append(one)
    found: dict[str, Outline] = {}
    for key, path in images.items():
        below = path.relative_to(root).with_suffix("").as_posix()
        of_stem = by_stem.get(composed(path.stem), [])
        matching = [one for name, one in by_path.items() if below == name or below.endswith(f"/{name}")] or of_stem
        if len(matching) == 1:
            found[key] = matching[0]
        elif matching:
            raise BenchError(f"manifest {manifest.path}: {path} may be annotated as {matching[0].name} or as another")
    return draw_masks(found, {key: images[key] for key in found}, cache_dir=cache_dir)


def _glob(manifest: Manifest, root: Path, glob: str, what: str) -> list[Path]:
    try:
        return [path for path in root.glob(glob) if path.is_file() or refuse_pipe(path)]
    except (OSError, ValueError, NotImplementedError, RecursionError) as error:
        raise BenchError(f"manifest {manifest.path}: {what} = {glob}: {error}; fix the pattern") from None


def _by_id(
    manifest: Manifest, root: Path, globs: Sequence[str], pattern: str, what: str, without: set[Path] | None = None
) -> dict[str, Path]:
    there = {path for glob in globs for path in _glob(manifest, root, glob, what) if looks_like_image(path.name)}
    there -= without or set()
    found: dict[str, Path] = {}
    for path in sorted(there, key=lambda path: natural_key(str(path))):
        below = path.relative_to(root).with_suffix("").as_posix()
        match = _matched(manifest, pattern, path.stem if manifest.match == "stem" else below, whole=True)
        if match is None:
            continue
        parts = match.groupdict()
        name = composed(re.sub(r"[/\\]", "-", "-".join(filter(None, (parts.get("prefix"), parts["id"])))))
        first = found.setdefault(name, path)
        if first is not path:
            wider = ', or set match = "path" and add a group prefix' if manifest.match == "stem" else ""
            remedy = f"narrow {what} or {what[:-1]}_id{wider}"
            raise BenchError(f"manifest {manifest.path}: {path} and {first} have the same id {name!r}: {remedy}")
    if not found:
        tried = ", ".join(globs)
        why = (
            f"{len(there)} files match, none has the form {pattern!r}"
            if there
            else f"no image file matches (expected {ACCEPTED})"
        )
        raise BenchError(f"manifest {manifest.path}: {what} = {tried} below {root}: {why}")
    return found


def _groups(manifest: Manifest, ids: Sequence[str]) -> dict[str, str]:
    rule = manifest.group
    if rule is None:
        return {name: name for name in ids}
    found: dict[str, str]
    if rule.regex is not None:
        matches = {name: _matched(manifest, rule.regex, name) for name in ids}
        found = {name: match["group"] for name, match in matches.items() if match is not None}
        where = f"group.regex {rule.regex!r} does not match"
    else:
        table = manifest.path.parent / str(rule.table)
        found = _table(table)
        where = f"group.table {table} has no line for"
    absent = [name for name in ids if name not in found]
    if absent:
        raise BenchError(f"manifest {manifest.path}: {where} {shown(absent)}; every image needs a group")
    return found


def _table(path: Path) -> dict[str, str]:
    """Read a CSV file with the columns id and group."""
    found: dict[str, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if not {"id", "group"} <= set(rows.fieldnames or ()):
                raise BenchError(f"{path}, line 1: expected the columns id and group, got {rows.fieldnames}")
            for row in rows:
                name, group = row["id"], row["group"]
                if not name or not group:
                    raise BenchError(f"{path}, line {rows.line_num}: expected an id and a group")
                if found.setdefault(name, group) != group:
                    raise BenchError(f"{path}, line {rows.line_num}: id {name!r} has two groups; keep one")
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}; check the file") from error
    return found


def _matched(manifest: Manifest, pattern: str, text: str, *, whole: bool = False) -> Any:
    """Match a name by ``regex``, which agrees with ``re`` and can be stopped: some patterns would run for years."""
    try:
        return (regex.fullmatch if whole else regex.search)(pattern, text, timeout=_MATCH_S)
    except TimeoutError:
        raise BenchError(
            f"manifest {manifest.path}: pattern {pattern!r} takes more than {_MATCH_S} s on {text!r}; "
            "write it without nested repetitions such as (a+)+"
        ) from None
