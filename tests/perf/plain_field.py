"""Polyp-PVT, FCBFormer and SSFormer as plain functions on a state dict: the second writing that the tests hold."""

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
