"""How a table is printed: options of `bench tables`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from benchmark.cli import complete
from benchmark.cli.app import names
from benchmark.cli.options import CacheDir, DataRoot

Wide = Annotated[bool, typer.Option("--wide", help="One table with the test sets side by side, and their mean.")]
Measures = Annotated[str | None, typer.Option(help="Only these measures; mDSC,mIoU with --wide, else all six.")]
Percent = Annotated[bool, typer.Option("--percent", help="Scores in percent, with one digit; CSV keeps fractions.")]
Digits = Annotated[int | None, typer.Option(help="Decimal places; best and second are decided on them.")]
Siunitx = Annotated[bool, typer.Option("--siunitx", help="In LaTeX, align numbers with the package siunitx.")]
Order = Annotated[
    str | None, typer.Option(help="Models to print first, in this order.", autocompletion=complete.models)
]
CheckMarks = Annotated[
    bool, typer.Option("--check-marks", help="With --ablation: a column per part, checked where the part is kept.")
]
Excel = Annotated[Path | None, typer.Option(metavar="FILE.xlsx", help="Also write a workbook, a worksheet per table.")]


Lesions = Annotated[
    bool,
    typer.Option("--lesions", help="Print lesions found, false parts and false alarms instead; joins with --by."),
]
Overlap = Annotated[float | None, typer.Option(help="IoU from which --lesions counts a lesion as found; 0.5 if unset.")]
Calibration = Annotated[
    bool, typer.Option("--calibration", help="Print Brier score and calibration error instead; joins with --by.")
]
Boundary = Annotated[bool, typer.Option("--boundary", help="Print HD95 and surface Dice instead; joins with --by.")]
Precision = Annotated[
    bool, typer.Option("--precision", help="Print Dice, IoU, precision, recall and F2 at 0.5 instead; joins with --by.")
]


@dataclass(frozen=True, kw_only=True)
class OnRequest:
    """Measures that are taken from the kept maps where they are asked for."""

    lesions: Lesions = False
    overlap: Overlap = None
    calibration: Calibration = False
    boundary: Boundary = False
    precision: Precision = False
    data_root: DataRoot = None
    cache_dir: CacheDir = None

    @property
    def asked(self) -> dict[str, bool]:
        """Which tables are asked for, by option."""
        return {f"--{name}": getattr(self, name) for name in ("lesions", "calibration", "boundary", "precision")}


@dataclass(frozen=True, kw_only=True)
class PrintOptions:
    """Layout and number format of the printed tables."""

    wide: Wide = False
    measures: Measures = None
    percent: Percent = False
    digits: Digits = None
    siunitx: Siunitx = False
    order: Order = None
    check_marks: CheckMarks = False
    excel: Excel = None

    @property
    def wishes(self) -> dict[str, Any]:
        """Fields of a ``TableRequest``."""
        return {
            "wide": self.wide,
            "measures": names(self.measures) if self.measures else None,
            "percent": self.percent,
            "digits": self.digits,
            "siunitx": self.siunitx,
            "order": names(self.order) if self.order else (),
            "check_marks": self.check_marks,
        }
