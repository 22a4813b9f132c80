#!/usr/bin/env bash
# Bring along what a bare machine with Python 3.12 lacks for check.py: wheels, but for torch 2.11 and CUDA, which it has.
#   tests/device/wheels.sh FOLDER                                # here, with a network and this package installed: download
#   python -m pip install --no-index --no-deps FOLDER/*.whl      # there, without one
set -euo pipefail
folder=${1:?folder to download to}
mkdir -p "$folder"
target=(--only-binary :all: --python-version 3.12)
for tag in manylinux_2_{34,31,28,27,26,24,18,17} manylinux2014; do target+=(--platform "${tag}_x86_64"); done
list=$(mktemp)
trap 'rm -f "$list"' EXIT
# what the check imports and what that needs, in the versions installed here; torchvision as torch 2.11 wants it
python - >"$list" <<'PYTHON'
import importlib.metadata as metadata

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

WANTED = """torchvision timm segmentation-models-pytorch lightning-fabric numba pandas scipy pyarrow pillow tifffile psutil pydantic
typer rich jinja2 platformdirs filelock packaging regex threadpoolctl pysodmetrics scikit-image pywavelets statsmodels requests"""
THERE = ("torch", "triton", "nvidia", "cuda")
there = {**default_environment(), "python_version": "3.12", "python_full_version": "3.12.0", "extra": ""}
found, waiting = {}, [canonicalize_name(name) for name in WANTED.split()]
while waiting:
    name = waiting.pop()
    if name in found or name.split("-")[0] in THERE:
        continue
    found[name] = metadata.version(name)
    wanted = map(Requirement, metadata.requires(name) or ())
    waiting += [canonicalize_name(one.name) for one in wanted if one.marker is None or one.marker.evaluate(there)]
found["torchvision"] = "0.26.*"
print("\n".join(f"{name}=={version}" for name, version in sorted(found.items())))
PYTHON
python -m pip download --quiet --dest "$folder" --no-deps "${target[@]}" --requirement "$list"
du -sh "$folder"
