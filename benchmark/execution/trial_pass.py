"""One trial pass of each network before anything is trained: what would fail, or train in vain, is reported."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.models.build import build_network
from benchmark.models.known import FIELD, MODELS, VARIANTS
from benchmark.models.registry import check_pretrained
from benchmark.study.cells import Cell

if TYPE_CHECKING:
    from torch import Tensor, nn

_CONTRACT = "a tuple of logits, item 0 (B, 1, H, W) at the size of the image (benchmark/EXTENDING.md)"
_BATCH = 2
_SHOWN = 3
_DRAWS = 8  # a transform with p = 0.5 that fails gets through unseen once in 65,536 times, two images each


def try_networks(cells: Sequence[Cell]) -> list[str]:
    """Build each network of some cells once, untrained, and pass two random images through it and back.

    Networks of this package are only built: what they return is tested here. Variants that leave out parts are
    compared with their full model elsewhere.

    Returns:
        One line for each thing that is allowed but may be a mistake.
    Raises:
        BenchError: A loss or transform of a recipe fails; a network cannot be built, or returns what cannot be trained
            or scored. One line names it.
    """
    notes: list[str] = []
    for recipe in {cell.recipe.hash: cell.recipe for cell in cells}.values():
        try_recipe(recipe)
    for cell in {(cell.spec.name, cell.recipe.hash): replace(cell, ablation=()) for cell in cells}.values():
        if cell.recipe.pretrained and cell.start is None:
            check_pretrained(cell.spec)
        network = build_network(cell.spec, cell.recipe, pretrained=False)
        _check_groups(network, cell)
        if not any(cell.spec.name in table for table in (MODELS, FIELD, VARIANTS)):
            notes += [f"{cell.spec.title}: {note}" for note in try_network(network, cell.recipe, cell.spec.name)]
    return notes


def _check_groups(network: Any, cell: Cell) -> None:
    recipe = cell.recipe
    if recipe.lr_factors or recipe.lr_warmups or recipe.encoder_lr_scale != 1:
        from benchmark.training.optim import lr_groups

        try:
            lr_groups(network, recipe)
        except BenchError as error:
            raise BenchError(f"model {cell.spec.name}: {error}") from None


def try_recipe(recipe: Recipe) -> None:
    """Use the transforms and the loss that a recipe names beyond this package's own once, on random pixels.

    Raises:
        BenchError: One fails, changes the size of an image, or gives no scalar that has a gradient.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    side = recipe.train_size
    if recipe.transforms:
        from benchmark.data.pixels.draws import Draws, Rows
        from benchmark.training.image_transforms import ImageTransforms

        images = torch.randint(0, 256, (_BATCH, side, side, 3), generator=generator, dtype=torch.uint8)
        masks = 255 * torch.randint(0, 2, (_BATCH, side, side), generator=generator, dtype=torch.uint8)
        for _ in range(_DRAWS):
            ImageTransforms(recipe.transforms)(images, masks, Draws(generator, Rows(0, _BATCH, _BATCH)))
    if recipe.loss in recipe.own_code:
        logits = torch.randn(_BATCH, 1, side, side, generator=generator).requires_grad_()
        mask = (torch.rand(_BATCH, 1, side, side, generator=generator) > 0.5).float()
        _try_loss(recipe, logits, mask)


def _try_loss(recipe: Recipe, logits: Tensor, mask: Tensor) -> None:
    import torch

    from benchmark.training.losses import recipe_criterion

    criterion = recipe_criterion(recipe)
    assert criterion is not None, "asked for losses in files only"
    try:
        value = criterion(logits, mask)
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise BenchError(f"loss {recipe.loss}: {type(error).__name__} on random logits: {reason}") from error
    if not torch.is_tensor(value) or value.numel() != 1 or not value.requires_grad or not torch.isfinite(value).all():
        what = f"a tensor {tuple(value.shape)}" if torch.is_tensor(value) else f"a {type(value).__name__}"
        what = f"{value.item():g}" if torch.is_tensor(value) and value.numel() == 1 else what
        gradient = "" if not torch.is_tensor(value) or value.requires_grad else " without a gradient"
        raise BenchError(f"loss {recipe.loss}: returns {what}{gradient}; expected a finite scalar with a gradient")


def try_network(network: nn.Module, recipe: Recipe, name: str) -> list[str]:
    """Pass random images through a network and back; see ``try_networks``."""
    import torch

    if not isinstance(network, torch.nn.Module):
        raise BenchError(f"model {name}: build() returns a {type(network).__name__}; expected a torch.nn.Module")
    state = torch.random.get_rng_state()
    try:
        torch.manual_seed(0)
        images = torch.randn(_BATCH, 3, recipe.image_size, recipe.image_size)
        network.eval()
        with torch.no_grad():
            loud = torch.cat([images[:1], 1000 * images[1:]])  # in one pass: images do not meet in eval mode
            tested = _checked(_forward(network, loud, name), recipe.image_size, name, finite=1)
        network.train()
        trained = _checked(_forward(network, images, name), recipe.image_size, name)
        return [
            *_about_range(tested[0]),
            *_about_maps(trained),
            *_about_loss(network, recipe),
            *_about_gradients(network, trained, recipe, name),
        ]
    except (MemoryError, torch.OutOfMemoryError):  # training handles this: it tries smaller batches
        return []
    finally:
        torch.random.set_rng_state(state)


def _forward(network: nn.Module, images: Tensor, name: str) -> Any:
    import torch

    try:
        return network(images)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except BenchError as error:
        raise BenchError(f"model {name}: {error}") from error
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise BenchError(
            f"model {name}: forward of images {tuple(images.shape)} fails with {type(error).__name__}: {reason}"
        ) from error


def _checked(outputs: Any, side: int, name: str, *, finite: int = _BATCH) -> tuple[Tensor, ...]:
    """Return the outputs as a tuple of tensors, or say what is wrong with them; ``finite`` images have to be so."""
    import torch

    if isinstance(outputs, Mapping):
        keys = ", ".join(map(str, outputs))
        raise BenchError(
            f"model {name}: returns a dictionary ({keys}); expected {_CONTRACT}. "
            f"--set outputs=key:{next(iter(outputs), 'NAME')} scores that entry"
        )
    maps = (outputs,) if torch.is_tensor(outputs) else outputs
    if not isinstance(maps, tuple | list) or not maps or not all(torch.is_tensor(one) for one in maps):
        raise BenchError(f"model {name}: returns a {type(outputs).__name__}; expected {_CONTRACT}")
    wanted = (_BATCH, 1, side, side)
    if tuple(maps[0].shape) != wanted:
        shapes = ", ".join(str(tuple(one.shape)) for one in maps)
        raise BenchError(f"model {name}: returns {shapes}; expected {wanted} as item 0{_hint(maps, wanted)}")
    if not torch.isfinite(maps[0][:finite]).all():
        raise BenchError(f"model {name}: returns values that are not finite for random images, before any training")
    return tuple(maps)


def _hint(maps: Sequence[Tensor], wanted: tuple[int, ...]) -> str:
    shape = tuple(maps[0].shape)
    if tuple(maps[-1].shape) == wanted:
        return "; --set outputs=last_first scores the last one"
    if shape == (wanted[0], 2, *wanted[2:]):
        return "; --set outputs=two_class takes its channels as background and polyp"
    if len(shape) == 4 and shape[1] == 1:
        return ": let the network enlarge it to the size of the image"
    if len(shape) == 3:
        return ": keep the channel (x.unsqueeze(1))"
    return ": one channel, the logit of polyp"


def _about_range(maps: Tensor) -> list[str]:
    """Logits grow with their input; what stays within [0, 1] whatever comes in has gone through a sigmoid."""
    low, high = float(maps.min()), float(maps.max())
    if low >= 0 and high <= 1 and low < high:
        return ["values lie in [0, 1], as after a sigmoid; logits are expected, so a sigmoid is applied once more"]
    return []


def _about_maps(maps: Sequence[Tensor]) -> list[str]:
    return [
        f"item {number} is {tuple(one.shape)}, no map (B, 1, H, W): no loss is computed on it"
        for number, one in enumerate(maps)
        if one.dim() != 4 or one.shape[1] != 1
    ]


def _about_loss(network: nn.Module, recipe: Recipe) -> list[str]:
    own = getattr(network, "loss", None)
    if own is None or recipe.loss == "native" or "criterion" in inspect.signature(own).parameters:
        return []
    return [f"has a loss of its own, which the recipe's ({recipe.loss}) replaces; --set loss=native uses it"]


def _about_gradients(network: nn.Module, maps: tuple[Tensor, ...], recipe: Recipe, name: str) -> list[str]:
    """Compute the recipe's loss and its gradients; name the parameters that none reaches."""
    import torch

    from benchmark.training.losses import make_loss, recipe_criterion

    mask = torch.zeros_like(maps[0])
    mask[..., : mask.shape[-1] // 2] = 1
    try:
        make_loss(network, recipe_criterion(recipe))(maps, mask).backward()
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0][:200]
        raise BenchError(
            f"model {name}: the loss ({recipe.loss}) of its outputs fails with {type(error).__name__}: {reason}"
        ) from error
    missed = [key for key, value in network.named_parameters() if value.requires_grad and value.grad is None]
    frozen = [key for key, value in network.named_parameters() if not value.requires_grad]
    network.zero_grad(set_to_none=True)
    lines = []
    for found, what in ((missed, "no gradient reaches"), (frozen, "frozen (requires_grad = False):")):
        if found:
            more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
            lines.append(f"{what} {', '.join(found[:_SHOWN])}{more}; they stay as they are")
    return lines
