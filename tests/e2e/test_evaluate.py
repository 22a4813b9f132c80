"""`bench evaluate`: maps that others made and released checkpoints, complete or refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import Bench
from PIL import Image

from benchmark.models.registry import build_model

Save = Callable[[Path, np.ndarray], None]


def _png(path: Path, prob: np.ndarray) -> None:
    Image.fromarray((prob * 255).round().astype(np.uint8)).save(path.with_suffix(".png"))


def _rgb(path: Path, prob: np.ndarray) -> None:
    Image.fromarray(np.repeat((prob * 255).round().astype(np.uint8)[..., None], 3, 2)).save(path.with_suffix(".png"))


def _npy(path: Path, prob: np.ndarray) -> None:
    np.save(path.with_suffix(".npy"), (prob * 255).round() / 255)


def _npy255(path: Path, prob: np.ndarray) -> None:
    np.save(path.with_suffix(".npy"), (prob * 255).round().astype(np.float32)[None])


@pytest.fixture
def truth(tmp_path: Path) -> dict[str, np.ndarray]:
    """Six masks in `masks/`, and soft maps for them by name."""
    rng = np.random.default_rng(0)
    (tmp_path / "masks").mkdir()
    maps = {}
    for i in range(6):
        mask = np.zeros((40 + i, 60), bool)
        mask[8:24, 10 + i : 40] = True
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / f"m{i}.png")
        maps[f"m{i}"] = np.clip(mask * 0.7 + rng.random(mask.shape) * 0.3, 0, 1)
    return maps


def write(folder: Path, maps: dict[str, np.ndarray], save: Save = _png) -> None:
    folder.mkdir(parents=True)
    for name, prob in maps.items():
        save(folder / name, prob)


def call(bench: Bench, *extra: str, code: int = 0):
    fixed = ("evaluate", "--predictions", "maps", "--masks", "masks", "--name", "Theirs", "--json", "out.json")
    return bench(*fixed, *extra, code=code)


def _png16(path: Path, prob: np.ndarray) -> None:
    Image.fromarray((prob * 255).round().astype(np.uint16)).save(path.with_suffix(".png"))


@pytest.mark.parametrize("save", [_png, _rgb, _npy, _npy255, _png16])
def test_every_form_of_a_map_gives_the_same_figures(bench: Bench, tmp_path: Path, truth, save: Save) -> None:
    write(tmp_path / "maps", truth, save)
    call(bench)
    got = json.loads((tmp_path / "out.json").read_text())
    assert got["method"] == "Theirs" and got["protocol"] == "pranet" and got["n"] == 6
    from benchmark.metrics import aggregate, score

    mine = aggregate(
        score((prob * 255).round().astype(np.uint8), np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")) > 127)
        for name, prob in truth.items()
    )
    names = ["mDSC", "mIoU", "S_alpha", "F_beta_w", "E_phi_max", "MAE", "maxDSC", "maxIoU"]
    names += ["meanEm", "dice_half", "iou_half"]
    assert list(got["metrics"]) == names
    assert got["metrics"] == pytest.approx({key: mine[key] for key in names}, abs=1e-12)
    assert list(got) == ["method", "dataset", "protocol", "protocol_hash", "engine", "n", "of", "metrics"]


def _drop(folder: Path) -> None:
    (folder / "m2.png").unlink()


def _surplus(folder: Path) -> None:
    _png(folder / "m9", np.eye(5))


def _small(folder: Path) -> None:
    _png(folder / "m2", np.eye(20))


def _colour(folder: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (42, 60, 3), np.uint8)).save(folder / "m2.png")


def _overshoot(folder: Path) -> None:
    (folder / "m2.png").unlink()
    for path in folder.glob("*.png"):
        np.save(path.with_suffix(".npy"), np.asarray(Image.open(path)) / 255)
        path.unlink()
    np.save(folder / "m2.npy", np.linspace(0, 1.05, 42 * 60).reshape(42, 60))


def _logits(folder: Path) -> None:
    (folder / "m2.png").unlink()
    np.save(folder / "m2.npy", np.linspace(-4, 4, 42 * 60).reshape(42, 60))


def _torn(folder: Path) -> None:
    (folder / "m2.png").write_bytes((folder / "m2.png").read_bytes()[:60])


@pytest.mark.parametrize(
    ("spoil", "kind", "n"),
    [
        (_drop, "missing", 5),
        (_surplus, "surplus", 6),
        (_small, "wrong size", None),
        (_colour, "coloured", None),
        (_torn, "unreadable", None),
        (_overshoot, "out of range", None),
        (_logits, "out of range", None),
    ],
)
def test_what_is_wrong_is_named_and_refused(
    bench: Bench, tmp_path: Path, truth, spoil: Callable[[Path], None], kind: str, n: int | None
) -> None:
    """``n``: images that are scored with --allow-partial, which is about missing and surplus maps only."""
    write(tmp_path / "maps", truth)
    spoil(tmp_path / "maps")
    done = call(bench, code=2)
    name = "m9" if kind == "surplus" else "m2"
    assert any(kind in line and name in line for line in done.stderr.splitlines())
    error = done.stderr.splitlines()[-1]
    assert f"1 {kind}" in error and ("--allow-partial" in error) == (n is not None)
    assert not (tmp_path / "results").exists() and not (tmp_path / "out.json").exists()
    if n is None:
        assert "--allow-partial is for missing" in call(bench, "--allow-partial", code=2).stderr.splitlines()[-1]
        assert not (tmp_path / "results").exists() and not (tmp_path / "out.json").exists()
        return
    call(bench, "--allow-partial")
    got = json.loads((tmp_path / "out.json").read_text())
    assert got["n"] == n and got["of"] == (6 if n < 6 else None)


def test_nan_is_named(bench: Bench, tmp_path: Path, truth) -> None:
    truth["m1"][3, 3] = np.nan
    write(tmp_path / "maps", truth, lambda path, prob: np.save(path.with_suffix(".npy"), prob))
    assert "NaN (1): m1.npy" in call(bench, code=2).stderr


def test_a_pickled_array_is_refused_not_run(bench: Bench, tmp_path: Path, truth) -> None:
    write(tmp_path / "maps", truth, _npy)
    np.save(tmp_path / "maps" / "m1.npy", np.array([{"x": 1}], dtype=object))
    assert "unreadable (1): m1.npy" in call(bench, code=2).stderr


def test_others_maps_stand_in_the_same_table_marked(
    bench: Bench, tiny: Bench, tmp_path: Path, shared_cache: Path
) -> None:
    tiny("--set", "max_test_images=none")
    folder = next((tmp_path / "results" / "runs").glob("*/*/*/maps/phantom-kvasir"))
    ids = [p.stem for p in folder.iterdir()]
    assert len(ids) == 20
    bench("evaluate", "--predictions", str(folder), "--dataset", "phantom-kvasir", "--allow-partial", "--name", "Rival")
    table = bench("tables", "--datasets", "phantom-kvasir").stdout
    assert "Rival†" in table and "20 of" in table


def test_a_protocol_of_ones_own(bench: Bench, tmp_path: Path, truth) -> None:
    write(tmp_path / "maps", truth)
    (tmp_path / "mine.toml").write_text('name = "mine"\nstretch = false\nthresholds = [0.7]\ncompare = ">="\n')
    call(bench, "--protocol", "mine.toml")
    got = json.loads((tmp_path / "out.json").read_text())
    dice = []
    for name, prob in truth.items():
        mask = np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")) > 127
        hit = (prob * 255).round() / 255 >= 0.7
        dice.append(2 * (hit & mask).sum() / (hit.sum() + mask.sum()))
    assert got["protocol"] == "mine" and got["metrics"]["mDSC"] == pytest.approx(np.mean(dice), abs=1e-12)
    (tmp_path / "mine.toml").write_text('name = "mine"\nstrech = false\n')
    assert "stretch" in call(bench, "--protocol", "mine.toml", code=2).stderr


def test_nothing_to_do_is_explained(bench: Bench) -> None:
    assert "--predictions DIR" in bench("evaluate", code=2).stderr
    assert "--model" in bench("evaluate", "--checkpoint", "x.pth", "--dataset", "kvasir", code=2).stderr
    both = ("evaluate", "--predictions", ".", "--dataset", "kvasir", "--masks", ".")
    assert "--dataset NAME or --masks DIR" in bench(*both, code=2).stderr


def test_odd_masks_are_taken_with_a_warning_by_name(bench: Bench, tmp_path: Path, truth) -> None:
    write(tmp_path / "maps", truth)
    call(bench)
    expected = json.loads((tmp_path / "out.json").read_text())["metrics"]
    folder = tmp_path / "masks"
    grey = {p.stem: np.asarray(Image.open(p)) for p in folder.iterdir()}
    Image.fromarray(grey["m0"] // 255).save(folder / "m0.png")
    Image.fromarray(grey["m1"] > 0).save(folder / "m1.png")
    Image.fromarray(grey["m2"].astype(np.uint16) * 257).save(folder / "m2.png")
    soft = grey["m3"].copy()
    soft[7], soft[8] = 100, np.where(soft[8] > 0, 180, 0)
    Image.fromarray(soft).save(folder / "m3.png")
    shutil.rmtree(tmp_path / "results")  # there the same names stand for other masks
    done = call(bench)
    for kind, name in {"0/1": "m0", "1-bit": "m1", "16-bit": "m2", "soft": "m3"}.items():
        assert any(f"{kind} masks (1)" in line and f"{name}.png" in line for line in done.stderr.splitlines()), kind
    assert json.loads((tmp_path / "out.json").read_text())["metrics"] == pytest.approx(expected, abs=1e-12)

    Image.fromarray(255 - grey["m4"]).save(folder / "m4.png")
    Image.fromarray(np.stack([grey["m5"], grey["m5"] // 2, grey["m5"]], 2)).save(folder / "m5.png")
    done = call(bench, code=2)
    assert any("inverted masks (1)" in line and "m4.png" in line for line in done.stderr.splitlines())
    assert any("unusable mask (1): m5.png (is coloured" in line for line in done.stderr.splitlines())
    assert "1 unusable mask" in done.stderr.splitlines()[-1]


def test_a_results_folder_nested_by_dataset(bench: Bench, tmp_path: Path, truth) -> None:
    """As in PraNet's results folder, `<method>/<dataset>/*.png`; and one set after the other joins one record."""
    sets = tmp_path / "TestDataset"
    for name in ("CVC-300", "Kvasir"):
        (sets / name).mkdir(parents=True)
        (tmp_path / "masks").rename(tmp_path / "kept") if not (tmp_path / "kept").exists() else None
        for path in (tmp_path / "kept").iterdir():
            (sets / name / "masks").mkdir(exist_ok=True)
            (sets / name / "masks" / path.name).write_bytes(path.read_bytes())
        write(tmp_path / "PraNet" / name, truth)
    fixed = ("evaluate", "--predictions", "PraNet", "--name", "PraNet", "--json", "out.json")
    bench(*fixed, "--masks", "TestDataset/Kvasir/masks")
    assert json.loads((tmp_path / "out.json").read_text())["n"] == 6
    (tmp_path / "PraNet" / "Kvasir").rename(tmp_path / "PraNet" / "Other")
    error = bench(*fixed, "--masks", "TestDataset/Kvasir/masks", code=2).stderr
    assert "several folders hold maps" in error


def test_one_set_after_the_other_joins_one_record(bench: Bench, tmp_path: Path, truth) -> None:
    write(tmp_path / "maps", truth)
    (tmp_path / "second").mkdir()
    for path in (tmp_path / "masks").iterdir():
        (tmp_path / "second" / path.name).write_bytes(path.read_bytes())
    call(bench)
    first = json.loads((tmp_path / "out.json").read_text())
    bench("evaluate", "--predictions", "maps", "--masks", "second", "--name", "Theirs", "--boundary")
    bench("evaluate", "--predictions", "maps", "--masks", "second", "--name", "Theirs")
    rows = json.loads(bench("tables", "--json").stdout)
    assert {row["dataset"]: row["n"] for row in rows} == {"masks": 6, "second": 6} and len(rows) == 2
    assert rows[0]["mDSC"] == pytest.approx(first["metrics"]["mDSC"], abs=1e-6)
    assert all(row["origin"] == "maps by their authors" for row in rows)


def test_boundary_measures_on_request(bench: Bench, tmp_path: Path, truth) -> None:
    from benchmark.metrics import hd95

    write(tmp_path / "maps", truth)
    call(bench, "--boundary", "--protocol", "half")
    got = json.loads((tmp_path / "out.json").read_text())["metrics"]
    expected = [
        hd95(
            (prob * 255).round().astype(np.uint8) >= 128,
            np.asarray(Image.open(tmp_path / "masks" / f"{name}.png")) > 127,
        )
        for name, prob in truth.items()
    ]
    assert got["hd95"] == pytest.approx(np.mean(expected)) and 0 <= got["surface_dice"] <= 1


def test_partial_sets_are_printed_as_n_of_all(bench: Bench, tmp_path: Path, truth) -> None:
    write(tmp_path / "maps", truth)
    _drop(tmp_path / "maps")
    assert "missing (1): m2" in call(bench, "--allow-partial").stderr
    table = bench("tables").stdout
    assert "5 of 6" in table and "Theirs†" in table and "maps by their authors" in table


def test_protocols_are_explained_with_their_hashes(bench: Bench, tmp_path: Path) -> None:
    from benchmark.metrics import PROTOCOLS, load_protocol

    (tmp_path / "mine.toml").write_text('name = "mine"\nstretch = false\nthresholds = [0.7]\nquantise = "truncate"\n')
    mine = bench("protocols", "mine.toml").stdout
    assert mine.startswith(f"mine ({load_protocol(tmp_path / 'mine.toml').hash})")
    for words in ("not stretched", "averaged over p > 0.7", "cut to 8 bit", "mask foreground above 127"):
        assert words in mine
    assert "did you mean 'half'" in bench("protocols", "halv", code=2).stderr

    text = bench("protocols").stdout
    assert all(f"{p.name} ({p.hash})" in text for p in PROTOCOLS.values())
    assert {p["name"] for p in json.loads(bench("protocols", "--json").stdout)} == set(PROTOCOLS)


@pytest.mark.slow
def test_a_released_checkpoint_is_scored_with_its_authors_processing(bench: Bench, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = build_model("sanet")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "model-128")
    call = ("evaluate", "--model", "sanet", "--checkpoint", "model-128", "--dataset", "phantom-colondb")
    bench(*call, "--set", "image_size=96", "--json", "out.json")
    got = json.loads((tmp_path / "out.json").read_text())
    record = json.loads(next((tmp_path / "results" / "runs").rglob("run.json")).read_text())
    assert got["method"] == "SANet" and record["origin"] == "checkpoint model-128"
    assert record["recipe"]["postprocess"] == "pcs" and len(record["pretrained"]["sha256"]) == 64


def _tiny_state(folder: Path, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return build_model(str(folder / "tiny_net.py:build")).state_dict()


def test_weights_anywhere_in_a_file_are_found_or_named(bench: Bench, tmp_path: Path) -> None:
    """As Lightning, thop, old torch, torch.compile and trainers with averaged weights (EMA) write them."""
    raw, ema = _tiny_state(tmp_path, 0), _tiny_state(tmp_path, 1)
    old = {f"_orig_mod.model.{k}": v for k, v in raw.items() if "num_batches" not in k}
    old["_orig_mod.model.body.0.total_ops"] = torch.zeros(1)
    averaged = {f"module.{k}": v for k, v in ema.items()}
    torch.save({"state_dict": old, "averaged": {"shadow": averaged}, "epoch": 3}, tmp_path / "both.ckpt")
    torch.save(raw, tmp_path / "raw.pt")
    torch.save(ema, tmp_path / "ema.pt")
    torch.save({f"{who}.{k}": v for who, s in (("s", raw), ("t", ema)) for k, v in s.items()}, tmp_path / "pair.pt")
    fixed = ("evaluate", "--model", "./tiny_net.py:build", "--dataset", "phantom-kvasir", "--recipe", "smoke")
    fixed += ("--set", "image_size=64", "--set", "max_test_images=3", "--json", "out.json")

    def score(file: str, *more: str) -> tuple[dict[str, float], str]:
        said = bench(*fixed, "--checkpoint", file, *more).stderr
        return json.loads((tmp_path / "out.json").read_text())["metrics"], said

    (one, _), (two, _) = score("raw.pt"), score("ema.pt")
    assert one != two
    found, said = score("both.ckpt")
    assert found == one
    for words in ("took the keys below", "counters of thop", "no num_batches_tracked", "--key averaged.shadow takes"):
        assert words in said, words
    assert score("both.ckpt", "--key", "averaged.shadow")[0] == two
    found, said = score("pair.pt")
    assert found == one and "--strip-prefix t. takes those" in said
    assert score("pair.pt", "--strip-prefix", "t.")[0] == two
    records = [json.loads(p.read_text()) for p in (tmp_path / "results" / "runs").rglob("run.json")]
    assert len(records) == 6, "another place in one file is another record"
    assert {r["pretrained"].get("key") for r in records} == {None, "averaged.shadow"}
    score("raw.pt", "--name", "Mine")
    table = bench("tables").stdout
    assert "Left out" not in table and "Mine" in table
    assert all(words in table for words in ("raw.pt", "ema.pt", "averaged.shadow", "t.")), "each is a row of its own"
    wrong = bench(*fixed, "--checkpoint", "both.ckpt", "--key", "model_ema", code=2).stderr.splitlines()[-1]
    assert "no 'model_ema' in it (--key); at 'model_ema' it holds state_dict, averaged, epoch" in wrong


@pytest.mark.real_data
def test_pranets_published_maps_score_as_the_field_measures_them(bench: Bench, tmp_path: Path, data_root: Path) -> None:
    maps = data_root.parent / "predictions" / "PraNet"
    if not maps.is_dir():
        pytest.skip("no published maps beside the data root")
    bench(
        "evaluate", "--predictions", str(maps), "--dataset", "kvasir", "--data-root", str(data_root), "--json", "o.json"
    )
    got = json.loads((tmp_path / "o.json").read_text())
    assert got["n"] == 100 and got["of"] is None
    expected = {"mDSC": 0.8944, "mIoU": 0.8362, "dice_half": 0.8993, "iou_half": 0.8427}
    assert {key: got["metrics"][key] for key in expected} == pytest.approx(expected, abs=5e-5)
