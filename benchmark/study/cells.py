"""A cell and its name: what is trained once, and the hash over all that can change its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmark.config import Recipe, config_hash, derive_seed
from benchmark.data.files.hashing import file_hash
from benchmark.errors import BenchError
from benchmark.models.registry import ModelSpec
from benchmark.models.user_files import named_file, source_hash
from benchmark.robustness.corruptions import get_corruption
from benchmark.robustness.denoising.classical import get_front_end
from benchmark.store.layout import cell_id
from benchmark.store.schema import SplitInfo
from benchmark.study.start import Start

_WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class Cell:
    """One training: model, recipe, seed, dropped parts, starting weights."""

    id: str
    spec: ModelSpec
    recipe: Recipe
    seed: int
    ablation: tuple[str, ...] = ()
    weights: Path | None = None
    start: Start | None = None

    @property
    def draws_seed(self) -> int:
        """The seed of the order of images and all draws; a training that continues from weights has another."""
        return self.seed if self.start is None else derive_seed("start", self.start.sha256, self.seed)


def weights_file(folder: Path | None, spec: ModelSpec, recipe: Recipe) -> Path | None:
    """Return the file of --weights-dir for a recipe that starts from ImageNet weights.

    It is named by the model (``pranet.pth``, ``smp_fpn_tu-resnet18.pth``) or, for all models that share one, by the
    encoder (``res2net50d.pth``); also ``.pt`` and ``.safetensors``.

    Raises:
        BenchError: The folder has no such file.
    """
    if folder is None or not recipe.pretrained:
        return None
    # the order of precedence is that of build_network: recipe, then name, then the model's default
    encoder = (recipe.encoder if spec.takes_encoder else None) or spec.options.get("encoder") or spec.encoder
    stems = [spec.name.replace(":", "_"), *([encoder.removeprefix("tu-")] if encoder else [])]
    names = [stem + suffix for stem in stems for suffix in (".pth", ".pt", ".safetensors")]
    found = [folder / name for name in names if (folder / name).is_file()]
    if not found:
        wanted = " or ".join(f"{stem}.pth" for stem in stems)
        raise BenchError(
            f"--weights-dir {folder}: no {wanted} (.pt, .safetensors) for {spec.title}; put the encoder's "
            "ImageNet weights there under that name"
        )
    return found[0]


def make_cell(
    spec: ModelSpec,
    recipe: Recipe,
    info: SplitInfo,
    *,
    seed: int,
    ablation: tuple[str, ...],
    code: str | None,
    weights: Path | None = None,
    picked: str = "",
    start: Start | None = None,
) -> Cell:
    """Name a cell. Its hash covers all that can change a number, and nothing else (no paths, no device).

    ``code`` is ``code_hash`` of the model; ``picked`` is the fingerprint of the test images that pick the checkpoint,
    where they do.
    """
    payload = {
        "model": spec.name,
        "options": spec.options,
        "code": code,  # of a user's file only: editing it makes another model
        "ablation": sorted(ablation),  # the order of --drop changes nothing
        "recipe": recipe.hash,
        "split": info.model_dump(),
    }
    # optional keys only where set, so that hashes from before they existed stay valid
    if recipe.noise:
        payload["noise"] = {name: get_corruption(name).hash for name in sorted(recipe.noise)}
    if recipe.denoise != "none":
        payload["denoise"] = get_front_end(recipe.denoise).hash
    if recipe.own_code:
        payload["own_code"] = own_code_hashes(recipe)
    if weights is not None:
        payload["weights"] = file_hash(weights)
        if (second := _encoder_weights(weights.parent, spec, recipe)) is not None:
            payload["encoder_weights"] = file_hash(second)
    if picked:
        payload["picked"] = picked
    if start is not None:
        payload["start"] = start.sha256
    name = cell_id(spec.name, ablation=ablation, recipe=recipe.name, config=config_hash(payload), seed=seed)
    return Cell(name, spec, recipe, seed, ablation, weights, start)


def _encoder_weights(folder: Path, spec: ModelSpec, recipe: Recipe) -> Path | None:
    """The second file of --weights-dir, for a model whose encoder is one of its own options."""
    encoder = None if spec.takes_encoder else recipe.model_options.get("encoder")
    found = sorted(folder.glob(f"{encoder}*")) if isinstance(encoder, str) and encoder.isidentifier() else []
    return next((path for path in found if path.suffix in _WEIGHT_SUFFIXES), None)


def own_code_hashes(recipe: Recipe) -> dict[str, str]:
    """Hash the files that a recipe names for its loss and transforms, with what they import: FILE.py:function -> hex.

    Raises:
        BenchError: A file that is not there.
    """
    named = {name: named_file(name, what=f"recipe {recipe.name}:") for name in recipe.own_code}
    return {f"{path.name}:{name.rpartition(':')[2]}": source_hash(path) for name, path in named.items()}
