"""Training on a GPU, and its models on a CPU. Machines without one skip these tests."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose

from fairtask import (
    AuxiliaryFairnessClassifier,
    AuxiliaryFairnessClassifierCV,
    AuxiliaryFairnessImageClassifier,
)
from fairtask.baselines import (
    AdversarialClassifier,
    AdversarialImageClassifier,
    GroupSpecificClassifier,
    GroupSpecificImageClassifier,
    RegularizedClassifier,
    RegularizedImageClassifier,
)
from fairtask.datasets import make_biased_classification
from tests._inputs import NOT_LEARNT, assert_same_bits

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"),
    pytest.mark.filterwarnings(NOT_LEARNT),
    pytest.mark.filterwarnings("ignore::fairtask.exceptions.CollapsedHeadWarning"),
]

TABLES = {
    "auxiliary": AuxiliaryFairnessClassifier,
    "erased": AuxiliaryFairnessClassifier,
    "adversarial": AdversarialClassifier,
    "regularized": RegularizedClassifier,
    "group-specific": GroupSpecificClassifier,
}
IMAGES = {
    "auxiliary": AuxiliaryFairnessImageClassifier,
    "adversarial": AdversarialImageClassifier,
    "regularized": RegularizedImageClassifier,
    "group-specific": GroupSpecificImageClassifier,
}

X, y, z = make_biased_classification(600, random_state=0)


def fit_table(name, device, **settings):
    if name == "erased":
        settings["erase"] = True
    settings = {"max_epochs": 3, "dropout": 0.0, "random_state": 0, **settings}
    return TABLES[name](device=device, **settings).fit(X, y, sensitive_features=z)


def fit_images(name, **settings):
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(2, size=(2, 48))
    pixels = rng.integers(256, size=(48, 32, 32, 3), dtype=np.uint8)
    pixels[labels == 1, :, :, 0] //= 4
    classifier = IMAGES[name](
        "test_resnet", pretrained=False, max_epochs=2, batch_size=16, device="cuda"
    )
    classifier.set_params(random_state=0, **settings)
    return classifier.fit(pixels, labels, sensitive_features=groups), pixels


def groups_of(name):
    """Return the groups that the group-specific baseline wants for predictions."""
    return {"sensitive_features": z} if name == "group-specific" else {}


class TestTables:
    @pytest.mark.parametrize("name", TABLES)
    def test_model_is_on_the_device_and_repeats_to_the_bit(self, name):
        first, second = (fit_table(name, "cuda", dropout=0.2) for _ in range(2))
        places = {p.device.type for p in first.net_.module_.parameters()}
        places |= {b.device.type for b in first.net_.criterion_.buffers()}
        assert places == {"cuda"}
        assert_same_bits(
            first.net_.module_.state_dict(), second.net_.module_.state_dict()
        )

    @pytest.mark.parametrize("name", TABLES)
    def test_predictions_are_near_those_of_a_cpu(self, name):
        on_gpu, on_cpu = fit_table(name, "cuda"), fit_table(name, "cpu")
        p, q = (c.predict_proba(X, **groups_of(name)) for c in (on_gpu, on_cpu))
        assert_allclose(p, q, atol=0.02)

    @pytest.mark.parametrize("name", TABLES)
    def test_file_and_pickle_load_on_a_cpu(self, name, tmp_path):
        classifier = fit_table(name, "cuda")
        classifier.save(tmp_path / "model")
        loaded = TABLES[name].load(tmp_path / "model", device="cpu")
        assert {p.device.type for p in loaded.net_.module_.parameters()} == {"cpu"}
        expected = classifier.predict_proba(X, **groups_of(name))
        assert_allclose(loaded.predict_proba(X, **groups_of(name)), expected, atol=1e-5)
        again = pickle.loads(pickle.dumps(classifier))
        assert_allclose(again.predict_proba(X, **groups_of(name)), expected, atol=1e-5)

    def test_several_attributes_tasks_and_a_part_more(self):
        groups = pd.DataFrame({"a": z, "b": np.arange(len(z)) % 3})
        labels = pd.DataFrame({"first": y, "second": np.arange(len(z)) % 4})
        classifier = AuxiliaryFairnessClassifier(
            device="cuda", max_epochs=2, early_stopping=True, random_state=0
        )
        classifier.fit(X, labels, sensitive_features=groups)
        before = classifier.predict_proba(X)[1]
        classifier.partial_fit(X, labels, sensitive_features=groups)
        assert before.shape == (len(X), 4)
        assert not np.array_equal(classifier.predict_proba(X)[1], before)

    def test_search_trains_all_values_on_the_device(self):
        settings = {"lams": [0.5, 0.9], "cv": 2, "max_epochs": 5, "dropout": 0.0}
        search, on_cpu = (
            AuxiliaryFairnessClassifierCV(device=device, random_state=0, **settings)
            for device in ("cuda", "cpu")
        )
        search.fit(X, y, sensitive_features=z)
        on_cpu.fit(X, y, sensitive_features=z)
        assert next(search.net_.module_.parameters()).is_cuda
        name = "mean_test_roc_auc"
        assert_allclose(search.cv_results_[name], on_cpu.cv_results_[name], atol=0.02)

    def test_parquet(self, tmp_path):
        path = tmp_path / "samples.parquet"
        table = pd.DataFrame(X).add_prefix("x")
        table.assign(y=y, z=z).to_parquet(path)
        classifier = AuxiliaryFairnessClassifier(
            device="cuda", max_epochs=2, random_state=0
        )
        from_file = classifier.fit(path, "y", sensitive_features="z").predict_proba(
            table
        )
        in_memory = classifier.fit(table, y, sensitive_features=z).predict_proba(table)
        assert_allclose(from_file, in_memory, atol=1e-5)


class TestImages:
    @pytest.mark.parametrize("mixed_precision", [False, True])
    @pytest.mark.parametrize("freeze", ["backbone", None])
    @pytest.mark.parametrize("name", IMAGES)
    def test_file_loads_on_a_cpu(self, name, freeze, mixed_precision, tmp_path):
        classifier, pixels = fit_images(
            name, freeze=freeze, mixed_precision=mixed_precision
        )
        groups = (
            {"sensitive_features": np.arange(48) % 2}
            if name == "group-specific"
            else {}
        )
        probabilities = classifier.predict_proba(pixels, **groups)
        assert np.isfinite(probabilities).all()
        classifier.save(tmp_path / "model")
        loaded = IMAGES[name].load(tmp_path / "model", device="cpu")
        assert_allclose(
            loaded.predict_proba(pixels, **groups),
            probabilities,
            atol=0.05 if mixed_precision else 1e-3,
        )
