"""The task that trains a denoiser: clean pixels with drawn noise in, the clean pixels out; scored by PSNR and SSIM."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.config import Recipe
from benchmark.data.pixels import transforms
from benchmark.data.pixels.draws import Draws, Rows
from benchmark.data.pixels.noise import draw_noise
from benchmark.data.pixels.pool import Pool
from benchmark.robustness.corruptions import SEVERITIES, Pixels, corrupt
from benchmark.robustness.denoising.quality import psnr, ssim
from benchmark.training.batches import Batch, Batches
from benchmark.training.resident import Resident
from benchmark.training.share import Share
from benchmark.training.task import Task

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SCORES = ("val_psnr", "val_ssim")


def denoising(recipe: Recipe) -> Task:
    """Return the task for a recipe's noise."""
    return Task(
        "denoising",
        validate=validate,
        baseline=partial(noisy_quality, recipe),
        metric=lambda _: "val_psnr",
        batches=NoisyBatches,
    )


class NoisyBatches(Batches):
    """Batches of (noisy, clean), each (B, 3, S, S) in [0, 1]; every image gets noise."""

    def __init__(
        self, train_set: Pool, recipe: Recipe, device: torch.device, share: Share, resident: Resident | None = None
    ) -> None:
        super().__init__(train_set, recipe.model_copy(update={"noise": ()}), device, share)
        self.drawn = recipe.noise

    def _finish(
        self, step: int, images: Tensor, masks: Tensor, mine: np.ndarray, generator: torch.Generator, rows: Rows
    ) -> Batch:
        x, y = transforms.to_float(images, masks)
        clean, _ = transforms.augment(x, y, self.late, crop_size=self.crop_size, generator=generator, rows=rows)
        grey = (clean * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        noisy = draw_noise(grey, self.drawn, Draws(generator, rows), share=1.0)
        pair = [_to_input(pixels).to(self.device) for pixels in (noisy, grey)]
        return Batch(step, pair[0], pair[1], rows.count, generator)


@torch.no_grad()
def validate(model: nn.Module, recipe: Recipe, val_set: Pool | Resident, fabric: Fabric) -> dict[str, float]:
    """Mean PSNR (dB) and SSIM of the restored validation images, data range 255; NaN where the output is not finite."""
    model.eval()
    rows = []
    for clean, noisy in validation_pairs(recipe, val_set):
        with fabric.autocast():
            restored = model(_to_input(torch.from_numpy(noisy)[None]).to(fabric.device))[0].float()
        if not torch.isfinite(restored).all():
            return dict.fromkeys(SCORES, float("nan"))
        other = to_pixels(restored[0])
        rows.append((psnr(clean, other), ssim(clean, other)))
    return dict(zip(SCORES, np.mean(rows, axis=0).tolist(), strict=True))


def noisy_quality(recipe: Recipe, val_set: Pool) -> dict[str, float]:
    """PSNR and SSIM of the noisy validation images: the baseline of a denoiser."""
    rows = [(psnr(clean, noisy), ssim(clean, noisy)) for clean, noisy in validation_pairs(recipe, val_set)]
    return dict(zip(("val_psnr_noisy", "val_ssim_noisy"), np.mean(rows, axis=0).tolist(), strict=True))


def validation_pairs(recipe: Recipe, val_set: Pool | Resident) -> list[tuple[Pixels, Pixels]]:
    """Clean and noisy validation images, (S, S, 3) uint8; corruptions and severities take turns, the noise is fixed."""
    pairs = []
    for position in range(len(val_set)):
        clean = val_set.batch(np.array([position]))[0][0].numpy()
        name = recipe.noise[position % len(recipe.noise)]
        severity = SEVERITIES[position // len(recipe.noise) % len(SEVERITIES)]
        pairs.append((clean, corrupt(clean, name, severity=severity, image_id=val_set.labels(np.array([position]))[0])))
    return pairs


def to_pixels(image: Tensor) -> Pixels:
    """(3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _to_input(images: Tensor) -> Tensor:
    return images.permute(0, 3, 1, 2).float().div(255)
