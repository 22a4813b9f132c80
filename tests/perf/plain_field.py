"""The rivals of the field as plain functions on a state dict: the second writing that the tests hold."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

from bench_baselines import load, norm
from torch import Tensor

State = dict[str, Tensor]
Forward = Callable[[Tensor], Tensor]


def plain_polyp_pvt(s: State, shared: ModuleType) -> Forward:
    """Polyp-PVT's scored map."""
    own = load("test_polyp_pvt")
    r = own.Restated(s, norm)

    def forward(image: Tensor) -> Tensor:
        first, second = r.forward(shared.restated_pyramid(s, image, own.STAGES))
        return first + second

    return forward


def plain_fcbformer(s: State, shared: ModuleType) -> Forward:
    """FCBFormer."""
    own = load("test_fcbformer")
    r = own.Restated(s)

    def forward(image: Tensor) -> Tensor:
        t = r.transformer(shared.restated_pyramid(s, image, own.STAGES))
        return r.head(t, r.convolutional(image))

    return forward


def plain_ssformer(s: State, shared: ModuleType) -> Forward:
    """SSFormer-S and SSFormer-L."""
    own = load("test_ssformer")
    return lambda image: own.restated(s, shared.restated_pyramid(s, image, own.STAGES), norm)


def plain_caranet(s: State, shared: ModuleType) -> Forward:
    """CaraNet's scored map."""
    r = load("test_caranet").Restated(s)
    stages = tuple(f"resnet.layer{i}" for i in (1, 2, 3, 4))

    def forward(image: Tensor) -> Tensor:
        found = shared.restated_features(s, image, ("resnet.conv1", "resnet.bn1"), stages, (3, 4, 23, 3))
        return r.head(*found[2:])[0]

    return forward


def plain_hardnet_mseg(s: State, shared: ModuleType) -> Forward:
    """HarDNet-MSEG."""
    return load("test_hardnet_mseg").Restated(s, norm)


def plain_pranet_v2(s: State, shared: ModuleType) -> Forward:
    """PraNet-V2 on PVTv2-B2: its scored map."""
    own = load("test_pranet_v2")
    return lambda image: own.Restated(s, norm).score(shared.restated_pyramid(s, image, own.STAGES)[1:])


def plain_pranet_v2_res2net(s: State, shared: ModuleType) -> Forward:
    """PraNet-V2 on Res2Net-50: its scored map."""
    own = load("test_pranet_v2")
    stages = tuple(f"backbone.layer{i}" for i in (1, 2, 3, 4))

    def forward(image: Tensor) -> Tensor:
        found = shared.restated_features(s, image, ("backbone.conv1", "backbone.bn1"), stages)
        return own.Restated(s, norm).score(found[2:])

    return forward
