"""The file that `bench init` writes."""

from __future__ import annotations

import keyword
import re

from benchmark.errors import BenchError

_TEXT = '''"""{name}: your own network, for bench run --models ./{stem}.py:build"""

from torch import nn


class Net(nn.Module):
    """Images (B, 3, H, W) float32 -> a tuple of logits; item 0 (B, 1, H, W) is scored, further ones are trained too."""

    def __init__(self, width):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, width, 7, padding=3), nn.ReLU(), nn.Conv2d(width, 1, 7, padding=3))

    def forward(self, image):
        return (self.layers(image),)


def build(width=16):
    """Its arguments are the model's options, for example --set "model_options={{width=32}}"."""
    return Net(width)
'''


def model_file(name: str) -> tuple[str, str]:
    """Return the module's name and text.

    Raises:
        BenchError: No Python module can have the name.
    """
    stem = re.sub(r"[\s-]+", "_", name.strip().removesuffix(".py"))
    if not stem.isidentifier() or keyword.iskeyword(stem):
        raise BenchError(f"model name {name!r}: expected letters, digits, - and _, for example my-model")
    return stem, _TEXT.format(name=name, stem=stem)
