"""`bench denoise ...`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli import complete
from benchmark.cli.app import denoise_app, names
from benchmark.cli.options import (
    AllowMissing,
    CacheDir,
    CheckpointEvery,
    DataRoot,
    Datasets,
    Device,
    Json,
    Overrides,
    Split,
    SplitSeed,
)
from benchmark.cli.printing import events, print_json, say


@denoise_app.command("train")
def denoise_train(
    datasets: Datasets = "polyp",
    split: Split = "paper",
    split_seed: SplitSeed = 0,
    recipe: Annotated[
        str, typer.Option(help="Packaged recipe or TOML file.", autocompletion=complete.recipes)
    ] = "denoiser",
    seed: Annotated[int, typer.Option(help="Training seed.")] = 0,
    set_: Overrides = None,
    out: Annotated[Path, typer.Option(help="Folder for denoiser.pt, its record and its history.")] = Path("denoiser"),
    data_root: DataRoot = None,
    cache_dir: CacheDir = None,
    checkpoint_every: CheckpointEvery = 60.0,
    allow_missing: AllowMissing = False,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Train the attention denoiser on the split's training images with random noise; PSNR on validation images selects.

    An interrupted training continues from its last checkpoint. Use the weights in `bench robust --denoise FILE.pt`.

    Example: bench denoise train --datasets kvasir --out denoiser
    """
    from benchmark.recipes.read import parse_overrides
    from benchmark.robustness.denoiser import WEIGHTS, train_denoiser

    with events(as_json=as_json) as display:
        record = train_denoiser(
            names(datasets),
            out,
            recipe=recipe,
            overrides=parse_overrides(set_ or []),
            split=split,
            split_seed=split_seed,
            seed=seed,
            device=device,
            data_root=data_root,
            cache_dir=cache_dir,
            allow_missing=allow_missing,
            checkpoint_every_s=checkpoint_every,
            notice=display.notice,
            on_step=display.step,
            on_epoch=lambda row: None if as_json else say(_epoch(row)),
        )
    if as_json:
        print_json(record.model_dump(mode="json", by_alias=True))
        return
    kind = " (synthetic)" if record.synthetic else ""
    print(f"{_epoch({'epoch': record.best_epoch, **record.val})} on validation images{kind}: {out / WEIGHTS}")


def _epoch(row: Mapping[str, float]) -> str:
    return (
        f"epoch {row['epoch']:g}: PSNR {row['val_psnr']:.2f} dB (noisy {row['val_psnr_noisy']:.2f}), "
        f"SSIM {row['val_ssim']:.3f} (noisy {row['val_ssim_noisy']:.3f})"
    )


@denoise_app.command("apply")
def denoise_apply(
    inputs: Annotated[list[Path], typer.Argument(metavar="INPUT...", help="Images and folders of images.")],
    denoiser: Annotated[
        str, typer.Option(help="none, gaussian, median, nlm, tv, wavelet, or FILE.pt from bench denoise train.")
    ] = "nlm",
    out: Annotated[Path, typer.Option(help="Folder for the PNG files.")] = Path("denoised"),
    as_json: Json = False,
) -> None:
    """Denoise images at their own size.

    Example: bench denoise apply --denoiser nlm --out denoised photos/
    """
    from benchmark.robustness.apply import denoise_files

    with events(as_json=as_json) as display:
        written = denoise_files(inputs, out, denoiser, progress=partial(display.phase, "denoise"))
    if as_json:
        print_json({"files": [str(path) for path in written], "denoiser": denoiser})
    else:
        print(f"{len(written)} images: {out}")
