# Everything a person runs. `make help` explains it; CI calls `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

UV_VERSION := 0.13.9
# The first that runs and is new enough; a version manager's shim may be there and run nothing.
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null && command -v $$p && break; done)
UV := $(shell command -v uv || echo .uv/bin/uv)
BIN := .venv/bin
STAMP := .venv/.set-up
# A run starts hundreds of Python processes: let the first compile for the others.
unexport PYTHONDONTWRITEBYTECODE
LOCK = $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -q

DIST := dist

.PHONY: help setup demo test unit fuzz chaos bench live-smoke screenshots lint dist lock clean

help: ## Explain every target
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install everything into this folder: Python packages, a Java runtime, checked jars (about 3 GB of disk, once)
	@$(BIN)/tradelake jars

demo: setup ## Start the stack, run the five jobs, send sample trades, and watch them arrive in gold
	@$(BIN)/tradelake demo

test: setup lint ## All tests, on a real stack of their own (about an hour on two cores)
	@$(BIN)/pytest

unit: $(STAMP) ## The fast tests: no server and no process, about 20 s
	@$(BIN)/pytest tests/unit --numprocesses 3 --dist worksteal -p no:anyio

fuzz: $(STAMP) ## Broken messages through the pure code, another seed each time (COUNT=100000 of each exchange, SEED=...)
	@$(BIN)/python -m tests.fuzz --count $(or $(COUNT),100000) $(if $(SEED),--seed $(SEED))

chaos: setup ## Faults while trades flow, on a stack of its own, with an audit after each (N=10, SEED=...)
	@$(BIN)/python -m tests.chaos --count $(or $(N),10) $(if $(SEED),--seed $(SEED))

bench: setup ## A backlog through each layer and all at once: rows/s, CPU, as multiples of bare fastavro (TRADES=3000000 DUPLICATES=0.3)
	@$(BIN)/python -m bench.backlog $(if $(TRADES),--trades $(TRADES)) $(if $(DUPLICATES),--duplicates $(DUPLICATES))

live-smoke: $(STAMP) ## One minute of each real exchange, from this machine: prints what it sent (FOR=10min); no test runs it
	@$(BIN)/python -m tests.live --for $(or $(FOR),1min)

screenshots: setup ## Walk through Flink's web UI with Chromium, on a stack of its own; pictures in .screenshots/
	@$(BIN)/pytest tests/e2e/test_20_web_ui.py

lint: $(STAMP) ## Formatting, types, import directions
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

dist: $(STAMP) ## Archives for Flink clusters that do not know tradelake, into dist/ (docs/running.md)
	@$(BIN)/python -m deploy.archives --into "$(DIST)" --uv $(UV)

lock: $(UV) ## Pin every dependency anew: requirements.lock, and requirements-runtime.lock, which the image is made from
	@$(LOCK) --group dev -o requirements.lock
	@$(LOCK) --constraint requirements.lock -o requirements-runtime.lock

clean: ## Remove the environment; the stack and its data stay (tradelake down --purge removes those)
	@rm -rf .venv .uv

.uv/bin/uv:
	@echo "uv $(UV_VERSION), in a folder of its own"
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed, and none was found. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -m venv .uv || { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@.uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): pyproject.toml requirements.lock | $(UV)
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	@$(UV) pip sync --quiet --python $(BIN)/python --require-hashes --build-constraints build-constraints.txt requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@
