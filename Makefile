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
	$(BIN)/pytest -n auto -m "not slow"

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/.installed-doc
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build docs/auto_examples docs/api/generated demo_output

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e .
	touch $@

$(VENV)/.installed-test: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[test]"
	touch $@

$(VENV)/.installed-doc: setup.cfg pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -e ".[doc]"
	touch $@
