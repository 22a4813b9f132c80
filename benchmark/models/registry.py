"""Models by name: found without being imported, built, loaded with a checkpoint."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.errors import BenchError, unknown_name
from benchmark.models.known import FIELD as FIELD
from benchmark.models.known import GROUPS as GROUPS
from benchmark.models.known import MODELS as MODELS
from benchmark.models.known import VARIANTS as VARIANTS
from benchmark.models.sources import ModelSpec as ModelSpec
from benchmark.models.sources import code_hash as code_hash
from benchmark.models.sources import code_stamp as code_stamp
from benchmark.models.sources import entry_points, file_spec
from benchmark.models.user_files import import_file

if TYPE_CHECKING:
    from torch import nn


def get_spec(name: str, *, files: bool = True) -> ModelSpec:
    """Find a model by name, without importing it.

    Args:
        name: One of the six, a rival of the field, a variant, ``smp:<architecture>:<encoder>``, an entry point of the
            group ``bench.models``, or ``FILE.py:function``.
        files: Whether it may be a file, which is executed: only if the user typed it, never for a name from a record.
    Raises:
        BenchError: Unknown name (with the nearest match), or a file that does not exist.
    """
    name = name if ".py" in name else name.replace("++", "plusplus")
    for table in (MODELS, FIELD, VARIANTS):
        if name in table:
            return table[name]
    if name.startswith("smp:"):
        return _smp_spec(name)
    outside = entry_points()
    if name in outside:
        return ModelSpec(name, name, outside[name], "from another package")
    if ".py" in name and files:
        return file_spec(name)
    raise unknown_name("model", name, [*MODELS, *FIELD, *VARIANTS, *outside])


def expand_models(names: list[str]) -> list[ModelSpec]:
    """Resolve names and groups (``GROUPS``), in their tables' order; duplicates are dropped."""
    flat = [part for name in names for part in GROUPS.get(name, [name])]
    specs: dict[str, ModelSpec] = {}
    for spec in map(get_spec, dict.fromkeys(flat)):
        other = specs.setdefault(spec.name, spec)
        if other.path != spec.path:
            raise BenchError(f"models {other.path} and {spec.path} share the name {spec.name}; rename one of the files")
    return list(specs.values())


def build_model(model: str | ModelSpec, *, pretrained: bool = False, **options: Any) -> nn.Module:
    """Build a network by name.

    Args:
        model: A name as for ``get_spec``, or a spec.
        pretrained: Start from ImageNet weights where the model has them.
        **options: Passed to the model's ``build``; ``drop`` names the parts that an ablation leaves out.
    Returns:
        A module whose ``forward`` takes (B, 3, H, W) float32 and returns a tuple of logits, item 0 (B, 1, H, W).
    Raises:
        BenchError: The model cannot be imported or refuses its options.
    """
    spec = get_spec(model) if isinstance(model, str) else model
    build = load_target(spec)
    options = {**spec.options, **options}
    accepted = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    if pretrained or takes_any or "pretrained" in accepted:
        options["pretrained"] = pretrained
    if pretrained:
        check_pretrained(spec)
    unknown = [] if takes_any else [option for option in options if option not in accepted]
    if unknown:
        known = ", ".join(accepted) or "none"
        raise BenchError(f"model {spec.name}: no option {unknown[0]!r}; its options are {known}")
    try:
        return build(**options)
    except (ValueError, BenchError) as error:
        raise BenchError(f"model {spec.name}: {error}") from error
    except Exception as error:
        if spec.path is None:
            raise
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BenchError(f"model {spec.name}: {type(error).__name__} in build(): {reason}") from error


def check_pretrained(spec: ModelSpec) -> None:
    """Refuse to start a network of the user's from ImageNet weights whose ``build`` takes no ``pretrained``.

    Raises:
        BenchError: It takes none; the message says how to go on.
    """
    if spec.path is None:
        return
    accepted = inspect.signature(load_target(spec)).parameters
    if "pretrained" in accepted or any(one.kind is one.VAR_KEYWORD for one in accepted.values()):
        return
    raise BenchError(
        f"model {spec.name}: build() takes no pretrained, which the recipe sets; add build(pretrained=False), or leave "
        "it out for this model: a table [models.file] with pretrained = false in the recipe's file"
    )


def switches(model: str | ModelSpec) -> dict[str, str]:
    """Return the parts of a model that an ablation can leave out, each with one sentence; {} if it declares none."""
    spec = get_spec(model) if isinstance(model, str) else model
    return dict(getattr(_module(spec), "SWITCHES", {}))


def switchable(model: str | ModelSpec) -> tuple[str, ...]:
    """Return the parts that a trained network of this model can do without, by ``switched_off``; () if none."""
    spec = get_spec(model) if isinstance(model, str) else model
    return tuple(getattr(_module(spec), "SWITCHABLE", ()))


def load_checkpoint(
    spec: ModelSpec,
    model: nn.Module,
    path: Path,
    *,
    key: str | None = None,
    strip_prefix: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, str]:
    """Load a released checkpoint strictly, without executing code from it.

    Args:
        spec: The model.
        model: Its network; takes the weights in place.
        path: The file.
        key: Where in the file the state dict is, parts separated by dots; None: detected.
        strip_prefix: Keep the keys with this prefix, and strip it; None: detected.
        say: Receives a line for each thing that was stripped or filled in.
    Returns:
        ``name`` and ``sha256`` of the file, and ``key`` and ``strip_prefix`` where they were given.
    Raises:
        BenchError: Not a plain tensor file, or keys or shapes that differ from the model's.
    """
    module, _, function = spec.loader.partition(":")
    try:
        getattr(importlib.import_module(module), function)(model, path, key=key, strip_prefix=strip_prefix, say=say)
    except ValueError as error:
        raise BenchError(f"model {spec.name}: {error}") from error
    given = {"key": key, "strip_prefix": strip_prefix}
    told = {what: value for what, value in given.items() if value is not None}
    return {"name": path.name, "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), **told}


def load_target(spec: ModelSpec) -> Callable[..., Any]:
    """Import the module of a spec and return its build function."""
    function = spec.target.partition(":")[2]
    try:
        found = getattr(_module(spec), function)
    except AttributeError:
        raise BenchError(f"model {spec.name}: {spec.path or spec.target} has no function {function!r}") from None
    if not callable(found):
        raise BenchError(f"model {spec.name}: {function} in {spec.path or spec.target} is {found!r}, not a function")
    return found


def _module(spec: ModelSpec) -> Any:
    if spec.path is not None:
        return import_file(spec.path)
    module = spec.target.partition(":")[0]
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BenchError(f"model {spec.name}: cannot import {module} ({error}); reinstall the package") from error


def _smp_spec(name: str) -> ModelSpec:
    parts = name.split(":")
    if len(parts) not in (2, 3) or not all(parts):
        raise BenchError(
            f"model {name!r}: expected smp:<architecture>[:<encoder>], for example smp:segformer:tu-mit_b0"
        )
    options = {"arch": parts[1]} | ({"encoder": parts[2]} if len(parts) == 3 else {})
    title = "smp " + " ".join(parts[1:])
    return ModelSpec(
        name,
        title,
        "baselines.smp_any:build",
        "any smp architecture, any encoder",
        options,
        len(parts) == 2,
        "resnet34",
    )
