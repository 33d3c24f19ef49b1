# Everything that people and CI run. Needs Python 3.11 or newer and nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
COMPILE := $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url \
	--custom-compile-command "make requirements"
UNIVERSAL := --universal --python-version 3.11
IMAGE ?= segserve
, := ,
IMAGE_OPTIONS = $(if $(BASE_IMAGE),--build-arg BASE_IMAGE=$(BASE_IMAGE)) \
	$(if $(PIP_CONF),--secret id=pip_conf$(,)src=$(PIP_CONF)) \
	--build-arg REVISION=$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
SDK := .venv-sdk
SPARK := .venv-spark
SPARK35 := .venv-spark35
SUPPLY := .venv-supply
PEERS := bench/peers/requirements

.DEFAULT_GOAL := help
.PHONY: help serve kernel fuzz fuzz-kernel soak audit aws test lint format bench bench-peers docs wheel image image-again sbom image-test sdk-test spark-test spark35-test requirements clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

serve: $(VENV)/run.stamp ## Train on a sample if there is no model yet, then serve on port 8080
	$(BIN)/segserve demo

kernel: $(VENV)/kernel.stamp ## Compile what answers payloads and reads customers in a fraction of the time (needs a C compiler)

fuzz-kernel: ## Fuzz the kernel under sanitizers (DURATION_S=30, or INPUTS=1000000)
	$(MAKE) --no-print-directory -C kernel fuzz

aws: $(VENV)/aws.stamp ## Install what segserve local, push, deploy and the like need

test: $(VENV)/dev.stamp ## Run the tests
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lint: $(VENV)/dev.stamp ## Check style, types and the floors of the house
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -x $(BIN)/hadolint ]; then echo $(BIN)/hadolint Dockerfile; $(BIN)/hadolint Dockerfile; else echo "hadolint is not here: the Dockerfile is not checked"; fi

format: $(VENV)/dev.stamp ## Mend style where a machine can
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/dev.stamp ## Measure serving and training against baselines, in one run
	$(BIN)/python -m bench $(ARGS)

bench-peers: $(VENV)/dev.stamp ## Measure serving beside other servers (needs nginx and wrk; 17 minutes)
	$(BIN)/python -m bench.peers load $(ARGS)

fuzz: $(VENV)/dev.stamp ## Throw a million bad inputs at all that reads (ARGS=--quick for half a minute)
	$(BIN)/python -m fuzz $(ARGS)

soak: $(VENV)/dev.stamp ## Keep a server under load for half an hour (ARGS=--quick for 20 s), and tell what it did
	$(BIN)/python -m bench.soak $(ARGS)

docs: $(VENV)/dev.stamp ## Write the pages that follow from the code
	$(BIN)/python -m docs.render
	if [ -e bench/results/peers-load.json ]; then $(BIN)/python -m bench.peers page; fi

audit: $(SUPPLY)/stamp ## Ask the OSV database about every pinned version (needs the network)
	for pins in docker/requirements.txt requirements/aws.txt; do \
		$(SUPPLY)/bin/pip-audit --vulnerability-service osv --disable-pip --require-hashes --requirement $$pins \
			|| { echo "audit: $$pins has known faults, or the database cannot be reached: see above"; exit 1; }; \
	done

wheel: $(VENV)/dev.stamp ## Build the wheel into dist/
	rm -rf dist
	$(BIN)/python -m build --no-isolation --wheel

image: ## Build the image (BASE_IMAGE=... for another base, PIP_CONF=FILE for another index)
	docker build $(IMAGE_OPTIONS) --tag $(IMAGE) .

image-again: ## Build the image once more without the cache, twice where need be, and compare the layers
	$(PYTHON) docker/again.py $(IMAGE) $(IMAGE_OPTIONS)

sbom: $(VENV)/dev.stamp $(SUPPLY)/stamp ## Write the image's bill of materials to build/sbom.json, and check it against the pins
	$(BIN)/python -m docs.sbom $(IMAGE) build/sbom.json --syft $(SUPPLY)/bin/syft

image-test: $(VENV)/dev.stamp ## Test the image, and the contract against it, clause by clause
	SEGSERVE_IMAGE=$(IMAGE) $(BIN)/python -m pytest -n auto --dist worksteal tests/container tests/conformance $(ARGS)

sdk-test: $(VENV)/dev.stamp $(SDK)/stamp ## Test with the SageMaker SDK, its local mode too (1.1 GB more)
	SEGSERVE_IMAGE=$(IMAGE) SEGSERVE_SDK_PYTHON=$(abspath $(SDK)/bin/python) PATH="$(abspath $(SDK)/bin):$$PATH" \
		$(abspath $(BIN)/python) -m pytest tests/sdk tests/container/test_samples.py $(ARGS)

spark-test: $(SPARK)/stamp ## Test with Apache Spark (needs Java 17; 700 MB more)
	SEGSERVE_SPARK=1 $(SPARK)/bin/python -m pytest tests/spark $(ARGS)

spark35-test: $(SPARK35)/stamp ## Test with Spark 3.5, as SageMaker has it, in one process (needs Java 17)
	SEGSERVE_SPARK=1 $(SPARK35)/bin/python -m pytest tests/spark --ignore tests/spark/test_cluster.py \
		-W 'ignore:unclosed <socket:ResourceWarning' $(ARGS) # it leaves the socket of each result to Python

requirements: $(VENV)/dev.stamp ## Pin the dependencies again, with hashes (UPGRADE=--upgrade for newer ones)
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) pyproject.toml --extra train --group build --output-file requirements/run.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) pyproject.toml --extra train --extra aws --extra sign --group build \
		--output-file requirements/aws.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) pyproject.toml --extra train --extra large --extra aws --extra sign --extra otel --group dev \
		--output-file requirements/dev.txt
	$(COMPILE) $(UPGRADE) --python-version 3.12 --python-platform x86_64-manylinux_2_28 pyproject.toml --extra train \
		--extra sign --output-file docker/requirements.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) kernel/requirements.in --output-file kernel/requirements.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) tests/sdk/requirements.in --output-file tests/sdk/requirements.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) pyproject.toml tests/spark/requirements.in --extra train --extra large --extra spark \
		--output-file tests/spark/requirements.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) tests/spark/requirements-3.5.in --output-file tests/spark/requirements-3.5.txt
	$(COMPILE) $(UPGRADE) $(UNIVERSAL) requirements/supply.in --output-file requirements/supply.txt
	for pins in $(PEERS)/*.in; do \
		$(COMPILE) $(UPGRADE) $(UNIVERSAL) --no-annotate --override $(PEERS)/overrides.txt \
			$$pins --output-file $${pins%.in}.txt || exit 1; done

clean: ## Remove the environment and what was built
	rm -rf $(VENV) $(SDK) $(SPARK) $(SPARK35) $(SUPPLY) build dist kernel/build kernel/*.egg-info

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit("segserve needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: requirements/run.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements/run.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/kernel.stamp: kernel/pyproject.toml kernel/setup.py $(wildcard kernel/src/*) | $(VENV)/run.stamp
	@command -v cc >/dev/null || { echo "make kernel needs a C compiler (cc); without the kernel segserve gives the same answers, only slower"; exit 1; }
	$(PIP) -r kernel/requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --force-reinstall ./kernel
	touch $@

$(VENV)/aws.stamp: requirements/aws.txt | $(VENV)/run.stamp
	$(PIP) -r requirements/aws.txt
	touch $@

$(VENV)/dev.stamp: requirements/dev.txt pyproject.toml | $(VENV)/bin/python
	$(PIP) -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@ $(VENV)/run.stamp

$(SDK)/stamp: tests/sdk/requirements.txt
	$(PYTHON) -m venv $(SDK)
	$(SDK)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@

$(SPARK)/stamp: tests/spark/requirements.txt pyproject.toml
	@command -v java >/dev/null || { echo "make spark-test needs Java 17, for example openjdk-17-jre-headless"; exit 1; }
	$(PYTHON) -m venv $(SPARK)
	$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(SPARK)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(SPARK35)/stamp: tests/spark/requirements-3.5.txt requirements/dev.txt pyproject.toml
	@command -v java >/dev/null || { echo "make spark35-test needs Java 17, for example openjdk-17-jre-headless"; exit 1; }
	$(PYTHON) -m venv $(SPARK35)
	$(SPARK35)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(SPARK35)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	$(SPARK35)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	touch $@

$(SUPPLY)/stamp: requirements/supply.txt
	$(PYTHON) -m venv $(SUPPLY)
	$(SUPPLY)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	touch $@
