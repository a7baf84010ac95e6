# Everything a person types here. `make demo` and `make test` are all that a fresh machine needs.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
# Two files of tests at a time: most of them wait most of the time. The slow ones of the whole stack have it to themselves.
AT_ONCE := -n 2 --dist loadfile --no-loadscope-reorder
# Many tests kill processes of a whole stack, on machines that others use too: one that fails is run once more, and named.
AGAIN := --reruns 1 -raR
.DEFAULT_GOAL := help
.PHONY: help env demo up down status logs test test-slow lint types lock

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-10s %s\n", $$1, $$2}'

env: $(STAMP) ## the environment in .venv, installed anew only when requirements.lock or pyproject.toml changed

$(STAMP): requirements.lock pyproject.toml infra/env.sh
	@sh infra/env.sh "$(PYTHON)" $(VENV)
	@touch $@

demo: $(STAMP) ## the quickstart experiment from one POST to its verdict, then everything is stopped
	@$(RUN) -m infra.local demo

up: $(STAMP) ## the whole stack in the background; TRAINERS=n trainer workers (1)
	@$(RUN) -m infra.local up $(if $(TRAINERS),--trainers $(TRAINERS))

down: $(STAMP) ## stop the stack; its data stay in .touchstone
	@$(RUN) -m infra.local down

status: $(STAMP) ## what runs, where, and how much memory it takes
	@$(RUN) -m infra.local status

logs: $(STAMP) ## the end of the logs; NAME=process for one, FOLLOW=1 to go on
	@$(RUN) -m infra.local logs $(NAME) $(if $(FOLLOW),--follow)

test: $(STAMP) ## all tests but the slow ones
	$(RUN) -m pytest -m "not slow" $(AT_ONCE) $(AGAIN)

test-slow: $(STAMP) ## the slow tests: calibration, every fault, every role installed alone
	$(RUN) -m pytest -m slow $(AT_ONCE) $(AGAIN) tests/unit tests/integration; ended=$$?; \
	$(RUN) -m pytest -m slow $(AGAIN) tests/e2e && exit $$ended

lint: $(STAMP) ## style, compose file and Dockerfiles
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml infra/docker/gpu.yml
	$(VENV)/bin/hadolint infra/docker/*.Dockerfile

types: $(STAMP) ## mypy --strict
	$(RUN) -m mypy

lock: ## write requirements.lock anew from what pyproject.toml allows today
	$(PYTHON) -m venv --clear .venv-lock
	.venv-lock/bin/pip install --quiet --upgrade pip
	.venv-lock/bin/pip install --quiet "$$(grep '^torch==' requirements.lock)"
	.venv-lock/bin/pip install --quiet --editable ".[dev]"
	.venv-lock/bin/python -m infra.lock --missing | xargs .venv-lock/bin/pip install --quiet --upgrade pip
	.venv-lock/bin/python -m infra.lock requirements.lock
	rm -rf .venv-lock
