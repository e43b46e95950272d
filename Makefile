# Two environments, as in production two images: .venv runs service and worker, .triton runs the model server.
PYTHON ?= python3
PIP = -m pip install --quiet --disable-pip-version-check
OUT ?= demo-output
# How many tests run at a time: most wait for servers. Each such process starts a stack of its own, 3 GB.
AT_ONCE ?= 2
# Node.js builds the web page: the machine's own where it is new enough and has npm, else the one of requirements/node.txt.
FITS = const [a, b] = process.versions.node.split('.').map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)
NODE := $(shell command -v npm >/dev/null && node -e "$(FITS)" 2>/dev/null || echo .node/.runtime)
NPM = PATH="$(CURDIR)/.node/bin:$$PATH" npm --prefix web
PAGE = service/static/web/index.html
PAGE_SOURCES := $(shell find web/src web/tools web/index.html web/vite.config.ts web/tsconfig.json -type f)

.PHONY: demo up web bento pictures test test-scale test-ceph k8s-advice lint sbom audit train-demo environments clean

demo: environments  ## map the procedural sample city and check the map
	@.venv/bin/cityzones demo --out $(OUT)

up: environments web  ## keep the whole stack running
	@.venv/bin/cityzones up

web: $(PAGE)  ## build the web page that the service serves at /

bento: environments web  ## pack the API with its page; `bentoml containerize cityzones:latest` makes an image of it (docs/images.md)
	.venv/bin/bentoml build

test: environments .venv/.tools web  ## lint, types, import floors, all tests
	$(NPM) run --silent check
	$(NPM) run --silent test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/pytest -n $(AT_ONCE) --dist loadfile --no-loadscope-reorder

test-scale: environments .venv/.tools web  ## the tests of more machines, load and broken imagery
	.venv/bin/pytest -m scale

test-ceph: environments .venv/.tools  ## links, storage and a whole job on Ceph's gateway; see docs/development.md
	.venv/bin/pytest -m ceph

k8s-advice: .checkov/.runtime .venv/.tools  ## what Checkov says of the manifests in k8s/
	.venv/bin/pytest tests/k8s/test_advice.py

pictures: environments .venv/.tools web  ## take the pictures of the web page that the documents show
	.venv/bin/python -m tests.browser.pictures

train-demo: environments .venv/.tools  ## train the demonstration network again and compare it with its card
	@rm -rf .cityzones/train-demo
	.venv/bin/python -m models.training.demo --out .cityzones/train-demo

sbom: environments .venv/.tools $(NODE)  ## list what ships, in CycloneDX 1.6: dist/sbom
	@.venv/bin/python -m supply.sbom dist/sbom

audit: .venv/.tools $(NODE)  ## ask advisory services about the locks; TOLERANT=--tolerant where none may be in reach
	@.venv/bin/python -m supply.locks
	@.venv/bin/python -m supply.audit $(TOLERANT)

lint: .venv/.tools web/node_modules/.runtime
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
	$(NPM) run --silent format

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
	@.venv/bin/python $(PIP) --no-deps --require-hashes -r requirements/dev.txt
	@.venv/bin/python $(PIP) torch==2.13.0
	@touch $@

.triton/.runtime: requirements/triton.txt
	@echo "Building .triton (model server) …"
	@$(PYTHON) -m venv .triton
	@.triton/bin/python $(PIP) --no-deps --require-hashes -r requirements/triton.txt
	@touch $@

.checkov/.runtime: requirements/checkov.txt
	@echo "Building .checkov (advice on Kubernetes manifests) …"
	@$(PYTHON) -m venv .checkov
	@.checkov/bin/python $(PIP) --require-hashes -r requirements/checkov.txt
	@touch $@

$(PAGE): web/node_modules/.runtime $(PAGE_SOURCES)
	@echo "Building the web page …"
	@$(NPM) run --silent build

web/node_modules/.runtime: web/package-lock.json $(NODE)
	@echo "Fetching what the web page is built from …"
	@$(NPM) install --no-save --silent
	@touch $@

.node/.runtime: requirements/node.txt
	@echo "Building .node (Node.js, as this machine has none that fits) …"
	@$(PYTHON) -m venv .node
	@.node/bin/python $(PIP) --require-hashes -r requirements/node.txt
	@touch $@

clean:  ## drop environments, caches and what the demo made
	rm -rf .venv .triton .node .checkov .cluster-tools .cityzones $(OUT) web/node_modules service/static/web .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
