# make demo, make test, make lint: each sets up .venv by itself and installs nothing the second time.
#
#   BACKEND=cpu|cuda|metal   instead of what this machine seems to have
#   PYTHON=/path/to/python   instead of the first Python 3.10 or newer
#
# Written for macOS's make 3.81 and a plain sh.

VENV := .venv
BIN := $(VENV)/bin
UNAME := $(shell uname -s)

# MLX's CUDA 13 build needs driver 580 or newer; with an older one the CPU build works.
ifeq ($(origin BACKEND), undefined)
  ifeq ($(UNAME), Darwin)
    BACKEND := metal
  else
    DRIVER := $(shell nvidia-smi --query-gpu=driver_version --format=csv,noheader 2>/dev/null | head -n 1 | cut -d. -f1)
    BACKEND := $(shell if [ "$(DRIVER)" -ge 580 ] 2>/dev/null; then echo cuda; else echo cpu; fi)
  endif
endif
ifeq ($(filter $(BACKEND), cpu cuda metal),)
  $(error BACKEND must be cpu, cuda or metal, got "$(BACKEND)")
endif

# On macOS mlx brings Metal itself, and the extra "cpu" nothing: it is marked for Linux.
EXTRA := $(subst metal,cpu,$(BACKEND))

.PHONY: help demo test mutants native lint format docs clean
.SUFFIXES:

help:
	@echo "make demo    train a ConvNeXt on handwritten digits (no download); curves, report, weights in runs/digits"
	@echo "make test    run all tests"
	@echo "make mutants run plausible mistakes in the kernels against the tests (about 10 minutes)"
	@echo "make native  compile the CPU kernels, or say what is missing"
	@echo "make lint    ruff and mypy"
	@echo "make format  let ruff lay out the code"
	@echo "make docs    build the documentation site in build/site (Python 3.11 or newer)"
	@echo "make clean   remove .venv, caches and what was built"

demo: $(VENV)/.train-$(BACKEND)
	$(BIN)/python examples/train_cifar10.py --dataset digits --out runs/digits --overwrite $(ARGS)

test: $(VENV)/.test-$(BACKEND)
	$(BIN)/python -m pytest $(ARGS)

mutants: $(VENV)/.test-$(BACKEND)
	$(BIN)/python -m tests.kernels.mutants $(ARGS)

native: $(VENV)/.test-$(BACKEND)
	@$(BIN)/python -m lucid.kernels.native

lint: $(VENV)/.dev-$(BACKEND)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --follow-imports silent tests/typing/user_script.py

format: $(VENV)/.dev-$(BACKEND)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.docs-$(BACKEND)
	$(BIN)/python docs/tools/prepare.py build/docs
	$(BIN)/zensical build --strict --clean

# One stamp per extra. A changed pyproject.toml or another backend installs anew; the builds of MLX share files, so
# the former backend goes before the new one comes.
$(VENV)/.%-$(BACKEND): pyproject.toml $(BIN)/python
	@for stamp in $(VENV)/.backend-*; do \
	    if [ -e "$$stamp" ] && [ "$$stamp" != "$(VENV)/.backend-$(BACKEND)" ]; then \
	        $(BIN)/python -m pip uninstall --quiet --yes mlx mlx-cpu mlx-cuda-12 mlx-cuda-13 mlx-metal; \
	        rm -f $(VENV)/.backend-* $(VENV)/.train-* $(VENV)/.test-* $(VENV)/.dev-* $(VENV)/.docs-*; \
	    fi; \
	done
	@touch $(VENV)/.backend-$(BACKEND)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRA),$*]"
	@touch $@

$(BIN)/python:
	@sh .ci/venv.sh $(VENV) $(PYTHON)

clean:
	rm -rf $(VENV) build .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
