"""Recipe `native` against the published training facts of each model, number by number."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from benchmark.data.pixels import transforms
from benchmark.data.pixels.colour import colour_exchange
from benchmark.data.pixels.pool import Pool, Subset
from benchmark.data.splits.choose import Split
from benchmark.errors import BenchError
from benchmark.models.registry import build_model
from benchmark.recipes.read import authors_selection, load_recipe, validate_recipe
from benchmark.study.images import named_selection, training_items
from benchmark.training.optim import learning_rate, make_optimizer, plateau_rate
from benchmark.training.steps import _scales

FACTS = {
    "pranet": {
        "image_size": 352,
        "batch_size": 16,
        "epochs": 19,
        "optimizer": "adam",
        "lr": 1e-4,
        "weight_decay": 0.0,
        "clip_value": 0.5,
        "clip_norm": None,
        "augmentation": (),
        "masks": "soft",
        "resize": "antialias",
        "normalize": "imagenet",
        "multi_scale": "each",
        "select": "last_all",
        "postprocess": "minmax",
        "drop_last": False,
    },
    "sanet": {
        "image_size": 352,
        "batch_size": 64,
        "epochs": 128,
        "optimizer": "sgd",
        "lr": 0.4,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 5e-4,
        "clip_value": None,
        "warmup_epochs": 0,
        "augmentation": ("colour_exchange", "hflip", "vflip", "rot90"),
        "masks": "nearest",
        "normalize": "imagenet",
        "multi_scale": "draw",
        "select": "last_all",
        "postprocess": "pcs",
        "drop_last": False,
    },
    "ldnet": {
        "image_size": 224,
        "load_size": 256,
        "batch_size": 16,
        "epochs": 80,
        "optimizer": "sgd",
        "lr": 1e-3,
        "momentum": 0.9,
        "nesterov": False,
        "weight_decay": 1e-5,
        "clip_value": None,
        "augmentation": ("hflip", "vflip", "rotate", "zoom", "crop"),
        "masks": "soft",
        "normalize": "none",
        "multi_scale": "none",
        "select": "best",
        "select_metric": "val_iou_mean",
        "postprocess": "none",
    },
}
FACTS |= {
    "caranet": {
        **FACTS["pranet"],
        "batch_size": 6,
        "epochs": 9,
        "augmentation": ("rotate_always", "vflip", "hflip"),
    },
    "hardnet_mseg": {**FACTS["pranet"], "epochs": 99},
    "pranet_v2": {**FACTS["pranet"], "batch_size": 8, "epochs": 29, "postprocess": "minmax_floor"},
    "pranet_v2_res2net": {**FACTS["pranet"], "batch_size": 8, "epochs": 29, "postprocess": "minmax_floor"},
}
FACTS |= {
    "polyp_pvt": {
        **FACTS["pranet"],
        "epochs": 99,
        "optimizer": "adamw",
        "weight_decay": 1e-4,
        "schedule": "constant",
    },
    "fcbformer": {
        "image_size": 352,
        "batch_size": 16,
        "drop_last": True,
        "epochs": 200,
        "optimizer": "adamw",
        "lr": 1e-4,
        "weight_decay": 0.01,
        "schedule": "plateau",
        "step_factor": 0.5,
        "plateau_epochs": 10,
        "min_lr": 1e-6,
        "clip_value": None,
        "clip_norm": None,
        "augmentation": ("blur", "colour_jitter", "hflip", "vflip", "affine"),
        "masks": "soft_linear",
        "resize": "antialias",
        "normalize": "half",
        "multi_scale": "none",
        "select": "best",
        "select_metric": "val_dice_half",
        "postprocess": "none",
    },
    "ssformer_s": {
        "image_size": 352,
        "batch_size": 32,
        "drop_last": False,
        "epochs": 2000,
        "optimizer": "adamw",
        "lr": 1e-4,
        "weight_decay": 0.01,
        "schedule": "step",
        "clip_value": None,
        "clip_norm": None,
        "augmentation": ("rescale", "hflip", "vflip", "rotate_whole", "enhance", "mask_edge"),
        "masks": "soft",
        "resize": "antialias",
        "normalize": "imagenet",
        "multi_scale": "none",
        "select": "best",
        "select_metric": "val_dice_half",
        "postprocess": "resize_prob",
    },
}
FACTS["ssformer_l"] = FACTS["ssformer_s"]
FOLLOWERS = ("caranet", "hardnet_mseg", "pranet_v2", "pranet_v2_res2net", "polyp_pvt")  # of PraNet's training code


@pytest.mark.parametrize("model", sorted(FACTS))
def test_fields_are_the_published_ones(model: str) -> None:
    recipe = load_recipe("native", model=model)
    assert {key: getattr(recipe, key) for key in FACTS[model]} == FACTS[model]
    assert recipe.loss == "native" and recipe.pretrained


@pytest.mark.parametrize("model", FOLLOWERS)
def test_pranets_followers_keep_one_rate(model: str) -> None:
    recipe = load_recipe("native", model=model)
    assert {learning_rate(recipe, epoch + 0.5) for epoch in range(recipe.epochs)} == {1e-4}


@pytest.mark.parametrize("model", ["pranet", *FOLLOWERS])
def test_pranet_and_its_followers_use_every_batch_at_three_sizes_in_order(model: str) -> None:
    recipe = load_recipe("native", model=model)
    image, mask = torch.rand(1, 3, 352, 352), torch.rand(1, 1, 352, 352)
    sides = [
        transforms.scale_batch(image, mask, factor, align_corners=True)[0].shape[-1]
        for factor in _scales(recipe, torch.Generator().manual_seed(0))
    ]
    assert sides == [256, 352, 448]


def test_pranets_rate_falls_to_a_tenth_every_fifty_epochs_and_so_not_within_its_nineteen() -> None:
    recipe = load_recipe("native", model="pranet")
    assert {learning_rate(recipe, epoch + 0.5) for epoch in range(recipe.epochs)} == {1e-4}
    longer = load_recipe("native", model="pranet", overrides={"epochs": 120})
    for epoch in (1, 49, 50, 99, 100, 120):  # numbered from 1, as in the released loop
        assert learning_rate(longer, epoch - 1) == pytest.approx(1e-4 * 0.1 ** (epoch // 50))


def test_sanet_draws_four_sizes_with_the_published_probabilities() -> None:
    recipe = load_recipe("native", model="sanet")
    sides = [
        max(32, round(352 * _scales(recipe, torch.Generator().manual_seed(seed))[0] / 32) * 32) for seed in range(2000)
    ]
    shares = [sides.count(side) / len(sides) for side in (256, 288, 320, 352)]
    assert shares == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=0.03)


def test_sanets_rates_are_halved_at_the_64th_and_the_96th_epoch() -> None:
    recipe = load_recipe("native", model="sanet")
    rates = [learning_rate(recipe, epoch - 1) for epoch in (1, 63, 64, 95, 96, 128)]
    assert rates == pytest.approx([0.4, 0.4, 0.2, 0.2, 0.1, 0.1])
    model = build_model("sanet")
    optimizer = make_optimizer(model, recipe)
    head, encoder = optimizer.param_groups
    trunk = {id(p) for p in model.bkbone.parameters()}
    assert {id(p) for p in encoder["params"]} == trunk and not trunk & {id(p) for p in head["params"]}
    assert encoder["scale"] / head["scale"] == pytest.approx(0.1)
    assert all(group["weight_decay"] == 5e-4 and group["nesterov"] for group in optimizer.param_groups)


def test_ldnets_rate_is_set_once_an_epoch() -> None:
    recipe = load_recipe("native", model="ldnet")
    for epoch in (0, 1, 40, 79):
        assert learning_rate(recipe, epoch) == pytest.approx(1e-3 * (1 - epoch / 80) ** 0.9)
        assert learning_rate(recipe, epoch + 0.9) == learning_rate(recipe, epoch)


def test_ldnet_zooms_about_the_centre_within_a_tenth_and_stays_in_range() -> None:
    images = torch.zeros(64, 3, 64, 64)
    images[..., 16:48, 16:48] = 1
    zoomed, masks = transforms.augment(
        images, images[:, :1], ["zoom"], crop_size=64, generator=torch.Generator().manual_seed(0)
    )
    assert torch.equal(zoomed[:, :1], masks) and zoomed.min() >= 0 and zoomed.max() <= 1
    sides = masks.sum((1, 2, 3)).sqrt()
    assert 28.5 < sides.min() < 30 and 34 < sides.max() < 35.5
    assert 16 < (sides - 32).abs().lt(0.05).sum() < 48, "about half are left alone"


@pytest.mark.parametrize(
    ("model", "optimizer", "lr"), [("unet", "adamw", 1e-4), ("unetplusplus", "adam", 3e-4), ("smp:fpn", "adamw", 1e-4)]
)
def test_networks_without_an_authors_recipe_share_the_size_and_length(model: str, optimizer: str, lr: float) -> None:
    recipe = load_recipe("native", model=model)
    assert (recipe.optimizer, recipe.lr, recipe.image_size, recipe.epochs) == (optimizer, lr, 352, 100)
    assert recipe.loss == "native" and recipe.pretrained and recipe.select == "best"


@pytest.mark.parametrize("name", ["native", "equal"])
@pytest.mark.parametrize("model", ["unet", "unetplusplus"])
def test_the_classic_networks_differ_in_their_start_alone(name: str, model: str) -> None:
    usual, classic = load_recipe(name, model=model), load_recipe(name, model=f"{model}:classic")
    assert classic == usual.model_copy(update={"pretrained": False})


def test_fcbformers_rate_is_halved_when_validation_has_not_risen_for_more_than_ten_epochs() -> None:
    recipe = load_recipe("native", model="fcbformer")
    rising = [0.1, 0.2, 0.3]
    assert plateau_rate(recipe, []) == plateau_rate(recipe, [*rising, *[0.3] * 10]) == 1e-4
    assert plateau_rate(recipe, [*rising, *[0.3] * 11]) == 5e-5
    assert plateau_rate(recipe, [*rising, *[0.3] * 11, 0.31, *[0.3] * 10]) == 5e-5
    assert plateau_rate(recipe, [*rising, *[0.3] * 200]) == pytest.approx(1e-6)


@pytest.mark.parametrize("model", ["ssformer_s", "ssformer_l"])
def test_ssformers_first_epoch_has_no_rate_and_every_two_hundredth_a_tenth(model: str) -> None:
    recipe = load_recipe("native", model=model)
    rates = [learning_rate(recipe, epoch - 1 + 0.5) for epoch in (1, 2, 201, 202, 401, 402, 2000)]
    assert rates == pytest.approx([0, 1e-4, 1e-4, 1e-5, 1e-5, 1e-6, 1e-13])


@pytest.mark.parametrize(("model", "option"), [("polyp_pvt", "legacy_bce"), ("ssformer_s", "double_sigmoid")])
def test_a_quirk_of_the_loss_is_on_as_released_and_goes_off_by_a_setting(model: str, option: str) -> None:
    with torch.device("meta"):  # the losses need no weights
        released = build_model(model, **load_recipe("native", model=model).model_options)
        intended = build_model(model, **{option: False})
    outputs = tuple(torch.randn(2, 1, 64, 64, generator=torch.Generator().manual_seed(0)) for _ in range(3))
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:40, 20:50] = 1
    assert abs(released.loss(outputs, mask) - intended.loss(outputs, mask)) > 1e-3


def test_last_all_trains_on_the_validation_images_too() -> None:
    split = Split("pranet", 0, ("a", "b"), ("c",), {})  # type: ignore[arg-type]
    recipe = load_recipe("native", model="pranet")
    assert tuple(training_items(split, recipe)) == ("a", "b", "c")
    assert tuple(training_items(split, recipe.model_copy(update={"select": "last"}))) == ("a", "b")


def test_colours_that_leave_the_range_are_clipped_or_wrap_as_released() -> None:
    rng = np.random.default_rng(0)
    dull = rng.integers(100, 110, (1, 16, 16, 3))
    dull[0, 0, 0] = 255  # far from the others: the donor's wide spread throws it out of range
    vivid = rng.integers(0, 256, (1, 16, 16, 3))
    images = np.concatenate([dull, vivid]).astype(np.uint8)
    pixels = SimpleNamespace(images=images, masks=np.zeros(images.shape[:3], np.uint8))
    pool = Pool([Subset(pixels, np.arange(2), ("x", "1"))])
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    seed = next(s for s in range(20) if torch.rand(1, generator=torch.Generator().manual_seed(s)) < 0.7)
    outs = {}
    for piece in ("colour_exchange", "colour_exchange_wrap"):
        exchange = colour_exchange((piece, "hflip"), pool)
        assert exchange is not None
        outs[piece] = exchange(x[:1], np.array([0]), torch.Generator().manual_seed(seed))
    apart = (outs["colour_exchange"] - outs["colour_exchange_wrap"]).abs().amax(1)[0]
    assert apart[0, 0] > 0.1, "the bright pixel wraps around"
    assert (apart.flatten() < 1e-6).float().mean() > 0.5, "what stays in range is the same"
    assert colour_exchange(("hflip",), pool) is None


def test_a_size_that_fits_no_encoder_is_refused_with_the_nearest() -> None:
    with pytest.raises(BenchError, match=r"image_size = 250: .*multiple of 32.*nearest are 224 and 256"):
        validate_recipe({"image_size": 250}, where="--set")


@pytest.mark.parametrize("name", ["pranet", "caranet", "hardnet_mseg"])
def test_pranets_cross_entropy_is_released_or_intended_by_a_setting(name: str) -> None:
    with torch.device("meta"):  # the losses need no weights
        released = build_model(name, **load_recipe("native", model=name).model_options)
        intended = build_model(name, legacy_bce=False)
    g = torch.Generator().manual_seed(0)
    outputs = tuple(torch.randn(2, 1, 64, 64, generator=g) for _ in range(4))
    mask = torch.zeros(2, 1, 64, 64)
    mask[..., 20:40, 20:50] = 1
    assert isinstance(released, nn.Module)
    assert abs(released.loss(outputs, mask) - intended.loss(outputs, mask)) > 1e-3


@pytest.mark.parametrize(
    ("model", "sets"),
    [
        ("caranet", "cvc300"),
        ("pranet_v2", "clinicdb+cvc300"),
        ("pranet_v2_res2net", "clinicdb+cvc300"),
        ("polyp_pvt", "clinicdb+colondb+cvc300+etis+kvasir"),
        ("ssformer_s", "clinicdb+colondb+cvc300+etis+kvasir"),
        ("ssformer_l", "clinicdb+colondb+cvc300+etis+kvasir"),
    ],
)
def test_the_authors_selection_on_test_images_is_had_by_name_alone(model: str, sets: str) -> None:
    ours, theirs = load_recipe("native", model=model), load_recipe("native", model=model, overrides={"select": "test"})
    assert not ours.test_selection and theirs.select == f"test:{sets}"
    assert theirs.hash != ours.hash and theirs.trains_on_all
    assert theirs.model_copy(update={"select": ours.select}) == ours


@pytest.mark.parametrize("written", ["CVC-300+CVC-ClinicDB", "cvc-clinicdb+ CVC300", "clinicdb+cvc300+cvc300"])
def test_one_rule_has_one_name_and_one_hash(written: str) -> None:
    recipe = named_selection(load_recipe("native", model="caranet", overrides={"select": f"test:{written}"}))
    assert recipe.select == "test:clinicdb+cvc300"


def test_what_the_authors_pick_by_is_known_of_packaged_recipes_only() -> None:
    assert authors_selection("native", "caranet") == "test:cvc300" and authors_selection("smoke", "unet") == ""
    assert authors_selection("./mine.toml", "caranet") == ""
