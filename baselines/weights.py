"""Weight files: read without running code, unwrapped, and checked key by key."""

from __future__ import annotations

import hashlib
import pickle  # nosec B403 # only to name its error; nothing is unpickled by it
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

# what trainers wrap a state dict in, and what they put before each key
WRAPPERS = ("state_dict", "model", "model_state_dict", "net")
PREFIXES = ("module.", "_orig_mod.")
COUNTERS = ("total_ops", "total_params")  # thop leaves them in every module that it counted
NUM_NAMED_KEYS = 5
MAX_WRAPPERS = 8  # a dictionary that holds itself would be opened for ever


class WeightsInfo(TypedDict):
    """Which weights were loaded: a name without any folder, and the file's sha256 in hex."""

    name: str
    sha256: str


def file_sha256(path: str | Path) -> str:
    """Return the sha256 of a file, 64 hex digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_state_dict(
    path: str | Path, *, key: str | None = None, say: Callable[[str], None] = lambda _: None
) -> dict[str, Tensor]:
    """Read a weight file without running any code from it.

    ``.safetensors`` files, and torch files both of today's and of the first format. Wrappers such as
    ``{"state_dict": ...}`` are opened and prefixes such as ``module.`` taken off.

    Args:
        path: Local file.
        key: Where in the file the state dict is, parts separated by dots (``ema.model``); None: under one of
            ``WRAPPERS`` or bare.
        say: Receives one line on other weights in the file, such as averaged ones (EMA).
    Returns:
        Key -> tensor, on the CPU, in the file's order.
    Raises:
        ValueError: If the file is missing, is no weight file, lacks ``key``, or holds anything but plain tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"weight file {path}: no such file; check the path")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    whole, content = content, _unwrap(content if key is None else _at(content, key, path.name))
    if not content or not all(isinstance(key, str) for key in content):
        raise ValueError(f"weight file {path.name}: holds no named tensors; expected a state dict")
    strangers = [key for key, value in content.items() if not isinstance(value, Tensor)]
    if strangers:
        raise ValueError(
            f"weight file {path.name}: {strangers[0]!r} is no tensor; expected a state dict, "
            f"plain or under one of {', '.join(WRAPPERS)} (another place: --key)"
        )
    for name, tensor in content.items():
        if tensor.layout != torch.strided or tensor.is_complex() or tensor.is_quantized or tensor.is_meta:
            kind = "complex" if tensor.is_complex() else str(tensor.layout).removeprefix("torch.")
            raise ValueError(f"weight file {path.name}: {name} is {kind}; expected plain real tensors")
    beside = _beside(whole, content) if key is None else []
    if beside:
        say(f"{path.name}: other weights in it are left ({', '.join(beside)}); --key {beside[0]} takes those")
    return _strip_prefixes(content)


def load_checkpoint(
    model: nn.Module,
    path: str | Path,
    *,
    key: str | None = None,
    strip_prefix: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> WeightsInfo:
    """Load a whole model's weights strictly.

    Forgiven, and said: a tensor that is in the file under its second name only; a wrapper module's name before every
    key (Lightning's ``model.``); thop's counters; the counters of batch norm that files of old torch lack. Other
    weights beside those taken (EMA) are named.

    Args:
        model: Takes the weights in place.
        path: Local file, see ``read_state_dict``.
        key: Where in the file the state dict is; see ``read_state_dict``.
        strip_prefix: Take the keys that begin so, without it, and leave the others; None: found where it is plain.
        say: Receives one line per tolerated deviation.
    Returns:
        Name and sha256 of the file.
    Raises:
        ValueError: If keys or shapes differ; the message names the first five of each kind.
    """
    path = Path(path)
    state = read_state_dict(path, key=key, say=say)
    own = model.state_dict()
    if strip_prefix:
        state = _below(state, strip_prefix)
        if not state:
            raise ValueError(f"weight file {path.name}: no key begins with {strip_prefix!r} (--strip-prefix)")
    else:
        state = _unwrapped(own, state, lambda text: say(f"{path.name}: {text}"))
    load_state(model, state, path.name, say)
    return WeightsInfo(name=path.name, sha256=file_sha256(path))


def _at(content: Any, key: str, name: str) -> Any:
    for part in key.split("."):
        if not isinstance(content, Mapping) or part not in content:
            known = ", ".join(map(str, content)) if isinstance(content, Mapping) else "no names"
            raise ValueError(f"weight file {name}: no {key!r} in it (--key); at {part!r} it holds {known[:200]}")
        content = content[part]
    return content


def _below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}


def _beside(whole: Any, taken: Mapping[str, Any], above: str = "") -> list[str]:
    """Name other state dicts in a file, such as averaged weights (EMA), by their places, parts separated by dots."""
    found: list[str] = []
    for name, inner in whole.items() if isinstance(whole, Mapping) and above.count(".") < MAX_WRAPPERS else ():
        if not isinstance(name, str) or not isinstance(inner, Mapping):
            continue
        tensors = [value for value in inner.values() if isinstance(value, Tensor)]
        if 2 * len(tensors) < len(taken):
            found += _beside(inner, taken, f"{above}{name}.")
        elif tensors[0] is not next(iter(taken.values())):
            found.append(f"{above}{name}")
    return found


def _unwrapped(own: Mapping[str, Tensor], state: dict[str, Tensor], say: Callable[[str], None]) -> dict[str, Tensor]:
    """Return the keys below the one name, at most three deep, under which the file has all that the model needs.

    Of several, such as a student's and a teacher's, the shortest is taken and the others are named.
    """
    needed = {name for name in own if not name.endswith("num_batches_tracked")}
    first = next(iter(needed), "")
    prefixes = {"".join(f"{part}." for part in key.split(".")[:depth]) for key in state for depth in (0, 1, 2, 3)}
    likely = sorted((one for one in prefixes if one + first in state), key=lambda one: (len(one), one))
    fitting = [prefix for prefix in likely if needed <= _below(state, prefix).keys()]
    if not fitting:
        return state
    prefix, *others = fitting
    inner = {key: value for key, value in _below(state, prefix).items() if not (prefix + key).startswith(tuple(others))}
    if prefix:
        left = len(state) - len(inner)
        say(f"took the keys below {prefix!r}" + (f"; left {left} others" if left else ""))
    if others:
        say(f"other weights in it are left (below {', '.join(others)}); --strip-prefix {others[0]} takes those")
    return inner


def load_encoder(encoder: nn.Module, path: str | Path, *, ignore: tuple[str, ...] = ()) -> WeightsInfo:
    """Load an encoder's weights strictly, apart from keys that start with one of ``ignore``.

    Raises:
        ValueError: As ``load_checkpoint``.
    """
    path = Path(path)
    state = {key: value for key, value in read_state_dict(path).items() if not key.startswith(ignore)}
    load_state(encoder, state, path.name)
    return WeightsInfo(name=describe(path), sha256=file_sha256(path))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"weight file {path.name}: not a safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_numbers()):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"weight file {path.name}: refused, as it is not a plain state dict of tensors and opening it could "
            "run code; save model.state_dict() from a source you trust"
        ) from error
    except (RuntimeError, EOFError, OSError, KeyError, AttributeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"weight file {path.name}: not a readable torch file ({reason})") from error


def _numpy_numbers() -> list[Any]:
    """Name what pickled NumPy numbers are made of, such as scores beside FCBFormer's weights; no code."""
    scalar = np.float64(0).__reduce__()[0]
    modules = ("numpy.core.multiarray", "numpy._core.multiarray")  # before NumPy 2 and since
    return [*((scalar, f"{module}.scalar") for module in modules), np.dtype, *(type(np.dtype(c)) for c in "?bhilqefd")]


def _unwrap(content: Any) -> dict[str, Any]:
    for _ in range(MAX_WRAPPERS):
        if not isinstance(content, Mapping):
            break
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return dict(content)
        content = inner[0]
    return {}


def _strip_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES * 2:  # they may be nested either way round
        if all(key.startswith(prefix) for key in state):
            state = {key[len(prefix) :]: value for key, value in state.items()}
    return state


def load_state(
    model: nn.Module, state: dict[str, Tensor], name: str, say: Callable[[str], None] = lambda _: None
) -> None:
    """Load a state dict strictly, apart from what ``load_checkpoint`` forgives; ``name`` is for messages."""
    own = model.state_dict()
    state = _fill_aliases(own, state)
    counters = [key for key in state if key not in own and key.rpartition(".")[2] in COUNTERS]
    absent = [key for key in own if key not in state]
    steps = absent and all(key.endswith("num_batches_tracked") for key in absent)
    fitting = {key: value for key, value in state.items() if key not in counters}
    fitting |= {key: torch.zeros_like(own[key]) for key in absent} if steps else {}
    said = differences(own, fitting)
    if said:
        raise ValueError(f"weight file {name} does not fit {type(model).__name__}: {said}")
    if counters:
        say(f"{name}: left {len(counters)} counters of thop ({counters[0]}, ...)")
    if steps:
        say(f"{name}: has no num_batches_tracked, as files of old torch; set to 0")
    model.load_state_dict(fitting, strict=True)


def differences(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> str:
    """Say how the keys and shapes of a file differ from a model's, or return an empty string."""
    missing = [key for key in own if key not in state]
    unexpected = [key for key in state if key not in own]
    unlike = [] if missing or unexpected else _unlike(own, state)
    kinds = {"missing": missing, "unexpected": unexpected, "of another shape": unlike}
    return "; ".join(_name_some(kind, keys) for kind, keys in kinds.items() if keys)


def _fill_aliases(own: Mapping[str, Tensor], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add, for each module registered twice, the name that the file leaves out."""
    given: dict[int, Tensor] = {}
    for key, tensor in own.items():
        if key in state and tensor.numel():
            given[tensor.data_ptr()] = state[key]
    filled = dict(state)
    for key, tensor in own.items():
        if key not in filled and tensor.numel() and tensor.data_ptr() in given:
            filled[key] = given[tensor.data_ptr()]
    return filled


def _unlike(own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> list[str]:
    return [
        f"{key} {tuple(state[key].shape)} for {tuple(tensor.shape)}"
        for key, tensor in own.items()
        if state[key].shape != tensor.shape
    ]


def _name_some(kind: str, keys: list[str]) -> str:
    more = f" and {len(keys) - NUM_NAMED_KEYS} more" if len(keys) > NUM_NAMED_KEYS else ""
    return f"{len(keys)} {kind}: {', '.join(keys[:NUM_NAMED_KEYS])}{more}"


def describe(path: Path) -> str:
    """Name a file from the hub's cache by its repository, any other by its own name."""
    for parent in path.parents:
        if parent.name.startswith("models--"):
            return parent.name.removeprefix("models--").replace("--", "/") + "/" + path.name
    return path.name
