#!/bin/sh
# What both recipes run: the exact lock, then torch (CUDA's build from the index, unless told otherwise),
# then msnmo, as `make` does. The source is in /opt/msnmo.
set -eu
TORCH="torch==2.13.0"
cd /opt/msnmo
python -m pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock
python -m pip install --no-cache-dir "$TORCH"
python -m pip install --no-cache-dir --no-deps --no-build-isolation --editable .
msnmo --version
msnmo cohort --help > /dev/null
snakemake --version
# FSL is not in the image: its licence is for non-commercial use. The engine `surface` needs none.
