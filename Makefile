# `make demo` and `make test` do all the set-up themselves in a virtual environment.

PYTHON ?= python3
VENV ?= .venv
DATASET ?= synthetic
BIN = $(VENV)/bin

.PHONY: demo test quick check docs clean

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py --dataset $(DATASET)

test: $(VENV)/.installed-test
	$(BIN)/pytest -n auto

quick: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --dist loadfile -m "not slow"

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/.installed-doc
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf .venv docs/_build docs/auto_examples docs/api/generated demo_output

# `venv` on an environment that is there repairs it and keeps what is installed.
$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-doc: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e ".$(EXTRA)"
	touch $@

$(VENV)/.installed-test: EXTRA = [test]
$(VENV)/.installed-doc: EXTRA = [doc]

# Two installations in one environment would be in each other's way.
.NOTPARALLEL:
