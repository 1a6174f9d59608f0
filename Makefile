# Every target does its own set-up: it needs Python >= 3.11, make and a package registry, nothing else.

PYTHON ?= python3
JOBS ?= 2
CASES ?= 1000000
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
CHECKED := $(VENV)/checked

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help verify simulate test soundness bench lint clean

# Anything but CORE=1, CORE=0 included, runs the witnesses that need torch as well.
ifeq ($(CORE),1)
VERIFY_FLAGS := --core
endif

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

verify: $(VENV)/core.installed ## check every claim; ARGS="rope" checks one article, CORE=1 leaves torch out
	$(BIN)/kexue verify $(VERIFY_FLAGS) $(ARGS)

simulate: $(VENV)/core.installed ## run all Monte Carlo experiments; ARGS="sector --delta 0.01 --plot forest.png"
	$(BIN)/kexue simulate $(ARGS)

test: $(VENV)/dev.installed ## run the tests of the code itself; ARGS="-k registry" selects
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

soundness: $(VENV)/dev.installed ## attack the engine with CASES false statements (a million)
	KEXUE_SOUNDNESS_CASES=$(CASES) $(BIN)/python -m pytest -n $(JOBS) tests/test_soundness.py $(ARGS)

bench: $(VENV)/dev.installed ## measure start-up, verification and the engines
	$(BIN)/python -m pytest benchmarks --benchmark-only $(ARGS)

# An editable install hides the mapped rooms from mypy, so it checks a regular one.
lint: $(VENV)/lint.installed ## ruff, and mypy over all packages
	$(BIN)/ruff check .
	rm -rf build $(CHECKED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target $(CHECKED) .
	rm -rf build
	cd $(CHECKED) && ../bin/python -m mypy --config-file ../../pyproject.toml --cache-dir ../mypy_cache -p kexue

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build dist *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One level of installation is one stamp file and one run of pip; a new level is one more line here.
$(VENV)/core.installed: EXTRAS :=
$(VENV)/dev.installed: EXTRAS := [dev,lint,scale]
$(VENV)/lint.installed: EXTRAS := [lint]

$(VENV)/%.installed: pyproject.toml constraints.txt | $(BIN)/python
	rm -rf build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS)"
	rm -rf build
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("kexue needs Python >= 3.11, but $(PYTHON) is %d.%d; try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
