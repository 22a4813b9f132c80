"""Constraints between published numbers, whoever measured them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from fractions import Fraction

from benchmark.report.literature.published import Finding, PublishedRow, Severity


def half_unit(printed: Decimal) -> Fraction:
    """Return half a unit of the last printed digit: 0.832 -> 1/2000."""
    exponent = printed.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError(f"{printed} is not a finite number")
    return Fraction(10) ** exponent / 2


def interval(printed: Decimal) -> tuple[Fraction, Fraction]:
    """Return the closed interval of true values in [0, 1] that can be printed so, whichever way ties round."""
    value, half = Fraction(printed), half_unit(printed)
    return max(value - half, Fraction(0)), min(value + half, Fraction(1))


def least_iou(dice: Fraction) -> Fraction:
    """Return the least mean IoU for a mean Dice: D / (2 - D)."""
    return dice / (2 - dice)


def dice_iou_fault(dice: Decimal, iou: Decimal) -> str | None:
    """Return why two printed means are inconsistent, None if they are consistent.

    For the foreground of one binary map, IoU is a function of Dice: j = f(d) = d / (2 - d) on [0, 1]. (With overlap
    I and areas A, B: d = 2I / (A + B), j = I / (A + B - I).) f is increasing and convex, f(0) = 0, f(1) = 1.

    * j <= d for every map, since 2 - d >= 1; a mean over anything keeps that: J <= D.
    * J = E[f(d)] >= f(E[d]) = D / (2 - D), by Jensen's inequality for convex f.

    Both need nothing but that Dice and IoU are averaged over the same cases with the same weights. So they hold for
    means over images at one threshold; for PraNet's meanDic and meanIoU, which average over 256 thresholds and all
    images alike; for its maxDic and maxIoU (with t the threshold where the mean Dice peaks, J_max >= J_t >= f(D_t),
    and with s where the mean IoU peaks, J_max = J_s <= D_s <= D_max); for counts pooled over a set, where J = f(D);
    and when maps without overlap count 0 for both. Every pair between the bounds can occur: they bound the convex
    hull of the curve, which is the set of all such means. They do not bind a "mIoU" that averages foreground and
    background when the Dice does not, nor two columns taken from different runs or images.

    Rounding. A printed number stands for the closed interval of half a unit of its own last digit on either side,
    ends included. The pair is possible when some D and J in the two intervals satisfy f(D) <= J <= D. As f is
    increasing, that is so exactly when f(D_low) <= J_high and J_low <= D_high; both are decided in exact fractions.
    This is lenient by one case: an mIoU one unit above the mDSC passes, though one rounding rule for both columns
    would keep J <= D in print as well.
    """
    (dice_low, dice_high), (iou_low, iou_high) = interval(dice), interval(iou)
    if iou_low > dice_high:
        slack = half_unit(dice) + half_unit(iou)
        return (
            f"mIoU {iou} is above mDSC {dice}, which no set of images can give: the IoU of a map never exceeds its "
            f"Dice, and rounding explains at most {float(slack):g}"
        )
    if least_iou(dice_low) > iou_high:
        bound = float(least_iou(dice_low))
        return (
            f"mIoU {iou} is below what mDSC {dice} allows: the mean IoU is at least D/(2 - D), here {bound:.4f} for "
            "the least Dice that prints so, whatever the images"
        )
    return None


def check_row(row: PublishedRow, *, notes: bool) -> Iterator[Finding]:
    """Yield the errors of one printed row."""
    outside = [key for key, value in row.values.items() if not 0 <= value <= 1]
    if outside:
        shown = ", ".join(f"{key} {row.values[key]}" for key in outside)
        percent = any(1 < row.values[key] <= 100 for key in outside)
        hint = "; divide percentages by 100" if percent else ""
        yield _finding(row, "range", f"{shown} lies outside 0 to 1, where every one of these measures lies{hint}")
    if {"mDSC", "mIoU"} & set(outside) or not {"mDSC", "mIoU"} <= set(row.values):
        return
    dice, iou = row.values["mDSC"], row.values["mIoU"]
    fault = dice_iou_fault(dice, iou)
    if fault:
        yield _finding(row, "iou-above-dice" if iou > dice else "iou-below-bound", fault)
    elif notes:
        yield from _edges(row, dice, iou)


def _edges(row: PublishedRow, dice: Decimal, iou: Decimal) -> Iterator[Finding]:
    """Yield a note if the pair is possible only for a very unusual set of images."""
    (dice_low, dice_high), (iou_low, iou_high) = interval(dice), interval(iou)
    if iou_high >= dice_low:
        text = "possible only if nearly every map is either perfect or without any overlap"
        yield _finding(row, "edge", f"mIoU {iou} equals mDSC {dice} within rounding: {text}", "note")
    elif iou_low <= least_iou(dice_high):
        text = "possible only if nearly every map has the same Dice"
        yield _finding(row, "edge", f"mIoU {iou} is D/(2 - D) of mDSC {dice} within rounding: {text}", "note")


def check_across(rows: Sequence[PublishedRow]) -> list[Finding]:
    """Compare the numbers of several papers for one model on one test set.

    Returns:
        One finding per pair of papers, model and test set that differ by more than rounding explains.
    """
    by_cell: dict[tuple[str, str], list[PublishedRow]] = {}
    for row in rows:
        by_cell.setdefault((row.dataset.lower(), row.model.lower()), []).append(row)
    pairs = [
        (first, second)
        for cell in by_cell.values()
        for i, first in enumerate(cell)
        for second in cell[i + 1 :]
        if first.paper != second.paper
    ]
    return [finding for pair in pairs if (finding := _compare(*pair))]


def _compare(first: PublishedRow, second: PublishedRow) -> Finding | None:
    shown = [
        f"{key} {first.values[key]} and {second.values[key]}"
        for key in first.values
        if key in second.values and _differ(first.values[key], second.values[key])
    ]
    if not shown:
        return None
    where = f"{first.paper} ({first.table}) and {second.paper} ({second.table}) print {', '.join(shown)}"
    if first.setup and first.setup == second.setup:
        return _across(first, second, f"{where}, though the setup is the same", "warning")
    reason = f"{first.setup or 'setup not stated'} against {second.setup or 'setup not stated'}"
    return _across(first, second, f"{where}, in setups that differ ({reason})", "note")


def _across(first: PublishedRow, second: PublishedRow, message: str, severity: Severity) -> Finding:
    tables = f"{first.table} of {first.paper}, {second.table} of {second.paper}"
    return Finding(tables, second.dataset, second.model, "across-papers", message, severity)


def _differ(a: Decimal, b: Decimal) -> bool:
    return abs(Fraction(a) - Fraction(b)) > half_unit(a) + half_unit(b)


def _finding(row: PublishedRow, rule: str, message: str, severity: Severity = "error") -> Finding:
    return Finding(row.table, row.dataset, row.model, rule, message, severity)
