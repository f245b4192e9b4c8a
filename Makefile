# The two commands of the README: `make demo` and `make test`. Each sets up all it needs inside the checkout.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
VIDEO ?=

.PHONY: help setup demo test slow conformance bench check fix docs lock clean

help: ## Show these commands
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make the environment in .venv from the lock

$(VENV)/.ready: requirements/dev.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "smartcover needs Python 3.11 or newer; none was found. Install one or say: make PYTHON=/path/to/python3"; exit 1; }
	@rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@echo "setting up .venv (once; about a minute)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/build.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --no-build-isolation -r requirements/dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

demo: setup ## Upload a video, submit a SmartCover job, receive the callback (VIDEO=path for your own)
	@$(BIN)/python -m tools.demo $(if $(VIDEO),"$(VIDEO)")

test: setup ## Run the tests (no outside service needed)
	@$(BIN)/python -m pytest -m "not slow"

slow: setup ## Run the tests that take minutes
	@$(BIN)/python -m pytest -m slow

conformance: setup ## Run what official SDKs and clients do against the server (Node and Go SDKs where they can be had)
	@$(BIN)/python -m pytest tests/conformance tests/unit/api/test_recorded_requests.py $(ARGS)

bench: setup ## Measure callbacks and jobs a second, idle CPU, and what covers cost as ratios (ARGS=--peers adds other tools, minutes)
	@$(BIN)/python -m benchmarks.deliveries
	@$(BIN)/python -m benchmarks.service throughput
	@$(BIN)/python -m benchmarks.service latency
	@$(BIN)/python -m benchmarks.service start
	@$(BIN)/python -m benchmarks.service idle
	@$(BIN)/python -m benchmarks.speed $(ARGS)

check: setup ## Lint and type-check
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

fix: setup ## Format and apply safe lint fixes
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

docs: setup ## Write the generated pages of docs/
	@$(BIN)/python -m tools.docs

lock: ## Resolve requirements/*.lock again (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url --no-header -o requirements/dev.lock
	uv pip compile requirements/build.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/build.lock

clean: ## Remove what the other commands made
	rm -rf $(VENV) .demo .mypy_cache .ruff_cache .pytest_cache
