"""What the steps of the device check share: sizes, pixels, a training, results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.data.phantom.domains import DOMAINS
from benchmark.data.phantom.draw import draw_sequence
from benchmark.data.pixels.pool import Pool, Subset
from benchmark.data.pixels.resize import resize_image, resize_mask
from benchmark.models.registry import MODELS, build_model
from benchmark.runtime.determinism import deterministic
from benchmark.runtime.device import make_fabric
from benchmark.runtime.memory import give_back
from benchmark.training.loop import Outcome, train
from benchmark.training.state import Keeper


class Left(Exception):  # noqa: N818 - no error: a step that does not apply
    """Why a step was left out."""


@dataclass
class Result:
    """How a step ended: ok, failed or left out, with what it found."""

    name: str
    status: str
    text: str = ""
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """One line, and one for each fact that is a table's row."""
        rows = [f"    {key:24} {value}" for key, value in self.facts.items() if key != "profile"]
        return "\n".join([f"{self.status:9} {self.name:14} {self.seconds:6.1f} s  {self.text}", *rows])


class Tiny(nn.Module):
    """A network of the short form: batch norm and dropout, so that every kind of state matters."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2))
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return (F.interpolate(self.head(self.body(image)), image.shape[-2:], mode="bilinear"),)


@dataclass(frozen=True)
class Case:
    """A device and how much is tried on it.

    Attributes:
        models: Names; ``tiny`` is the network above.
        size_px, batch, num_images: Of the short trainings.
        sizes_px: At which throughput is measured.
    """

    device: torch.device
    short: bool
    models: tuple[str, ...]
    size_px: int
    batch: int
    num_images: int
    sizes_px: tuple[int, ...]

    @classmethod
    def of(cls, device: str, *, short: bool, models: Sequence[str] | None) -> Case:
        """The whole check, or its short form."""
        where = torch.device(device if device != "cuda" else "cuda:0")
        if short:
            return cls(where, True, tuple(models or ("tiny",)), 64, 4, 12, (64,))
        return cls(where, False, tuple(models or MODELS), 256, 16, 80, (256, 352))

    @property
    def is_cuda(self) -> bool:
        """Whether it is a GPU."""
        return self.device.type == "cuda"

    @property
    def fastest(self) -> str:
        """The network that stands for all where one is enough."""
        return "unet" if "unet" in self.models else self.models[0]

    def recipe(self, **fields: Any) -> Recipe:
        """The recipe of the short trainings."""
        fixed = {"image_size": self.size_px, "batch_size": self.batch, "epochs": 2, "lr": 1e-3}
        return Recipe(**{**fixed, "augmentation": ("hflip", "vflip", "rot90", "jitter"), **fields})

    def model(self, name: str, seed: int = 0) -> nn.Module:
        """A network with the values of a seed."""
        torch.manual_seed(seed)
        return Tiny() if name == "tiny" else build_model(name)

    def train(
        self,
        model: nn.Module,
        folder: Path,
        recipe: Recipe | None = None,
        *,
        repeatable: bool = False,
        on_step: Callable[..., None] = lambda *_: None,
        every_s: float = 1e9,
    ) -> Outcome:
        """A short training on phantom images."""
        recipe = recipe or self.recipe()
        keeper = Keeper(folder / "last.pt", owner="check", every_s=every_s)
        fabric = make_fabric(str(self.device), recipe)
        with deterministic(repeatable, fabric.device):
            return train(model, recipe, pools(self), seed=0, fabric=fabric, keeper=keeper, on_step=on_step)


_POOLS: dict[tuple[int, int], tuple[Pool, Pool]] = {}


def pools(case: Case, size_px: int | None = None) -> tuple[Pool, Pool]:
    """Phantom images to train and to validate, drawn once."""
    size, count = size_px or case.size_px, case.num_images
    if (size, count) not in _POOLS:
        domain = next(iter(DOMAINS.values()))
        drawn = [pair for k in range(count // 4 + 2) for pair in draw_sequence(domain, f"check/{k}", 4)]
        images = np.stack([resize_image(image, size, "antialias") for image, _ in drawn])
        masks = np.stack([resize_mask(mask, size, "binary", "antialias") for _, mask in drawn])
        pixels: Any = SimpleNamespace(images=images, masks=masks)
        rows = np.arange(len(images))
        _POOLS[size, count] = Pool([Subset(pixels, rows[:count])]), Pool([Subset(pixels, rows[count:])])
    return _POOLS[size, count]


@contextmanager
def clean(case: Case) -> Iterator[Path]:
    """A folder of one's own; afterwards the device's memory is given back."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)
    give_back()


def values(model: nn.Module) -> list[bytes]:
    """The bytes of all weights and buffers."""
    return [value.detach().cpu().contiguous().numpy().tobytes() for value in model.state_dict().values()]
