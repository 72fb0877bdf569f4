#!/usr/bin/env bash
# What train.start_from gives: joint_plus from random weights and from the starter's, with 6, 12 and 24 training
# scans of a simulated cohort, two folds and three seeds each. The smaller cohorts are the first scans of the
# largest. Fewer scans are learned from for as many more epochs, so each training takes as many steps.
# It takes about an hour on two cores, and continues after a stop.
#   benchmarks/start_from.sh
set -euo pipefail
cd "$(dirname "$0")/.."

cohort=start_from/cohort
[ -f "$cohort/scans.tsv" ] || msnmo demo --out "$cohort" --ms 24 --nmosd 24 --follow-ups 0 --stripped 0 --seed 3 --workers 2

for scans in 6 12 24; do
  # as many of each class, in two folds: the table's first so many scans of each
  awk -F '\t' -v each="$scans" 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "diagnosis") column = i; print; next}
    ++seen[$column] <= each' "$cohort/scans.tsv" >"$cohort/scans-$scans.tsv"
  for start in "" starter; do
    kept="start_from/${start:-random}-$scans.tsv"
    [ -f "$kept" ] && continue
    own="start_from/run.yaml"
    echo "{scans: $cohort/scans-$scans.tsv, train: {epochs: $((384 / scans)), start_from: '$start'}}" >"$own"
    snakemake --configfile workflow/configs/start_from.yaml "$own" --cores all -- start_from/results/metrics/all.tsv
    cp start_from/results/metrics/all.tsv "$kept"
  done
done

python benchmarks/start_from.py start_from
