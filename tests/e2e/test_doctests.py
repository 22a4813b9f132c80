"""The examples in docstrings of public functions run and print what they say, in one folder, in the order below."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest
from documents import ROOT
from harness import NET

import benchmark as bench
from benchmark import metrics

READ = (bench.load_results, bench.tables, bench.compare, bench.plots, bench.export, bench.import_export)
USE = (bench.load_model, bench.predict, bench.measure)
MEASURES = (metrics.score, metrics.hd95, metrics.surface_dice, metrics.count_lesions)
FUNCTIONS = (bench.plan_study, bench.run, *USE, bench.profile_models, *READ, *MEASURES)
"""`run` trains the cell that those of USE read; those of READ need the committed study alone."""


def test_the_examples_run_as_written(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "reference").symlink_to(ROOT / "results" / "reference")
    (tmp_path / "tiny_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BENCH_CACHE_DIR", str(shared_cache))
    monkeypatch.delenv("BENCH_DATA_ROOT", raising=False)
    finder, report = doctest.DocTestFinder(recurse=False), []
    for function in FUNCTIONS:
        found = finder.find(function, function.__name__, globs=dict(inspect.getmodule(function).__dict__))
        assert sum(len(one.examples) for one in found) > 0, f"{function.__name__} has no example"
        for one in found:
            doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(one, out=report.append)
        picture = next(shared_cache.glob("phantom-v*"), shared_cache) / "phantom-kvasir" / "images"
        if not (tmp_path / "frame.png").exists() and picture.is_dir():
            (tmp_path / "frame.png").write_bytes(next(iter(sorted(picture.iterdir()))).read_bytes())
    assert not report, "".join(report)


def test_an_example_that_is_wrong_is_found() -> None:
    report: list[str] = []
    wrong = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, None)
    doctest.DocTestRunner().run(wrong, out=report.append)
    assert "Expected:\n    3\nGot:\n    2" in "".join(report)
