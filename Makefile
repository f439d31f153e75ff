# Everything is set up on first use, into .venv. Needed: Python 3.11 or later, make and a C library.
PYTHON := $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
# How many processes run the tests side by side: they wait more than they compute.
PROCESSES := 3

.PHONY: demo test native slowest check up bench soak clean setup

demo: $(STAMP)  ## watch an agent task survive a killed worker
	$(BIN)/pavo demo

up: $(STAMP)  ## start the whole stack
	$(BIN)/pavo up

test: $(STAMP)  ## all tests but the group `native`, against real PostgreSQL, Valkey and Temporal; builds nothing
	@rm -f .test-durations
	$(BIN)/pytest -m "not native and not serial" -n $(PROCESSES)
	$(BIN)/pytest -m "not native and serial"

native: $(STAMP)  ## native deployments, on Temporal's own servers: with Go they are built first, once
	$(BIN)/python tools/build_temporal.py
	$(BIN)/pytest -m native -n 2

slowest: $(STAMP)  ## the 30 tests that took longest in the last `make test` and what ran since
	$(BIN)/python -m tests.budget

check: $(STAMP)  ## style, types, imports, sizes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python tools/check_size.py

bench: $(STAMP)  ## Pavo and its peers on the same work
	$(BIN)/python -m bench $(ARGS)

soak: $(STAMP)  ## the long fault tests
	$(BIN)/python -m tests.faults.soak

clean:  ## remove what the targets above made
	rm -rf .venv .ruff_cache .hypothesis .import_linter_cache .pytest_cache .test-durations
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(STAMP)

$(STAMP): pyproject.toml requirements.lock
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found." >&2; exit 1; }
	@echo "Setting up .venv (once) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { \
		echo "Python's venv module is missing; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $@
