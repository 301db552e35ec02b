# Everything a newcomer needs: `make demo` shows the product, `make test` tests it, `make help` lists the rest.
# Needs Python 3.11 or newer, git and make. PYTHON=… names the interpreter to build .venv from.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# One more than the processors: some tests wait for processes that work, or for a disk.
JOBS ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PIP_QUIET := -qq --no-input --disable-pip-version-check --no-warn-script-location

.PHONY: help setup check format test docs demo torture bench profile lock clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F '|' '{printf "%-16s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with the locked tools and this checkout in it

# Once, and again when the lock or the package's own settings change.
$(READY): requirements/dev.txt pyproject.toml
	@found=; for python in $(or $(PYTHON),python3 python3.13 python3.12 python3.11); do \
		if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo "make: Lattice needs Python 3.11 or newer; none of these is: $(or $(PYTHON),python3 python3.13 python3.12 python3.11)" >&2; \
		echo "make: name one with 'make setup PYTHON=/path/to/python3'" >&2; exit 1; \
	fi; \
	if ! $(PY) -c '' 2>/dev/null; then \
		echo "setup: $(VENV) from $$($$found --version)"; \
		"$$found" -m venv --clear $(VENV) || { echo "make: '$$found -m venv' failed; Debian has it in python3-venv" >&2; exit 1; }; \
	fi
	@echo "setup: locked tools"
	@$(PY) -m pip install $(PIP_QUIET) --require-hashes -r requirements/dev.txt
	@echo "setup: lattice, editable"
	@$(PY) -m pip install $(PIP_QUIET) --no-build-isolation --no-deps --editable .
	@touch $(READY)

check: $(READY) ## lint, formatting and types
	@$(PY) -m ruff check --quiet . && echo "check: ruff"
	@$(PY) -m ruff format --check --quiet . || { echo "make: not formatted; 'make format' mends it" >&2; exit 1; }
	@echo "check: formatting"
	@$(PY) -m mypy --no-error-summary && echo "check: mypy"

format: $(READY) ## put the code in its form
	@$(PY) -m ruff check --quiet --fix --select I . ; $(PY) -m ruff format --quiet .

test: $(READY) ## the tests, JOBS at a time
	@$(PY) -m pytest -q -n $(JOBS) --dist worksteal $(ARGS)

docs: $(READY) ## write docs/reference/ from the code
	@$(PY) tools/reference.py

demo: $(READY) ## a board, a worker and its review, in a throw-away repository
	@$(PY) tools/demo.py

torture: $(READY) ## the long form of the fault-injection tests; ARGS=--write-page puts the figures on their page
	@$(PY) tools/torture.py --full $(ARGS)
	@PROPERTIES=deep $(PY) -m pytest -q -o faulthandler_timeout=3600 tests/properties/test_board.py

bench: $(READY) ## the figures of docs/explanation/performance.md, beside other tools; ARGS='--list' names them
	@$(PY) -m tools.bench $(ARGS)

profile: $(READY) ## where a command's time goes: make profile CMD='show LAT-1'
	@$(PY) -m tools.profile $(ARGS) "$(CMD)"

lock: ## write requirements/dev.txt from dev.in (needs uv on PATH)
	@uv pip compile requirements/dev.in --generate-hashes --no-emit-index-url --universal --python-version 3.11 \
		--quiet --custom-compile-command 'make lock' --output-file requirements/dev.txt

clean: ## remove what the tools made
	@rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find src tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
