# `make help` lists what can be done here. Every target makes the virtual environment that it needs.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: help demo test test-pythons test-live lint format docs build bench bench-peers faults clean

help: ## List these targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(VENV)/.core: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: pyproject.toml $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev]"
	@touch $@

demo: $(VENV)/.core ## Run the bundled tasks on simulated models; no key, no network, no cost
	@PATH="$(CURDIR)/$(BIN):$$PATH" llm-tester demo

test: $(VENV)/.dev ## Run the tests with branch coverage
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

test-pythons: ## Run the tests on every Python from 3.11 on that is found, each in an environment of its own
	@for version in 3.11 3.12 3.13 3.14; do \
	  if python$$version -c '' 2>/dev/null; then \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory test PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	  else echo "== Python $$version: not found, skipped"; fi; \
	done

test-live: $(VENV)/.dev ## Call the providers themselves, with your keys and for a few tokens: PROVIDERS="openai groq"
	LLM_TESTER_LIVE="$(PROVIDERS)" $(BIN)/python -m pytest tests/live -rs -o addopts=

lint: $(VENV)/.dev ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/cog --check README.md docs/cli.md

format: $(VENV)/.dev ## Put the code into its canonical form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.dev ## Bring the generated parts of README and docs up to date
	$(BIN)/cog -r README.md docs/cli.md

bench: $(VENV)/.dev ## Measure the speed as ratios; ROUNDS=1 QUICK=1 for a look
	$(BIN)/python -m bench --rounds $(or $(ROUNDS),5) $(if $(QUICK),--quick)

bench-peers: $(VENV)/.dev ## Measure other tools on the same work; PEERS="inspect_ai curator litellm" COUNT=2000
	$(BIN)/python -m bench.peers --rounds $(or $(ROUNDS),3) --count $(or $(COUNT),2000) $(PEERS)

faults: $(VENV)/.dev ## Inject faults into the installed program and print what held; KILLS=200 ONLY="N X2"
	$(BIN)/python -m faults --kills $(or $(KILLS),200) $(if $(ONLY),--only $(ONLY))

build: $(VENV)/.dev ## Build the wheel and the source archive
	$(BIN)/python -m build --no-isolation

clean: ## Remove virtual environments, caches and builds
	rm -rf .venv .venv-* bench/.venvs build dist .pytest_cache .mypy_cache .ruff_cache .coverage* *.egg-info
