# Every target makes the virtual environment it needs on first use; nothing else is set up by hand.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
# LOOKS=all judges the pages in all eight looks, not in half of them.
LOOKS ?= half
BENCH ?= all
BENCH_ARGS ?=
TEST_ARGS ?=
# One process more than there are cores: many tests wait for a server, a disk or a process.
WORKERS ?= $(shell expr $$(nproc) + 1)
# End-to-end tests wait for browsers, processes and deadlines for half of their time.
E2E_WORKERS ?= $(shell expr 2 '*' $$(nproc) + 1)

# Where this is set every process compiles every library it imports again: seconds for each command.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install reference demo test check e2e screenshots bench lint types contracts lock clean

$(VENV)/.tools: locks/tools.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "fedguide needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/tools.txt
	touch $@

# The locked packages, then fedguide itself; what a shop installs for training and serving.
$(VENV)/.train: $(VENV)/.tools locks/train.txt pyproject.toml
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r locks/train.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# What tests, lint and the browser tests need on top; compiled once, not by every worker at once.
$(VENV)/.dev: $(VENV)/.train locks/dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode -r locks/dev.txt
	touch $@

# Only installs; then $(VENV)/bin/fedguide is there.
install: $(VENV)/.train
	$(BIN)/fedguide --version

demo: $(VENV)/.train
	$(BIN)/fedguide demo $(DEMO_ARGS)

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(TEST_ARGS)

e2e: $(VENV)/.dev
	FEDGUIDE_LOOKS=$(LOOKS) $(BIN)/python -m pytest -m e2e -n $(E2E_WORKERS) --dist loadfile --no-loadscope-reorder tests/e2e $(TEST_ARGS)

# The pictures of the READMEs, from the same pages that the tests judge.
screenshots: $(VENV)/.dev
	FEDGUIDE_PICTURES=docs/images $(BIN)/python -m pytest -m e2e -n 0 tests/e2e/test_screenshots.py -k picture_shows

check: lint types contracts

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/ruff format --check src tests benchmarks examples

types: $(VENV)/.dev
	$(BIN)/mypy --num-workers 2

contracts: $(VENV)/.dev
	$(BIN)/lint-imports

# docs/reference is written from the code; a test compares.
reference: $(VENV)/.train
	$(BIN)/python -m fedguide.cli.reference docs/reference

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/run.py $(BENCH) $(BENCH_ARGS)

# Newest versions within pyproject's bounds, with hashes and without any registry's address.
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command "make lock"
lock: $(VENV)/.tools
	$(LOCK) pyproject.toml --extra train -o locks/train.txt
	$(LOCK) pyproject.toml --extra train --group dev -c locks/train.txt -o locks/dev.txt
	printf 'uv\nhatchling\neditables\n' | $(LOCK) - -o locks/tools.txt

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
