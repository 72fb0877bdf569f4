# Thin commands. Each sets up .venv from the exact lock the first time, then does one thing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0
WORKERS := 2
READY := $(VENV)/.ready

.PHONY: demo test test-heavy test-slurm test-conda test-faults lint

demo: $(READY) demo/cohort/scans.tsv
	$(BIN)/snakemake --configfile workflow/configs/demo.yaml --cores all
	$(BIN)/python -m msnmo.tables.summary --metrics demo/results/metrics/all.tsv --results demo/results

demo/cohort/scans.tsv: | $(READY)
	$(BIN)/python -m msnmo.demo --out demo/cohort --workers 2

test: $(READY)
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

test-heavy: $(READY) # every method of the paper, trained in the workflow; registrations
	$(BIN)/pytest -m heavy

test-slurm: $(READY) # brings up a cluster of one node: root, Debian's slurm-wlm and munge
	$(BIN)/pytest -m slurm tests/slurm

test-conda: $(READY)
	$(BIN)/pytest -m conda tests/conda

test-faults: $(READY) # as root, disks that fill up or turn read-only as well
	$(BIN)/pytest -m faults tests/faults

lint: $(READY)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The lock holds every package but torch, whose wheels differ by accelerator: pip takes the one for this machine.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "msnmo needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-deps --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet $(TORCH)
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@
