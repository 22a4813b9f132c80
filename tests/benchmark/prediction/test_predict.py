"""Maps: at the mask's size, 8-bit, with the named test-time processing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from PIL import Image
from torch import nn
from torch.nn import functional as F

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.prediction.maps import postprocess, predict_at, save_map

RECIPE = Recipe(image_size=32, normalize="none")


class Brightness(nn.Module):
    """Logits are a multiple of the first channel."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (image[:, :1] * 8 - 4,)


class AtSize(Brightness):
    """Offers its own resize, with align_corners true."""

    def logits_at(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        return F.interpolate(self(image)[0], size, mode="bilinear", align_corners=True)


@pytest.mark.parametrize(("net", "corners"), [(Brightness(), False), (AtSize(), True)])
def test_maps_have_the_masks_size_and_the_models_own_resize(net: nn.Module, corners: bool) -> None:
    images = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    sizes = [(50, 70), (31, 33)]
    maps = predict_at(net, RECIPE, images, sizes, Fabric(accelerator="cpu", devices=1))
    logits = images[..., :1].permute(0, 3, 1, 2).float() / 255 * 8 - 4
    for i, size in enumerate(sizes):
        expected = F.interpolate(logits[i : i + 1], size, mode="bilinear", align_corners=corners).sigmoid()
        assert maps[i].shape == size and maps[i].dtype == np.uint8
        assert np.abs(maps[i] - (expected[0, 0] * 255).round().numpy()).max() <= 1


def test_probabilities_may_be_resized_in_place_of_logits() -> None:
    """As SSFormer's test script does; beside a steep edge the two ways differ."""
    images = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    images[:, :, 16:] = 255
    recipe = RECIPE.model_copy(update={"postprocess": "resize_prob"})
    (own,) = predict_at(Brightness(), recipe, images, [(50, 70)], Fabric(accelerator="cpu", devices=1))
    (usual,) = predict_at(Brightness(), RECIPE, images, [(50, 70)], Fabric(accelerator="cpu", devices=1))
    logits = images[..., :1].permute(0, 3, 1, 2).float() / 255 * 8 - 4
    expected = F.interpolate(logits.sigmoid(), (50, 70), mode="bilinear", align_corners=False)[0, 0] * 255
    assert np.array_equal(own, expected.round().numpy().astype(np.uint8))
    assert np.abs(own.astype(int) - usual).max() > 10


def test_min_max_stretches_to_the_whole_range() -> None:
    prob = postprocess(torch.tensor([[-1.0, 0.0], [0.5, 2.0]]), "minmax")
    assert prob.min() == 0 and prob.max() == pytest.approx(1, abs=1e-6)


def test_min_max_may_cut_to_eight_bit_without_rounding() -> None:
    """As PraNet-V2's test script does; elsewhere 0.6 of a level becomes the next one."""
    logits = torch.randn(16, 16, generator=torch.Generator().manual_seed(0))
    stretched = postprocess(logits, "minmax") * 255
    cut = postprocess(logits, "minmax_floor") * 255
    assert torch.equal(cut.round(), stretched.floor())
    assert (cut.round() != stretched.round()).float().mean() > 0.3
    assert cut.max().round() == 255


def test_probability_correction_divides_each_side_by_its_share() -> None:
    logits = torch.tensor([[1.0, -1.0], [-2.0, 0.0]])
    expected = torch.tensor([[1.0 / 0.25, -1.0 / 0.5], [-2.0 / 0.5, 0.0]]).sigmoid()
    assert torch.allclose(postprocess(logits, "pcs"), expected)
    one_sided = torch.tensor([[1.0, 2.0]])
    assert torch.allclose(postprocess(one_sided, "pcs"), one_sided.sigmoid())


def test_an_output_that_is_no_number_is_refused() -> None:
    class Broken(Brightness):
        def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return (super().forward(image)[0] * float("nan"),)

    images = torch.zeros((1, 32, 32, 3), dtype=torch.uint8)
    with pytest.raises(BenchError, match="is not finite"):
        predict_at(Broken(), RECIPE, images, [(40, 40)], Fabric(accelerator="cpu", devices=1))


def test_a_map_reads_back_as_written(tmp_path: Path) -> None:
    prob = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    save_map(tmp_path / "maps" / "a.png", prob)
    assert np.array_equal(np.asarray(Image.open(tmp_path / "maps" / "a.png")), prob)
    assert [f.name for f in (tmp_path / "maps").iterdir()] == ["a.png"]
