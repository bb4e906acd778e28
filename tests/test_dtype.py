"""Torch's default type of floating-point numbers has no effect."""

import numpy as np
import pytest
import torch
from torch import nn

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier
from fairtask.baselines import (
    AdversarialClassifier,
    AdversarialImageClassifier,
    GroupSpecificClassifier,
    GroupSpecificImageClassifier,
    RegularizedClassifier,
    RegularizedImageClassifier,
)
from fairtask.losses import FAIRNESS_LOSSES
from tests._inputs import NOT_LEARNT, assert_same_bits, make_samples

pytestmark = pytest.mark.filterwarnings(NOT_LEARNT)

SETTINGS = {"max_epochs": 2, "batch_size": 16, "random_state": 0, "device": "cpu"}
OF_TABLES = {"hidden_layer_sizes": (8,), **SETTINGS}
OF_IMAGES = {"pretrained": False, "image_size": 32, **SETTINGS}


TABLES = [
    *(
        AuxiliaryFairnessClassifier(fairness_loss=name, **OF_TABLES)
        for name in FAIRNESS_LOSSES
    ),
    AuxiliaryFairnessClassifier(early_stopping=True, **OF_TABLES),
    AuxiliaryFairnessClassifier(trunk=lambda n: nn.Linear(n, 4), **SETTINGS),
    AdversarialClassifier(adversary_hidden_layer_sizes=(4,), **OF_TABLES),
    GroupSpecificClassifier(**OF_TABLES),
    RegularizedClassifier(**OF_TABLES),
    RegularizedClassifier(multiplier_lr=0.1, **OF_TABLES),
]
IMAGES = [
    estimator_class("test_convnext", **OF_IMAGES)
    for estimator_class in (
        AuxiliaryFairnessImageClassifier,
        AdversarialImageClassifier,
        GroupSpecificImageClassifier,
        RegularizedImageClassifier,
    )
] + [AuxiliaryFairnessImageClassifier("test_convnext", freeze="backbone", **OF_IMAGES)]


@pytest.fixture
def in_double_precision():
    """Return a function that calls another while the default is float64."""

    def call(function, *args, **kwargs):
        torch.set_default_dtype(torch.float64)
        try:
            return function(*args, **kwargs)
        finally:
            torch.set_default_dtype(torch.float32)

    return call


def trained(estimator, X, y, z, path):
    """Return everything that a training, predictions and files put out."""
    estimator = type(estimator)(**estimator.get_params(deep=False))
    estimator.fit(X, y, sensitive_features=z, sample_weight=1.0 + y)
    outputs = [estimator.predict_proba(X), estimator.transform(X)]
    if getattr(estimator, "trunk", None) is None:
        estimator.save(path)
        estimator = type(estimator).load(path)
        outputs.append(estimator.predict_proba(X))
    estimator.partial_fit(X, y, sensitive_features=z)
    outputs.append(estimator.predict_proba(X))
    state = {
        **estimator.net_.module_.state_dict(),
        **estimator.net_.criterion_.state_dict(prefix="objective."),
    }
    return [torch.as_tensor(output) for output in outputs], state, estimator.history_


def assert_same(estimator, X, y, z, tmp_path, in_double_precision):
    expected = trained(estimator, X, y, z, tmp_path / "single")
    found = in_double_precision(trained, estimator, X, y, z, tmp_path / "double")
    assert_same_bits(found[0], expected[0])
    assert_same_bits(found[1], expected[1])
    terms = [column for column in expected[2] if column != "dur"]
    np.testing.assert_array_equal(found[2][terms], expected[2][terms])


@pytest.mark.parametrize("estimator", TABLES)
def test_tables(estimator, tmp_path, in_double_precision):
    assert_same(estimator, *make_samples(100), tmp_path, in_double_precision)


@pytest.mark.parametrize("estimator", IMAGES)
def test_images(estimator, tmp_path, in_double_precision):
    _, y, z = make_samples(24)
    rng = np.random.default_rng(0)
    X = rng.integers(100, size=(24, 32, 32, 3)) + 100 * y[:, None, None, None]
    assert_same(estimator, X.astype(np.uint8), y, z, tmp_path, in_double_precision)
