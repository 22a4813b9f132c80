"""``bench denoise``: train the attention denoiser with the harness's loop, load it, apply a front end to images."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from benchmark.config import Recipe, config_hash, derive_seed
from benchmark.errors import BenchError
from benchmark.recipes.read import load_recipe
from benchmark.robustness.corruptions import Pixels, get_corruption
from benchmark.robustness.corruptions.base import check_image
from benchmark.store import io
from benchmark.store.checkpoint import load_weights, save_weights

if TYPE_CHECKING:
    from torch import nn


NETWORK = "bsanet.denoiser:build"
WEIGHTS, RECORD, HISTORY = "denoiser.pt", "denoiser.json", "history.csv"


class DenoiserRecord(BaseModel):
    """Record beside the weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)
    schema_version: Literal[1] = Field(default=1, alias="schema")
    sha256: str
    options: dict[str, Any]
    recipe: dict[str, Any]
    recipe_hash: str
    noise: dict[str, str]
    split: dict[str, Any]
    seed: int
    synthetic: bool
    best_epoch: int
    val: dict[str, float]
    pretrained: dict[str, Any] = {}
    environment: dict[str, Any] = {}
    timing: dict[str, float] = {}


@dataclass(frozen=True)
class AttentionFrontEnd:
    """The trained network as a front end.

    Attributes:
        network: On the CPU or a GPU, in evaluation mode.
        sha256: Checksum of its weights.
    """

    network: nn.Module
    sha256: str

    @property
    def label(self) -> str:
        """Name in results and tables."""
        return f"attention-{self.hash}"

    @property
    def title(self) -> str:
        """As printed in tables."""
        return "Attention"

    @property
    def hash(self) -> str:
        """Eight hex digits of the weights' checksum."""
        return self.sha256[:8]

    def __call__(self, image: Pixels) -> Pixels:
        """Return the denoised image, (H, W, 3) uint8."""
        import torch

        from benchmark.robustness.restoration import to_pixels

        check_image(image)
        device = next(self.network.parameters()).device
        with torch.no_grad():
            x = torch.from_numpy(image.copy()).to(device).permute(2, 0, 1)[None].float() / 255
            return to_pixels(self.network(x)[0][0])


def load_denoiser(path: Path) -> AttentionFrontEnd:
    """Load weights that ``bench denoise train`` wrote, with the record beside them.

    Raises:
        BenchError: No record, weights that differ from it, or weights that do not fit the network.
    """
    record = read_denoiser(path.with_suffix(".json"))
    network = _build(record.options, pretrained=False)
    try:
        network.load_state_dict(load_weights(path, record.sha256))
    except RuntimeError as error:
        raise BenchError(
            f"{path}: does not fit the attention denoiser ({' '.join(str(error).split())[:160]})"
        ) from None
    return AttentionFrontEnd(network.eval(), record.sha256)


def read_denoiser(path: Path) -> DenoiserRecord:
    """Read the record of trained weights.

    Raises:
        BenchError: It is missing, not readable, or of a newer schema.
    """
    try:
        return DenoiserRecord.model_validate(io.read_json(path))
    except (OSError, ValueError, AttributeError) as error:
        fault = io.first_fault(error)
        raise BenchError(
            f"{path}: no readable record of a denoiser ({fault}); bench denoise train writes it beside the weights"
        ) from None


def train_denoiser(
    datasets: Sequence[str],
    out: Path,
    *,
    recipe: str = "denoiser",
    overrides: dict[str, Any] | None = None,
    split: str = "paper",
    split_seed: int = 0,
    seed: int = 0,
    device: str = "auto",
    data_root: Path | None = None,
    cache_dir: Path | None = None,
    allow_missing: bool = False,
    checkpoint_every_s: float = 60.0,
    notice: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, int, int, float, float], None] = lambda *_: None,
    on_epoch: Callable[[dict[str, float]], None] = lambda _: None,
) -> DenoiserRecord:
    """Train the attention denoiser on the training images of a split; validation images select the epoch.

    A stopped training continues from its last checkpoint. Test images are never read.

    Args:
        datasets: Names or groups.
        out: Folder of ``denoiser.pt``, ``denoiser.json`` and ``history.csv``.
        recipe: Packaged recipe or TOML file; its ``noise`` is drawn, its ``model_options`` are the network's.
        overrides: Fields that win over the recipe.
        split: And the rest: as for ``bench run``.
        notice: Receives warnings.
        on_step: Called with epoch, step, steps per epoch, loss, images/s.
        on_epoch: Called with each row of the history.
    Raises:
        BenchError: The recipe draws no noise or denoises, the images are missing, or the training diverged.
        KeyboardInterrupt: Stopped; the checkpoint is kept.
    """
    import pandas as pd
    import torch

    from benchmark.data.files.hashing import fingerprint
    from benchmark.data.listing.datasets import dataset_info
    from benchmark.data.pixels.shared import SharedPixels
    from benchmark.data.splits.choose import obtain_split
    from benchmark.robustness.restoration import denoising
    from benchmark.runtime import environment
    from benchmark.runtime.device import make_fabric
    from benchmark.study.images import drawn_for_training, subset
    from benchmark.training.loop import train
    from benchmark.training.state import Keeper

    resolved = load_recipe(recipe, model="denoiser", overrides=overrides)
    _check(resolved)
    parts = obtain_split(
        split, list(datasets), root=data_root, seed=split_seed, allow_missing=allow_missing, cache_dir=cache_dir
    )
    prints = {"train": fingerprint(parts.train), "val": fingerprint(parts.val)}
    noise: dict[str, str] = {name: get_corruption(name).hash for name in resolved.noise}
    owner = f"denoiser-{config_hash([resolved.hash, noise, prints, seed])}"
    done = out / RECORD
    if done.is_file() and (out / WEIGHTS).is_file():
        old = read_denoiser(done)
        if (old.recipe_hash, old.noise, old.seed, old.split.get("fingerprints")) == (
            resolved.hash, noise, seed, prints,
        ):  # fmt: skip
            notice(f"{out}: finished already; kept")
            return old
        raise BenchError(f"{out}: holds a different denoiser (recipe, images or seed differ); choose another --out")
    fabric = make_fabric(device, resolved)
    torch.manual_seed(derive_seed("init", seed))
    network = _build(resolved.model_options, pretrained=resolved.pretrained)
    chosen = [drawn_for_training(parts.train, resolved, seed), subset(parts.val, resolved.max_val_images)]
    shared = SharedPixels([item for items in chosen for item in items], cache_dir)
    pools = [shared.pool(items, resolved, resolved.train_size) for items in chosen]
    keeper = Keeper(out / "last.pt", owner=owner, every_s=checkpoint_every_s, say=notice)
    io.write_text(out / HISTORY, "")  # report a folder that cannot be written before training
    outcome = train(
        network,
        resolved,
        (pools[0], pools[1]),
        seed=seed,
        fabric=fabric,
        keeper=keeper,
        on_step=on_step,
        on_epoch=on_epoch,
        task=denoising(resolved),
    )
    if outcome.status != "ok":
        raise BenchError(f"denoiser: the training diverged ({outcome.error}); try a smaller lr: --set lr=1e-4")
    io.write_text(out / HISTORY, pd.DataFrame(outcome.history).to_csv(index=False, float_format="%.10g"))
    best = next(row for row in outcome.history if row["epoch"] == outcome.best_epoch)
    record = DenoiserRecord(
        sha256=save_weights(out / WEIGHTS, network.state_dict()),
        options=resolved.model_options,
        recipe=resolved.model_dump(mode="json"),
        recipe_hash=resolved.hash,
        noise=noise,
        split={"name": parts.name, "seed": parts.seed, "fingerprints": prints},
        seed=seed,
        synthetic=any(dataset_info(item.dataset).synthetic for item in parts.train[:1]),
        best_epoch=outcome.best_epoch,
        val={key: value for key, value in best.items() if key.startswith("val_")},
        pretrained=dict(getattr(network, "weights_info", {})),
        environment=environment.describe(str(fabric.device)),
        timing={"train_s": outcome.seconds, "images_per_s": outcome.images_per_s},
    )
    io.write_json(out / RECORD, record.model_dump(mode="json", by_alias=True))
    (out / "last.pt").unlink(missing_ok=True)
    return record


def _check(recipe: Recipe) -> None:
    if not recipe.noise:
        raise BenchError(f"recipe {recipe.name}: noise is empty; a denoiser is trained on drawn noise")
    if recipe.test_selection:
        raise BenchError(f"recipe {recipe.name}: select = {recipe.select}: a denoiser is selected on validation images")
    fields = {"loss": ("native", recipe.loss), "normalize": ("none", recipe.normalize)}
    for name, (wanted, given) in fields.items():
        if given != wanted:
            raise BenchError(f"recipe {recipe.name}: {name} = {given}: a denoiser is trained with {name} = {wanted}")


def _build(options: dict[str, Any], *, pretrained: bool) -> nn.Module:
    module, _, function = NETWORK.partition(":")
    try:
        return getattr(importlib.import_module(module), function)(pretrained=pretrained, **options)
    except (TypeError, ValueError) as error:
        raise BenchError(f"attention denoiser: {error}; its options are num_groups and num_blocks") from None
