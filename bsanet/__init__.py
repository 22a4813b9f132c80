"""BSANet, the bilateral spatial attention network. Needs torch and timm; importing this package loads neither."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bsanet.model import SWITCHES, BSANet, build
    from bsanet.weights import load_checkpoint

__all__ = ["SWITCHES", "BSANet", "build", "load_checkpoint"]


def __getattr__(name: str) -> Any:
    """Load the network on first use, so that listing what is installed stays quick."""
    if name not in __all__:
        raise AttributeError(f"module 'bsanet' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("bsanet.weights" if name == "load_checkpoint" else "bsanet.model"), name)
