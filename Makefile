# `make demo` and `make test` do all the set-up themselves in a virtual environment.

PYTHON ?= python3
VENV ?= .venv
DATASET ?= synthetic
BIN = $(VENV)/bin

.PHONY: demo test quick coverage check docs package clean

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py --dataset $(DATASET)

test: $(VENV)/.installed-test
	$(BIN)/pytest -n auto

quick: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --dist loadfile -m "not slow"

coverage: $(VENV)/.installed-test
	$(BIN)/pytest -n auto --cov fairtask --cov-report term-missing:skip-covered

check: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: $(VENV)/.installed-doc
	$(BIN)/sphinx-build -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_pages.py docs/_build/html

# The wheel, without the sources beside it, in the lowest versions that are supported.
OLDEST = $(VENV)-oldest
# Old versions warn of the new versions of what they use themselves.
OLD_WARNINGS = -W ignore::DeprecationWarning -W ignore::FutureWarning \
	-W ignore::PendingDeprecationWarning -W ignore::pytest.PytestRemovedIn10Warning

package: $(VENV)/.installed-release
	rm -rf build dist
	$(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/check-wheel-contents dist/*.whl
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check \
		-c .ci/oldest.txt "$$(echo dist/*.whl)[test]"
	rm -rf build/installed && mkdir -p build/installed
	cp -r docs tests pyproject.toml build/installed
	cd build/installed && $(abspath $(OLDEST))/bin/pytest -n auto --dist loadfile \
		-m "not slow and not real_data" $(OLD_WARNINGS) tests

clean:
	rm -rf .venv .venv-oldest build dist docs/_build docs/auto_examples docs/api/generated demo_output

# `venv` on an environment that is there repairs it and keeps what is installed.
$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-doc $(VENV)/.installed-release: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e ".$(EXTRA)"
	touch $@

$(VENV)/.installed-test: EXTRA = [test]
$(VENV)/.installed-doc: EXTRA = [doc]
$(VENV)/.installed-release: EXTRA = [release]

# Two installations in one environment would be in each other's way.
.NOTPARALLEL:
