"""How a cell is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmark.metrics import Protocol
from benchmark.metrics.named import rules_from_files


@dataclass(frozen=True)
class Scoring:
    """Engine and protocols of one scoring pass.

    Attributes:
        engine: ``fast`` or ``reference``.
        protocols: All that are scored; they share maps.
        cache_dir: Folder of the masks' plans; None for the user's cache.
    """

    engine: str
    protocols: Sequence[Protocol]
    cache_dir: Path | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """Return each protocol's hash by its name, as a record states them."""
        return {protocol.name: protocol.hash for protocol in self.protocols}

    @property
    def own(self) -> dict[str, dict[str, Any]]:
        """Return the fields of the protocols that came from a file, by name."""
        return rules_from_files(self.protocols)
