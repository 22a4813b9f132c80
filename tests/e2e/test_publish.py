"""`bench publish` against stand-ins of both hosts: what arrives is the export, and faults lose nothing."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
from harness import Bench
from hosts import TOKEN, Hub, serve_hub
from made_results import write_results

from benchmark.errors import BenchError
from benchmark.maintenance.publishing.publish import publish

CELLS = 4
PUBLISHED = {"id": 5, "submitted": True, "links": {}, "content": {}}
ZENODO = ("publish", "copy", "--to", "zenodo", "--licence", "cc-by-4.0", "--creator", "Curie, Marie")
HUGGINGFACE = ("publish", "copy", "--to", "huggingface:me/records", "--licence", "cc-by-4.0")


@pytest.fixture(scope="module")
def export_of_four(tmp_path_factory: pytest.TempPathFactory, run_bench: Callable[..., Any]) -> Path:
    home = tmp_path_factory.mktemp("published")
    write_results(home / "results", {"unet": 0.7, "bsanet": 0.8})
    done = run_bench(["export", "--out", "copy", "--archive", "copy.zip"], cwd=home, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return home


@pytest.fixture
def home(export_of_four: Path, tmp_path: Path) -> Path:
    """The export and its zip in the test's own folder."""
    shutil.copytree(export_of_four, tmp_path, dirs_exist_ok=True)
    return tmp_path


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub(Hub()) as served:
        yield served


@pytest.fixture
def reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client of this process may ask servers."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def send(home: Path, hub: Hub, **options: Any) -> Any:
    return publish(
        home / "copy", "huggingface:me/records", licence="cc-by-4.0", host=hub.url, **{"yes": True, **options}
    )


def test_a_dry_run_says_what_would_be_sent_and_asks_nobody(bench: Bench, home: Path, hub: Hub) -> None:
    size = sum(len(content) for content in files(home / "copy").values())
    for command in (ZENODO, HUGGINGFACE):
        told = json.loads(bench(*command, "--host", hub.url, "--json").stdout)
        assert told["sent"] is None and sum(row["bytes"] for row in told["contents"]) == size
        assert sorted(told["files"]) == sorted(files(home / "copy"))
        said = bench(*command, "--host", hub.url)
        assert "would be sent (pass --yes)" in said.stderr and "records and scores\t" in said.stdout
    assert hub.log == []


def test_zenodo_gets_a_draft_with_the_zip(bench: Bench, home: Path, hub: Hub) -> None:
    sent = bench(*ZENODO, "--yes", "--host", hub.url, ZENODO_TOKEN=TOKEN)
    assert sent.stdout == f"{hub.url}/deposit/100\n" and "draft 100: look at it and publish it there" in sent.stderr
    draft = hub.deposits["100"]
    assert draft["content"] == {"copy.zip": (home / "copy.zip").read_bytes()} and not draft["submitted"]
    assert draft["metadata"]["creators"] == [{"name": "Curie, Marie"}] and "not a medical device" in str(draft)
    assert not any("publish" in line for line in hub.log), "that cannot be undone: it is left to a person"
    (home / "arrived.zip").write_bytes(draft["content"]["copy.zip"])
    assert f"{CELLS} cells imported" in bench("import", "arrived.zip", "--results", "theirs").stderr

    hub.log.clear()
    again = ("publish", "copy.zip", "--to", "zenodo:100", *ZENODO[4:], "--yes", "--host", hub.url)
    assert "0.0 MB sent" in bench(*again, ZENODO_TOKEN=TOKEN).stderr
    assert not any("/api/files/" in line for line in hub.log), "what is there is not sent again"
    assert TOKEN not in sent.stdout + sent.stderr


def test_a_cut_upload_to_zenodo_goes_on_with_its_draft(bench: Bench, home: Path, hub: Hub) -> None:
    hub.cut = {"/api/files/": 1}
    cut = bench(*ZENODO, "--yes", "--host", hub.url, code=2, ZENODO_TOKEN=TOKEN).stderr
    assert "draft 100: the connection broke" in cut and "go on with --to zenodo:100" in cut and cut.count("\n") == 1
    assert hub.deposits["100"]["content"] == {}
    again = (*ZENODO[:3], "zenodo:100", *ZENODO[4:], "--yes", "--host", hub.url)
    bench(*again, ZENODO_TOKEN=TOKEN)
    assert list(hub.deposits) == ["100"] and len(hub.deposits["100"]["content"]) == 1


@pytest.mark.parametrize(
    ("setting", "arguments", "words"),
    [
        ({}, ("--to", "zenodo:7"), "no such draft (404)"),
        ({"refuse": {"depositions": 403}}, (), "may not write this (403)"),
        ({"refuse": {"depositions": 503}}, (), "the server answers 503; run it again"),
        ({"damage": True}, (), "arrived damaged (MD5)"),
        ({"deposits": {"5": PUBLISHED}}, ("--to", "zenodo:5"), "is published already"),
        ({}, ("--licence", "mine"), "metadata.license: Invalid license.; correct it and go on with --to zenodo:100"),
        ({"refuse": {"depositions": 200}}, (), "answer is not Zenodo's"),
        ({"token": "another"}, (), "does not accept the token of ZENODO_TOKEN (401)"),
        ({"token": ""}, (), "ZENODO_TOKEN is not set"),
        ({"token": "two words"}, (), "characters that no token has"),
        ({"down": True}, (), "the connection broke (Connection refused)"),
    ],
)
def test_what_zenodo_refuses_is_one_line(
    home: Path,
    hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, Any],
    arguments: tuple[str, ...],
    words: str,
) -> None:
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    monkeypatch.setenv("ZENODO_TOKEN", setting.get("token", TOKEN))
    for name in hub.__dict__.keys() & setting.keys():
        setattr(hub, name, setting[name])
    host = "http://127.0.0.1:9" if "down" in setting else hub.url
    with pytest.raises(BenchError) as caught:
        publish(
            home / "copy",
            given.get("--to", "zenodo"),
            licence=given.get("--licence", "cc-by-4.0"),
            creators=("Curie, Marie",),
            host=host,
            yes=True,
        )
    assert words in str(caught.value).replace("[Errno 111] ", "") and TOKEN not in str(caught.value)


def test_mistakes_are_found_before_anything_is_sent(bench: Bench, home: Path, hub: Hub) -> None:
    record = next((home / "copy").rglob("run.json"))
    for command, words in (
        (("--to", "hugingface:me/x"), "did you mean 'huggingface'"),
        (("--to", "huggingface:x"), "expected huggingface:OWNER/NAME"),
        (("--to", "zenodo:x"), "zenodo:NUMBER"),
        (("--to", "zenodo"), "pass --creator"),
        (("--to", "huggingface:me/x", "--host", "http://example.org"), "http is refused"),
        (("--to", "zenodo", "--creator", "A, B", "--private"), "--private is for Hugging Face"),
    ):
        done = bench("publish", "copy", "--licence", "mit", "--host", hub.url, *command, code=2)
        assert words in done.stderr and done.stderr.count("\n") == 1
    assert "not found" in bench("publish", "nowhere", *ZENODO[2:], code=2).stderr
    record.write_text(record.read_text().replace('"mDSC": 0.', '"mDSC": 0.9', 1))
    done = bench(*ZENODO, "--yes", "--host", hub.url, code=2, ZENODO_TOKEN=TOKEN)
    assert "does not have the checksum" in done.stderr and done.stderr.count("\n") == 1
    assert hub.log == []


def test_huggingface_gets_the_export_and_a_card(bench: Bench, home: Path, hub: Hub) -> None:
    """By the installed command: the client reads HF_HUB_OFFLINE where it is imported."""
    online = {"HF_HUB_OFFLINE": "0", "HF_TOKEN": TOKEN, "HF_ENDPOINT": hub.url}
    sent = bench(*HUGGINGFACE, "--private", "--title", "Records: of | two <models>", "--yes", **online)
    assert sent.stdout == f"{hub.url}/datasets/me/records\n" and TOKEN not in sent.stderr
    held = dict(hub.repositories["me/records"])
    card = held.pop("README.md").decode()
    assert held == {f"export/{name}": content for name, content in files(home / "copy").items()}
    assert hub.private == {"me/records"} and 'license: "cc-by-4.0"' in card
    assert "# Records: of \\| two &lt;models&gt;" in card
    assert card.count("| unet/") == card.count("| bsanet/") > 0 and "bench import records/export" in card
    for name, content in held.items():
        (home / "down" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "down" / name).write_bytes(content)
    assert f"{CELLS} cells imported" in bench("import", "down/export", "--results", "theirs").stderr


def test_a_broken_upload_to_huggingface_goes_on(home: Path, hub: Hub, reached: None, monkeypatch: Any) -> None:
    """Large files that arrived are not sent again; nothing shows before the commit."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    hub.large = (".parquet",)
    hub.cut = {"/commit/": 1, "/objects/": 1}
    with pytest.raises(BenchError, match="run the same command again to go on"):
        send(home, hub)
    assert hub.repositories["me/records"] == {} and len(hub.objects) == CELLS
    hub.log.clear()
    hub.repositories["me/records"] = {"export/runs/old/run.json": b"{}", "mine.txt": b"kept"}
    send(home, hub)
    assert not any(line.startswith("PUT /objects/") for line in hub.log)
    held = hub.repositories["me/records"]
    assert held.keys() - {f"export/{name}" for name in files(home / "copy")} == {"README.md", "mine.txt"}
    send(home, hub)
    assert hub.repositories["me/records"] == held


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"refuse": {"preupload": 403}}, "HF_TOKEN may not write to this repository (403)"),
        ({"refuse": {"create": 404}}, "no such repository"),
        ({"refuse": {"create": 401}}, "does not accept the token of HF_TOKEN (401)"),
        ({"down": True}, "refused; run the same command again to go on"),
        ({"token": ""}, "HF_TOKEN is not set"),
    ],
)
def test_what_huggingface_refuses_is_one_line(
    home: Path, hub: Hub, reached: None, monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any], words: str
) -> None:
    hub.refuse = setting.get("refuse", {})
    monkeypatch.setenv("HF_TOKEN", setting.get("token", TOKEN))
    with pytest.raises(BenchError) as caught:
        send(home, Hub(url="http://127.0.0.1:9") if "down" in setting else hub)
    assert words in str(caught.value) and TOKEN not in str(caught.value)


def test_the_offline_setting_is_named(home: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with pytest.raises(BenchError, match="unset the `HF_HUB_OFFLINE` environment variable"):
        send(home, hub)
