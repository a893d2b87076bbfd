# The two commands of the README (`make demo`, `make test`), the page, and the linters.
# Everything happens in a virtual environment here; set VENV to use another folder.

VENV ?= .venv
PYTHON ?= python3
BIN := $(VENV)/bin
WORKERS ?= 2
PORT ?= 3000

export DAGSTER_HOME ?= $(CURDIR)/.dagster
export DAGSTER_DISABLE_TELEMETRY := 1

.PHONY: demo test page nights lint benchmarks clean

demo: $(VENV)/.installed
	@$(BIN)/magicpy search CrabNebula --period ST0316
	@$(BIN)/magicpy fast CrabNebula --period ST0316 --where za=za05to35 --where date=2020-11-16 --off-hours 0.5
	@echo "Open the Dagster page with: make page"

# One thread for each worker's own sums: more would wait for each other.
test: $(VENV)/.installed-test
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

page: $(VENV)/.installed
	$(BIN)/python deploy/page.py --port $(PORT)

nights: $(VENV)/.installed
	$(BIN)/python examples/three_nights.py

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "magicpy_assets needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --editable ".[test,lint]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) .dagster magicpy_store build *.egg-info
