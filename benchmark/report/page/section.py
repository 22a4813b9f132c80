"""A section of the page that another package makes: tables and figures under a heading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmark.report.sheets.sheet import Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Section:
    """Tables and figures of one comparison.

    Attributes:
        key: For links; small letters, digits and hyphens.
        heading: As shown.
        intro: One paragraph.
        sheets: Tables with their titles.
        figures: Figures with their titles.
        problems: Why something is missing, a line each.
    """

    key: str
    heading: str
    intro: str
    sheets: Sequence[tuple[str, Sheet]] = ()
    figures: Sequence[tuple[str, Figure]] = field(default=())
    problems: Sequence[str] = ()
