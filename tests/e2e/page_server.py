"""A `bench serve` that runs, on two small cells, and what a client sends it."""

from __future__ import annotations

import io
import os
import re
import signal
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from harness import NET, TINY, Process, StartBench
from PIL import Image


@dataclass(frozen=True)
class Home:
    """A folder with two trained cells.

    Attributes:
        folder: Holds ``results`` and ``tiny_net.py``.
        environment: For commands.
        cells: Their names.
        start: Starts `bench`.
    """

    folder: Path
    environment: dict[str, str]
    cells: list[str]
    start: StartBench


@dataclass
class Running:
    """A server and the folder of its cells.

    Attributes:
        url: Its address, without a slash at the end.
        home: Where its cells are.
        process: Its process.
        temporary: Where it puts uploads.
        log: File with all that it printed.
    """

    url: str
    home: Home
    process: Process
    temporary: Path
    log: Path

    def post(self, path: str, content: bytes, **fields: Any) -> httpx.Response:
        """Send a file to an address."""
        data = {key: str(value) for key, value in fields.items()}
        return httpx.post(self.url + path, files={"file": ("patient-smith.bin", content)}, data=data, timeout=120)


@pytest.fixture(scope="session")
def served_home(
    tmp_path_factory: pytest.TempPathFactory,
    run_bench: Callable[..., Any],
    start_bench: StartBench,
    shared_cache: Path,
) -> Home:
    """Train the tiny network by two seeds."""
    folder = tmp_path_factory.mktemp("served")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "MLFLOW_TRACKING"))}
    environment = {**kept, "BENCH_CACHE_DIR": str(shared_cache)}
    (folder / "tiny_net.py").write_text(NET)
    fixed = ["run", "--models", "./tiny_net.py:build", "--datasets", "phantom-kvasir", "--recipe", "smoke", *TINY]
    done = run_bench([*fixed, "--seeds", "0,1", "--no-track", "--no-time-first"], cwd=folder, env=environment)
    assert done.returncode == 0, done.stderr
    runs = folder / "results" / "runs"
    cells = sorted(str(path.parent.relative_to(runs)) for path in runs.rglob("run.json"))
    return Home(folder, environment, cells, start_bench)


@pytest.fixture(scope="session")
def page_server(served_home: Home) -> Iterator[Running]:
    """`bench serve` with both cells; what it was sent must be gone at the end, and in no log."""
    with running(served_home, *(part for cell in served_home.cells for part in ("--run", cell))) as found:
        yield found
        assert list(found.temporary.glob("bench-serve-*")) == [], "what was sent is gone"
        log = found.log.read_text()
        assert "smith" not in log.lower() and "Traceback" not in log, log


@pytest.fixture(scope="session")
def picture(page_server: Running) -> bytes:
    """A synthetic sample, PNG."""
    return httpx.get(page_server.url + "/api/sample/kvasir").content


@contextmanager
def running(home: Home, *arguments: str) -> Iterator[Running]:
    """Start the installed command on a free port and wait until it answers."""
    with tempfile.TemporaryDirectory() as temporary, (Path(temporary) / "log").open("wb") as log:
        command = ["serve", "--model", "./tiny_net.py:build", "--port", "0", *arguments]
        environment = {**home.environment, "TMPDIR": temporary}
        process = home.start(command, cwd=home.folder, env=environment, stderr=log, stdout=log)
        try:
            path = Path(temporary) / "log"
            yield Running(_address(process, path), home, process, Path(temporary), path)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)


def _address(process: Process, log: Path) -> str:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        found = re.search(r"open (http://[^/\s]+)/", log.read_text())
        if found:
            try:
                httpx.get(found[1] + "/api/models", timeout=5)
                return found[1]
            except httpx.HTTPError:
                pass
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(f"the server never answered: {log.read_text()}")


def encoded(pixels: np.ndarray, kind: str = "PNG", **options: Any) -> bytes:
    """A picture file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind, **options)
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    """A zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def film(path: Path, frames: list[np.ndarray], rate: int = 10) -> bytes:
    """A short video."""
    import av

    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                file.mux(packet)
        for packet in stream.encode():
            file.mux(packet)
    return path.read_bytes()


def dicom(pixels: np.ndarray, kind: str, **facts: Any) -> bytes:
    """A DICOM object of (H, W), (H, W, 3) or (N, H, W, 3) uint8 or (H, W) uint16 pixels, with a patient's name."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    made = pydicom.Dataset()
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1"  # VL endoscopic image
    made.SOPInstanceUID, made.StudyInstanceUID, made.SeriesInstanceUID = (generate_uid() for _ in range(3))
    made.PatientName, made.PatientID, made.PatientBirthDate, made.PatientSex = "Smith^Ann", "4711", "19500101", "F"
    made.StudyDate = made.StudyTime = made.AccessionNumber = made.ReferringPhysicianName = made.StudyID = ""
    made.Modality, made.SeriesNumber, made.InstanceNumber = "ES", 1, 1
    frames = pixels.shape[0] if pixels.ndim == 4 else None
    made.Rows, made.Columns = pixels.shape[1:3] if frames else pixels.shape[:2]
    if frames:
        made.NumberOfFrames = frames
    made.SamplesPerPixel = 3 if pixels.ndim > 2 else 1
    made.PhotometricInterpretation = kind
    if pixels.ndim > 2:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = 8 * pixels.dtype.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, 0
    made.PixelData = pixels.tobytes() + b"\0" * (pixels.nbytes % 2)
    for key, value in facts.items():
        setattr(made, key, value)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()
