"""Protocols: how a map becomes a score, as named, hashed, printable objects."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Literal, get_args

from benchmark.errors import BenchError, unknown_name
from benchmark.untrusted import read_toml

Resize = Literal["native", "square"]
Postprocess = Literal["none", "minmax"]
Variant = Literal["pysod", "matlab"]
ZeroTp = Literal["formula", "zero", "one"]
IouKind = Literal["foreground", "mean"]
Compare = Literal[">", ">="]
Quantise = Literal["round", "truncate"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "resize": get_args(Resize),
    "postprocess": get_args(Postprocess),
    "variant": get_args(Variant),
    "zero_tp": get_args(ZeroTp),
    "iou": get_args(IouKind),
    "compare": get_args(Compare),
    "quantise": get_args(Quantise),
}


@dataclass(frozen=True)
class Protocol:
    """Everything that decides which number a map gets.

    Attributes:
        name: Short name, as on the command line and in tables. Not hashed.
        description: One paragraph in words. Not hashed.
        quantise: How a float map in [0, 1] becomes 8-bit: "round": round(255 p), half to even; "truncate":
            floor(255 p), as a plain cast does. 8-bit maps stay as they are.
        resize: "native": maps have the mask's own size, any other size is refused. "square": maps and
            masks are resized to ``size_px`` x ``size_px`` first (Pillow, bilinear, antialiased when
            shrinking, on 8-bit values; the resized mask is foreground from 128 on).
        size_px: Side in pixels for "square"; 0 for "native".
        postprocess: "minmax": stretch the map to its own [0, 1] and round to 8 bit once more before
            anything else, as PraNet's test script does before it writes its maps.
        stretch: Per-image min-max stretch inside the scoring (a constant map stays as it is).
        mask_threshold: A grey mask's pixel is foreground above this value (0..255). Applied where masks
            are decoded; the functions here take masks that are boolean already.
        thresholds: "all": the 256 levels k = 255..0, a pixel is foreground from its level on. Or a tuple
            of numbers in [0, 1]; ``dice``, ``iou``, ``em``... of a row are means over these.
        compare: ">" or ">=": how a pixel passes 0.5 (columns ``*_half``) and explicit thresholds.
        variant: "pysod": floor(255 p) >= k. "matlab": p >= the list 1:-1/255:0, whose rounding makes 14
            levels fail their own threshold; stretch by multiplication; centroid rounded half away from 0.
        zero_tp: An image without a true positive: "formula" (each ratio as it is, 0/0 = 0), "zero"
            (specificity 0 too), "one" (the count is replaced by 1 before every ratio).
        iou: "foreground", or "mean" of foreground and background IoU.
    """

    name: str
    description: str = ""
    quantise: Quantise = "round"
    resize: Resize = "native"
    size_px: int = 0
    postprocess: Postprocess = "none"
    stretch: bool = True
    mask_threshold: int = 127
    thresholds: Literal["all"] | tuple[float, ...] = "all"
    compare: Compare = ">"
    variant: Variant = "pysod"
    zero_tp: ZeroTp = "formula"
    iou: IouKind = "foreground"

    def __post_init__(self) -> None:
        for field, choices in _CHOICES.items():
            value = getattr(self, field)
            if value not in choices:
                raise BenchError(f"protocol field {field} = {value!r}: expected one of {', '.join(choices)}")
        _check_sizes(self)
        _check_thresholds(self)

    @cached_property
    def hash(self) -> str:
        """Eight hex digits over every field that changes a number (not name, not description)."""
        numbers = {k: v for k, v in asdict(self).items() if k not in ("name", "description")}
        if self.quantise == "round":
            del numbers["quantise"]  # younger than the first records: their hashes must hold
        text = json.dumps(numbers, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()

    @property
    def in_words(self) -> str:
        """Every choice that changes a number, in one sentence each."""
        size = "the mask's own size" if self.resize == "native" else f"{self.size_px} x {self.size_px} px"
        if self.thresholds == "all":
            cut = "the 256 levels 255..0"
        else:
            cut = f"p {self.compare} " + ", ".join(f"{t:g}" for t in self.thresholds)
        rules = {
            "formula": "as the formulas say, 0/0 = 0",
            "zero": "specificity 0 too",
            "one": "counted as one true positive",
        }
        return "; ".join(
            (
                f"scored at {size}",
                "float maps rounded to 8 bit" if self.quantise == "round" else "float maps cut to 8 bit",
                *(["stretched and rounded once more before scoring"] if self.postprocess == "minmax" else []),
                "stretched to [0, 1]" if self.stretch else "not stretched",
                f"mask foreground above {self.mask_threshold}",
                f"averaged over {cut}",
                f"columns *_half take p {self.compare} 0.5",
                f"arithmetic of {'py_sod_metrics' if self.variant == 'pysod' else 'MATLAB'}",
                f"no true positive: {rules[self.zero_tp]}",
                "IoU of the polyp" if self.iou == "foreground" else "IoU is the mean of polyp and background",
            )
        )

    @property
    def reference_gap(self) -> str:
        """Why py_sod_metrics cannot follow this protocol, in words; "" where it can."""
        gaps = {
            "MATLAB's threshold list and rounding": self.variant != "pysod",
            "another rule for images without a true positive": self.zero_tp != "formula",
            "IoU of polyp and background": self.iou != "foreground",
        }
        return " and ".join(words for words, present in gaps.items() if present)

    @property
    def label(self) -> str:
        """Name and hash, as tables print them."""
        return f"{self.name} ({self.hash})"


def _check_sizes(protocol: Protocol) -> None:
    size, square = protocol.size_px, protocol.resize == "square"
    if not _is_int(size) or (square and not 1 <= size <= 8192) or (not square and size != 0):
        raise BenchError(f'protocol field size_px = {size!r}: expected 1..8192 with resize = "square", 0 with "native"')
    if not _is_int(protocol.mask_threshold) or not 0 <= protocol.mask_threshold <= 254:
        raise BenchError(f"protocol field mask_threshold = {protocol.mask_threshold!r}: expected 0..254")
    if not isinstance(protocol.stretch, bool):
        raise BenchError(f"protocol field stretch = {protocol.stretch!r}: expected true or false")


def _check_thresholds(protocol: Protocol) -> None:
    levels = protocol.thresholds
    if levels == "all":
        return
    valid = isinstance(levels, tuple) and len(levels) > 0
    if not valid or not all(_is_number(t) and 0 <= t <= 1 for t in levels):
        raise BenchError(f'protocol field thresholds = {levels!r}: expected "all" or a list of numbers from 0 to 1')
    object.__setattr__(protocol, "thresholds", tuple(float(t) for t in levels))


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
    )
}


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
    known = [f.name for f in fields(Protocol)]
    for key in raw:
        if key not in known:
            raise BenchError(f"protocol file {path.name}: {unknown_name('field', key, known)}")
    name = raw.get("name")
    if not isinstance(name, str) or not name or name in PROTOCOLS:
        raise BenchError(f'protocol file {path.name}: give it a name of its own, name = "..." (got {name!r})')
    if not isinstance(raw.get("description", ""), str):
        raise BenchError(f"protocol file {path.name}: description must be text")
    if isinstance(raw.get("thresholds"), list):
        raw["thresholds"] = tuple(raw["thresholds"])
    try:
        return Protocol(**raw)
    except BenchError as error:
        raise BenchError(f"protocol file {path.name}: {error}") from error
