# Everything is set up on first use, into .venv. Needed: Python 3.11 or later, make and a C library.
PYTHON := $(shell for p in python3.14 python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$p && break; done)
BIN := .venv/bin
STAMP := .venv/.installed
# How many processes run the tests side by side: they wait more than they compute.
PROCESSES := 3
# A network's certificate may be in the system's own store alone, as behind many companies' proxies.
export UV_SYSTEM_CERTS ?= 1

.PHONY: demo demo-jobs demo-flow test again native slowest check up bench eval soak clean setup lock

demo: $(STAMP)  ## watch an agent task survive a killed worker
	$(BIN)/pavo demo

demo-jobs: $(STAMP)  ## watch five coding jobs be done by two remote agents, one of which is killed
	$(BIN)/python -m examples.jobs.demo

demo-flow: $(STAMP)  ## watch a flow of agents survive a killed Temporal and a killed worker
	$(BIN)/python -m examples.flows.demo

up: $(STAMP)  ## start the whole stack
	$(BIN)/pavo up

test: $(STAMP)  ## all tests but the groups `native` and `model`, against real PostgreSQL, Valkey and Temporal; builds nothing
	@rm -f .test-durations .test-failures
	$(BIN)/pytest -m "not native and not model and not serial" -n $(PROCESSES); beside=$$?; \
	$(BIN)/pytest -m "not native and not model and serial" && exit $$beside

again: $(STAMP)  ## what failed in the last run, at most ten tests, once more and alone
	$(BIN)/python -m tests.again

native: $(STAMP)  ## native deployments, on Temporal's own servers: with Go they are built first, once; a real forge likewise, and a real small model and real coding programs, fetched once
	$(BIN)/python tools/build_temporal.py
	$(BIN)/python -m tools.small_model
	$(BIN)/python -m tools.coding_programs
	$(BIN)/python -m tools.build_gitea
	$(BIN)/pytest -m "native or model" -n 2

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

eval: $(STAMP)  ## how well a model writes flows; ARGS="--model MODEL --base-url https://…/v1"
	$(BIN)/python -m bench.generating $(ARGS)

soak: $(STAMP)  ## the long fault tests: 12 minutes; ARGS="--minutes 2 --seed 7"
	$(BIN)/python -m tests.faults.soak $(ARGS)

clean:  ## remove what the targets above made
	rm -rf .venv .ruff_cache .hypothesis .import_linter_cache .pytest_cache .test-durations .test-failures
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

setup: $(STAMP)

lock: $(STAMP)  ## write requirements.lock anew from pyproject.toml; versions stay unless ARGS=--upgrade
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --all-extras \
		--group dev --group bench --custom-compile-command "make lock" --output-file requirements.lock $(ARGS) pyproject.toml

$(STAMP): pyproject.toml requirements.lock tools/set_up.py
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed and was not found." >&2; exit 1; }
	@$(PYTHON) tools/set_up.py
	@touch $@

# The site and the release.
.PHONY: docs lock-docs release clean-made
DOCS := .venv-docs/bin
DOCS_STAMP := .venv-docs/.installed

docs: $(DOCS_STAMP)  ## the site of docs/, into build/site; links and anchors checked
	NO_MKDOCS_2_WARNING=1 $(DOCS)/mkdocs build --strict
	$(DOCS)/python tools/check_site.py build/site

lock-docs: $(STAMP)  ## write requirements-docs.lock anew from pyproject.toml; versions stay unless ARGS=--upgrade
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --group docs \
		--custom-compile-command "make lock-docs" --output-file requirements-docs.lock $(ARGS)

release: $(STAMP)  ## wheel, source distribution and chart, into dist; contents checked, the wheel tried elsewhere
	$(BIN)/python tools/release.py $(ARGS)

clean: clean-made
clean-made:
	rm -rf .venv-docs build dist

$(DOCS_STAMP): requirements-docs.lock | $(STAMP)
	@echo "Setting up .venv-docs (once) ..."
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv-docs
	@$(BIN)/uv pip install --quiet --python $(DOCS)/python --require-hashes --requirement requirements-docs.lock
	@touch $@
