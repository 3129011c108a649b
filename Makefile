# `make` alone prints this help.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
OUT ?= out/drill
ARGS ?=
SOURCE := drillbed emulators harness reference_impl tests
DISK ?=
SEEDS ?= 200
COMMA := ,
FIRST ?= 0

.PHONY: help setup drill test test-az conformance kill kill9 soak fuzz bench-dataplane bench-vcenter bench-azure lint constraints clean

help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@echo
	@echo "  Variables: DISK=path (image for make drill), OUT=folder (its results), ARGS='...' (passed on)"

setup: ## Make .venv and install Azurite, if they are missing
	@deploy/setup.sh

drill: setup ## Run the whole drill; results go to out/drill
	@$(BIN)/drillbed drill --out "$(OUT)" $(if $(DISK),--disk "$(DISK)") $(ARGS)

test: setup ## Run all tests through tox; ARGS='tests/emulators -k lease' runs some
	@$(BIN)/tox run -q -e $(if $(ARGS),py -- $(ARGS),harness$(COMMA)py)

test-az: setup ## Run the Azure CLI from PyPI against an estate; installing it takes minutes, once
	@$(BIN)/tox run -q -e az -- $(ARGS)

conformance: setup ## Judge the reference implementation by specs/; results go to build/conformance/reference
	@$(BIN)/drillbed conform $(ARGS)

soak: setup ## Run seeded faults of the data plane, on all cores: SEEDS=2000, FIRST=0
	@$(BIN)/python tests/reference_impl/soak.py $(SEEDS) $(FIRST)

fuzz: setup ## Feed the reader of logs, led by coverage (wants atheris from PyPI): SECONDS=60
	@$(BIN)/python tests/reference_impl/fuzz_hrl.py $${SECONDS:-60}

kill9: setup ## Kill real processes of the data plane at seeded times: SEEDS=5, FIRST=1
	@DRILLBED_KILL9_SEEDS=$(SEEDS) DRILLBED_KILL9_FIRST=$(FIRST) $(BIN)/python -m pytest -q tests/reference_impl/test_processes.py

bench-dataplane: setup ## Measure the data plane in one table (about 30 min); figures are compared in bench/RESULTS.md
	@$(BIN)/python bench/dataplane/bench.py

bench-vcenter: setup ## Measure the vCenter emulator, 1,000 and 10,000 machines (small calls want wrk); ARGS=--quick
	@bench/vcenter/all.sh $(BIN)/python $(ARGS)

bench-azure: setup ## Measure the Azure emulator; ITEMS=1000, JOBS=5000
	@$(BIN)/python bench/azure/bench.py

kill: setup ## Measure the suite: wrong products that specs/ finds; ARGS='--mutant any-clock' tries one
	@$(BIN)/drillbed kill $(ARGS)

lint: ## Check style, formatting and types
	@deploy/setup.sh environment
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check $(SOURCE)
	@$(BIN)/mypy

constraints: setup ## Write the versions that are installed now to constraints.txt
	@{ head -n 1 constraints.txt; $(BIN)/python -m pip freeze --exclude-editable | grep -viE '^(pip|setuptools|wheel)==' | sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean: ## Remove everything that set-up and runs have made
	@rm -rf .venv .tox out build dist drillbed.egg-info deploy/azurite/node_modules .mypy_cache .ruff_cache .hypothesis
