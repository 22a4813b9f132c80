"""Which images of a dataset show the same scene: sequences and clusters of identical pixels.

Sources: the table of sequences that comes with CVC-ClinicDB; the clusters of CVC-ColonDB and Kvasir-SEG were measured
on their files.
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

COLONDB_CLUSTERS = (
    (108, 139),
    (183, 198),
    (190, 203),
    (242, 245, 248, 251, 254, 257, 260, 263),
    (243, 246, 249, 252, 255, 258, 261),
    (244, 247, 250, 253, 256, 259, 262),
    (276, 289, 296),
)
"""Frames of CVC-ColonDB with identical pixels, as far as known; the rest is found from the files."""

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


def _colondb_groups(pairs: list[Pair]) -> dict[str, str]:
    """Name a cluster by its lowest frame; CVC-300's frames have ColonDB's names: they are the same images."""
    first = {str(n): str(cluster[0]) for cluster in COLONDB_CLUSTERS for n in cluster}
    for cluster in _identical(pair for pair in pairs if pair.id not in first):
        first.update(dict.fromkeys(cluster, cluster[0]))
    return {pair.id: f"colondb-{first.get(pair.id, pair.id)}" for pair in pairs}


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
