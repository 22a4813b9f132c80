"""`bench data fetch` as a user calls it, against a server on this machine."""

from __future__ import annotations

import io
import json
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from harness import Bench, bench_executable
from PIL import Image
from serving import Site, serve


@pytest.fixture
def site() -> Iterator[Site]:
    with serve(Site()) as one:
        yield one


def archive(count: int = 4) -> bytes:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as zipped:
        for number in range(count):
            image, mask = io.BytesIO(), io.BytesIO()
            pixels = np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(image, "PNG")
            polyp = np.zeros((64, 96), np.uint8)
            polyp[20:40, 30:60] = 255
            Image.fromarray(polyp).save(mask, "PNG")
            zipped.writestr(f"Kvasir-SEG/images/cju{number}.png", image.getvalue())
            zipped.writestr(f"Kvasir-SEG/masks/cju{number}.png", mask.getvalue())
    return memory.getvalue()


def test_fetch_after_a_cut_then_check_then_nothing_to_do(bench: Bench, site: Site, tmp_path: Path) -> None:
    site.files["/kvasir-seg.zip"] = archive()
    site.cut_after, site.cuts = 10_000, 1
    data = tmp_path / "data"
    done = bench("data", "fetch", "kvasir", "--data-root", str(data), "--mirror", site.url)
    assert "fetched to" in done.stdout and "kvasir 4 of 1000" in done.stdout and "Terms: Research" in done.stderr
    assert [wanted for _, wanted, _ in site.log] == ["", "bytes=10000-"]
    assert json.loads((data / "Kvasir-SEG" / ".bench-source.json").read_text())["terms"].startswith("Research")
    report = json.loads(bench("data", "check", "kvasir", "--data-root", str(data), "--json", code=1).stdout)[0]
    assert report["num_images"] == 4 and report["strays"] == [] and len(report["faults"]) == 1
    again = bench("data", "fetch", "kvasir", "--json", BENCH_DATA_ROOT=str(data), BENCH_MIRROR=site.url)
    assert json.loads(again.stdout)[0]["status"] == "present" and len(site.log) == 2


@pytest.mark.parametrize("fault", ["404", "zip-slip", "checksum"])
def test_a_fault_is_one_line_and_leaves_nothing(bench: Bench, site: Site, tmp_path: Path, fault: str) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as zipped:
        zipped.writestr("../evil.txt", "evil")
    name = {"checksum": "isic2016"}.get(fault, "kvasir")
    if fault != "404":
        site.files["/kvasir-seg.zip"] = site.files["/ISBI2016_ISIC_Part1_Training_Data.zip"] = memory.getvalue()
    done = bench("data", "fetch", name, "-q", "--data-root", "data", "--mirror", site.url, code=2)
    said = {"404": "the address is dead", "zip-slip": "outside the target", "checksum": "published checksum md5:2029"}
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and said[fault] in done.stderr
    assert list((tmp_path / "data").rglob("*")) == [] and not (tmp_path / "evil.txt").exists()


def test_steps_by_hand_and_bad_names(bench: Bench, tmp_path: Path) -> None:
    done = bench("data", "fetch", "etis", "ph2", "--data-root", str(tmp_path), code=1)
    assert f"{tmp_path}/ETIS-LaribPolypDB/Ground Truth/p1.tif" in done.stdout and "register at" in done.stdout
    assert "did you mean 'kvasir'" in bench("data", "fetch", "kvasr", "--data-root", ".", code=2).stderr
    assert "no data root" in bench("data", "fetch", "kvasir", code=2).stderr


def test_ctrl_c_keeps_what_came(bench: Bench, site: Site, tmp_path: Path, environment: dict[str, str]) -> None:
    """Stopped in the middle of a slow download; the same command then asks for the rest only."""
    content = archive(40)
    site.files["/kvasir-seg.zip"] = content
    site.chunk, site.pause_s = 20_000, 0.2
    command = [bench_executable(), "data", "fetch", "kvasir", "--data-root", "data", "--mirror", site.url]
    running = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True)
    part = tmp_path / "data/.bench-downloads/kvasir-seg.zip.part"
    end = time.monotonic() + 60
    while time.monotonic() < end and not (part.is_file() and part.stat().st_size > 50_000):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    message = running.communicate(timeout=60)[1]
    assert running.returncode == 130 and "run the same command again" in message
    have = part.stat().st_size
    assert 50_000 < have < len(content) and not (tmp_path / "data/Kvasir-SEG").exists()
    site.pause_s = 0.0
    bench("data", "fetch", "kvasir", "--data-root", "data", "--mirror", site.url)
    assert site.log[-1] == ("/kvasir-seg.zip", f"bytes={have}-", 206)
