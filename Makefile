# Thin commands. Each sets up .venv from the exact lock the first time, then does one thing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
# one more than the cores: tests wait for processes and for the disk
WORKERS := 3
READY := $(VENV)/.ready
INSTALL := $(BIN)/pip install --quiet --no-compile --no-deps --require-hashes

UV := uv

.PHONY: demo test test-heavy test-slurm test-conda test-faults test-attacks lint docs linkcheck screenshots starter lock

demo: $(READY) demo/cohort/scans.tsv
	$(BIN)/snakemake --configfile workflow/configs/demo.yaml --cores all
	$(BIN)/python -m msnmo.tables.summary --metrics demo/results/metrics/all.tsv --results demo/results

demo/cohort/scans.tsv: | $(READY)
	$(BIN)/python -m msnmo.demo --out demo/cohort --workers 2

test: $(READY)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder \
		$(if $(TORCH),,--without-torch)

test-heavy: $(READY) # every method of the paper, trained in the workflow; registrations
	$(BIN)/pytest -m 'heavy and not attack'

test-slurm: $(READY) # brings up a cluster of one node: root, Debian's slurm-wlm and munge
	$(BIN)/pytest -m slurm tests/slurm

test-conda: $(READY)
	$(BIN)/pytest -m conda tests/conda

test-faults: $(READY) # as root, disks that fill up or turn read-only as well
	$(BIN)/pytest -m faults tests/faults

test-attacks: $(READY) # hostile files, requests and kills, half an hour; loopback alone; as root, full disks as well
	$(BIN)/pytest -m attack tests/attacks

lint: $(READY)
	$(BIN)/ruff check src tests docs benchmarks
	$(BIN)/ruff format --check src tests docs benchmarks
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# A warning is an error: what does not lead anywhere within the site is one
SPHINX := $(BIN)/sphinx-build --nitpicky --fail-on-warning --quiet -d docs/_build/doctrees

docs: $(READY)
	$(SPHINX) -b html docs docs/_build/html

linkcheck: $(READY) # asks every link to another site: needs a network
	$(SPHINX) -b linkcheck docs docs/_build/linkcheck

screenshots: $(READY) # by hand, of a finished demo, with Chromium
	$(BIN)/python docs/screenshots.py --demo demo --out docs/screenshots

# The starter again, by hand: hours for each part, which goes on from the weights of the one before. Started again, it goes on
starter: starter_again/bundle/bundle.json

TRAIN_STARTER = $(BIN)/python -m msnmo.starter --store starter_again/drawn --out $(@D) --config workflow/configs

starter_again/1/weights.safetensors: | $(READY)
	$(TRAIN_STARTER)/starter.yaml
starter_again/2/weights.safetensors: starter_again/1/weights.safetensors
	$(TRAIN_STARTER)/starter-2.yaml --start-from $<
starter_again/3/weights.safetensors: starter_again/2/weights.safetensors
	$(TRAIN_STARTER)/starter-3.yaml --start-from $<
starter_again/4/weights.safetensors: starter_again/3/weights.safetensors
	$(TRAIN_STARTER)/starter-4.yaml --start-from $<
starter_again/5/weights.safetensors: starter_again/4/weights.safetensors
	$(TRAIN_STARTER)/starter-5.yaml --start-from $<
starter_again/6/weights.safetensors: starter_again/5/weights.safetensors
	$(TRAIN_STARTER)/starter-6.yaml --start-from $<
starter_again/7/weights.safetensors: starter_again/6/weights.safetensors
	$(TRAIN_STARTER)/starter-7.yaml --start-from $<
starter_again/bundle/bundle.json: starter_again/7/weights.safetensors
	$(BIN)/python -m msnmo.starter.pack --trained $(<D) --config workflow/configs/starter-7.yaml --out $(@D)

# Makes the lock again from pyproject.toml, and keeps each version that still fits; --upgrade-package NAME, given
# as UPGRADE, moves one. It holds for every Python and platform in docs/how-to/install.md, and not for Windows, hence the two
# packages left out. Needs uv 0.13.9, from PyPI
lock:
	$(UV) pip compile pyproject.toml --universal --python-version 3.11 --extra all --extra dev --extra docs --generate-hashes \
		--no-emit-package torch --no-emit-package colorama --no-emit-package pyreadline3 \
		--no-emit-index-url --no-emit-find-links --quiet -o requirements.lock $(UPGRADE)

# The lock holds every package but torch, whose wheels differ by accelerator: pip takes the one for this machine.
# Where there is none to be had, TORCH= leaves it out: all that needs no torch works, and tests that do are skipped.
# pip unpacks and compiles on one core: hence the lock in two halves, and compileall. It leaves out what packages
# bring to test themselves. Files meant for another Python do not compile, which pip lets pass as well.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "msnmo needs Python 3.11, 3.12 or 3.13; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	for half in 0 1; do awk -v half=$$half '/^[^ #]/ {n++} n % 2 == half' requirements.lock >$(VENV)/lock-$$half.txt; done
	$(INSTALL) -r $(VENV)/lock-0.txt & $(INSTALL) -r $(VENV)/lock-1.txt && wait $$!
	test -z '$(TORCH)' || $(BIN)/pip install --quiet --no-compile $(TORCH)
	$(BIN)/python -m compileall -q -j 0 -x '/tests/' $(VENV)/lib >$(VENV)/compiled.txt || true
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
