"""Packaged models: tables of lazy "module:function" strings. A new network is one entry here."""

from __future__ import annotations

from benchmark.models.sources import ModelSpec

MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            "unet",
            "U-Net",
            "baselines.unet:build",
            "encoder-decoder with skips (2015), smp",
            takes_encoder=True,
            encoder="resnet34",
        ),
        ModelSpec(
            "unetplusplus",
            "Unet++",
            "baselines.unetplusplus:build",
            "nested U-Net (2018), smp",
            takes_encoder=True,
            encoder="resnet34",
        ),
        ModelSpec(
            "pranet",
            "PraNet",
            "baselines.pranet:build",
            "parallel reverse attention (MICCAI 2020)",
            encoder="res2net50d",
        ),
        ModelSpec("sanet", "SANet", "baselines.sanet:build", "shallow attention (MICCAI 2021)", encoder="res2net50d"),
        ModelSpec(
            "ldnet", "LDNet", "baselines.ldnet:build", "lesion-aware dynamic kernel (MICCAI 2022)", encoder="res2net50d"
        ),
        ModelSpec(
            "bsanet",
            "BSANet",
            "bsanet.model:build",
            "bilateral spatial attention: ISAM, FSAM, ARM (2024)",
            loader="bsanet.weights:load_checkpoint",
        ),
    )
}
FIELD: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec(
            "caranet",
            "CaraNet",
            "baselines.caranet:build",
            "context axial reverse attention (2022)",
            encoder="res2net101d",
        ),
        ModelSpec(
            "hardnet_mseg",
            "HarDNet-MSEG",
            "baselines.hardnet_mseg:build",
            "partial decoder on HarDNet-68 (2021)",
            encoder="hardnet68",
        ),
        ModelSpec(
            "pranet_v2",
            "PraNet-V2 (PVTv2-B2)",
            "baselines.pranet_v2:build",
            "dual-supervised reverse attention (2025)",
            encoder="pvt_v2_b2",
        ),
        ModelSpec(
            "pranet_v2_res2net",
            "PraNet-V2 (Res2Net)",
            "baselines.pranet_v2:build_res2net",
            "dual-supervised reverse attention (2025)",
            encoder="res2net50d",
        ),
        ModelSpec(
            "polyp_pvt",
            "Polyp-PVT",
            "baselines.polyp_pvt:build",
            "camouflage identification and similarity aggregation on PVTv2 (2021)",
            encoder="pvt_v2_b2",
        ),
        ModelSpec(
            "fcbformer",
            "FCBFormer",
            "baselines.fcbformer:build",
            "PVTv2 beside a full-resolution U-Net (MIUA 2022)",
            encoder="pvt_v2_b3",
        ),
        ModelSpec(
            "ssformer_s",
            "SSFormer-S",
            "baselines.ssformer:build_s",
            "stepwise feature fusion on MiT-b2 (MICCAI 2022)",
            encoder="mit_b2",
        ),
        ModelSpec(
            "ssformer_l",
            "SSFormer-L",
            "baselines.ssformer:build_l",
            "stepwise feature fusion on MiT-b4 (MICCAI 2022)",
            encoder="mit_b4",
        ),
    )
}
"""Published models beyond the paper's own tables."""
VARIANTS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ModelSpec("unet:classic", "U-Net (classic)", "baselines.unet:build_classic", "the 2015 design, 31.0 M"),
        ModelSpec(
            "unetplusplus:classic",
            "Unet++ (classic)",
            "baselines.unetplusplus:build_classic",
            "the 2018 design with deep supervision, 9.0 M",
        ),
    )
}


GROUPS: dict[str, list[str]] = {
    "all": list(MODELS),
    "paper": list(MODELS),
    "field": list(FIELD),
    "every": [*MODELS, *FIELD],
}
"""Names that stand for several models: the paper's six (``all`` and ``paper``), the field's, and both."""
