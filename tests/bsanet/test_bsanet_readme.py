"""The README maps sentences to lines of code: each quoted line must be in the file named before it."""

import re
from pathlib import Path

import bsanet
from bsanet import build

PACKAGE = Path(bsanet.__file__).parent
TEXT = (PACKAGE / "README.md").read_text(encoding="utf-8")
QUOTES = re.findall(r"`(\w+\.py)`: `([^`]+)`", TEXT)


def test_every_quoted_line_is_in_its_file() -> None:
    assert len(QUOTES) > 40
    lost = [(name, line) for name, line in QUOTES if line not in (PACKAGE / name).read_text(encoding="utf-8")]
    assert lost == []


def test_the_switch_table_gives_true_parameter_counts() -> None:
    rows = re.findall(r"^\| (?:`(\w+)`|\((none)\)|(all four)) \|.*\| (\d\.\d{3}) \|$", TEXT, flags=re.MULTILINE)
    assert len(rows) == 6
    for switch, none, _, printed in rows:
        drop = (switch,) if switch else () if none else ("isam", "fsam", "rendering", "pretraining")
        num_params = sum(parameter.numel() for parameter in build(drop=drop).parameters())
        assert printed == f"{num_params / 1e6:.3f}", drop
