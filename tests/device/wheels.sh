#!/usr/bin/env bash
# Bring along what a bare machine with Python 3.12 lacks for check.py: wheels, without torch 2.11, which it has.
#   tests/device/wheels.sh FOLDER            # here, with a network: download
#   python -m pip install --no-index --no-deps FOLDER/*.whl      # there, without one
set -euo pipefail
folder=${1:?folder to download to}
mkdir -p "$folder"
python -m pip download --quiet --dest "$folder" --only-binary :all: --no-deps --python-version 3.12 \
    --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 \
    torchvision==0.26.* timm segmentation-models-pytorch lightning-fabric lightning-utilities \
    numba llvmlite pandas scipy pyarrow pillow tifffile psutil \
    pydantic pydantic-core annotated-types typing-inspection typing-extensions \
    typer click rich shellingham markdown-it-py mdurl pygments jinja2 markupsafe \
    platformdirs filelock packaging huggingface-hub safetensors tqdm pyyaml fsspec requests urllib3 idna certifi \
    charset-normalizer regex threadpoolctl pysodmetrics python-dateutil pytz tzdata six numpy==2.2.*
ls "$folder" | wc -l
