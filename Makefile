# Everything that people and CI run. Needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make requirements" pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help serve test lint format bench docs wheel requirements clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

serve: $(VENV)/run.stamp ## Train on a sample if there is no model yet, then serve on port 8080
	$(BIN)/segserve demo

test: $(VENV)/dev.stamp ## Run the tests
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types and the floors of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/dev.stamp ## Mend style where a machine can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/dev.stamp ## Measure serving and training against baselines, in one run
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/dev.stamp ## Write the pages that follow from the code
	$(BIN)/python -m docs.render

wheel: $(VENV)/dev.stamp ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --wheel

requirements: $(VENV)/dev.stamp ## Pin the dependencies again, with hashes (UPGRADE=--upgrade for newer ones)
	$(COMPILE) $(UPGRADE) --extra train --group build --output-file requirements/run.txt
	$(COMPILE) $(UPGRADE) --extra train --extra aws --group dev --output-file requirements/dev.txt

clean: ## Remove the environment and what was built
	rm -rf $(VENV) build dist

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("segserve needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@ $(VENV)/run.stamp
