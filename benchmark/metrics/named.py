"""The named protocols, and protocols from files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmark.errors import BenchError, unknown_name
from benchmark.metrics.protocol import Protocol
from benchmark.untrusted import read_toml

PROTOCOLS: dict[str, Protocol] = {
    p.name: p
    for p in (
        Protocol(
            name="pranet",
            description=(
                "The field's protocol, with the arithmetic of py_sod_metrics. Maps are 8-bit (floats are rounded to "
                "it) and scored at the mask's own size. Each map is stretched to its own [0, 1], for every measure, "
                "MAE included. Dice, IoU and E are taken at 256 thresholds (floor(255 p) >= k, k = 255..0); the "
                "printed mean is the mean of the dataset's mean curve and E_phi_max its maximum. Columns at 0.5 take "
                "the stretched map > 0.5."
            ),
        ),
        Protocol(
            name="pranet-matlab",
            description=(
                "As pranet, with the arithmetic of the original MATLAB code: the threshold list 1:-1/255:0 is "
                "rounded so that at 14 levels (138, 139, 154, 155, 170, 171, 186, 187, 202, 203, 218, 219, 235, "
                "251) a pixel of exactly that level fails its own threshold; specificity is 0 at a threshold "
                "without a true positive; the centroid of S is rounded half away from zero."
            ),
            variant="matlab",
            zero_tp="zero",
        ),
        Protocol(
            name="half",
            description=(
                "One threshold, 0.5, on the map as it is: no stretch, native size. mDSC and mIoU are the means "
                "over images of Dice and IoU at p >= 0.5 (level 128 and above), and the maximum over thresholds "
                "is the value at 0.5 itself. S, weighted F and MAE are taken on the unstretched map."
            ),
            stretch=False,
            thresholds=(0.5,),
            compare=">=",
        ),
        Protocol(
            name="ldnet",
            description=(
                "LDNet's own test: map and mask are both resized to 224 x 224 (bilinear) and cut at >= 0.5, no "
                "stretch. In an image without a true positive the count is replaced by 1 before every ratio. "
                "IoU is the mean of polyp and background IoU, so mIoU here is no other protocol's mIoU."
            ),
            resize="square",
            size_px=224,
            stretch=False,
            thresholds=(0.5,),
            compare=">=",
            zero_tp="one",
            iou="mean",
        ),
        Protocol(
            name="half-mean",
            description=(
                "As half, but Dice and IoU are each the mean of the polyp's and the background's: what other "
                "domains print as mDice and mIoU. The background fills most of an image, so these lie well above the "
                "polyp's own. Scored where it is asked for by name."
            ),
            stretch=False,
            thresholds=(0.5,),
            compare=">=",
            iou="mean",
            dice="mean",
        ),
        Protocol(
            name="half-pixels",
            description=(
                "As half, but the pixels of all images are counted together (micro average) before Dice, IoU, "
                "precision, recall, specificity and F are taken: large polyps and large images weigh more, and an "
                "image without a polyp counts by its false positives alone. Scored where it is asked for by name."
            ),
            stretch=False,
            thresholds=(0.5,),
            compare=">=",
            average="pixels",
        ),
    )
}
"""Every named protocol. The first four are scored in every run; the others where they are asked for."""

STANDARD: tuple[str, ...] = ("pranet", "pranet-matlab", "half", "ldnet")
"""Protocols that every run scores, whichever is printed."""


def get_protocol(protocol: str | Protocol | Path) -> Protocol:
    """Return a protocol by name, from a path that ends in ``.toml``, or as it came.

    Raises:
        BenchError: If the name is unknown (with the nearest one) or the file is wrong.
    """
    if isinstance(protocol, Protocol):
        return protocol
    if str(protocol).endswith(".toml"):
        return load_protocol(Path(protocol))
    if protocol not in PROTOCOLS:
        raise unknown_name("protocol", str(protocol), PROTOCOLS)
    return PROTOCOLS[str(protocol)]


def rules_from_files(protocols: Iterable[Protocol]) -> dict[str, dict[str, Any]]:
    """Return the fields of those protocols that are not named ones, by name, as a record keeps them."""
    own = (protocol for protocol in protocols if PROTOCOLS.get(protocol.name) != protocol)
    return {protocol.name: {k: v for k, v in asdict(protocol).items() if k != "name"} for protocol in own}


def load_protocol(path: str | Path) -> Protocol:
    """Read one's own protocol from a TOML file; what is left out is as in ``pranet``.

    Raises:
        BenchError: If the file cannot be read, has an unknown field (named, with the nearest known one),
            a wrong value, no ``name``, or the name of a built-in protocol.
    """
    path = Path(path)
    try:
        raw = read_toml(path)
    except (OSError, ValueError) as error:
        raise BenchError(f"protocol file {path.name}: cannot be read as TOML: {error}") from error
    name = raw.get("name")
    if not isinstance(name, str) or not name or name in PROTOCOLS:
        raise BenchError(f'protocol file {path.name}: give it a name of its own, name = "..." (got {name!r})')
    return protocol_of(raw, where=f"protocol file {path.name}")


def protocol_of(raw: Mapping[str, Any], *, where: str) -> Protocol:
    """Build a protocol from fields that were read from a file or a record.

    Raises:
        BenchError: An unknown field (with the nearest known one) or a wrong value; ``where`` stands before it.
    """
    known = [f.name for f in fields(Protocol)]
    for key in raw:
        if key not in known:
            raise BenchError(f"{where}: {unknown_name('field', key, known)}")
    if not isinstance(raw.get("description", ""), str):
        raise BenchError(f"{where}: description must be text")
    thresholds = raw.get("thresholds", "all")
    try:
        return Protocol(**{**raw, "thresholds": tuple(thresholds) if isinstance(thresholds, list) else thresholds})
    except BenchError as error:
        raise BenchError(f"{where}: {error}") from error
