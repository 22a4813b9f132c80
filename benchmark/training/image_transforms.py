"""Transforms of a recipe beyond this package's augmentation: albumentations' and the user's.

They run on 8-bit images and masks at cached size, on the CPU, before everything else. Each image and transform has a
separate seed from the batch's generator, so that a cell gets the same pictures whoever prepares them and wherever
it was interrupted. albumentations' ``Compose`` would give one seed to all transforms, and equal draws to all.
"""

from __future__ import annotations

import inspect
import os
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.config import OWN_CODE
from benchmark.data.pixels.draws import Draws
from benchmark.errors import BenchError, unknown_name
from benchmark.models.user_files import named_function

Pixels = NDArray[np.uint8]
Step = Callable[[Pixels, Pixels, int], tuple[Any, Any]]
"""From an image (S, S, 3), its mask (S, S) and a seed to both, transformed."""

_SEEDS = 2**31
_VOLUMES = ("Transform3D", "Compose", "BaseCompose")


class ImageTransforms:
    """The ``transforms`` of a recipe, in their order.

    Raises:
        BenchError: A name that is unknown, parameters that do not fit, or a file that cannot be loaded.
    """

    def __init__(self, tables: Sequence[Mapping[str, Any]]) -> None:
        self._steps = [(str(table["name"]), _build(table)) for table in tables]

    def __call__(self, images: Tensor, masks: Tensor, draws: Draws) -> tuple[Tensor, Tensor]:
        """Transform images (B, S, S, 3) and masks (B, S, S), uint8 on the CPU; the inputs are unchanged.

        Raises:
            BenchError: A transform fails, or returns another size or type of number.
        """
        seeds = draws.integers(_SEEDS, len(self._steps)).T.tolist()
        pairs = [self._one(*pair) for pair in zip(images.numpy(), masks.numpy(), seeds, strict=True)]
        return torch.from_numpy(np.stack([i for i, _ in pairs])), torch.from_numpy(np.stack([m for _, m in pairs]))

    def _one(self, image: Pixels, mask: Pixels, seeds: Sequence[int]) -> tuple[Pixels, Pixels]:
        image, mask = image.copy(), mask.copy()  # pixels are mapped from the cache
        for (name, step), seed in zip(self._steps, seeds, strict=True):
            try:
                made = step(image, mask, seed)
            except Exception as error:
                reason = (str(error) or type(error).__name__).splitlines()[0][:200]
                raise BenchError(f"transform {name}: {type(error).__name__}: {reason}") from error
            image, mask = _checked(name, made, image, mask)
        return image, mask


def _checked(name: str, made: Any, image: Pixels, mask: Pixels) -> tuple[Pixels, Pixels]:
    """Return the output of a transform, or raise what is wrong with it."""
    if not isinstance(made, tuple) or len(made) != 2:
        raise BenchError(f"transform {name}: returns a {type(made).__name__}; expected (image, mask)")
    for what, new, old in (("image", made[0], image), ("mask", made[1], mask)):
        if not isinstance(new, np.ndarray) or new.dtype != np.uint8:
            kind = new.dtype if isinstance(new, np.ndarray) else type(new).__name__
            raise BenchError(f"transform {name}: makes the {what} {kind}; expected an array of uint8")
        if new.shape != old.shape:
            raise BenchError(f"transform {name}: makes the {what} {new.shape}; expected {old.shape}, as it came")
    return made


def _build(table: Mapping[str, Any]) -> Step:
    name = str(table["name"])
    parameters = {key: value for key, value in table.items() if key != "name"}
    if re.fullmatch(OWN_CODE, name):
        return partial(_own, named_function(name, what="transform"), parameters)
    return partial(_of_library, _construct(_library(name), name, parameters))


def _own(
    function: Callable[..., Any], parameters: Mapping[str, Any], image: Pixels, mask: Pixels, seed: int
) -> tuple[Any, Any]:
    return function(image, mask, np.random.default_rng(seed), **parameters)


def _of_library(transform: Any, image: Pixels, mask: Pixels, seed: int) -> tuple[Any, Any]:
    transform.set_random_seed(seed)
    made = transform(image=image, mask=mask)
    return made["image"], made["mask"]


def _library(name: str) -> ModuleType:
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # else importing it asks the network for a newer version
    try:
        import albumentations
    except ImportError:
        raise BenchError(
            f"transform {name}: albumentations is not installed; pip install 'polyp-bench[augment]', or name a "
            "function of your own: FILE.py:function"
        ) from None
    return albumentations


def _construct(library: ModuleType, name: str, parameters: Mapping[str, Any]) -> Any:
    known = {
        key: kind
        for key, kind in vars(library).items()
        if inspect.isclass(kind)
        and issubclass(kind, library.BasicTransform)
        and not any(base.__name__ in _VOLUMES for base in kind.__mro__)
    }
    if name not in known:
        raise unknown_name("transform", name, known)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # albumentations only warns of unknown parameters
            return known[name](**{key: _as_tuple(value) for key, value in parameters.items()})
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise BenchError(f"transform {name}: {reason}; see albumentations' page on {name}") from None


def _as_tuple(value: Any) -> Any:
    """Turn TOML's lists into the tuples that albumentations expects."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
