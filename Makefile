# `make run` and `make test` set up whatever they need; nothing else has to be installed but Python ≥ 3.11.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test checks setup fuzz lint format docs package bench peers clean

run: $(VENV)/.ready
	$(BIN)/evolr run --preset original

test: $(VENV)/.ready-test
	$(BIN)/python -m pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

checks:  # all others, one after another
	$(MAKE) --jobs=1 lint
	$(MAKE) --jobs=1 docs
	$(MAKE) --jobs=1 package
	$(MAKE) --jobs=1 fuzz

setup: $(VENV)/.ready-test
	$(MAKE) $(VENV)/.ready-lint
	$(MAKE) $(VENV)/.ready-docs
	$(MAKE) $(VENV)/.ready-package

FUZZ_SECONDS ?= 60
FUZZ_SEED ?= $(shell git rev-parse HEAD^{tree} 2>/dev/null | cut -c1-7 | tr a-f 1-6)  # another one for each state of the files

fuzz: $(VENV)/.ready-test  # mutated formulas, documents, configurations and exports
	$(BIN)/python benchmarks/hostile.py --part texts documents exports --seconds $(FUZZ_SECONDS) $(addprefix --seed ,$(FUZZ_SEED))

lint: $(VENV)/.ready-lint $(VENV)/.ready-test  # types are checked against the frameworks that the adapters import
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

format: $(VENV)/.ready-lint
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

docs: $(VENV)/.ready-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

package: $(VENV)/.ready-package  # wheel and source distribution, each installed where there is nothing else, and used
	rm -rf dist
	$(BIN)/python -m build --outdir dist . >/dev/null
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt dist/*.whl
	dist/venv/bin/python tests/packaging/installed.py
	dist/venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.tar.gz
	dist/venv/bin/python tests/packaging/installed.py

bench: $(VENV)/.ready-bench
	$(BIN)/python benchmarks/training.py

peers: $(VENV)/.ready-test
	$(if $(PYTORCH),$(BIN)/python benchmarks/peers/torch_schedulers.py $(PYTORCH)/test/optim/test_lrscheduler.py)
	$(foreach peer,optax keras lightning transformers,$(BIN)/python benchmarks/peers/$(peer)_schedules.py &&) true

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("evolr needs Python 3.11 or newer, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[jax]'  # with what trains evolr's own problems
	touch $@

$(VENV)/.ready-%: $(VENV)/.ready
	$(PIP) --editable '.[$*]'
	touch $@

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
