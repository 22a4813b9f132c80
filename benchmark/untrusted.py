"""Read JSON and TOML from untrusted sources: a value, or one exception with a one-line reason.

A device, a file of gigabytes, brackets or dotted keys a thousand deep and numbers of a million digits are refused
like any other error, and at once. Control characters are made visible, so that printing a text cannot
control a terminal.
"""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmark.errors import visible

MAX_BYTES = 64 << 20
MAX_TOML_BYTES = 1 << 20  # hand-written files
_MAX_DEPTH = 100
_TOML_TEXTS = re.compile(r""""{3}.*?"{3}|\'{3}.*?\'{3}|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|\#[^\n]*""", re.DOTALL)
_ESCAPES = re.compile(r"\\[ubf]")  # JSON's ways to write a control character or half of a surrogate pair
_BETWEEN_KEYS = re.compile(r"[^\w\-.\s\"]")


class FormatFault(ValueError):  # noqa: N818 (reads as what it says)
    """The text is not as expected; the message is one line without the file's name."""


def read_text(path: Path, *, max_bytes: int = MAX_BYTES) -> str:
    """Read a file of UTF-8 text.

    Raises:
        FormatFault: Not a regular file, more than ``max_bytes``, or not UTF-8.
        OSError: It cannot be opened.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise FormatFault("not a regular file")
    if state.st_size > max_bytes:
        raise FormatFault(f"{state.st_size / 1e6:.0f} MB, more than the {max_bytes / 1e6:.0f} MB that are read")
    with path.open("rb") as file:
        content = file.read(max_bytes + 1)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatFault(f"not UTF-8 at byte {error.start}") from None


def parse_json(text: str) -> Any:
    """Return the value of a JSON text.

    Raises:
        FormatFault: It is not JSON, or nested too deep.
    """
    return _parse(json.loads, text, clean=_is_harmless(text))


def parse_toml(text: str) -> dict[str, Any]:
    """Return the table of a TOML text.

    Raises:
        FormatFault: It is not TOML, or nested too deep.
    """
    _refuse_deep_keys(text)
    table: dict[str, Any] = _parse(tomllib.loads, text)
    _refuse_huge(table)
    return table


def _refuse_huge(value: Any) -> None:
    """Refuse whole numbers beyond TOML's 64 bits, which tomllib reads."""
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _refuse_huge(one)
    if isinstance(value, int) and abs(value) >= 1 << 64:
        raise FormatFault(f"a number of {len(str(abs(value)))} digits; expected at most 64 bits")


def _refuse_deep_keys(text: str) -> None:
    """Refuse keys of very many dotted parts before they are parsed, which takes time with their number squared."""
    for number, line in enumerate(_TOML_TEXTS.sub('""', text).splitlines(), start=1):
        if any(key.count(".") > _MAX_DEPTH for key in _BETWEEN_KEYS.split(line)):
            raise FormatFault(f"nested too deep (at line {number})")


def read_json(path: Path, *, max_bytes: int = MAX_BYTES) -> Any:
    """Read a JSON file; raises what ``read_text`` and ``parse_json`` raise."""
    return parse_json(read_text(path, max_bytes=max_bytes))


def read_toml(path: Path, *, max_bytes: int = MAX_TOML_BYTES) -> dict[str, Any]:
    """Read a TOML file; raises what ``read_text`` and ``parse_toml`` raise."""
    return parse_toml(read_text(path, max_bytes=max_bytes))


def _is_harmless(text: str) -> bool:
    """Whether no value of a JSON text can hold what ``_clean`` looks for: escapes and brackets are too few for that."""
    shallow = text.count("{") + text.count("[") <= _MAX_DEPTH
    return shallow and not _ESCAPES.search(text) and visible(text) == text


def _parse(loads: Callable[[str], Any], text: str, *, clean: bool = False) -> Any:
    try:
        return loads(text) if clean else _clean(loads(text))
    except RecursionError:
        raise FormatFault("nested too deep") from None
    except (ValueError, OverflowError) as error:
        raise FormatFault(" ".join(str(error).split()) or type(error).__name__) from None


def _clean(value: Any, depth: int = 0) -> Any:
    """Return the value with control characters made visible, also in keys."""
    if isinstance(value, str):
        return _encodable(visible(value))
    if depth > _MAX_DEPTH:
        raise FormatFault("nested too deep")
    if isinstance(value, dict):
        return {_clean(key): _clean(one, depth + 1) for key, one in value.items()}
    return [_clean(one, depth + 1) for one in value] if isinstance(value, list) else value


def _encodable(text: str) -> str:
    r"""Refuse half a surrogate pair (``"\ud800"`` in JSON): it has no UTF-8, so it could not be written again."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
