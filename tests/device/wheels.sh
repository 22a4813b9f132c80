#!/usr/bin/env bash
# Bring along what a bare machine with Python 3.12 lacks for check.py: wheels, but for torch 2.11 and CUDA, which it has.
#   tests/device/wheels.sh FOLDER                                # here, with a network: download
#   python -m pip install --no-index --no-deps FOLDER/*.whl      # there, without one
set -euo pipefail
folder=${1:?folder to download to}
mkdir -p "$folder"
target=(--only-binary :all: --python-version 3.12)
for tag in manylinux_2_{34,31,28,27,26,24,18,17} manylinux2014; do target+=(--platform "${tag}_x86_64"); done
plan=$(mktemp)
trap 'rm -f "$plan"' EXIT
# which versions go together, torch among them; nothing is downloaded yet
python -m pip install --quiet --dry-run --ignore-installed --target "$folder" --report "$plan" "${target[@]}" \
    'torch==2.11.*' torchvision timm segmentation-models-pytorch lightning-fabric numba pandas scipy pyarrow pillow \
    tifffile psutil pydantic typer rich jinja2 platformdirs filelock packaging regex threadpoolctl pysodmetrics requests
python - "$plan" >"$plan.txt" <<'PYTHON'
import json, re, sys
for one in json.load(open(sys.argv[1]))["install"]:
    name = one["metadata"]["name"]
    if not re.match(r"(torch|triton|nvidia.*|cuda.*)$", name, re.IGNORECASE):
        print(f"{name}=={one['metadata']['version']}")
PYTHON
python -m pip download --quiet --dest "$folder" --no-deps "${target[@]}" --requirement "$plan.txt"
rm -f "$plan.txt"
du -sh "$folder"
