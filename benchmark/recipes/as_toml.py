"""Values of recipe fields as TOML, on one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_value(value: Any) -> str:
    """Word a value as TOML: JSON agrees with it but for tables; None is ``none``, which ``--set`` understands."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(toml_value, value)) + "]"
    return "none" if value is None else json.dumps(value)
