"""Devices by name: published peaks, memory, and the share of the peak that is assumed (``hardware.toml``)."""

from __future__ import annotations

import tomllib
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from benchmark.config import Recipe
from benchmark.errors import BenchError
from benchmark.untrusted import read_json

Range = tuple[float, float]
_NUMBERS = ("size_px", "batch", "gmacs", "latency_ms", "train_ms", "train_gmacs")


class Device(BaseModel):
    """One kind of device; the fields are explained in ``hardware.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = Field(min_length=1)
    match: str = ""
    memory_gb: float = Field(gt=0)
    full_tflops: float = Field(gt=0)
    half_tflops: float = Field(gt=0)
    full: Range
    half: Range
    source: str = Field(min_length=1)

    @field_validator("full", "half")
    @classmethod
    def _is_share(cls, value: Range) -> Range:
        if not 0 < value[0] <= value[1] <= 1:
            raise ValueError("expected [low, high] with 0 < low <= high <= 1")
        return value

    def peak_tflops(self, recipe: Recipe) -> float:
        """Published peak in the recipe's precision; TF32 has half of the half-precision one."""
        if recipe.precision != "32-true":
            return self.half_tflops  # auto is half on CUDA
        return self.half_tflops / 2 if recipe.tf32 is True else self.full_tflops

    def utilisation(self, recipe: Recipe) -> Range:
        """Assumed share of the peak, low and high."""
        return self.full if recipe.precision == "32-true" else self.half


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    devices: dict[str, Device]


def load_devices(path: Path | None = None, *, utilisation: str | None = None) -> dict[str, Device]:
    """Return the packaged devices with those of a file added.

    Args:
        path: A TOML file in the form of ``hardware.toml``; a device check's JSON adds none here (``measured_rows``).
        utilisation: ``LOW,HIGH`` (or one number) in (0, 1]; replaces the assumed shares of all devices.
    Raises:
        BenchError: The file cannot be read or does not have that form; a share is out of range.
    """
    devices = _parse((package_files("benchmark.costs") / "hardware.toml").read_text(encoding="utf-8"), "hardware.toml")
    if path is not None and path.suffix != ".json":
        try:
            text = path.expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise BenchError(f"--hardware {path}: cannot read it ({error}); expected TOML") from None
        devices |= _parse(text, f"--hardware {path}")
    if utilisation is None:
        return devices
    share = _shares(utilisation)
    return {name: device.model_copy(update={"full": share, "half": share}) for name, device in devices.items()}


def measured_rows(path: Path | None) -> list[dict[str, Any]]:
    """Rows as of ``profile.csv`` out of a device check's JSON (``tests/device/check.py``); none of another file.

    Raises:
        BenchError: The file is JSON, but not from a device check.
    """
    if path is None or path.suffix != ".json":
        return []
    try:
        rows = read_json(path.expanduser())["profile"]
        return [{**row, **{key: float(row[key]) for key in _NUMBERS}} for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"--hardware {path}: no device check ({error!r}); tests/device/check.py writes one") from None


def _parse(text: str, where: str) -> dict[str, Device]:
    try:
        return dict(_File.model_validate(tomllib.loads(text)).devices)
    except tomllib.TOMLDecodeError as error:
        raise BenchError(f"{where}: not valid TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BenchError(
            f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}; benchmark/costs/hardware.toml "
            "shows the form"
        ) from None


def _shares(text: str) -> Range:
    try:
        low, *rest = (float(part) for part in text.split(","))
        high = rest[0] if rest else low
        if len(rest) > 1 or not 0 < low <= high <= 1:
            raise ValueError
    except ValueError:
        raise BenchError(
            f"--utilisation {text}: expected LOW,HIGH as shares of the peak, for example 0.1,0.4"
        ) from None
    return low, high
