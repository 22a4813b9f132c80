"""Downloads from a real server on this machine: cuts, lies, bombs, links out of the folder, full disks."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from serving import Site, serve

from benchmark.data.audit.check import check_dataset
from benchmark.data.fetching import download as fetch_download
from benchmark.data.fetching.fetch import DOWNLOADS, LOCK_NAME, Fetched, fetch
from benchmark.data.fetching.sources import Archive, Source, expand_sources, load_sources
from benchmark.data.fetching.unpack import unpack
from benchmark.data.listing.items import RECORD_NAME
from benchmark.errors import BenchError

Zip = Callable[..., bytes]


def zipped(members: dict[str, bytes], *, links: tuple[str, ...] = ()) -> bytes:
    """A zip archive in memory; names in ``links`` are stored as symbolic links."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            kind = stat.S_IFLNK if name in links else stat.S_IFREG
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, content)
    return memory.getvalue()


def picture(seed: int, mask: bool = False) -> bytes:
    memory = io.BytesIO()
    if mask:
        pixels = np.zeros((40, 60), np.uint8)
        pixels[10:30, 20:40] = 255
    else:
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(memory, "JPEG")
    return memory.getvalue()


@pytest.fixture(scope="module")
def kvasir_zip() -> bytes:
    """Kvasir-SEG's archive in small: its folders, its odd file, a thousand pairs."""
    mask = picture(0, mask=True)
    members = {"Kvasir-SEG/kavsir_bboxes.json": b"{}", "__MACOSX/._Kvasir-SEG": b"junk"}
    for number in range(1000):
        members[f"Kvasir-SEG/images/cju{number:03d}.jpg"] = picture(number)
        members[f"Kvasir-SEG/masks/cju{number:03d}.jpg"] = mask
    return zipped(members)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(fetch_download, "PAUSE_S", 0.01)
    with serve(Site()) as one:
        yield one


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data"


SMALL = {f"Kvasir-SEG/{kind}/cju{n}.jpg": picture(n, kind == "masks") for kind in ("images", "masks") for n in range(3)}


def source(site: Site, content: bytes, *, checksum: str = "", **fields: object) -> Source:
    site.files["/kvasir-seg.zip"] = content
    url = f"{site.url}/kvasir-seg.zip"
    one = Archive(file="kvasir-seg.zip", url=url, folder="Kvasir-SEG", checksum=checksum, **fields)  # type: ignore[arg-type]
    return Source(title="Kvasir", page="https://example.org", terms="research only", files=(one,))


def md5(content: bytes) -> str:
    return "md5:" + hashlib.md5(content).hexdigest()


def get(site: Site, content: bytes, root: Path, **fields: object) -> Fetched:
    return fetch("kvasir", source(site, content, **fields), root)  # type: ignore[arg-type]


def left_in(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*")) if root.exists() else []


def test_kvasir_ends_in_a_layout_that_check_accepts(site: Site, root: Path, kvasir_zip: bytes) -> None:
    result = get(site, kvasir_zip, root)
    assert (result.status, result.counts) == ("fetched", ("kvasir 1000 of 1000",))
    assert sorted(path.name for path in root.iterdir()) == ["Kvasir-SEG", LOCK_NAME]
    home = root / "Kvasir-SEG"
    assert sorted(path.name for path in home.iterdir()) == [RECORD_NAME, "images", "kavsir_bboxes.json", "masks"]
    report = check_dataset("kvasir", root)
    assert report.ok and report.num_images == 1000 and report.strays == ()
    record = json.loads((home / RECORD_NAME).read_text())
    digest = "sha256:" + hashlib.sha256(kvasir_zip).hexdigest()
    assert (record["checksum"], record["bytes"], record["terms"]) == (digest, len(kvasir_zip), "research only")
    assert record["url"] == f"{site.url}/kvasir-seg.zip" and record["date"].startswith("20")
    assert json.loads((root / LOCK_NAME).read_text())["archives"]["kvasir/kvasir-seg.zip"]["checksum"] == digest
    assert get(site, b"another", root).status == "present"
    assert len(site.log) == 1


def test_isic_is_several_archives_and_a_later_call_takes_up_the_rest(site: Site, root: Path) -> None:
    """Each archive becomes its folder by itself; the record in it is no stray."""
    files = []
    for part, kind, number in (("Training", "Data", 1), ("Test", "Data", 2)):
        images, masks = f"ISBI2016_ISIC_Part1_{part}_{kind}", f"ISBI2016_ISIC_Part1_{part}_GroundTruth"
        contents = {images: f"ISIC_{number:07d}.jpg", masks: f"ISIC_{number:07d}_Segmentation.png"}
        for folder, name in contents.items():
            content = zipped({f"{folder}/{name}": picture(number, mask=folder == masks)})
            site.files[f"/{folder}.zip"] = content
            url = f"{site.url}/{folder}.zip"
            files.append(Archive(file=f"{folder}.zip", url=url, folder=folder, checksum=md5(content)))
    isic = Source(title="ISIC", page="p", terms="t", files=tuple(files))
    last = site.files.pop(f"/{files[-1].file}")
    with pytest.raises(BenchError, match="404"):
        fetch("isic2016", isic, root)
    assert len(list(root.iterdir())) == 4  # three folders and the lock file
    site.files[f"/{files[-1].file}"] = last
    site.log.clear()
    result = fetch("isic2016", isic, root)
    assert (result.status, result.counts, len(site.log)) == ("fetched", ("isic2016 2 of 1279",), 1)
    report = check_dataset("isic2016", root)
    assert report.strays == () and len(report.faults) == 1 and report.num_images == 2


def test_what_exists_is_left_alone(site: Site, root: Path) -> None:
    mine = root / "Kvasir-SEG" / "notes.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert get(site, zipped(SMALL), root).status == "present"
    assert left_in(root) == ["Kvasir-SEG", "Kvasir-SEG/notes.txt"] and site.log == []


def test_a_cut_connection_is_taken_up_in_the_same_call(site: Site, root: Path) -> None:
    content = zipped(SMALL)
    site.cut_after, site.cuts = 1000, 2
    assert get(site, content, root, checksum=md5(content)).status == "fetched"
    assert site.log == [
        ("/kvasir-seg.zip", "", 200),
        ("/kvasir-seg.zip", "bytes=1000-", 206),
        ("/kvasir-seg.zip", "bytes=2000-", 206),
    ]
    assert (root / "Kvasir-SEG/images/cju2.jpg").read_bytes() == SMALL["Kvasir-SEG/images/cju2.jpg"]


def test_a_later_call_goes_on_where_the_first_stopped(site: Site, root: Path) -> None:
    content = zipped(SMALL)
    site.cut_after, site.cuts = 700, fetch_download.TRIES
    with pytest.raises(BenchError, match=r"kvasir-seg\.zip: the connection .*run the same command again") as caught:
        get(site, content, root)
    assert "\n" not in str(caught.value)
    have = 700 * fetch_download.TRIES
    assert (root / DOWNLOADS / "kvasir-seg.zip.part").stat().st_size == have
    assert not (root / "Kvasir-SEG").exists() and not (root / LOCK_NAME).exists()
    assert get(site, content, root).status == "fetched"
    assert site.log[-1] == ("/kvasir-seg.zip", f"bytes={have}-", 206)
    assert not (root / DOWNLOADS).exists()


@pytest.mark.parametrize("why", ["no Range", "another version"])
def test_what_cannot_be_resumed_starts_again(site: Site, root: Path, why: str) -> None:
    """Bytes of two versions, or a whole reply behind a part, must never be glued together."""
    site.cut_after, site.cuts = 700, fetch_download.TRIES
    site.ranges = why != "no Range"
    content = zipped(SMALL)
    with pytest.raises(BenchError, match="the connection"):
        get(site, content, root)
    if why == "another version":
        site.etag, content = '"two"', zipped({**SMALL, "Kvasir-SEG/new.txt": b"x" * 3000})
    assert get(site, content, root, checksum=md5(content)).status == "fetched"
    assert site.log[-1][1:] == (f"bytes={700 * (1 if why == 'no Range' else fetch_download.TRIES)}-", 200)


def test_wrong_checksum_leaves_nothing(site: Site, root: Path) -> None:
    wrong = "sha256:" + "0" * 64
    with pytest.raises(BenchError, match=f"does not have the published checksum {wrong}; it was removed"):
        get(site, zipped(SMALL), root, checksum=wrong)
    assert left_in(root) == []


def test_first_download_is_recorded_and_enforced(site: Site, root: Path, tmp_path: Path) -> None:
    get(site, zipped(SMALL), root)
    shutil.rmtree(root / "Kvasir-SEG")
    with pytest.raises(BenchError, match=rf"recorded \({LOCK_NAME}, first download\) checksum sha256:"):
        get(site, zipped({**SMALL, "Kvasir-SEG/images/new.jpg": b"new"}), root)
    assert left_in(root) == [LOCK_NAME]
    shared = tmp_path / "shared.lock.json"
    shutil.copy(root / LOCK_NAME, shared)
    other = source(site, zipped({"Kvasir-SEG/a": b"other"}))
    with pytest.raises(BenchError, match=r"recorded \(shared\.lock\.json"):
        fetch("kvasir", other, tmp_path / "elsewhere", lock=shared)
    shared.write_text("{}")
    with pytest.raises(BenchError, match=r"lock file .*shared\.lock\.json cannot be read"):
        fetch("kvasir", other, tmp_path / "elsewhere", lock=shared)


def test_truncated_zip(site: Site, root: Path) -> None:
    with pytest.raises(BenchError, match=r"kvasir-seg\.zip is damaged or not a zip file .*; fetch it again"):
        get(site, zipped(SMALL)[:-500], root)
    assert left_in(root) == []


def test_damaged_member(site: Site, root: Path) -> None:
    content = bytearray(zipped(SMALL))
    content[60:90] = bytes(30)
    with pytest.raises(BenchError, match="is damaged or not a zip file"):
        get(site, bytes(content), root)
    assert left_in(root) == []


@pytest.mark.parametrize("name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"])
def test_members_that_leave_the_folder(site: Site, root: Path, name: str) -> None:
    with pytest.raises(BenchError, match="would be written outside the target folder: nothing was unpacked"):
        get(site, zipped({**SMALL, name: b"evil"}), root)
    assert left_in(root) == [] and not list(root.parent.rglob("*evil*"))


def test_links_and_other_traps(site: Site, root: Path) -> None:
    link = zipped({**SMALL, "Kvasir-SEG/link": b"/etc"}, links=("Kvasir-SEG/link",))
    with pytest.raises(BenchError, match="member 'Kvasir-SEG/link' is a link: nothing was unpacked"):
        get(site, link, root)
    with pytest.raises(BenchError, match="claim the same place"):
        get(site, zipped({"a/X.jpg": b"1", "a/x.jpg": b"2"}), root)
    with pytest.raises(BenchError, match="is both a file and a folder"):
        get(site, zipped({"a": b"1", "a/b": b"2"}), root)
    with pytest.raises(BenchError, match="is empty"):
        get(site, zipped({}), root)
    bomb = zipped({"Kvasir-SEG/zeros.png": bytes(200 << 20)})
    assert len(bomb) < 1 << 20
    with pytest.raises(BenchError, match=r"more than the .* MB .*raise max_unpacked_mb"):
        get(site, bomb, root)
    assert not (root / "Kvasir-SEG").exists()


def test_an_archive_without_an_image_is_not_fetched(site: Site, root: Path) -> None:
    page = zipped({"Kvasir-SEG/index.html": b"moved", "Kvasir-SEG/readme.txt": b"see our new page"})
    with pytest.raises(
        BenchError, match=r"kvasir-seg\.zip holds no image, but Kvasir-SEG/index\.html, .*expected JPEG"
    ):
        get(site, page, root)
    assert not (root / "Kvasir-SEG").exists()


def test_a_lie_about_the_size_is_found_while_writing(tmp_path: Path) -> None:
    """A header that claims 10 bytes for many more: the member's CRC no longer fits what its length lets out."""
    content = bytearray(zipped({"a/zeros.png": bytes(1 << 20)}))
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = (10).to_bytes(4, "little")
    archive = tmp_path / "lie.zip"
    archive.write_bytes(content)
    with pytest.raises(BenchError, match="is damaged or not a zip file"):
        unpack(archive, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lie.zip"]


def test_dead_address_refusal_and_a_busy_server(site: Site, root: Path) -> None:
    one = source(site, zipped(SMALL))
    site.files.clear()
    with pytest.raises(BenchError, match=r"not found \(404 Not Found\): the address is dead; pass --mirror"):
        fetch("kvasir", one, root)
    site.status = 403
    with pytest.raises(BenchError, match=r"the server refuses \(403 Forbidden\)"):
        fetch("kvasir", one, root)
    site.status = 503
    with pytest.raises(BenchError, match=r"the server is busy \(503 "):
        fetch("kvasir", one, root)
    assert left_in(root) == []


def test_no_server_at_all(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_download, "PAUSE_S", 0.0)
    with pytest.raises(BenchError, match=r"http://127\.0\.0\.1:9/kvasir-seg\.zip: the connection broke .*refused"):
        get(Site(url="http://127.0.0.1:9"), b"", root)
    assert left_in(root) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 KiB; mounting one needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = os.name == "posix" and shutil.which("mount") is not None
    mounted = mounted and subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", place]).returncode == 0
    if not mounted:
        pytest.skip("no right to mount a small disk")
    yield place
    subprocess.run(["umount", place], check=True)


def test_no_space_is_said_beforehand(site: Site, small_disk: Path) -> None:
    with pytest.raises(BenchError, match=r"no space for kvasir-seg\.zip in .*: 1\.0 MB needed, 0\.\d MB free"):
        get(site, os.urandom(1_000_000), small_disk)
    assert left_in(small_disk) == []
    packed = zipped({"Kvasir-SEG/zeros.png": bytes(1 << 20)})
    with pytest.raises(BenchError, match=r"no space for the content of kvasir-seg\.zip"):
        get(site, packed, small_disk)
    assert left_in(small_disk) == [DOWNLOADS, f"{DOWNLOADS}/kvasir-seg.zip"]  # not to be downloaded again
    requests = len(site.log)
    with pytest.raises(BenchError, match="no space for the content"):
        get(site, packed, small_disk)
    assert len(site.log) == requests


def test_a_disk_that_fills_up_under_way(site: Site, small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_download.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1 << 40, 0, 1 << 40))
    with pytest.raises(BenchError, match=r"cannot write .*kvasir-seg\.zip: no space left; free some space"):
        get(site, os.urandom(1_000_000), small_disk)
    assert not (small_disk / "Kvasir-SEG").exists()
    shutil.rmtree(small_disk / DOWNLOADS)
    with pytest.raises(BenchError, match=r"cannot unpack .*: no space left"):
        get(site, zipped({"Kvasir-SEG/zeros.png": bytes(1 << 20)}), small_disk)
    assert left_in(small_disk) == [DOWNLOADS, f"{DOWNLOADS}/kvasir-seg.zip"]


def test_gdown_resumes_and_reports(site: Site, root: Path) -> None:
    """gdown's own code against a server of ours: Google's pages themselves need a network."""
    content = zipped({"TestDataset/Kvasir/images/a.png": os.urandom(3_000_000)})
    site.files["/uc"] = content
    one = Archive(file="t.zip", url=f"{site.url}/uc?id=1", folder="TestDataset", via="gdown", checksum=md5(content))
    bundle = Source(title="t", page="p", terms="t", files=(one,), datasets=("kvasir",))
    seen: list[tuple[str, int, int | None]] = []
    site.cut_after, site.cuts = 1_000_000, 1
    result = fetch("pranet-test", bundle, root, progress=lambda *now: seen.append(now))
    assert result.status == "fetched" and (root / "TestDataset/Kvasir/images/a.png").is_file()
    assert ("download t.zip", len(content), len(content)) in seen
    assert [status for _, _, status in site.log] == [200, 206]
    assert not (root / DOWNLOADS).exists()
    shutil.rmtree(root / "TestDataset")
    site.status = 404
    with pytest.raises(BenchError, match=r"uc\?id=1: not found \(404 Not Found\)"):
        fetch("pranet-test", bundle, root)


def test_gdown_without_range_starts_again(site: Site, root: Path) -> None:
    """A part that cannot be continued must not block every later call."""
    content = zipped({"TestDataset/a.png": os.urandom(3_000_000)})
    site.files["/uc"] = content
    one = Archive(file="t.zip", url=f"{site.url}/uc?id=1", folder="TestDataset", via="gdown", checksum=md5(content))
    bundle = Source(title="t", page="p", terms="t", files=(one,), datasets=("kvasir",))
    site.ranges, site.cut_after, site.cuts = False, 1_000_000, 1
    with pytest.raises(BenchError, match="run the same command again to continue"):
        fetch("pranet-test", bundle, root)
    assert fetch("pranet-test", bundle, root).status == "fetched"
    assert site.log[-1][1:] == ("", 200) and not (root / DOWNLOADS).exists()


def test_two_at_once_are_kept_apart(site: Site, root: Path) -> None:
    from filelock import FileLock

    (root / DOWNLOADS).mkdir(parents=True)
    with (
        FileLock(root / DOWNLOADS / "kvasir-seg.zip.lock"),
        pytest.raises(BenchError, match="another bench data fetch is downloading"),
    ):
        get(site, zipped(SMALL), root)


def test_the_list_itself() -> None:
    sources = load_sources()
    names = ["kvasir", "clinicdb", "colondb", "etis", "cvc300", "endoscene", "isic2016", "isic2018", "ph2"]
    assert set(names) <= set(sources)
    checksums = [archive.checksum for name in ("isic2016", "isic2018") for archive in sources[name].files]
    assert [text.partition(":")[0] for text in checksums] == ["md5"] * 4 + ["sha256"] * 6
    assert len(set(checksums)) == 10
    assert sources["pranet-test"].files[0].url.endswith("1Y2z7FD5p5y31vkZwQQomXFRB0HutHyao")
    assert expand_sources(["pranet", "kvasir"], sources) == ["pranet-train", "pranet-test", "kvasir"]
    with pytest.raises(BenchError, match="did you mean 'kvasir'"):
        expand_sources(["kvasr"], sources)
    with pytest.raises(BenchError, match="phantom needs no download"):
        expand_sources(["phantom"], sources)


def test_mirrors(site: Site, root: Path, tmp_path: Path) -> None:
    """A folder, an address with the archives, a list of one's own on disk or at an address."""
    content = zipped(SMALL)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    (shelf / "kvasir-seg.zip").write_bytes(content)
    assert fetch("kvasir", load_sources(str(shelf))["kvasir"], root / "a").status == "fetched"
    with pytest.raises(BenchError, match=r"TrainDataset\.zip does not exist: put the archive there"):
        fetch("pranet-train", load_sources(str(shelf))["pranet-train"], root / "a")
    site.files["/shelf/kvasir-seg.zip"] = content
    assert fetch("kvasir", load_sources(f"{site.url}/shelf/")["kvasir"], root / "b").status == "fetched"
    text = f"""schema = 1
[kvasir]
title = "K"
page = "p"
terms = "t"
[[kvasir.files]]
file = "kvasir-seg.zip"
url = "{site.url}/shelf/kvasir-seg.zip"
folder = "Kvasir-SEG"
"""
    mine = tmp_path / "list.toml"
    mine.write_text(text)
    site.files["/list.toml"] = text.encode()
    for mirror in (str(mine), f"{site.url}/list.toml"):
        sources = load_sources(mirror)
        assert sources["kvasir"].title == "K" and "etis" in sources
    bad = {
        text.replace('folder = "Kvasir-SEG"', 'folder = "../up"'): r"kvasir\.files\.0\.folder",
        text.replace("file = ", "fiel = "): r"kvasir\.files\.0\.",
        text.replace("schema = 1", "schema = 2"): "expected schema = 1",
        text.replace("[kvasir]", "[kvasir"): "line 2",
        'schema = 1\n[x]\ntitle = "x"\npage = "p"\nterms = "t"\n': "either files to fetch or manual steps",
    }
    for broken, message in bad.items():
        mine.write_text(broken)
        with pytest.raises(BenchError, match=rf"address list .*list\.toml: .*{message}"):
            load_sources(str(mine))
    for absent in (str(tmp_path / "nowhere"), str(tmp_path / "no.toml"), f"{site.url}/no.toml"):
        with pytest.raises(BenchError, match="--mirror"):
            load_sources(absent)
