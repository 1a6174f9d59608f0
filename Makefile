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
.PHONY: help verify simulate test soundness peers bench gpu book train-demo train-compare lint clean

# Anything but CORE=1, CORE=0 included, runs the witnesses that need torch as well.
ifeq ($(CORE),1)
VERIFY_FLAGS := --core
VERIFY_LEVEL := core
else
VERIFY_LEVEL := torch
endif

# The shapes in the models' signatures are checked while their tests run; as many threads as there are workers.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --jaxtyping-packages=kexue.models,beartype.beartype

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

verify: $(VENV)/$(VERIFY_LEVEL).installed ## check every claim; ARGS="rope" checks one article, CORE=1 leaves torch out
	$(BIN)/kexue verify $(VERIFY_FLAGS) $(ARGS)

simulate: $(VENV)/core.installed ## run all Monte Carlo experiments; ARGS="sector --delta 0.01 --plot forest.png"
	$(BIN)/kexue simulate $(ARGS)

test: $(VENV)/dev.installed ## run the tests of the code itself; ARGS="-k registry" selects
	$(PYTEST) -n $(JOBS) $(ARGS)

soundness: $(VENV)/dev.installed ## attack the engine with CASES false statements (a million)
	KEXUE_SOUNDNESS_CASES=$(CASES) $(BIN)/python -m pytest -n $(JOBS) tests/test_soundness.py $(ARGS)

peers: $(VENV)/peers.installed ## compare the models with independent implementations on the same weights
	$(PYTEST) -n $(JOBS) tests/peers $(ARGS)

bench: $(VENV)/peers.installed ## measure the engines and the models, ours beside the peers
	$(BIN)/python benchmarks/measure.py $(ARGS)

# No network and no environment of its own: it uses the Python whose torch knows the GPU. Without pip's consent (a
# system Python) the source tree itself is importable.
gpu: ## on a machine with an NVIDIA GPU and a CUDA torch: tests marked gpu, CUDA benchmarks into benchmarks/results/
	PIP_NO_INDEX=1 $(PYTHON) -m pip install --quiet --no-deps --no-build-isolation -e . || true
	PYTHONPATH=. $(PYTHON) -m pytest tests/gpu -m gpu --confcutdir=tests/gpu $(ARGS)
	PYTHONPATH=. $(PYTHON) benchmarks/measure.py --gpu

book: $(VENV)/book.installed ## build the site of all claims, figures, models and benchmarks into book/; ARGS=--check opens every page
	$(BIN)/kexue book --out book $(ARGS)

train-demo: $(VENV)/train.installed ## train a small DDPM on digits and a small language model, on the CPU, into demo/
	rm -rf demo
	$(BIN)/python -c "from kexue.training.run import demo; demo('demo')"

train-compare: $(VENV)/train.installed ## compare optimisers and clip rules on two small runs (15 minutes), into docs/images/
	$(BIN)/python -c "from kexue.training.compare import compare; compare('docs/images')"

# An editable install hides the mapped rooms from mypy, so it checks a regular one.
lint: $(VENV)/lint.installed ## ruff, and mypy over all packages
	$(BIN)/ruff check .
	rm -rf build $(CHECKED)
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --target $(CHECKED) .
	rm -rf build
	cd $(CHECKED) && ../bin/python -m mypy --config-file ../../pyproject.toml --cache-dir ../mypy_cache -p kexue

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build book dist *.egg-info .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One level of installation is one stamp file and one run of pip; a new level is one more line here.
$(VENV)/core.installed: EXTRAS :=
$(VENV)/torch.installed: EXTRAS := [models]
$(VENV)/train.installed: EXTRAS := [models,train]
$(VENV)/dev.installed: EXTRAS := [book,dev,lint,models,scale,train]
$(VENV)/book.installed: EXTRAS := [book,models,train]
$(VENV)/peers.installed: EXTRAS := [dev,models,peers,train]
$(VENV)/lint.installed: EXTRAS := [lint,models,train]

# A peer whose dependencies exclude ours (torchvision beside the CPU's torch) is installed without them.
$(VENV)/peers.installed: ALONE := denoising-diffusion-pytorch

$(VENV)/%.installed: pyproject.toml constraints.txt | $(BIN)/python
	rm -rf build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".$(EXTRAS)"
	$(if $(ALONE),$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -c constraints.txt $(ALONE))
	rm -rf build
	touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit("kexue needs Python >= 3.11, but $(PYTHON) is %d.%d; try make PYTHON=python3.12" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
