"""Protocols: how a map becomes a score, as named, hashed, printable objects."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Literal, get_args

from benchmark.errors import BenchError

Resize = Literal["native", "square"]
Postprocess = Literal["none", "minmax"]
Variant = Literal["pysod", "matlab"]
ZeroTp = Literal["formula", "zero", "one"]
OverlapKind = Literal["foreground", "mean"]
Average = Literal["images", "pixels"]
EmptyMask = Literal["score", "skip", "one-if-empty"]
Compare = Literal[">", ">="]
Quantise = Literal["round", "truncate"]

_CHOICES: dict[str, tuple[str, ...]] = {
    "resize": get_args(Resize),
    "postprocess": get_args(Postprocess),
    "variant": get_args(Variant),
    "zero_tp": get_args(ZeroTp),
    "iou": get_args(OverlapKind),
    "dice": get_args(OverlapKind),
    "average": get_args(Average),
    "empty_mask": get_args(EmptyMask),
    "compare": get_args(Compare),
    "quantise": get_args(Quantise),
}
_YOUNGER = {"quantise": "round", "dice": "foreground", "average": "images", "empty_mask": "score"}
"""Fields that the first records did not know, and what they mean where absent: the old hashes must hold."""

EMPTY_MASK_WORDS: dict[str, str] = {
    "score": "scored as they are (overlap 0, whatever the map)",
    "skip": "left out of every mean",
    "one-if-empty": "overlap 1 where the map is empty too, else 0",
}
"""What a protocol does with an image without a polyp."""


@dataclass(frozen=True)
class Protocol:
    """Everything that decides which number a map gets.

    Attributes:
        name: Short name, as on the command line and in tables. Not hashed.
        description: One paragraph in words. Not hashed.
        quantise: How a float map in [0, 1] becomes 8-bit: "round": round(255 p), half to even; "truncate":
            floor(255 p), as a plain cast does. 8-bit maps are unchanged.
        resize: "native": maps have the mask's own size, any other size is refused. "square": maps and
            masks are resized to ``size_px`` x ``size_px`` first (Pillow, bilinear, antialiased when
            shrinking, on 8-bit values; the resized mask is foreground from 128 on).
        size_px: Side in pixels for "square"; 0 for "native".
        postprocess: "minmax": stretch the map to its own [0, 1] and round to 8 bit once more before
            anything else, as PraNet's test script does before it writes its maps.
        stretch: Per-image min-max stretch inside the scoring (a constant map is unchanged).
        mask_threshold: A grey mask's pixel is foreground above this value (0..255). Applied where masks
            are decoded; the functions here take masks that are boolean already.
        thresholds: "all": the 256 levels k = 255..0, a pixel is foreground from its level on. Or a tuple
            of numbers in [0, 1]; ``dice``, ``iou``, ``em``... of a row are means over these.
        compare: ">" or ">=": how a pixel passes 0.5 (columns ``*_half``) and explicit thresholds.
        variant: "pysod": floor(255 p) >= k. "matlab": p >= the list 1:-1/255:0, whose rounding makes 14
            levels fail their own threshold; stretch by multiplication; centroid rounded half away from 0.
        zero_tp: An image without a true positive: "formula" (each ratio by its formula, 0/0 = 0), "zero"
            (specificity 0 too), "one" (the count is replaced by 1 before every ratio).
        iou: "foreground", or "mean" of foreground and background IoU.
        dice: "foreground", or "mean" of foreground and background Dice.
        average: "images": a figure is the mean over images. "pixels" (micro average): Dice, IoU, precision, recall,
            specificity and F are ratios of the pixels counted over all images together; E, S, weighted F and MAE
            remain means over images, and so do the rows and curves of single images.
        empty_mask: An image whose mask, at its own size, has no foreground. "score": each measure as its formula
            says: Dice, IoU, precision, recall, F and weighted F are 0 whatever the map. "skip": left out of every
            mean. "one-if-empty": those six are 1 at a threshold that no pixel of the map passes, else 0 (weighted F:
            1 if the map is 0 everywhere). A stretched map always has foreground unless it is constant, so
            "one-if-empty" goes with ``stretch = false``.
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
    iou: OverlapKind = "foreground"
    dice: OverlapKind = "foreground"
    average: Average = "images"
    empty_mask: EmptyMask = "score"

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
        numbers = {key: value for key, value in numbers.items() if _YOUNGER.get(key) != value}
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
                *_overlap_words(self),
                *(["pixels of all images counted together"] if self.average == "pixels" else []),
                f"images without a polyp {EMPTY_MASK_WORDS[self.empty_mask]}",
            )
        )

    @property
    def reference_gap(self) -> str:
        """Why py_sod_metrics cannot follow this protocol, in words; "" where it can."""
        gaps = {
            "MATLAB's threshold list and rounding": self.variant != "pysod",
            "another rule for images without a true positive": self.zero_tp != "formula",
            "IoU of polyp and background": self.iou != "foreground",
            "Dice of polyp and background": self.dice != "foreground",
            "pixels of all images counted together": self.average != "images",
            "another rule for images without a polyp": self.empty_mask == "one-if-empty",
        }
        return " and ".join(words for words, present in gaps.items() if present)

    @property
    def label(self) -> str:
        """Name and hash, as tables print them."""
        return f"{self.name} ({self.hash})"


def _overlap_words(protocol: Protocol) -> list[str]:
    kinds = {"IoU": protocol.iou, "Dice": protocol.dice}
    both = " and ".join(name for name, kind in kinds.items() if kind == "mean")
    if not both:
        return ["IoU of the polyp"]
    return [f"{both} {'are' if ' ' in both else 'is'} the mean of polyp and background"]


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
