# `make demo` and `make test` do all the set-up themselves in a virtual environment.

PYTHON ?= python3
VENV ?= .venv
DATASET ?= synthetic
BIN = $(VENV)/bin

.PHONY: demo test quick coverage check docs wheel bare package clean

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

# The source distribution and the wheel, built and checked.
RELEASE = $(VENV)-release

wheel: $(RELEASE)/.installed
	rm -rf build dist
	$(RELEASE)/bin/python -m build
	$(RELEASE)/bin/twine check --strict dist/*
	$(RELEASE)/bin/check-wheel-contents dist/*.whl

# The wheel by itself, in an empty environment, with the newest versions.
BARE = $(VENV)-bare

bare: wheel
	$(PYTHON) -m venv --clear $(BARE)
	$(BARE)/bin/python -m pip install --disable-pip-version-check dist/*.whl
	$(BARE)/bin/python -I .ci/smoke.py

# The wheel with the lowest versions that are supported, and the tests without the sources.
OLDEST = $(VENV)-oldest
# Old versions warn of the new versions of what they use themselves.
OLD_WARNINGS = -W ignore::DeprecationWarning -W ignore::FutureWarning \
	-W ignore::PendingDeprecationWarning -W ignore::pytest.PytestRemovedIn10Warning

package: wheel
	$(PYTHON) -m venv --clear $(OLDEST)
	$(OLDEST)/bin/python -m pip install --disable-pip-version-check \
		-c .ci/oldest.txt "$$(echo dist/*.whl)[test]"
	rm -rf build/installed && mkdir -p build/installed
	cp -r docs tests pyproject.toml build/installed
	cd build/installed && $(abspath $(OLDEST))/bin/pytest -n auto --dist loadfile \
		-m "not slow and not real_data" $(OLD_WARNINGS) tests

clean:
	rm -rf .venv .venv-release .venv-bare .venv-oldest build dist docs/_build docs/auto_examples docs/api/generated demo_output

# `venv` on an environment that is there repairs it and keeps what is installed.
$(VENV)/.installed $(VENV)/.installed-test $(VENV)/.installed-doc: setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -e ".$(EXTRA)"
	touch $@

$(VENV)/.installed-test: EXTRA = [test]
$(VENV)/.installed-doc: EXTRA = [doc]

$(RELEASE)/.installed:
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --disable-pip-version-check \
		build twine check-wheel-contents
	touch $@

# Two installations in one environment would be in each other's way.
.NOTPARALLEL:
