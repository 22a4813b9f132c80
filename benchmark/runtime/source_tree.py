"""Which commit this source tree is, and whether commits that records name are in its history."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

PACKAGES = ("benchmark", "baselines", "bsanet")
TreeState = Literal["clean", "modified", "not in a repository", "unknown"]
"""``modified``: files changed since the commit, or code that git does not track; ``unknown``: git did not answer."""


class Source(NamedTuple):
    """Attributes:
    commit: Of the source tree; None unless ``state`` is ``clean``: any other commit would name other code.
    state: Why there is a commit, or none.
    """

    commit: str | None
    state: TreeState


@cache
def source_state(root: Path | None = None) -> Source:
    """Return the commit that a source tree is, if it is one.

    Args:
        root: Of the tree; None for the tree that this package was loaded from.
    """
    root = root or _root()
    if not (root / ".git").exists():  # also an installation below somebody else's repository
        return Source(None, "not in a repository")
    try:
        tracked = _git(root, "status", "--porcelain", "--untracked-files=no")
        strangers = _git(root, "ls-files", "--others", "--exclude-standard", "--", *PACKAGES)
        if tracked or strangers:
            return Source(None, "modified")
        return Source(_git(root, "rev-parse", "--verify", "HEAD^{commit}"), "clean")
    except (OSError, subprocess.SubprocessError):
        return Source(None, "unknown")


def commits_in_no_history(commits: Iterable[str], root: Path | None = None) -> list[str] | None:
    """Return those commits that no branch or tag of the source tree's repository holds, in the order given.

    Args:
        commits: Full names; what looks like anything else is in no history.
        root: Of the tree; None for the tree that this package was loaded from.
    Returns:
        None where that cannot be told: no repository, no git, or a clone without its whole history.
    """
    root = root or _root()
    if not (root / ".git").exists():
        return None
    try:
        if _git(root, "rev-parse", "--is-shallow-repository") != "false":
            return None
        return [commit for commit in dict.fromkeys(commits) if not _is_in_history(root, commit)]
    except (OSError, subprocess.SubprocessError):
        return None


def _is_in_history(root: Path, commit: str) -> bool:
    """A commit that was amended or rebased away may lie in the repository still, but belongs to no branch."""
    if len(commit) < 40 or not set(commit) <= set("0123456789abcdef"):
        return False
    try:
        if _git(root, "for-each-ref", "--count=1", f"--contains={commit}"):
            return True
        _git(root, "merge-base", "--is-ancestor", commit, "HEAD")  # a checkout of a commit by its number
    except subprocess.CalledProcessError:
        return False
    return True


def _root() -> Path:
    return Path(__file__).resolve().parents[2]


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(  # nosec B603 B607 # fixed words and hexadecimal digits, by the git of the user's path
        ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
    )
    return done.stdout.strip()
