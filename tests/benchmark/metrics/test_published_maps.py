"""The maps that PraNet's authors published for Kvasir give the figures known for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark.metrics import Accumulator, score_all


@pytest.mark.real_data
def test_published_pranet_maps_of_kvasir(data_root: Path) -> None:
    maps = sorted((data_root.parent / "predictions" / "PraNet" / "Kvasir").glob("*.png"))
    if not maps:
        pytest.skip("the published PraNet maps do not lie beside BENCH_DATA_ROOT")
    assert len(maps) == 100
    names = ("pranet", "pranet-matlab", "half")
    sets = {name: Accumulator() for name in names}
    for path in maps:
        grey = Image.open(data_root / "Kvasir-SEG" / "masks" / f"{path.stem}.jpg").convert("L")
        scored = score_all(np.asarray(Image.open(path)), np.asarray(grey) > 127, protocols=names)
        for name in names:
            sets[name].add(scored[name])
    figures = {name: one.result() for name, one in sets.items()}
    assert figures["pranet"]["mDSC"] == pytest.approx(0.8944, abs=5e-5)
    assert figures["pranet"]["mIoU"] == pytest.approx(0.8362, abs=5e-5)
    for key, name in (("dice_half", "pranet"), ("mDSC", "half")):
        assert figures[name][key] == pytest.approx(0.8993, abs=5e-5)
    for key, name in (("iou_half", "pranet"), ("mIoU", "half")):
        assert figures[name][key] == pytest.approx(0.8427, abs=5e-5)
    assert 0 < abs(figures["pranet"]["mDSC"] - figures["pranet-matlab"]["mDSC"]) < 3e-4
