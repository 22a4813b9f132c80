"""Names of recipe fields in other programs, for the message on an unknown field."""

from __future__ import annotations

MEANINGS: dict[str, str] = {
    **dict.fromkeys(
        ("param_groups", "lr_mult", "lr_multipliers", "backbone_lr", "encoder_lr", "layer_lr"),
        "use lr_factors, factors on lr by group of parameters, such as --set 'lr_factors={encoder = 0.1}'",
    ),
    **dict.fromkeys(("learning_rate", "max_lr", "base_lr", "init_lr"), "use lr, the peak learning rate"),
    **dict.fromkeys(("num_epochs", "max_epochs", "n_epochs"), "use epochs"),
    **dict.fromkeys(("batchsize", "bs", "train_batch_size"), "use batch_size, images per step"),
    **dict.fromkeys(("accumulate", "accumulation", "grad_accum"), "use micro_batch, images per pass"),
    **dict.fromkeys(("img_size", "input_size", "size", "resolution", "trainsize"), "use image_size, the side in px"),
    **dict.fromkeys(("backbone", "encoder_name"), "use encoder, for models that take one"),
    **dict.fromkeys(("optim", "opt", "optimiser"), "use optimizer: adam, adamw or sgd"),
    **dict.fromkeys(("scheduler", "lr_schedule", "lr_scheduler"), "use schedule"),
    **dict.fromkeys(("warmup", "warmup_steps"), "use warmup_epochs, a linear warm-up"),
    **dict.fromkeys(("wd", "decay"), "use weight_decay"),
    **dict.fromkeys(("clip", "grad_clip", "clip_grad", "gradient_clip"), "use clip_value or clip_norm"),
    **dict.fromkeys(("amp", "fp16", "bf16", "mixed_precision", "half"), "use precision, for example bf16-mixed"),
    **dict.fromkeys(
        ("augment", "augmentations", "aug", "albumentations", "transform"),
        "use augmentation for this package's steps, transforms for albumentations or your own",
    ),
    **dict.fromkeys(("criterion", "loss_fn", "loss_function"), "use loss"),
    **dict.fromkeys(("focal", "focal_loss", "gamma"), "use loss = focal, with focal_alpha and focal_gamma"),
    **dict.fromkeys(
        ("tversky", "lovasz", "dice_loss", "bce_loss", "structure_loss"),
        "use loss: FILE.py:function for your own; native for the network's own",
    ),
    **dict.fromkeys(
        ("tta", "test_time_augmentation"),
        "test-time processing is postprocess; bench ensemble --flips averages flips",
    ),
    **dict.fromkeys(("early_stopping", "early_stop", "es_patience"), "use patience, epochs without improvement"),
    **dict.fromkeys(("ema", "model_ema", "use_ema", "swa"), "use ema_decay, the decay of averaged weights"),
    **dict.fromkeys(("checkpoint", "save_best", "best"), "use select: which epoch is kept"),
    **dict.fromkeys(("monitor", "metric"), "use select_metric, which selects the checkpoint"),
    **dict.fromkeys(
        ("imagenet", "weights", "init", "init_from"),
        "use pretrained = true for ImageNet weights, bench run --init-from for others",
    ),
    **dict.fromkeys(("seed", "seeds"), "seeds are not part of a recipe: --seeds 0,1,2"),
    **dict.fromkeys(("device", "gpu", "gpus"), "devices are not part of a recipe: --device, --devices"),
    **dict.fromkeys(("num_workers", "workers"), "use --workers for parallel cells; images are read from a cache"),
    **dict.fromkeys(("threshold", "cutoff"), "the protocol decides how maps are scored: 'bench protocols'"),
}
"""Name in other programs -> what to use here."""
