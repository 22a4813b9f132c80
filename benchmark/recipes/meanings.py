"""Names of recipe fields in other programs, for the message on an unknown field."""

from __future__ import annotations

MEANINGS: dict[str, str] = {
    **dict.fromkeys(("learning_rate", "max_lr", "base_lr", "init_lr"), "the peak learning rate is lr"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs"), "passes over the images are epochs"),
    **dict.fromkeys(("batchsize", "bs", "train_batch_size"), "images per step are batch_size"),
    **dict.fromkeys(("accumulate", "accumulation", "grad_accum"), "a batch is cut into passes by micro_batch"),
    **dict.fromkeys(("img_size", "input_size", "size", "resolution", "trainsize"), "the side in px is image_size"),
    **dict.fromkeys(("backbone", "encoder_name"), "a model that takes one has it by encoder"),
    **dict.fromkeys(("optim", "opt", "optimiser"), "it is optimizer: adam, adamw or sgd"),
    **dict.fromkeys(("scheduler", "lr_schedule", "lr_scheduler"), "it is schedule"),
    **dict.fromkeys(("warmup", "warmup_steps"), "the linear warm-up is warmup_epochs"),
    **dict.fromkeys(("wd", "decay"), "it is weight_decay"),
    **dict.fromkeys(("clip", "grad_clip", "clip_grad", "gradient_clip"), "it is clip_value or clip_norm"),
    **dict.fromkeys(("amp", "fp16", "bf16", "mixed_precision", "half"), "it is precision, for example bf16-mixed"),
    **dict.fromkeys(
        ("augment", "augmentations", "aug", "albumentations", "transform"),
        "pieces of this package are named in augmentation, albumentations' and your own in transforms",
    ),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function"), "it is loss"),
    **dict.fromkeys(("focal", "focal_loss", "gamma"), "it is loss = focal, with focal_alpha and focal_gamma"),
    **dict.fromkeys(
        ("tversky", "lovasz", "dice_loss", "bce_loss", "structure_loss"),
        "a loss is named by loss: FILE.py:function is your own; native is the one that a network brings along",
    ),
    **dict.fromkeys(
        ("tta", "test_time_augmentation"),
        "test-time processing is postprocess; bench ensemble --flips averages flips",
    ),
    **dict.fromkeys(("early_stopping", "early_stop", "es_patience"), "epochs to wait for a better one are patience"),
    **dict.fromkeys(("ema", "model_ema", "use_ema", "swa"), "the decay of averaged weights is ema_decay"),
    **dict.fromkeys(("checkpoint", "save_best", "best"), "which epoch is kept is select"),
    **dict.fromkeys(("monitor", "metric"), "what picks the checkpoint is select_metric"),
    **dict.fromkeys(
        ("imagenet", "weights", "init", "init_from"),
        "ImageNet weights are pretrained = true; others are given to bench run --init-from",
    ),
    **dict.fromkeys(("seed", "seeds"), "seeds are no part of a recipe: --seeds 0,1,2"),
    **dict.fromkeys(("device", "gpu", "gpus"), "devices are no part of a recipe: --device, --devices"),
    **dict.fromkeys(("num_workers", "workers"), "cells at once are --workers; images are read from a cache"),
    **dict.fromkeys(("threshold", "cutoff"), "how maps are scored is the protocol's: 'bench protocols'"),
}
"""Name in other programs -> what to use here."""
