"""An export with maps, weights and cards travels as an archive into another results folder; forged ones are refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import Bench
from page_server import Home
from serving import Site, serve


@pytest.fixture(scope="module")
def export_of_two(
    tmp_path_factory: pytest.TempPathFactory, served_home: Home, run_bench: Callable[..., Any]
) -> tuple[Path, str]:
    """Results of two cells, their export with maps and weights, its archive; and what the command said."""
    home = tmp_path_factory.mktemp("exported")
    shutil.copytree(served_home.folder / "results", home / "results")
    command = ["export", "--out", "copy", "--maps", "--weights", "--archive", "copy.zip"]
    done = run_bench(command, cwd=home, env=served_home.environment)
    assert done.returncode == 0, done.stderr
    return home, done.stderr


@pytest.fixture
def exported(export_of_two: tuple[Path, str], tmp_path: Path) -> Path:
    """The export in the test's own folder, results and archive beside it."""
    home, said = export_of_two
    assert "maps and weights: " in said.splitlines()[0], "the size is told first"
    assert "no image\n" in said
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    return tmp_path / "copy"


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_export_travels_and_gives_the_same_tables(bench: Bench, exported: Path, tmp_path: Path) -> None:
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=exported, check=True)
    shutil.rmtree(tmp_path / "results" / "tables", ignore_errors=True)
    bench("export", "--out", "again", "--maps", "--weights", "--archive", "again.zip")
    assert (tmp_path / "copy.zip").read_bytes() == (tmp_path / "again.zip").read_bytes(), "reproducible"
    done = json.loads(bench("import", "copy.zip", "--results", "theirs", "--json").stdout)
    assert len(done["cells"]) == 2 and done["kept"] == []
    for name in ("best.pt", "run.json", "scores.parquet"):
        ours, theirs = (sorted(root.rglob(name)) for root in (exported, tmp_path / "theirs"))
        assert [path.read_bytes() for path in ours] == [path.read_bytes() for path in theirs] and len(ours) == 2
    assert len(list((tmp_path / "theirs").rglob("maps/*/*.png"))) == len(list(exported.rglob("maps/*/*.png"))) > 4
    ours, theirs = (bench("tables", "--markdown", "--results", root).stdout for root in ("results", "theirs"))
    assert ours == theirs
    cell = done["cells"][0]
    predicted = ("predict", "--run", cell, "--results", "theirs", "--model", "./tiny_net.py:build", "--save", "masks")
    picture = next((tmp_path / "theirs").rglob("maps/*/*.png"))
    bench(*predicted, "--out", "seen", str(picture))
    again = json.loads(bench("import", "copy", "--results", "theirs", "--json").stdout)
    assert again["cells"] == [] and len(again["kept"]) == 2


def test_a_card_says_what_the_record_says(exported: Path) -> None:
    path = next(exported.rglob("model-card.md"))
    card, record = path.read_text(), json.loads(path.with_name("run.json").read_text())
    assert record["best_sha256"] in card and hashlib.sha256(path.with_name("best.pt").read_bytes()).hexdigest() in card
    assert "not a medical device" in card and "synthetic images: its scores compare nothing" in card
    for test in record["tests"].values():
        line = next(line for line in card.splitlines() if line.startswith(f"| {test['title']} |"))
        assert f"| {test['scores']['pranet']['mDSC']:.3f} |" in line and f"| {test['n']} |" in line
    listed = (exported / "environment.txt").read_text()
    assert f"torch=={record['environment']['packages']['torch']}\n" in listed


def test_an_address_is_fetched_and_checked(bench: Bench, exported: Path, tmp_path: Path) -> None:
    content = (tmp_path / "copy.zip").read_bytes()
    with serve(Site(files={"/copy.zip": content, "/cut.zip": content[:-100]})) as site:
        assert "2 cells imported" in bench("import", f"{site.url}/copy.zip", "--results", "theirs").stderr
        assert "not a zip file" in bench("import", f"{site.url}/cut.zip", "--results", "new", code=2).stderr
        assert "404" in bench("import", f"{site.url}/none.zip", "--results", "new", code=2).stderr
    assert list((tmp_path / "new").iterdir()) == []


def resummed(folder: Path) -> None:
    """What a careful forger does."""
    found = [(name, content) for name, content in files(folder).items() if name != "SHA256SUMS"]
    lines = [f"{hashlib.sha256(content).hexdigest()}  {name}" for name, content in sorted(found)]
    (folder / "SHA256SUMS").write_text("\n".join(lines) + "\n")


def flipped(folder: Path) -> None:
    path = next(folder.rglob("scores.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def raised(folder: Path) -> None:
    path = next(folder.rglob("run.json"))
    record = json.loads(path.read_text())
    next(iter(record["tests"].values()))["scores"]["pranet"]["mDSC"] = 0.99
    path.write_text(json.dumps(record))
    resummed(folder)


def swapped(folder: Path) -> None:
    one, other = sorted(folder.rglob("best.pt"))
    one.write_bytes(other.read_bytes())
    resummed(folder)


def with_code(folder: Path) -> None:
    (folder / "runs" / "sitecustomize.py").write_text("print('run')")
    resummed(folder)


def linked(folder: Path) -> None:
    path = next(folder.rglob("history.csv"))
    path.unlink()
    path.symlink_to("/etc/passwd")


def unsummed(folder: Path) -> None:
    (folder / "SHA256SUMS").unlink()


def shortened(folder: Path) -> None:
    next(folder.rglob("maps/*/*.png")).unlink()


def moved(folder: Path) -> None:
    record = next(folder.rglob("run.json"))
    record.parent.rename(record.parent.with_name("seed7"))
    resummed(folder)


FORGERIES: dict[Callable[[Path], None], str] = {
    flipped: "scores.parquet does not have the checksum",
    raised: "mDSC is stated as 0.9900",
    swapped: "is not the one of its record (SHA-256)",
    with_code: "sitecustomize.py is no file of an export",
    linked: "history.csv is a link",
    unsummed: "SHA256SUMS is missing",
    shortened: "is named in SHA256SUMS and missing",
    moved: "does not lie there",
}


@pytest.mark.parametrize("forge", list(FORGERIES), ids=lambda forge: forge.__name__)
def test_a_forged_export_is_refused_and_leaves_nothing(
    forge: Callable[[Path], None], bench: Bench, exported: Path, tmp_path: Path
) -> None:
    forge(exported)
    done = bench("import", "copy", "--results", "theirs", code=2)
    assert FORGERIES[forge] in done.stderr and done.stderr.count("\n") == 1
    assert list((tmp_path / "theirs").iterdir()) == []


def test_archives_that_lead_elsewhere_or_grow_are_refused(bench: Bench, exported: Path, tmp_path: Path) -> None:
    def refuse(said: str, *members: tuple[zipfile.ZipInfo | str, bytes]) -> None:
        with zipfile.ZipFile(tmp_path / "bad.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        assert said in bench("import", "bad.zip", "--results", "theirs", code=2).stderr
        assert list((tmp_path / "theirs").iterdir()) == [] and not (tmp_path / "up.txt").exists()

    link = zipfile.ZipInfo("runs/a/b/seed0/run.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    refuse("outside the target folder", ("../up.txt", b"x"))
    refuse("is a link", (link, b"/etc/passwd"))
    refuse("no file of an export", ("a/b.sh", b"x"), ("c", b""))
    (tmp_path / "text.zip").write_text("no zip")
    assert "not a zip file" in bench("import", "text.zip", "--results", "theirs", code=2).stderr
    assert "not found" in bench("import", "absent.zip", "--results", "theirs", code=2).stderr


def test_a_cell_that_is_there_with_another_record_is_not_replaced(bench: Bench, exported: Path, tmp_path: Path) -> None:
    bench("import", "copy.zip", "--results", "theirs")
    path = next((tmp_path / "theirs").rglob("run.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "created": "2000-01-01T00:00:00+00:00"}))
    before = files(tmp_path / "theirs")
    assert "there with another record" in bench("import", "copy.zip", "--results", "theirs", code=2).stderr
    assert files(tmp_path / "theirs") == before
    shutil.rmtree(path.parent)
    other = next((tmp_path / "theirs").rglob("run.json"))
    other.write_text(json.dumps({**json.loads(other.read_text()), "created": "2000-01-01T00:00:00+00:00"}))
    before = files(tmp_path / "theirs")
    assert "there with another record" in bench("import", "copy.zip", "--results", "theirs", code=2).stderr
    assert files(tmp_path / "theirs") == before, "nor is the other cell brought in"
    assert "is there already" in bench("export", "--out", "new", "--archive", "copy.zip", code=2).stderr
    assert not (tmp_path / "new").exists() and os.access(tmp_path / "copy.zip", os.R_OK)
