# Two environments, as in production two images: .venv runs service and worker, .triton runs the model server.
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check
OUT ?= demo-output

.PHONY: demo up test test-scale test-ceph lint train-demo environments clean

demo: environments  ## map the procedural sample city and check the map
	@.venv/bin/cityzones demo --out $(OUT)

up: environments  ## keep the whole stack running
	@.venv/bin/cityzones up

test: environments .venv/.tools  ## lint, types, import floors, all tests
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest

test-scale: environments .venv/.tools  ## the tests of more machines, load and broken imagery
	.venv/bin/pytest -m scale

test-ceph: environments .venv/.tools  ## links, storage and a whole job on Ceph's gateway; see docs/development.md
	.venv/bin/pytest -m ceph

train-demo: environments .venv/.tools  ## train the demonstration network again and compare it with its card
	@rm -rf .cityzones/train-demo
	.venv/bin/python -m models.training.demo --out .cityzones/train-demo

lint: .venv/.tools
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

environments: .venv/.runtime .triton/.runtime

.venv/.runtime: requirements/main.txt pyproject.toml
	@$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11)' 2>/dev/null || { echo "Cityzones needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@echo "Building .venv (service and worker), about two minutes …"
	@$(PYTHON) -m venv .venv || { echo "Python's venv module is missing: install the package python3-venv"; exit 1; }
	@.venv/bin/python $(PIP) --require-hashes -r requirements/main.txt
	@.venv/bin/python $(PIP) --no-deps --editable .
	@touch $@

.venv/.tools: .venv/.runtime requirements/dev.txt
	@echo "Adding test tools and the train extra to .venv …"
	@.venv/bin/python $(PIP) --require-hashes -r requirements/dev.txt
	@.venv/bin/python $(PIP) torch==2.13.0
	@touch $@

.triton/.runtime: requirements/triton.txt
	@echo "Building .triton (model server) …"
	@$(PYTHON) -m venv .triton
	@.triton/bin/python $(PIP) --no-deps --require-hashes -r requirements/triton.txt
	@touch $@

clean:  ## drop environments, caches and what the demo made
	rm -rf .venv .triton .cityzones $(OUT) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
