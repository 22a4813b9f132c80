"""The table of costs: what was profiled, what only a record tells, and what is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmark.errors import BenchError
from benchmark.report.tables.efficiency import efficiency_sheets, read_profile

HEAD = (
    "model,title,size_px,batch,num_params,gmacs,latency_ms,latency_p95_ms,peak_memory_mb,device,device_name,"
    "num_threads,torch\n"
)


def _profile(tmp_path: Path, *lines: str) -> list[dict[str, Any]]:
    path = tmp_path / "profile.csv"
    path.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    return read_profile(path)


def test_costs_stand_by_model_batch_and_hardware(tmp_path: Path, make_record: Any) -> None:
    profile = _profile(
        tmp_path,
        "bsanet,BSANet,256,1,31500000,10.5,80.25,90,700,cpu,Fast CPU,1,2.6",
        "bsanet,BSANet,256,16,31500000,10.5,1200,1300,900,cpu,Fast CPU,1,2.6",
        "unet,U-Net,256,1,14300000,15,40,41,600,cpu,Fast CPU,1,2.6",
    )
    records = [make_record("unet", num_params=14300000, timing={"train_s": 90.0}, seed=s) for s in (0, 1)]
    (sheet,) = efficiency_sheets(records, profile)
    assert [column.plain for column in sheet.columns[:5]] == [
        "Model",
        "Params (M)",
        "GMACs",
        "ms, batch 1",
        "ms, batch 16",
    ]
    texts = [[cell.text for cell in row] for row in sheet.rows]
    assert texts == [
        ["U-Net", "14.30", "15.00", "40.0", "", "600", "1.5"],
        ["BSANet (ours)", "31.50", "10.50", "80.2", "1200.0", "700", ""],
    ]
    assert [cell.below for cell in sheet.rows[1]] == ["", "", "", "12.5 FPS", "13.3 FPS", "", ""]
    assert "at 256 px" in sheet.caption and "Fast CPU (cpu, 1 CPU thread, torch 2.6)" in sheet.caption
    assert sheet.frame["latency_p95_ms_batch16"][1] == 1300
    assert "latency" not in sheet.frame
    plain = sheet.frame[["model", "num_params", "gmacs", "peak_memory_mb", "size_px", "device_name"]]
    assert plain.to_numpy().tolist() == [
        ["unet", 14300000, 15.0, 600.0, 256, "Fast CPU"],
        ["bsanet", 31500000, 10.5, 700.0, 256, "Fast CPU"],
    ]


def test_two_machines_do_not_share_a_table(tmp_path: Path) -> None:
    row = "unet,U-Net,256,1,1,1,40,41,600,{},1,2.6"
    sheets = efficiency_sheets([], _profile(tmp_path, row.format("cpu,A"), row.format("cuda,B")))
    assert len({sheet.stem for sheet in sheets}) == 2


def test_a_model_that_was_not_profiled_is_blank_and_says_how_to(tmp_path: Path, make_record: Any) -> None:
    profile = _profile(tmp_path, "unet,U-Net,256,1,14300000,15,40,41,600,cpu,A,1,2.6")
    (sheet,) = efficiency_sheets([make_record("unet"), make_record("pranet", num_params=2_000_000)], profile)
    assert [cell.text for cell in sheet.rows[1]] == ["PraNet", "2.00", "", "", "", ""]
    assert "Blank, PraNet: not profiled here; run 'bench profile --models pranet'" in sheet.notes
    assert any(note.startswith("U-Net: the trained network has 1,000 parameters") for note in sheet.notes)
    (bare,) = efficiency_sheets([make_record("unet")], [])
    assert bare.stem == "efficiency" and [cell.text for cell in bare.rows[0]] == ["U-Net", "0.00", "", "", "", ""]


def test_nothing_measured_or_a_broken_file_is_refused_in_one_line(tmp_path: Path, make_record: Any) -> None:
    with pytest.raises(BenchError, match="bench profile --models sanet"):
        efficiency_sheets([make_record("unet")], [], models=["sanet"])
    assert read_profile(tmp_path / "profile.csv") == []
    with pytest.raises(BenchError, match="could not convert"):
        _profile(tmp_path, "unet,U-Net,256,1,x,15,40,41,600,cpu,A,1,2.6")
    (tmp_path / "profile.csv").write_text("model\nunet\n", encoding="utf-8")
    with pytest.raises(BenchError, match="no column 'size_px'"):
        read_profile(tmp_path / "profile.csv")
