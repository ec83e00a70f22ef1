# Every habit of the project. A fresh clone needs only Python 3.11 or newer (with venv) and make.

VENV   ?= .venv
PYTHON ?= python3
# Extras of pyproject.toml to install: embedded, redis, models, training, ai, media, notebooks, cluster, loadtest, dev.
EXTRAS ?= embedded,redis,models,ai,media,notebooks,cluster,dev
# Extra arguments for the tool behind a target: make test ARGS="-x tests/house"
ARGS   ?=

empty  :=
space  := $(empty) $(empty)
comma  := ,
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed-$(subst $(space),-,$(subst $(comma),-,$(EXTRAS)))

.DEFAULT_GOAL := help
.PHONY: help setup serve lab dev test check infrastructure format describe soak bench coverage lock clean

help: ## List every habit
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## Make .venv and install under the lock (EXTRAS=embedded,redis,models,training,ai,media,web,notebooks,cluster,loadtest,dev)

$(STAMP): pyproject.toml requirements.lock chatcore/web/package-lock.json
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "chatcore needs Python 3.11 or newer; $(PYTHON) is not. Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV) || \
		{ echo "$(PYTHON) cannot make a virtual environment. On Debian: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock uv
	@# A machine may know its package index only through pip's configuration: then pip does the whole work.
	@$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -c requirements.lock -e ".[$(EXTRAS)]" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[$(EXTRAS)]"
	@# The chat page's libraries come by npm: the machine's, else one from the package index. Without them all else works.
	@$(BIN)/python -m chatcore web install 2>/dev/null || { \
		$(BIN)/python -m uv pip install --quiet --python $(BIN)/python -c requirements.lock -e ".[$(EXTRAS),web]" || \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check -c requirements.lock -e ".[$(EXTRAS),web]"; \
		$(BIN)/python -m chatcore web install || \
		echo "There will be no chat page at / until this works: $(BIN)/python -m chatcore web install"; }
	@touch $@

serve: setup ## Run the server on http://127.0.0.1:3001 (ARGS="--workers 4")
	@exec $(BIN)/python server.py $(ARGS)

lab: setup ## Open JupyterLab on the notebooks (as root: ARGS=--allow-root)
	@exec $(BIN)/jupyter lab --notebook-dir=notebooks --LabApp.default_url=/lab/tree/start.ipynb $(ARGS)

dev: setup ## Run the server and start it again when a source file changes
	@exec $(BIN)/watchfiles --filter python --sigint-timeout 15 "$(BIN)/python server.py" chatcore server.py

test: setup ## Run all tests, on all cores (ARGS="-x tests/house")
	@$(BIN)/python -m pytest -n auto $(ARGS)

check: setup ## Format, lint, types, import rules, generated files: what CI runs first
	@failed=0; \
	$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make format."; failed=1; }; \
	$(BIN)/ruff check . || failed=1; \
	$(BIN)/mypy || failed=1; \
	$(BIN)/lint-imports --no-logo || failed=1; \
	$(BIN)/python -m chatcore describe --check || failed=1; \
	if command -v node >/dev/null; then for file in $$(find chatcore/web/page -name '*.js'); do \
		node --check "$$file" || failed=1; done; fi; \
	if ls notebooks/*.ipynb >/dev/null 2>&1; then $(BIN)/nbstripout --verify --keep-id \
		--extra-keys "metadata.papermill cell.metadata.papermill cell.metadata.execution" notebooks/*.ipynb || failed=1; fi; \
	exit $$failed

infrastructure: setup ## Check Terraform, Dockerfile and workflows with checkov, in an environment of its own
	@[ -x .checkov/bin/checkov ] || { $(PYTHON) -m venv .checkov && { \
		$(BIN)/python -m uv pip install --quiet --python .checkov/bin/python -r terraform/checkov.lock || \
		.checkov/bin/python -m pip install --quiet --disable-pip-version-check -r terraform/checkov.lock; }; }
	@.checkov/bin/checkov --config-file .checkov.yaml --directory . 2>/dev/null
	@if command -v terraform >/dev/null; then terraform -chdir=terraform fmt -check -recursive; \
		else echo "terraform is not installed: its own fmt and validate were not run."; fi

format: setup ## Format the code and apply safe lint fixes
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

describe: setup ## Write the references, .env.example and the README's table of settings
	@$(BIN)/python -m chatcore describe

soak: setup ## Minutes of connects, messages and faults; memory must stay flat
	@$(BIN)/python -m pytest -m soak --timeout=3600 $(ARGS)

bench: setup ## Measure every performance target, 22 minutes (ARGS="--quick": 5 minutes)
	@$(BIN)/python -m benchmarks $(ARGS)

coverage: setup ## Run all tests and write htmlcov/
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage html --quiet
	@$(BIN)/coverage report

lock: setup ## Resolve all extras again into requirements.lock (ARGS="--upgrade")
	@$(BIN)/python -m uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links -o requirements.lock $(ARGS)

clean: ## Remove caches, reports and the virtual environment
	@rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find chatcore tests pipelines -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
