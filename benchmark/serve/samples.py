"""Three synthetic pictures, drawn by phantom when they are asked for; nothing is written."""

from __future__ import annotations

from functools import lru_cache

from benchmark.serve.answers import png

NAMES = {"kvasir": "one polyp", "colondb": "another camera", "etis": "a small, pale polyp"}


@lru_cache(maxsize=3)
def sample(name: str) -> bytes:
    """PNG of a synthetic picture; ``KeyError`` for a name that is not in ``NAMES``."""
    from benchmark.data.phantom.dataset import one_blas_thread
    from benchmark.data.phantom.domains import DOMAINS
    from benchmark.data.phantom.draw import draw_sequence

    domain = DOMAINS[f"phantom-{name}"]
    with one_blas_thread():
        image, _ = next(iter(draw_sequence(domain, f"serve/{name}", 1)))
    return png(image)
