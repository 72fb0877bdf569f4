#!/usr/bin/env bash
# What a CUDA machine shows of msnmo in minutes: training steps of the joint model, the tests marked gpu,
# the other methods, then the options of compute. Each figure is printed as soon as it is known and kept in
# JSON. It needs PyTorch and msnmo's own requirements, no Snakemake; without a GPU it runs on the CPU.
#   benchmarks/gpu.sh --seconds 600 --size 160 --out build/benchmarks
set -euo pipefail

seconds=600 size=160 batch=2 out=build/benchmarks python=python3
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds | --size | --batch | --out | --python) declare "${1#--}=$2" && shift 2 ;;
    *) echo "usage: $0 [--seconds N] [--size VOXELS] [--batch SCANS] [--out FOLDER] [--python PYTHON]" >&2 && exit 2 ;;
  esac
done

root="$(cd "$(dirname "$0")/.." && pwd)"
export PYTHONPATH="$root/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
mkdir -p "$out"
out="$(cd "$out" && pwd)"

# the seconds that a part may take: a share of those that are left, which bash counts
share() { echo $(((seconds - SECONDS) * $1 / 100)); }

# a part stops by itself when its time is over; one that hangs in a single step is ended a little later
benchmark() {
  local part="$1" name="$2" limit="$3" && shift 3
  [ "$limit" -gt 5 ] || { echo "$name: no time left" && return; }
  timeout $((limit + 15)) "$python" -m msnmo.benchmark "$part" --size "$size" --seconds "$limit" \
    --out "$out/$name.json" "$@" || echo "$name: ended with $?"
}

tests() {
  local limit="$1"
  if ! "$python" -c 'import torch; raise SystemExit(not torch.cuda.is_available())'; then
    echo "pytest -m gpu: no CUDA device here, left out"
    return
  fi
  # of the files that have such tests alone: collecting the others takes longer than running these
  (cd "$root" && grep -rl --include='test_*.py' 'mark\.gpu' tests |
    timeout "$limit" xargs "$python" -m pytest -m gpu -v -p no:cacheprovider --durations=0 --durations-min=0.5) ||
    echo "pytest -m gpu: ended with $?"
}

steps=(--batch "$batch")
benchmark train joint "$(share 45)" "${steps[@]}" --methods joint --how msnmo "plain fp32" "with loader"
tests "$(share 50)"
benchmark train methods "$(share 60)" "${steps[@]}" --how msnmo --methods unet vnet attention_unet resnet50 \
  resnet101 resnet152 densenet121 senet50 only_seg only_cls without_sharing only_local only_global
benchmark predict predict "$(share 30)" --methods joint
benchmark train options "$(share 70)" "${steps[@]}" --methods joint \
  --how msnmo "torch's norm" checkpointed untuned fetched compiled
benchmark train monai "$(share 100)" "${steps[@]}" --methods attention_unet nnunet_plain \
  --how msnmo "plain fp32" "MONAI's loop"
echo "JSON: $out"
