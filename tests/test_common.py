"""Rules for every public estimator and name."""

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)

import fairtask
from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier
from fairtask._penalty import LOSS_SETTINGS
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
    RegularizedImageClassifier,
)
from tests._inputs import NOT_LEARNT

# 100 epochs of a batch or two are enough for the small problems of the checks.
SETTINGS = {"max_epochs": 100, "batch_size": 512, "device": "cpu"}
ESTIMATORS = [
    AuxiliaryFairnessClassifier(**SETTINGS),
    AuxiliaryFairnessClassifier(**SETTINGS, lam=1),
    AdversarialClassifier(**SETTINGS),
    GroupSpecificClassifier(**SETTINGS),
    RegularizedClassifier(**SETTINGS),
]
# Random batches of repeated rows are not those of weighted rows, and the checks compare
# predictions to seven digits. What holds is in test_training.py::TestSampleWeight.
EXPECTED_FAILURES = {
    f"check_sample_weight_equivalence_on_{kind}_data": "mini-batches are random"
    for kind in ("dense", "sparse")
}
PUBLIC_MODULES = sorted(
    {"fairtask"}
    | {
        f"fairtask.{module.name}"
        for module in pkgutil.iter_modules(fairtask.__path__)
        if not module.name.startswith("_")
    }
)

# The checks fit without sensitive features.
no_penalty = pytest.mark.filterwarnings(
    "ignore::fairtask.exceptions.NothingPenalizedWarning"
)


# Some of the checks have labels that have nothing to do with the samples.
@pytest.mark.filterwarnings(NOT_LEARNT)
@pytest.mark.slow
@no_penalty
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_scikit_learn_check(estimator, check):
    check(estimator)


@no_penalty
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
@pytest.mark.parametrize(
    "check", [check_dataframe_column_names_consistency, check_param_validation]
)
def test_scikit_learn_check_outside_the_suite(check, estimator):
    check(type(estimator).__name__, estimator)


@pytest.mark.parametrize(
    "estimator_class",
    [
        AuxiliaryFairnessClassifier,
        AuxiliaryFairnessImageClassifier,
        RegularizedClassifier,
        RegularizedImageClassifier,
    ],
)
def test_settings_of_the_losses_have_one_default(estimator_class):
    parameters = inspect.signature(estimator_class).parameters
    assert {name: parameters[name].default for name in LOSS_SETTINGS} == LOSS_SETTINGS


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_all_names_what_is_public(name):
    module = importlib.import_module(name)
    defined = {
        key
        for key, value in vars(module).items()
        if not key.startswith("_") and getattr(value, "__module__", None) == name
    }
    assert defined <= set(module.__all__)
    assert all(hasattr(module, key) for key in module.__all__)


@pytest.mark.parametrize("name", PUBLIC_MODULES)
def test_public_names_are_documented(name):
    pages = (Path(__file__).parents[1] / "docs" / "api").glob("*.rst")
    api = "\n".join(page.read_text() for page in pages)
    missing = {
        key
        for key in importlib.import_module(name).__all__
        if not key.startswith("__") and not re.search(rf"\b{key}$", api, re.MULTILINE)
    }
    assert not missing


def test_documented_modules_are_attributes_of_the_package():
    pages = (Path(__file__).parents[1] / "docs" / "api").glob("*.rst")
    api = "\n".join(page.read_text() for page in pages)
    modules = re.findall(r"automodule:: fairtask\.(\w+)$", api, re.MULTILINE)
    assert len(modules) > 5
    assert set(modules) < set(fairtask.__all__)
    assert all(getattr(fairtask, name).__name__.endswith(name) for name in modules)


def test_unknown_attribute():
    with pytest.raises(AttributeError, match=r"'fairtask' has no attribute 'metric'"):
        fairtask.metric  # noqa: B018


HEAVY = ["matplotlib", "pooch", "requests", "timm", "torchjd", "torchvision"]
"""Each takes long to import, and few need it."""

PARTS = {
    "fairtask": ["numpy", "torch", *HEAVY],
    "fairtask.metrics": ["torch", "sklearn.ensemble", *HEAVY],
    "fairtask.bounds": ["torch", *HEAVY],
    "fairtask.datasets": ["torch", *HEAVY],
    "fairtask.model_selection": ["torch", *HEAVY],
    "fairtask.tabular": ["PIL", "torch._dynamo", *HEAVY],
}
"""Modules that the import of a part does not load, nor that of the parts before it."""


@pytest.mark.slow
def test_import_is_light():
    code = (
        "import fairtask, importlib, sys\n"
        "assert set(fairtask.__all__) <= set(dir(fairtask))\n"
        f"for part, heavy in {PARTS}.items():\n"
        "    importlib.import_module(part)\n"
        "    print([part, *(m for m in heavy if m in sys.modules)])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == [str([part]) for part in PARTS]
