"""`bench serve` as its users meet it: a real server, real requests; a real browser in test_serve_page.py."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import socket
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import highdicom
import httpx
import numpy as np
import psutil
import pydicom
import pytest
from page_server import Home, Running, dicom, encoded, film, running, zipped
from PIL import Image
from pypdf import PdfReader

from benchmark.prediction.findings import find_parts


def array(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))))


def test_an_answer_holds_the_map_that_bench_predict_writes(
    page_server: Running, picture: bytes, served_home: Home, run_bench: Callable[..., Any]
) -> None:
    import benchmark

    folder, environment, cells = served_home.folder, served_home.environment, served_home.cells
    answer = page_server.post("/api/segment", picture, models="m1,m2", flips=True, picture=True, threshold=0.4).json()
    (folder / "sample.png").write_bytes(picture)
    arguments = ["predict", "--run", cells[0], "--model", "./tiny_net.py:build", "--out", "out", "sample.png"]
    assert run_bench(arguments, cwd=folder, env=environment).returncode == 0
    written = np.asarray(Image.open(folder / "out" / "probs" / "sample.png"))
    first = answer["models"][0]
    assert np.array_equal(array(first["map"]), written)
    loaded = benchmark.load_model(folder / "results" / "runs" / cells[0], model=str(folder / "tiny_net.py:build"))
    assert np.array_equal(loaded.predict(folder / "sample.png").prob, written)
    assert np.array_equal(array(answer["picture"]), np.asarray(Image.open(io.BytesIO(picture))))
    field = array(answer["field"])
    assert first["findings"] == json.loads(
        json.dumps([one.to_json() for one in find_parts(written, 0.4, field=field)][:50])
    )
    second = array(answer["models"][1]["map"])
    spread = np.abs(written.astype(float) - second)  # of two values, twice the deviation is their distance
    assert np.abs(array(answer["disagreement"]) - spread).max() <= 0.5001
    assert array(first["flip_disagreement"]).shape == written.shape
    assert (answer["width_px"], answer["height_px"]) == written.shape[::-1]


def test_what_is_known_of_a_network_is_its_record(page_server: Running) -> None:
    known = httpx.get(page_server.url + "/api/models").json()
    assert [one["id"] for one in known] == ["m1", "m2"]
    record = json.loads((page_server.home.folder / "results" / "runs" / known[0]["cell"] / "run.json").read_text())
    assert known[0]["weights_sha256"] == record["best_sha256"] and known[0]["synthetic"] is True
    assert len(known[0]["scores"]) == sum(len(test["scores"]) for test in record["tests"].values())
    for row in known[0]["scores"]:
        assert row["interval"] is None or row["interval"][0] <= row["mdsc"] <= row["interval"][1]


def test_dicom_is_read_in_each_colour_space(page_server: Running, picture: bytes) -> None:
    from pydicom.pixels import convert_color_space

    rgb = np.asarray(Image.open(io.BytesIO(picture)))
    grey = rgb[..., 0]
    ybr = convert_color_space(rgb, "RGB", "YBR_FULL")
    sent = {
        "RGB": (dicom(rgb, "RGB"), rgb, 0),
        "YBR_FULL": (dicom(ybr, "YBR_FULL"), rgb, 2),
        "MONOCHROME2": (dicom(grey, "MONOCHROME2"), np.repeat(grey[..., None], 3, axis=2), 0),
        "MONOCHROME1": (dicom(grey, "MONOCHROME1"), np.repeat(255 - grey[..., None], 3, axis=2), 0),
    }
    for name, (content, expected, within) in sent.items():
        answer = page_server.post("/api/segment", content, picture=True).json()
        assert answer["kind"] == "dicom", (name, answer)
        assert np.abs(array(answer["picture"]).astype(int) - expected).max() <= within, name
        assert "Smith" not in json.dumps(answer) and "4711" not in json.dumps(answer)
    deep = page_server.post("/api/segment", dicom(grey.astype(np.uint16) * 100, "MONOCHROME2"), picture=True).json()
    assert array(deep["picture"]).min() == 0 and array(deep["picture"]).max() == 255 and deep["warnings"]


def lines(response: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in response.text.splitlines()]


def test_every_picture_of_a_zip_a_video_and_a_dicom_object_is_answered(
    page_server: Running, picture: bytes, tmp_path: Path
) -> None:
    rgb = np.asarray(Image.open(io.BytesIO(picture)))
    moved = [np.roll(rgb, 10 * k, axis=1) for k in range(4)]
    files = {"b/1.png": encoded(moved[0]), "a.jpg": encoded(moved[1], "JPEG"), "notes.txt": b"x", "broken.png": b"no"}
    head, *answers = lines(page_server.post("/api/frames", zipped(files)))
    assert head["kind"] == "zip" and head["count"] == 3
    assert [one["name"] for one in answers] == ["a.jpg", "b/1.png", "broken.png"]
    assert answers[2]["error"] and not answers[2]["models"] and "/" not in answers[2]["error"]
    head, *answers = lines(page_server.post("/api/frames", film(tmp_path / "film.mp4", moved)))
    assert head["kind"] == "video" and [one["number"] for one in answers] == [0, 1, 2, 3]
    assert answers[3]["time_s"] == pytest.approx(0.3)
    head, *answers = lines(page_server.post("/api/frames", dicom(np.stack(moved), "RGB")))
    assert head["kind"] == "dicom" and len(answers) == 4
    assert np.array_equal(array(answers[2]["picture"]), moved[2])


def test_each_export_can_be_read_back(page_server: Running, picture: bytes) -> None:
    threshold, fields = 0.3, json.dumps({"paris": "0-Is", "comment": "<b>à la carte</b>"})
    answer = page_server.post("/api/segment", picture, threshold=threshold, picture=True).json()
    prob, shown = array(answer["models"][0]["map"]), array(answer["picture"])
    mask = prob / 255 > threshold
    assert mask.any(), "else there is nothing to read back"

    def export(kind: str, content: bytes = picture, **more: Any) -> bytes:
        reply = page_server.post("/api/export", content, kind=kind, threshold=threshold, fields=fields, **more)
        assert reply.status_code == 200, reply.text
        return reply.content

    masked = Image.open(io.BytesIO(export("mask")))
    assert np.array_equal(np.asarray(masked) > 0, mask) and "not a medical device" in masked.info["Comment"]
    drawn = np.asarray(Image.open(io.BytesIO(export("overlay"))))
    assert drawn.shape[1] == shown.shape[1] and np.array_equal(drawn[: len(mask)][~mask], shown[~mask])
    found = json.loads(export("json"))
    assert found["findings"][0]["area_px"] == answer["models"][0]["findings"][0]["area_px"]
    assert found["filled_in_by_reader"] == {"paris": "0-Is", "comment": "<b>à la carte</b>"}
    assert "not a medical device" in found["note"]
    rows = export("csv").decode().splitlines()
    assert len(rows) == 1 + len(found["findings"]) and rows[1].split(",")[1] == str(found["findings"][0]["area_px"])
    pages = PdfReader(io.BytesIO(export("pdf"))).pages
    text = pages[0].extract_text()
    assert len(pages) == 1 and "not a medical device" in text and "0-Is" in text and "<b>à la carte</b>" in text

    archive = zipfile.ZipFile(io.BytesIO(export("dicom")))
    check_dicom(archive, mask, found, {"picture.dcm", "segmentation.dcm", "report.dcm"})
    assert np.array_equal(pydicom.dcmread(archive.open("picture.dcm")).pixel_array, shown)
    sent = dicom(shown, "RGB")
    nameless = zipfile.ZipFile(io.BytesIO(export("dicom", sent)))
    check_dicom(nameless, mask, found, {"picture.dcm", "segmentation.dcm", "report.dcm"})
    source = pydicom.dcmread(io.BytesIO(sent))
    for name in nameless.namelist():
        content = nameless.read(name)
        assert b"Smith" not in content and b"4711" not in content
        assert source.StudyInstanceUID.encode() not in content and source.SOPInstanceUID.encode() not in content
    named = zipfile.ZipFile(io.BytesIO(export("dicom", sent, identifiers=True)))
    check_dicom(named, mask, found, {"segmentation.dcm", "report.dcm"})
    seg = pydicom.dcmread(named.open("segmentation.dcm"))
    assert str(seg.PatientName) == "Smith^Ann" and seg.StudyInstanceUID == source.StudyInstanceUID
    assert source.SOPInstanceUID.encode() in named.read("segmentation.dcm")


def check_dicom(archive: zipfile.ZipFile, mask: np.ndarray, found: dict[str, Any], names: set[str]) -> None:
    assert set(archive.namelist()) == names
    segmentation = highdicom.seg.segread(io.BytesIO(archive.read("segmentation.dcm")))
    assert np.array_equal(segmentation.pixel_array.squeeze() > 0, mask)
    report = highdicom.sr.srread(io.BytesIO(archive.read("report.dcm")))
    groups = report.content.get_planar_roi_measurement_groups()
    areas = [float(group.get_measurements(name=pydicom.sr.codedict.codes.SCT.Area)[0].value) for group in groups]
    assert areas == [one["area_px"] for one in found["findings"]]
    assert "paris: 0-Is" in str(report)


def test_strangers_are_turned_away(page_server: Running, picture: bytes) -> None:
    def asked(path: str = "/", **headers: str) -> int:
        return httpx.get(page_server.url + path, headers=headers).status_code

    assert asked() == 200
    assert asked(Host="evil.example") == 403 and asked(Host="127.0.0.1.evil.example:80") == 403
    assert asked(Origin="http://evil.example") == 403 and asked(Origin="null") == 403
    assert asked(Origin=page_server.url) == 200
    posted = httpx.post(
        page_server.url + "/api/segment", files={"file": picture}, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert posted.status_code == 403
    headers = httpx.get(page_server.url + "/").headers
    assert "access-control-allow-origin" not in headers and "unsafe" not in headers["content-security-policy"]
    page = httpx.get(page_server.url + "/").text
    assert "<script>" not in page and " style=" not in page and "http://" not in page and "https://" not in page


def test_beyond_this_machine_a_token_is_needed_and_a_signal_ends_it(served_home: Home) -> None:
    with running(served_home, "--run", served_home.cells[0], "--host", "0.0.0.0") as open_:
        url = open_.url.replace("0.0.0.0", "127.0.0.1")
        token = open_.log.read_text().partition("?token=")[2].split()[0]
        assert len(token) > 20 and httpx.get(url).status_code == 401
        assert httpx.get(url + "/api/models", headers={"Authorization": f"Bearer {token}x"}).status_code == 401
        assert httpx.get(url + "/api/models", headers={"Authorization": f"Bearer {token}"}).status_code == 200
        with httpx.Client() as browser:
            assert browser.get(f"{url}/?token={token}").status_code == 200
            assert browser.get(url + "/api/models").status_code == 200, "the cookie carries it"
        open_.process.send_signal(signal.SIGINT)
        assert open_.process.wait(timeout=20) in (0, 130)
        assert "Traceback" not in open_.log.read_text()


BROKEN: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "text": lambda _: b"hello world",
    "cut PNG": lambda picture: picture[: len(picture) // 2],
    "svg": lambda _: b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "cut DICOM": lambda _: dicom(np.zeros((16, 16, 3), np.uint8), "RGB")[:-300],
    "DICOM without rows": lambda _: dicom(np.zeros((16, 16), np.uint8), "MONOCHROME2", Rows=0),
    "DICOM of 65000 px": lambda _: dicom(np.zeros((16, 16), np.uint8), "MONOCHROME2", Rows=65000, Columns=65000),
    "DICOM with strange colours": lambda _: dicom(np.zeros((16, 16, 3), np.uint8), "XYZ"),
    "zip of nothing": lambda _: zipped({}),
    "zip of text": lambda _: zipped({"a.txt": b"a"}),
    "cut zip": lambda picture: zipped({"a.png": picture})[:-30],
    "cut video": lambda _: b"\0\0\0\x18ftypmp42" + b"\0" * 64,
    "wide PNG": lambda _: encoded(np.zeros((1, 50_000), np.uint8))[:60],
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_file_is_one_clear_line(name: str, page_server: Running, picture: bytes) -> None:
    reply = page_server.post("/api/segment", BROKEN[name](picture))
    assert reply.status_code == 422, reply.text[:300]
    said = reply.json()["error"]
    assert said and "\n" not in said and str(page_server.temporary) not in said and "Traceback" not in said


def test_bombs_are_refused_before_they_are_unpacked(page_server: Running) -> None:
    claims = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(claims, "PNG")
    many = zipped({f"{k}.png": b"\0" * (300 << 20 if k < 2 else 1) for k in range(2)})
    assert len(many) < 2 << 20
    before = psutil.Process(page_server.process.pid).memory_info().rss
    for content in (claims.getvalue(), many):
        reply = page_server.post("/api/segment", content)
        assert reply.status_code == 422 and "more than" in reply.json()["error"]
    assert psutil.Process(page_server.process.pid).memory_info().rss - before < 200 << 20
    with socket.create_connection(("127.0.0.1", int(page_server.url.rpartition(":")[2]))) as raw:
        head = f"POST /api/segment HTTP/1.1\r\nHost: {page_server.url[7:]}\r\nContent-Length: {1 << 40}\r\n\r\n"
        raw.sendall(head.encode())
        assert b" 413 " in raw.recv(100)


def test_what_a_request_asks_for_wrongly_is_named(page_server: Running, picture: bytes) -> None:
    for path, fields, said in (
        ("/api/segment", {"models": "m9"}, "unknown network 'm9'"),
        ("/api/segment", {"denoise": "medain"}, "median"),
        ("/api/segment", {"number": 3}, "number 3"),
        ("/api/export", {"kind": "docx"}, "unknown format 'docx'"),
        ("/api/export", {"kind": "json", "fields": "[1]"}, "JSON object"),
        ("/api/export", {"kind": "json", "fields": '{"name": "x"}'}, "unknown field 'name'"),
        ("/api/export", {"kind": "dicom", "identifiers": True}, "DICOM object only"),
    ):
        reply = page_server.post(path, picture, **fields)
        assert reply.status_code == 422 and said in reply.json()["error"], reply.text
    assert page_server.post("/api/segment", picture, threshold=7).status_code == 422


@pytest.mark.slow
def test_files_of_pydicom_are_shown_or_refused_in_a_line(page_server: Running) -> None:
    files = [path for path in Path(pydicom.data.__path__[0]).rglob("*.dcm") if path.stat().st_size < 100_000]
    assert len(files) > 20
    for path in files:
        reply = page_server.post("/api/segment", path.read_bytes())
        assert reply.status_code in (200, 422), (path.name, reply.text[:300])
        if reply.status_code == 422:
            assert "\n" not in reply.json()["error"]
    assert page_server.process.poll() is None


@pytest.mark.slow
def test_eight_clients_lose_nothing_and_memory_stays(page_server: Running, picture: bytes) -> None:
    each = 50 if os.environ.get("BENCH_TEST_FULL") else 12
    expected = page_server.post("/api/segment", picture).json()["models"][0]["map"]

    def client(_: int) -> list[bool]:
        return [page_server.post("/api/segment", picture).json()["models"][0]["map"] == expected for _ in range(each)]

    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(client, range(2)))
        before = psutil.Process(page_server.process.pid).memory_info().rss
        rest = list(pool.map(client, range(8)))
    assert all(map(all, first + rest)) and sum(map(len, first + rest)) == 10 * each
    assert psutil.Process(page_server.process.pid).memory_info().rss - before < 100 << 20


def test_a_full_line_is_told_and_a_video_lets_a_picture_through(
    page_server: Running, picture: bytes, tmp_path: Path
) -> None:
    rgb = np.asarray(Image.open(io.BytesIO(picture)))
    content = film(tmp_path / "long.mp4", [np.roll(rgb, k, axis=1) for k in range(60)])
    with ThreadPoolExecutor(12) as pool:
        video = pool.submit(page_server.post, "/api/frames", content, flips=True)
        time.sleep(0.3)
        page_server.post("/api/segment", picture).raise_for_status()
        assert not video.done(), "the picture went before the end of the video"
        many = list(pool.map(lambda _: page_server.post("/api/frames", content).status_code, range(10)))
        assert set(many) <= {200, 503} and 503 in many
        assert len(lines(video.result())) == 61
    assert page_server.post("/api/segment", picture).status_code == 200


def test_clients_that_hang_up_take_no_place_and_leave_nothing(page_server: Running, picture: bytes) -> None:
    """More of them than uploads may be answered at once; each leaves before, or while, it is answered."""
    for path, wait_s in (("/api/segment", 0.0), ("/api/frames", 0.0), ("/api/frames", 0.05)):
        request = httpx.Request("POST", page_server.url + path, files={"file": picture})
        head = "".join(f"{key}: {value}\r\n" for key, value in request.headers.items())
        sent = f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + request.read()
        for _ in range(12):
            with socket.create_connection(("127.0.0.1", int(page_server.url.rpartition(":")[2]))) as raw:
                raw.sendall(sent)
                time.sleep(wait_s)
    end = time.monotonic() + 30
    while page_server.post("/api/frames", picture).status_code != 200 or list(page_server.temporary.glob("bench-*")):
        assert time.monotonic() < end, "their places are not free again"
        time.sleep(0.1)


def test_mistakes_are_one_line(served_home: Home, run_bench: Callable[..., Any]) -> None:
    cell = served_home.cells[0]
    named = ("--run", cell, "--model", "./tiny_net.py:build")
    for arguments, said in (
        ((), "--run CELL"),
        (("--checkpoint", "x.pth"), "--checkpoint needs --model"),
        (("--run", "nothing"), "nothing"),
        ((*named, "--host", "192.0.2.1"), "choose another port"),
        ((*named, "--run", cell, "--port", "0"), "named twice"),
    ):
        done = run_bench(["serve", *arguments], cwd=served_home.folder, env=served_home.environment)
        assert done.returncode == 2 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
