"""Settings of a training run: validated, frozen, hashed. ``recipes/read.py`` builds them from TOML and options."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Augmentation = Literal[
    "hflip",
    "vflip",
    "rot90",
    "rotate",
    "rotate_always",
    "zoom",
    "crop",
    "jitter",
    "colour_exchange",
    "colour_exchange_wrap",
    "blur",
    "colour_jitter",
    "affine",
    "rescale",
    "rotate_whole",
    "enhance",
    "mask_edge",
]
LOSSES = ("bce_dice", "bce", "dice", "structure", "focal", "native")
OWN_CODE = r"[^:]+\.py:[A-Za-z_][A-Za-z0-9_]*"
"""A function in a file of the user's own, as a recipe names it: FILE.py:function."""
Denoise = Literal["none", "gaussian", "median", "nlm", "tv", "wavelet"]
Noise = Literal[
    "gaussian_noise",
    "shot_noise",
    "speckle_noise",
    "motion_blur",
    "defocus_blur",
    "low_light",
    "over_exposure",
    "contrast",
    "colour_cast",
    "jpeg",
    "down_sampling",
    "interlacing",
    "specular_highlights",
    "smoke",
    "vignette",
]  # all but low_dose_ct, which takes seconds per image

NotNegative = Annotated[float, Field(ge=0)]


class Recipe(BaseModel):
    """How a model is trained. One recipe and one model make one resolved ``Recipe``.

    Every field can change a number, so every field but ``name`` is part of the hash. TOML files hold only what
    differs from the defaults, which are the paper's (section 4.1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field("paper", pattern=r"^[A-Za-z0-9_.-]+$", description="Name printed in tables; not hashed.")

    # images
    image_size: int = Field(256, ge=32, le=4096, multiple_of=32, description="Side of the square input, px.")
    load_size: int | None = Field(None, ge=32, description="Side before a random crop, px; unset: image_size.")
    resize: Literal["antialias", "linear"] = Field(
        "antialias", description="Image resampling: reducing bilinear (Pillow) or two-tap bilinear (OpenCV)."
    )
    masks: Literal["binary", "soft", "soft_linear", "nearest"] = Field(
        "binary",
        description="Training masks: thresholded, grey as resampled, grey by two-tap bilinear, or nearest grey.",
    )
    normalize: Literal["imagenet", "half", "none"] = Field(
        "imagenet", description="Mean/std applied after scaling to [0, 1]; half: both 0.5, so [-1, 1]."
    )
    denoise: Denoise = Field(
        "none", description="Denoiser of every image at its own size, in training, validation and test."
    )
    noise: tuple[Noise, ...] = Field(
        (),
        description="Corruptions drawn in training, at network size: half of the images get one, at severity 1 to 5.",
    )
    augmentation: tuple[Augmentation, ...] = Field(
        (), description="Augmentation steps, in this order; colour exchange comes first."
    )
    transforms: tuple[dict[str, Any], ...] = Field(
        (),
        description='Transforms of albumentations by name with their parameters, {name = "RandomGamma", p = 0.3}, or '
        "FILE.py:function, called (image, mask, rng, **parameters); before augmentation, on 8-bit pixels.",
    )
    multi_scale: Literal["none", "each", "draw"] = Field(
        "none", description="Use every scale for every batch (each), or draw one per batch (draw)."
    )
    scales: tuple[float, ...] = Field((1.0,), min_length=1, description="Factors of image_size, rounded to 32 px.")
    scale_weights: tuple[float, ...] | None = Field(None, description="Probabilities for multi_scale = draw.")
    max_train_images: int | None = Field(None, ge=1, description="Use at most this many training images.")
    train_subset: Literal["even", "seed"] = Field(
        "even",
        description="Which ones: evenly spaced, the same for every seed (even), or drawn by the training seed (seed): "
        "then differences between seeds include those between training images.",
    )
    max_val_images: int | None = Field(None, ge=1, description="Use at most this many validation images.")
    max_test_images: int | None = Field(None, ge=1, description="Score at most this many images per test set.")

    # optimisation
    epochs: int = Field(120, ge=1, le=100_000, description="Passes over the training images.")
    batch_size: int = Field(16, ge=1, le=65_536, description="Images per optimiser step.")
    drop_last: bool = Field(False, description="Drop the last batch when it is not full.")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimiser.")
    lr: float = Field(1e-3, gt=0, description="Peak learning rate.")
    encoder_lr_scale: float = Field(1.0, ge=0, description="Factor on lr for the encoder's parameters.")
    lr_factors: dict[str, NotNegative] = Field(
        {},
        description="Factor on lr for groups of parameters that the model names, {swin = 0.1}, or its encoder. "
        "`bench models NAME` lists a model's groups.",
    )
    lr_warmups: dict[str, NotNegative] = Field(
        {}, description="Epochs in which such a group's rate rises linearly to the schedule's, {swin = 5}."
    )
    weight_decay: float = Field(0.0, ge=0, description="Weight decay on all parameters.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum (sgd only).")
    nesterov: bool = Field(False, description="Nesterov momentum (sgd only).")
    schedule: Literal["constant", "cosine", "poly", "step", "plateau"] = Field(
        "constant",
        description="Learning-rate schedule; plateau: times step_factor whenever select_metric stops improving.",
    )
    warmup_epochs: float = Field(0.0, ge=0, description="Linear warm-up, epochs.")
    warmup_by: Literal["step", "epoch"] = Field(
        "step", description="Update the warm-up rate at every step, or once per epoch: the first epoch's is then 0."
    )
    poly_power: float = Field(0.9, gt=0, description="Power of the poly schedule.")
    step_epochs: tuple[int, ...] = Field((), description="Epochs (1-based) at whose start step_factor applies.")
    step_factor: float = Field(0.5, gt=0, le=1, description="Factor of the step and plateau schedules.")
    plateau_epochs: int = Field(10, ge=0, description="Epochs without improvement before plateau lowers the rate.")
    min_lr: float = Field(0.0, ge=0, description="Lowest rate of schedule = plateau.")
    clip_value: float | None = Field(None, gt=0, description="Clamp every gradient element to +-this.")
    clip_norm: float | None = Field(None, gt=0, description="Clip the gradient's global norm.")
    loss: str = Field(
        "bce_dice",
        json_schema_extra={"enum": [*LOSSES, "FILE.py:function"]},
        description="Map loss, the same for all models; native: each model's own; FILE.py:function: called (logits, "
        "masks), both (B, 1, H, W), returns a scalar.",
    )
    focal_alpha: float = Field(
        0.25, ge=0, le=1, description="Weight of polyp in loss = focal, 1 - this of background (Lin et al. 2017)."
    )
    focal_gamma: float = Field(2.0, ge=0, description="Exponent of loss = focal; 0: weighted cross entropy.")
    ema_decay: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay per batch of a moving average of the weights, which is validated, kept and scored instead "
        "of them; after n batches at most (1 + n) / (10 + n). Unset: no average.",
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="Epochs without a new best select_metric after which training stops; the schedule is that of all "
        "epochs. Unset: all epochs.",
    )
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="Images per pass if a batch does not fit into memory (gradient accumulation). "
        "Unset: the whole batch.",
    )
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = Field(
        "auto", description="Lightning Fabric precision; auto: 32-true on a CPU, half on CUDA (bf16 if supported)."
    )
    channels_last: Literal["auto", True, False] = Field(
        "auto", description="Memory format of the network and its input; auto: on CUDA only."
    )
    tf32: Literal["auto", True, False] = Field(
        "auto", description="TF32 in 32-bit convolutions and matrix products on CUDA; auto: no."
    )
    cudnn_benchmark: Literal["auto", True, False] = Field(
        "auto", description="cuDNN times its algorithms for each shape; auto: on CUDA, unless --deterministic."
    )
    compile: Literal["auto", True, False, "cuda-graphs"] = Field(
        "auto", description="torch.compile while training, also as CUDA graphs; auto: no."
    )

    # model
    pretrained: bool = Field(False, description="Start from ImageNet weights.")
    encoder: str | None = Field(
        None, description="Encoder of models that accept one (U-Net, Unet++); unset: their default."
    )
    model_options: dict[str, Any] = Field(default_factory=dict, description="Further options of build().")

    outputs: str = Field(
        "maps",
        pattern=r"^(maps|last_first|two_class|key:.+)$",
        description="What the network returns: maps: logits, item 0 is scored; last_first: the last item is scored; "
        "two_class: item 0 has the logits of background and polyp; key:NAME: a dictionary whose entry NAME is scored.",
    )

    # selection and prediction
    select: str = Field(
        "best",
        pattern=r"^(best|last|last_all|test:[^+:]+(\+[^+:]+)*)$",
        description="Checkpoint: best on validation (best); the last epoch (last); the last epoch of a training that "
        "takes the validation images too (last_all), as PraNet's and SANet's authors do: validation scores then "
        "mean little; or that training's best on test images (test:CVC-300, test:CVC-300+CVC-ClinicDB: the mean "
        "over the sets), as some authors do: optimistic scores. It can be chosen by --set only; --set select=test "
        "takes each model's sets from the recipe native.",
    )
    select_metric: Literal["val_dice_half", "val_mdsc", "val_iou_mean"] = Field(
        "val_dice_half",
        description="Score that selects the checkpoint: on validation images, or on those that select names.",
    )
    postprocess: Literal["none", "resize_prob", "minmax", "minmax_floor", "pcs"] = Field(
        "none",
        description="Test-time processing: the probabilities resized to the mask instead of the logits (SSFormer), "
        "min-max of the probabilities, the same truncated to 8 bits (PraNet-V2), or SANet's probability "
        "correction.",
    )

    tuned_trials: int | None = Field(
        None, ge=1, description="Trials of bench tune that chose these fields; unset: not tuned."
    )

    @field_validator("loss")
    @classmethod
    def _is_loss(cls, value: str) -> str:
        if value in LOSSES or re.fullmatch(OWN_CODE, value):
            return value
        raise ValueError(f"expected {', '.join(LOSSES)} or FILE.py:function")

    @field_validator("transforms", mode="before")
    @classmethod
    def _with_names(cls, value: Any) -> Any:
        """A name alone stands for a transform without parameters."""
        if not isinstance(value, list | tuple):
            raise ValueError('expected a list, such as [{name = "RandomGamma", p = 0.3}]')
        tables = [{"name": one} if isinstance(one, str) else one for one in value]
        if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in tables):
            raise ValueError('each transform needs a name, such as {name = "RandomGamma", p = 0.3}')
        return tuple(tables)

    @property
    def own_code(self) -> list[str]:
        """Functions in files of the user's own that it names, each FILE.py:function."""
        return [one for one in (self.loss, *(t["name"] for t in self.transforms)) if re.fullmatch(OWN_CODE, one)]

    def to_record(self) -> dict[str, Any]:
        """Return the fields as JSON values; of files without their folders, which are nobody else's to know."""
        fields = self.model_dump(mode="json")
        fields["transforms"] = [{**one, "name": _without_folder(one["name"])} for one in fields["transforms"]]
        return {**fields, "loss": _without_folder(self.loss)}

    @property
    def hash(self) -> str:
        """Eight hex digits over everything but the name; of files their names alone (a cell's hash covers their text).

        A later field counts only if it is set, and ``auto`` counts as the field's value from before it could
        be ``auto``, so that older hashes stay valid; the same value set explicitly is another recipe, as on CUDA.
        """
        fields = self.to_record()
        del fields["name"]
        for name in _LATER:
            if getattr(self, name) == type(self).model_fields[name].default:
                del fields[name]
        for name, before in _BEFORE_AUTO.items():
            if fields[name] == before:
                fields[f"{name}_pinned"] = True
            elif fields[name] == "auto":
                fields[name] = before
        return config_hash(fields)

    @property
    def test_selection(self) -> tuple[str, ...]:
        """The test sets whose images pick the checkpoint; empty where none do."""
        kind, _, sets = self.select.partition(":")
        return tuple(sets.split("+")) if kind == "test" else ()

    @property
    def trains_on_all(self) -> bool:
        """Whether the validation images train too: nothing is picked by them."""
        return self.select == "last_all" or bool(self.test_selection)

    @property
    def train_size(self) -> int:
        """Side at which training images are cached, px."""
        return self.load_size or self.image_size


_LATER = (
    *("tuned_trials", "micro_batch", "compile", "tf32", "cudnn_benchmark"),
    *("warmup_by", "plateau_epochs", "min_lr", "outputs", "denoise", "noise"),
    *("transforms", "focal_alpha", "focal_gamma", "ema_decay", "patience"),
    *("lr_factors", "lr_warmups", "train_subset"),
)
_BEFORE_AUTO: dict[str, Any] = {"precision": "32-true", "channels_last": False}


def _without_folder(name: str) -> str:
    """``./FILE.py:function`` of a function in any folder; other names as they are."""
    return f"./{Path(name).name}" if re.fullmatch(OWN_CODE, name) else name


def config_hash(payload: Any) -> str:
    """Return eight hex digits of the canonical JSON of ``payload``."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def derive_seed(*names: object) -> int:
    """Return a 63-bit seed that depends on the names alone, not on the order in which cells run."""
    digest = hashlib.blake2b("/".join(map(str, names)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
