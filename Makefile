# Each target works from a bare clone: it sets up .venv with pinned packages first, then runs.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: help demo test repro revisions bench lint audit setup

help:       ## this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: setup ## the whole chain on synthetic frames, in a temporary copy
	$(BIN)/python tools/demo.py

test: setup ## the tests
	$(BIN)/python -m pytest

repro: setup ## the whole chain on Kvasir-SEG
	$(BIN)/python tools/mend_lock.py
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/dvc repro

revisions: setup ## name the git revisions baseline and improved
	$(BIN)/python tools/revisions.py

bench: setup ## the published program against ours: benchmarks/*.json, README.md
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.prediction
	$(BIN)/python tools/update_readme.py

lint: setup ## style, and calls that are unsafe
	$(BIN)/ruff check .

audit: setup ## known weaknesses of the pinned packages; asks pypi.org
	$(PYTHON) -m venv .effiseg/audit
	.effiseg/audit/bin/pip install --quiet --disable-pip-version-check pip-audit
	.effiseg/audit/bin/pip-audit --strict --no-deps --disable-pip -r requirements.lock

setup:      ## the environment
	@$(PYTHON) tools/setup_environment.py
