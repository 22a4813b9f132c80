"""`bench tables` with every option, through the installed command, on a results folder made by hand."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import openpyxl
import pytest
from harness import Bench
from made_results import write_results

MODELS = {"unet": 0.70, "pranet": 0.80, "bsanet": 0.82}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write_results(tmp_path / "results", MODELS, sets={"kvasir": 24, "etis": 16})


def test_intervals_marks_and_ranks(bench: Bench, results: Path) -> None:
    options = ("--std", "--ci", "--significance", "--rank", "--latex", "--html", "--csv", "--markdown")
    done = bench("tables", *options)
    assert done.stdout.count(r"\toprule") == 3 and "[U+" not in done.stdout
    assert "95 \\% interval" in done.stdout and "No difference from BSANet (ours) is tested" in done.stdout
    assert "$^{*" not in done.stdout
    write_results(results, MODELS, sets={"kvasir": 24, "etis": 16}, seeds=(2,))
    done = bench("tables", *options, "--power", "--wilcoxon")
    assert "$^{***}$" in done.stdout and "Holm's correction over 4 comparisons on 2 test sets" in done.stdout
    power = json.loads(bench("tables", "--power", "--json", "--primary", "mIoU").stdout)[-2:]
    assert all(row["detectable_5_seeds"] > 0 and row["measure"] == "mIoU" for row in power)
    names = {path.name for path in (results / "tables").iterdir()}
    assert names >= {f"{stem}{end}" for stem in ("table-kvasir", "table-etis", "ranks") for end in (".tex", ".html")}
    rows = json.loads(bench("tables", "--significance", "pranet", "--ci", "--datasets", "etis", "--json").stdout)
    assert [row["reference"] for row in rows] == ["PraNet", "", "PraNet"]
    assert rows[0]["mDSC_low"] < rows[0]["mDSC"] < rows[0]["mDSC_high"] and 0 < rows[0]["p_holm"] <= 1


def test_one_table_over_all_sets_as_papers_print_it(bench: Bench, results: Path, tmp_path: Path) -> None:
    form = ("--wide", "--percent", "--std", "--order", "bsanet,unet", "--title", "unet=U_Net é", "--excel", "t.xlsx")
    done = bench("tables", *form, "--latex", "--markdown", "--html", "--csv")
    assert r"\begin{table*}" in done.stdout and r"\cmidrule(lr){6-7}" in done.stdout and r"U\_Net \'{e}" in done.stdout
    text = (results / "tables" / "table-wide.md").read_text(encoding="utf-8")
    assert "| Model | Kvasir mDSC ↑ | Kvasir mIoU ↑ | etis mDSC ↑ | etis mIoU ↑ | Mean mDSC ↑ |" in text
    assert [line.split(" |")[0] for line in text.splitlines()[4:7]] == ["| BSANet (ours)", "| U\\_Net é", "| PraNet"]
    rows = list(csv.DictReader((results / "tables" / "table-wide.csv").open(encoding="utf-8")))
    means = [(float(r["kvasir_mDSC"]) + float(r["etis_mDSC"])) / 2 for r in rows]
    assert [float(r["mean_mDSC"]) for r in rows] == pytest.approx(means, abs=2e-6)
    assert f"{100 * means[0]:.1f} ± " in text
    book = openpyxl.load_workbook(tmp_path / "t.xlsx")
    assert book.sheetnames == ["table-wide", "about"] and book["table-wide"]["E2"].value == pytest.approx(
        means[0], abs=0.05
    )


def test_csv_of_several_tables_has_one_header(bench: Bench, results: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(bench("tables", "--csv").stdout)))
    assert [row["dataset"] for row in rows] == ["kvasir"] * 3 + ["etis"] * 3


def test_cost(bench: Bench, results: Path) -> None:
    (results / "profile.csv").write_text(
        "model,title,size_px,batch,num_params,gmacs,latency_ms,latency_p95_ms,peak_memory_mb,device,device_name,"
        "num_threads,torch\nunet,U-Net,256,1,14300000,15,40,41,600,cpu,A,1,2.6\n",
        encoding="utf-8",
    )
    shown = bench("tables", "--efficiency").stdout
    assert "| U-Net | 14.30 | 15.00 | 40.0" in shown and "25.0 FPS" in shown
    assert (results / "tables" / "efficiency.md").is_file()


def test_beside_published_numbers(bench: Bench, results: Path, tmp_path: Path) -> None:
    rows = json.loads(bench("tables", "--published", "--datasets", "kvasir", "--json").stdout)
    assert {row["paper"] for row in rows} == {"BSANet", "PraNet", "SANet"}
    assert {row["verdict"] for row in rows} == {"not comparable"} and all(row["differs"] for row in rows)
    (tmp_path / "mine.csv").write_text(
        "dataset,model,mDSC,protocol,split,pretrained,recipe,n\nETIS,BSANet,0.1,pranet,paper,no,quick,16\n",
        encoding="utf-8",
    )
    assert "not reproduced" in bench("tables", "--published", "mine.csv", "--latex", "--markdown").stdout
    text = (results / "tables" / "published-mine-etis.md").read_text(encoding="utf-8")
    assert "| BSANet (ours) | mDSC | 0.1 |" in text and "not reproduced |" in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--by", "size", "--ci"], "--ci does not apply to --by"),
        (["--efficiency", "--power"], "--power does not apply to --efficiency"),
        (["--significance", "--primary", "Dice"], "unknown measure 'Dice'"),
        (["--efficiency", "--significance"], "--significance does not apply to --efficiency"),
        (["--efficiency", "--datasets", "etis"], "--datasets does not apply to --efficiency"),
        (["--efficiency", "--worst", "3"], "give either --efficiency or --worst"),
        (["--published", "--rank"], "--rank does not apply to --published"),
        (["--published", "absent.csv"], "cannot read it"),
        (["--significance", "bsanett"], "did you mean 'bsanet'"),
        (["--significance", "--models", "unet,pranet"], "--significance unet"),
        (["--rank", "--models", "unet"], "ranks need two"),
        (["--protocol", "half"], "protocol 'half' was not scored here"),
        (["--wide", "--exclude-leaked"], "--exclude-leaked does not apply to --wide"),
        (["--by", "size", "--wide"], "--wide does not apply to --by"),
        (["--efficiency", "--percent"], "--percent does not apply to --efficiency"),
        (["--check-marks"], "add --ablation"),
        (["--measures", "mDSC,Dice"], "unknown measure 'Dice'"),
        (["--digits", "9"], "--digits 9: expected 0 to 6"),
        (["--order", "bsanett"], "did you mean 'bsanet'"),
        (["--excel", "t.csv"], "ends in .xlsx"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused_in_one_line(
    bench: Bench, results: Path, options: list[str], words: str
) -> None:
    done = bench("tables", *options, code=2)
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and words in done.stderr
    assert not (results / "tables").exists()


def test_tables_need_no_torch(bench: Bench, results: Path, tmp_path: Path) -> None:
    """A stand-in that cannot be imported takes torch's place."""
    (tmp_path / "block" / "torch").mkdir(parents=True)
    (tmp_path / "block" / "torch" / "__init__.py").write_text("raise ImportError('torch was imported')\n")
    path = os.pathsep.join([str(tmp_path / "block"), os.environ.get("PYTHONPATH", "")])
    bench("tables", "--ci", "--significance", "--rank", "--models", "all", "--datasets", "kvasir,etis", PYTHONPATH=path)


def test_partial_and_empty_results(bench: Bench, results: Path, tmp_path: Path) -> None:
    shutil.rmtree(next((results / "runs" / "pranet").rglob("seed1")))
    text = bench("tables", "--ci", "--significance", "--std").stdout
    assert "| PraNet |  |  |  |  |  |  |" in text and "only seed 0 of 0, 1" in text
    (tmp_path / "empty").mkdir()
    assert "bench run" in bench("tables", "--results", "empty", code=2).stderr
