"""Which images of a dataset show the same scene: sequences and clusters of identical pixels.

Sources: the table of sequences that comes with CVC-ClinicDB; the scenes of CVC-ColonDB were told apart by eye on all
its frames, since which frame is of which video is not published; the clusters of CVC-ColonDB and Kvasir-SEG were
measured on their files.
"""

from __future__ import annotations

import bisect
import re
from collections import defaultdict
from collections.abc import Iterable

from benchmark.data.listing.folders import Pair

CLINICDB_STARTS = (
    *(1, 26, 51, 68, 79, 104, 127, 152, 178, 200, 206, 228, 253, 278, 298),
    *(318, 343, 364, 384, 409, 429, 448, 467, 479, 504, 529, 547, 572, 592),
)
"""First frame of each of CVC-ClinicDB's 29 sequences; the last one ends at 612."""

COLONDB_STARTS = (1, 39, 61, 77, 98, 149, 156, 204, 226, 264, 274, 301, 321, 341, 361)
"""First frame of each of CVC-ColonDB's 15 scenes, each one polyp in one video; the last one ends at 380.

Where two scenes may be one video they are one group. CVC-300 (149 to 208) is three of them; 48 of its frames are one.
"""
_COLONDB_LAST = 380

COLONDB_CLUSTERS = (
    (108, 139),
    (183, 198),
    (190, 203),
    (242, 245, 248, 251, 254, 257, 260, 263),
    (243, 246, 249, 252, 255, 258, 261),
    (244, 247, 250, 253, 256, 259, 262),
    (276, 289, 296),
)
"""Frames of CVC-ColonDB with identical pixels; each cluster lies inside a scene."""

KVASIR_CLUSTERS = (
    ("cju2i6acqvo6l0799u20fift8", "cjz14qsk2wci60794un9ozwmw"),
    ("cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"),
    ("cju3xhpvvimda0987ygrpzni2", "cju5bf6hxa6m50817rbwettgu"),
    ("cju42dwedlmk60871jbgu4ehi", "cju43b8daly4408170e5ev06g", "cju8bbznkrf5g0871jncffynk"),
    ("cju45jpvfn6c809873pv1i34s", "cjyzkmjy8evns070165gf9dmq"),
    ("cju5ddda9bkkt0850enzwatb1", "cjyzkpsbjdsjq07211dfi4sru"),
    ("cju5fydrud94708507vo6oy21", "cju7avvi51iox0817ym55y6tt"),
    ("cju5jx7jzf7c90871c2i9aiov", "cjyzl833ndne80838pzuq6ila"),
    ("cju76lsehyia10987u54vn8rb", "cju772304yw5t0818vbw8kkjf"),
    ("cju7ehljc2or70871261br8ai", "cjyzufihqquiw0a46jatrbwln"),
    ("cju7fnfv02tt90801djnix9m8", "cjyzuio1qgh040763k56deohv"),
    ("cju886ryxnsl50801r93jai7q", "cju8amfdtqi4x09871tygrgqe"),
)
"""Images of Kvasir-SEG that show one polyp in one view, by ``bench audit data kvasir`` and by eye."""

KVASIR_SCENES = (
    ("cju1g20bdwq6u0835e16xugcd", "cjyzurzvohqnr0794es1itzek"),
    ("cju1hhj6mxfp90835n3wofrap", "cju3x9lttikfb0818a0g104zn"),
    ("cju33za6l2qy70988jhrlp2ev", "cjyzjzssvd8pq0838f4nolj5l"),
    ("cju3tp94kfstl08181awh6z49", "cjyzk8qieoboa0848ogj51wwm"),
    ("cju6wuojavt740818b5qcv3iw", "cju88rl5eo94l0850kf5wtrm1"),
    ("cju77g99iyxc00817zqi2ppor", "cjyztzaqtrv430848l8xgcerw"),
    ("cju7b10ce1mnm08011c5bwyr4", "cjyzu3reghjya0794w7pwoi50"),
    ("cju7d8m3b2e210755l8fj1yph", "cju7dglf226g50987ohbthl19"),
)
"""Further images of Kvasir-SEG that show one polyp: the same frame cropped otherwise, or a frame soon after.

Found by SIFT matches that one similarity transform explains (among the thirty most alike of each image, and for the
names from cjyz on among all), and by eye; there may be more.
"""


def assign_groups(dataset: str, pairs: list[Pair]) -> dict[str, str]:
    """Return the group of each id of ``dataset``; an image without known relatives is its own group."""
    if dataset == "kvasir":
        first = {name: cluster[0] for cluster in (*KVASIR_CLUSTERS, *KVASIR_SCENES) for name in cluster}
        return {pair.id: f"kvasir-{first.get(pair.id, pair.id)}" for pair in pairs}
    if dataset == "clinicdb":
        return {pair.id: clinicdb_group(pair.id) for pair in pairs}
    if dataset in ("colondb", "cvc300"):
        return _colondb_groups(pairs)
    if dataset.startswith("phantom-"):
        return {pair.id: f"{dataset}-{re.sub(r'-f[0-9]+$', '', pair.id)}" for pair in pairs}
    if dataset.startswith("isic"):  # the challenges draw on one archive: equal ids are equal images
        return {pair.id: f"isic-{pair.id.removeprefix('ISIC_')}" for pair in pairs}
    return {pair.id: f"{dataset}-{pair.id}" for pair in pairs}


def clinicdb_group(frame: str) -> str:
    """Return the sequence of a CVC-ClinicDB frame, ``clinicdb-s01`` to ``clinicdb-s29``."""
    return f"clinicdb-s{bisect.bisect_right(CLINICDB_STARTS, int(frame)):02d}"


def colondb_group(frame: str) -> str | None:
    """Return the scene of a CVC-ColonDB or CVC-300 frame, ``colondb-s01`` to ``colondb-s15``; None for other names."""
    if not frame.isascii() or not frame.isdigit() or not 1 <= int(frame) <= _COLONDB_LAST:
        return None
    return f"colondb-s{bisect.bisect_right(COLONDB_STARTS, int(frame)):02d}"


REGROUPED = ("colondb", "cvc300", "endoscene")
"""Datasets whose groups are better known today than in earlier records."""


def regroup(dataset: str, image_id: str, group: str) -> str:
    """Return the group of an image as it is known today, given the one that an earlier record holds."""
    part, _, frame = image_id.rpartition("-") if dataset == "endoscene" else (dataset, "", image_id)
    return (colondb_group(frame) if part in ("colondb", "cvc300") else None) or group


def group_word(dataset: str) -> str:
    """Return what the groups of a dataset are, in the plural."""
    return {"clinicdb": "sequences", "colondb": "scenes", "cvc300": "scenes"}.get(
        dataset, "sequences" if dataset.startswith("phantom-") else "groups of images"
    )


def known_groups(dataset: str) -> str:
    """Return what is known of the groups of a dataset, for whoever reads an interval; empty where they are certain."""
    if dataset.startswith(("phantom-", "clinicdb")):
        return ""
    if dataset.startswith("isic"):
        return _UNKNOWN.format("which images show one patient is not published")
    return _KNOWN.get(dataset, _UNKNOWN.format("none are known but those that its manifest names, if it has one"))


_UNKNOWN = "{}, so single images count as independent, and intervals may be too narrow"
_KNOWN = {
    "kvasir": _UNKNOWN.format(
        "20 polyps are known to be shown repeatedly; which images share a patient is not published"
    ),
    "colondb": "15 scenes told apart by eye; the frames of its videos are not published",
    "cvc300": "3 scenes of CVC-ColonDB told apart by eye; the frames of its videos are not published",
    "endoscene": "the sequences of CVC-ClinicDB, and scenes of CVC-300 told apart by eye",
    "etis": _UNKNOWN.format("its description counts 34 sequences; which frames are of which is not published"),
    "ph2": _UNKNOWN.format("which images show one patient is not published"),
}


def _colondb_groups(pairs: list[Pair]) -> dict[str, str]:
    """Name the scene of each frame; files with other names are grouped by equal pixels."""
    others = [pair for pair in pairs if colondb_group(pair.id) is None]
    first = {name: cluster[0] for cluster in _identical(others) for name in cluster}
    return {pair.id: colondb_group(pair.id) or f"colondb-{first.get(pair.id, pair.id)}" for pair in pairs}


def _identical(pairs: Iterable[Pair]) -> list[list[str]]:
    """Return the ids with equal decoded pixels.

    Files are decoded only where their lengths agree: these frames come from one encoder, which gives equal pixels
    equal bytes.
    """
    from benchmark.data.files.hashing import pixel_hash

    lengths: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        lengths[pair.image.stat().st_size].append(pair)
    clusters: dict[str, list[str]] = defaultdict(list)
    for alike in lengths.values():
        if len(alike) > 1:
            for pair in alike:
                clusters[pixel_hash(pair.image)].append(pair.id)
    return [ids for ids in clusters.values() if len(ids) > 1]
