"""Networks of several files: every kind of import works, and every file that is imported counts in the hash."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from benchmark.errors import BenchError
from benchmark.models.registry import code_hash, get_spec, load_target
from benchmark.models.user_files import imported_files, source_hash

BLOCKS = "from torch import nn\ndef block(width):\n    return nn.Conv2d(3, width, 1)\n"
HEADS = {
    "flat": "from blocks import block\n",
    "flat module": "import blocks\nblock = blocks.block\n",
    "relative": "from .blocks import block\n",
    "relative module": "from . import blocks\nblock = blocks.block\n",
    "package": "from lib.blocks import block\n",
    "package module": "import lib.blocks\nblock = lib.blocks.block\n",
    "inside the function": "def block(width):\n    from blocks import block as made\n    return made(width)\n",
    "through another": "from .middle import block\n",
}


def lay(root: Path, head: str, *, package: bool = True) -> Path:
    folder = root / "lib"
    folder.mkdir(parents=True)
    if package:
        (folder / "__init__.py").write_text("")
    (folder / "blocks.py").write_text(BLOCKS)
    (folder / "middle.py").write_text("from .blocks import block\n")
    file = folder / "net.py"
    file.write_text(f"{head}def build(width=1):\n    return block(width)\n")
    return file


@pytest.mark.parametrize("package", [True, False], ids=["with __init__", "without"])
@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_neighbours_are_imported_and_hashed(tmp_path: Path, head: str, package: bool) -> None:
    file = lay(tmp_path / "a", head, package=package)
    before = source_hash(file)
    assert load_target(get_spec(f"{file}:build"))(2).weight.shape[0] == 2
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert source_hash(tmp_path / "b" / "lib" / "net.py") == before, "no path is part of the hash"
    (file.parent / "blocks.py").write_text(BLOCKS + "# changed\n")
    assert source_hash(file) != before


def test_two_networks_with_neighbours_of_one_name(tmp_path: Path) -> None:
    """Each gets its own, also in an import that runs late and after the other was used."""
    first = lay(tmp_path / "a", HEADS["inside the function"])
    second = lay(tmp_path / "b", HEADS["flat"])
    (second.parent / "blocks.py").write_text(BLOCKS.replace("3, width", "3, 5 * width"))
    for _ in range(2):
        assert load_target(get_spec(f"{first}:build"))(1).weight.shape[0] == 1
        assert load_target(get_spec(f"{second}:build"))(1).weight.shape[0] == 5


def test_a_single_file_keeps_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("import json\nimport torch\nfrom torch import nn\nfrom timm.layers import DropPath\n")
    import hashlib

    assert code_hash(get_spec(f"{file}:build")) == hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()


def test_folders_by_the_names_of_packages_shadow_nothing(tmp_path: Path) -> None:
    for name in ("timm", "json", "benchmark"):
        file = tmp_path / name / "net.py"
        file.parent.mkdir()
        file.write_text(
            "import json\nimport timm\nimport benchmark.errors\ndef build():\n    return timm.__version__, json.dumps\n"
        )
        assert load_target(get_spec(f"{file}:build"))()[1] is sys.modules["json"].dumps
        assert not imported_files(file)


def test_functions_of_one_file_have_names_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "two.py"
    file.write_text("def small(): ...\ndef large(): ...\ndef build(): ...\n")
    assert [get_spec(f"{file}:{name}").title for name in ("small", "large", "build")] == [
        "two small",
        "two large",
        "two",
    ]


def test_a_neighbour_that_fails_is_told_with_the_file(tmp_path: Path) -> None:
    file = lay(tmp_path, HEADS["flat"])
    (file.parent / "blocks.py").write_text("1 / 0\n")
    with pytest.raises(BenchError, match=r"net\.py: ZeroDivisionError while loading"):
        load_target(get_spec(f"{file}:build"))
