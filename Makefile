# `make` alone prints this list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/clients/node_modules

.DEFAULT_GOAL := help
.PHONY: help demo serve test memory check sim bench fuzz pythons docs

INPUTS ?= 100000
SEED ?= 1

help:  ## print this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

# Without npm, or without a way to its registry, the tests that need these are skipped.
$(NODE)/ready: tests/clients/package.json
	@if ! command -v npm >/dev/null; then echo 'no npm: the tests of programs from there are skipped'; \
	elif cd tests/clients && npm install --no-package-lock --no-audit --no-fund --silent \
		--fetch-retries=0 --fetch-timeout=20000; then touch node_modules/ready; \
	else echo 'npm could not install them: the tests of programs from there are skipped'; fi

demo: $(VENV)/ready  ## boot a server and two workers, kill one in mid-job, show that no recorded step was lost or repeated
	$(BIN)/python -m oris demo

serve: $(VENV)/ready  ## run the server on 127.0.0.1:8080 with ./oris_runtime.db
	$(BIN)/python -m oris

test: $(VENV)/ready $(NODE)/ready  ## run every test, 100 simulated seeds among them; two files at a time
	$(BIN)/python -m pytest -n 2 --dist loadfile

memory: $(VENV)/ready  ## run the engine's tests on the store in memory instead of SQLite
	$(BIN)/python -m pytest tests/engine --store=memory -n 2 --dist loadfile

check: $(VENV)/ready  ## lint, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pythons: $(VENV)/ready  ## try the oldest and the newest Python that this machine has: install, boot, run a job, fast tests
	$(BIN)/python -m tests.packaging

fuzz: $(VENV)/ready  ## send 100000 hostile inputs to a real server (INPUTS=, SEED=); a failing one says how to repeat it
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --seed $(SEED)

sim: $(VENV)/ready  ## simulate 1000 seeds; a failing one prints the command that repeats it
	$(BIN)/python -m oris simulate --seeds 1000

bench: $(VENV)/ready  ## measure requests, jobs and latencies on this machine, against an echo route
	$(BIN)/python -m bench

docs: $(VENV)/ready  ## write the pages of docs/ that are made from the code
	$(BIN)/python -m oris config --markdown > docs/configuration.md
	$(BIN)/python -m oris reference metrics > docs/metrics.md
	$(BIN)/python -m oris reference events > docs/events.md
