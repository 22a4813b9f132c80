"""The README maps sentences to lines of code: each quoted line must be in the file named before it."""

import contextlib
import io
import re
from pathlib import Path

import torch
import torch.nn.functional as F

import bsanet
from bsanet import build
from bsanet.attention import FSAM
from bsanet.config import Config

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


def test_what_of_swin_t_arrives_is_as_the_command_prints() -> None:
    command = re.search(r'^python -c "(.*?)"$', TEXT, flags=re.MULTILINE | re.DOTALL)
    assert command is not None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(command[1].replace("\\\n", ""), {})
    tensors, distinct, filled, whole = map(int, out.getvalue().split())
    for said in (f"{tensors} tensors of {distinct / 1e6:.3f} M", f"{filled / 1e6:.2f} M of the network's", "6.36 M"):
        assert said in TEXT
    assert f"{whole / 1e6:.2f}" == "6.36"
    blocks = build(pretrained=False).isam[0].blocks[:2]
    names = [name for block in blocks for name, _ in block.named_parameters()]
    assert len(names) == tensors


def test_the_taps_of_the_dilated_convolution_are_those_inside_the_map() -> None:
    rows = re.findall(r"^\| (\d+) px \| ([\d %/]+) \| ([\d %/]+) \|$", TEXT, flags=re.MULTILINE)
    assert [int(side) for side, _, _ in rows] == [64, 96, 128, 256]
    for side, halved, whole in rows:
        for stride, said in ((2, halved), (1, whole)):
            shares = []
            for level in (4, 8, 16, 32):
                context = FSAM(Config(context_stride=stride)).context
                grid = context[0](torch.zeros(2, 96, int(side) // level, int(side) // level))[:1, :1] * 0 + 1
                dilated = context[1][0]
                assert dilated.dilation == (2, 2)
                inside = F.conv2d(grid, torch.ones(1, 1, 3, 3), padding=dilated.padding, dilation=dilated.dilation)
                shares.append(f"{inside.mean() / 9:.0%}".replace("%", " %"))
            assert said == " / ".join(shares), (side, stride)


def test_the_papers_hours_are_set_against_the_cost_table() -> None:
    cost = (Path(__file__).parents[2] / "results" / "reference" / "cost.md").read_text(encoding="utf-8")
    line = re.search(r"^\| BSANet \|.*\| ([\d.]+)–([\d.]+) \| [\d.–]+ \|$", cost, flags=re.MULTILINE)
    assert line is not None
    low, high = float(line[1]), float(line[2])
    said = (
        f"{line[1]} to {line[2]} hours for one training on one RTX 3090, {11 / high:.0f} to {11 / low:.0f} times less"
    )
    assert said in TEXT
