"""The attention denoiser: starts as the identity, learns by the harness' loop, resumes, refuses what is not its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from benchmark.data.pixels.pool import Pool
from benchmark.errors import BenchError
from benchmark.recipes.read import load_recipe
from benchmark.robustness.apply import denoise_files
from benchmark.robustness.corruptions import corrupt
from benchmark.robustness.denoiser import DenoiserRecord, load_denoiser, train_denoiser
from benchmark.robustness.front_ends import get_denoiser
from bsanet.denoiser import build

SMALL = {
    "epochs": 6,
    "image_size": 32,
    "load_size": 40,
    "max_train_images": 32,
    "max_val_images": 4,
    "batch_size": 4,
    "warmup_epochs": 0,
    "lr": 1e-3,
    "noise": ["gaussian_noise"],
    "model_options": {"num_groups": 1, "num_blocks": 2},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> tuple[Path, DenoiserRecord]:
    out = tmp_path_factory.mktemp("denoiser")
    return out, train(out, shared_cache)


def train(out: Path, cache: Path, **fields: object) -> DenoiserRecord:
    return train_denoiser(["phantom-kvasir"], out, overrides={**SMALL, **fields}, cache_dir=cache, device="cpu")


def test_the_network_starts_as_the_identity_at_any_size_and_its_loss_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = build(num_groups=1, num_blocks=2)
    image = torch.rand(2, 3, 37, 50)
    (out,) = network(image)
    assert torch.equal(out, image)
    torch.nn.init.normal_(network.noise.weight, std=0.01)
    network.loss(network(image), torch.rand_like(image)).backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in network.parameters())


def test_it_trains_on_as_many_images_as_the_recipe_says_and_on_those_that_the_seed_draws(
    tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[str]] = []

    def stop(network: object, recipe: object, data: tuple[Pool, Pool], **_: object) -> None:
        seen.append(data[0].labels(np.arange(len(data[0]))))
        raise KeyboardInterrupt

    monkeypatch.setattr("benchmark.training.loop.train", stop)
    for k, fields in enumerate(({}, {"train_subset": "seed"})):
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / str(k), shared_cache, **fields)
    even, drawn = map(set, seen)
    assert len(even) == len(drawn) == SMALL["max_train_images"] and even != drawn


def test_the_seed_decides_the_weights() -> None:
    states = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        states.append(build(num_groups=1).embed.weight)
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])


def test_training_lowers_the_loss_and_keeps_what_it_measured(trained: tuple[Path, DenoiserRecord]) -> None:
    out, record = trained
    history = pd.read_csv(out / "history.csv")
    assert len(history) == 6 and history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert record.val["val_psnr"] > record.val["val_psnr_noisy"]
    assert record.synthetic and set(record.noise) == {"gaussian_noise"}
    assert not (out / "last.pt").exists()


def test_the_same_training_twice_gives_the_same_weights_and_another_is_refused(
    trained: tuple[Path, DenoiserRecord], tmp_path: Path, shared_cache: Path
) -> None:
    out, record = trained
    assert train(tmp_path / "again", shared_cache).sha256 == record.sha256
    assert train(out, shared_cache) == record
    with pytest.raises(BenchError, match="holds a different denoiser"):
        train(out, shared_cache, lr=2e-3)


def test_trained_weights_stand_in_front_of_a_network_and_on_files(
    trained: tuple[Path, DenoiserRecord], tmp_path: Path
) -> None:
    out, record = trained
    front_end = get_denoiser(str(out / "denoiser.pt"))
    assert front_end.label == f"attention-{record.sha256[:8]}"
    noisy = corrupt(np.full((50, 61, 3), 120, np.uint8), "gaussian_noise", severity=2, image_id="1")
    assert not np.array_equal(front_end(noisy), noisy)
    (tmp_path / "in").mkdir()
    Image.fromarray(noisy).save(tmp_path / "in" / "a.png")
    (written,) = denoise_files([tmp_path / "in"], tmp_path / "out", str(out / "denoiser.pt"))
    assert np.array_equal(np.asarray(Image.open(written)), front_end(noisy))
    with pytest.raises(BenchError, match="holds the inputs"):
        denoise_files([tmp_path / "in"], tmp_path / "in", "median")


def test_other_weights_than_the_record_says_are_refused(trained: tuple[Path, DenoiserRecord], tmp_path: Path) -> None:
    out, _ = trained
    payload = json.loads((out / "denoiser.json").read_text())
    (tmp_path / "denoiser.pt").write_bytes((out / "denoiser.pt").read_bytes())
    with pytest.raises(BenchError, match="no readable record of a denoiser"):
        load_denoiser(tmp_path / "denoiser.pt")
    (tmp_path / "denoiser.json").write_text(json.dumps({**payload, "schema": 2}))
    with pytest.raises(BenchError, match=r"no readable record of a denoiser \(schema: input should be 1\)"):
        load_denoiser(tmp_path / "denoiser.pt")
    (tmp_path / "denoiser.json").write_text(json.dumps({**payload, "sha256": "0" * 64}))
    with pytest.raises(BenchError, match="not the file of its record"):
        load_denoiser(tmp_path / "denoiser.pt")
    (tmp_path / "denoiser.json").write_text(json.dumps({**payload, "options": {"num_groups": 2}}))
    with pytest.raises(BenchError, match="does not fit the attention denoiser"):
        load_denoiser(tmp_path / "denoiser.pt")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"noise": []}, "noise is empty"),
        ({"loss": "bce"}, "trained with loss = native"),
        ({"normalize": "imagenet"}, "trained with normalize = none"),
        ({"model_options": {"groups": 2}}, "its options are num_groups and num_blocks"),
    ],
)
def test_recipes_that_train_no_denoiser_are_refused(
    fields: dict[str, object], line: str, tmp_path: Path, shared_cache: Path
) -> None:
    with pytest.raises(BenchError, match=line):
        train(tmp_path, shared_cache, **fields)


def test_the_packaged_recipe_trains_on_sensor_noise() -> None:
    recipe = load_recipe("denoiser", model="denoiser")
    assert recipe.noise == ("gaussian_noise", "shot_noise", "speckle_noise") and recipe.loss == "native"
