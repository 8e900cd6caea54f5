# Two commands matter: `make demo` and `make test`. Both install what they need into this folder and nowhere else.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

WEB := services/ingest/web
PORT ?= 8000
FOR ?=
ARGS ?=

# A uv that is there already, or one of our own.
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
RUN := .venv/bin

.PHONY: help demo up test check format page kafka bench chaos wheel clean

help: ## Show this help
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: .venv/ready page ## Start Rapt with four drawn students (FOR=20: for 20 seconds, then judge the result)
	$(RUN)/rapt demo --port $(PORT) $(if $(FOR),--for $(FOR)) $(ARGS)

up: .venv/ready page ## Start Rapt for your own webcam
	$(RUN)/rapt up --port $(PORT) $(ARGS)

test: .venv/ready page ## Run all tests; what a missing Kafka or Chromium keeps from running is skipped with its reason
	cd $(WEB) && npm test --silent
	$(RUN)/pytest -n logical --dist loadfile $(ARGS)

check: .venv/ready $(WEB)/node_modules/.ready ## Lint, formatting, types, the direction of dependencies
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	cd $(WEB) && npm run --silent check

format: .venv/ready ## Format and fix what can be fixed
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

page: $(WEB)/dist/index.html ## Build the page

kafka: .venv/ready ## Run one Kafka node on this machine (Java 17 and Maven)
	$(RUN)/python deploy/kafka/kafka.py $(ARGS)

bench: .venv/ready ## Measure what the README claims, side by side with baselines
	$(RUN)/rapt bench $(ARGS)

chaos: .venv/ready ## Kill, stop and starve every part while students stream, and compare at the end (ARGS="--seed 2 --for 120")
	$(RUN)/python -m tests.chaos $(ARGS)

wheel: .venv/ready page ## Build the wheel, page included, into dist/
	$(UV) build --wheel

clean: ## Remove everything that was built or installed here
	rm -rf .venv .uv dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis $(WEB)/node_modules $(WEB)/dist

.uv/bin/uv:
	python3 -m venv .uv
	.uv/bin/pip install --quiet --disable-pip-version-check uv

.venv/ready: pyproject.toml uv.lock | $(UV)
	$(UV) sync --frozen --all-extras --quiet
	@touch $@

$(WEB)/node_modules/.ready: $(WEB)/package.json $(WEB)/package-lock.json
	cd $(WEB) && npm ci --no-audit --no-fund --silent
	@touch $@

$(WEB)/dist/index.html: $(WEB)/node_modules/.ready $(wildcard $(WEB)/*.html $(WEB)/*.ts $(WEB)/*.json) $(shell find $(WEB)/src $(WEB)/public -type f 2>/dev/null)
	cd $(WEB) && npm run --silent build
	@touch $@
