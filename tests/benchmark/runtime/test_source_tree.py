"""A commit is named only where it is the code: clean, complete and in a history."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmark.runtime.source_tree import Source, commits_in_no_history, source_state


@pytest.fixture(autouse=True)
def fresh() -> None:
    source_state.cache_clear()


def git(root: Path, *arguments: str) -> str:
    who = ("-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "commit.gpgsign=false")
    return subprocess.run(
        ["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with one commit of one package."""
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "a.py").write_text("one = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    return tmp_path


def test_a_clean_tree_names_its_commit_whatever_lies_beside_the_code(tree: Path) -> None:
    (tree / "results").mkdir()
    (tree / "results" / "notes.txt").write_text("mine")
    assert source_state(tree) == Source(git(tree, "rev-parse", "HEAD"), "clean")


@pytest.mark.parametrize("path", ["benchmark/a.py", "benchmark/untracked.py"])
def test_changed_or_untracked_code_is_no_commit(tree: Path, path: str) -> None:
    (tree / path).write_text("one = 2\n")
    assert source_state(tree) == Source(None, "modified")


def test_no_repository_and_no_answer_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert source_state(tmp_path) == Source(None, "not in a repository")
    git(tmp_path, "init", "-q")
    inside = tmp_path / "lib" / "python"
    inside.mkdir(parents=True)
    assert source_state(inside) == Source(None, "not in a repository"), "the repository around an installation"
    monkeypatch.setenv("PATH", "")
    source_state.cache_clear()
    assert source_state(tmp_path) == Source(None, "unknown")


def test_commits_that_were_amended_away_or_never_were_are_in_no_history(tree: Path) -> None:
    first = git(tree, "rev-parse", "HEAD")
    git(tree, "commit", "-q", "--amend", "-m", "second")
    second = git(tree, "rev-parse", "HEAD")
    assert commits_in_no_history([first, second, "0" * 40, "--output=x", second[:8]], tree) == [
        *(first, "0" * 40, "--output=x", second[:8])
    ]
    git(tree, "branch", "kept", first)
    assert commits_in_no_history([first, second], tree) == []


def test_a_shallow_clone_or_no_repository_cannot_tell(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (tree / "benchmark" / "a.py").write_text("one = 2\n")
    git(tree, "commit", "-q", "-am", "second")
    elsewhere = tmp_path_factory.mktemp("clones")
    git(elsewhere, "clone", "-q", "--depth", "1", f"file://{tree}", "shallow")
    commit = git(tree, "rev-parse", "HEAD")
    assert commits_in_no_history([commit], elsewhere / "shallow") is None
    assert commits_in_no_history([commit], elsewhere) is None
