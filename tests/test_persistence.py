import copy
import io
import json
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from skorch.callbacks import EarlyStopping
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier, _persistence
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)
from fairtask.losses import GroupLossFairness
from tests._inputs import make_classifier, make_samples

X, y, z = make_samples(200)
LABELS = {
    "numbers": y,
    "strings": np.where(y, "yes", "no"),
    "booleans": y == 1,
    "tasks": pd.DataFrame({"a": y, "b": np.where(X[:, 0] > 0, "u", "v")}),
}


def fit(labels=y, **kwargs):
    return make_classifier(max_epochs=2, **kwargs).fit(X, labels, sensitive_features=z)


def save_and_load(classifier, path):
    classifier.save(path)
    return type(classifier).load(path)


def assert_same_predictions(first, second, X=X):
    assert np.array_equal(first.predict(X), second.predict(X))
    for p, q in zip(
        np.atleast_3d(first.predict_proba(X)),
        np.atleast_3d(second.predict_proba(X)),
        strict=True,
    ):
        assert np.array_equal(p, q)


def assert_same_objective(first, second):
    """Compare the running means and the multipliers."""
    assert_close(
        first.net_.criterion_.state_dict(), second.net_.criterion_.state_dict()
    )


@pytest.mark.parametrize("labels", LABELS)
class TestSaveAndLoad:
    def test_predicts_the_same(self, tmp_path, labels):
        classifier = fit(LABELS[labels])
        loaded = save_and_load(classifier, tmp_path / "model")
        assert loaded.get_params() == classifier.get_params()
        assert_same_predictions(loaded, classifier)
        assert loaded.predict(X).dtype == classifier.predict(X).dtype
        assert np.array_equal(loaded.transform(X), classifier.transform(X))
        pd.testing.assert_frame_equal(loaded.history_, classifier.history_)
        assert_same_objective(loaded, classifier)

    def test_goes_on(self, tmp_path, labels):
        loaded = save_and_load(fit(LABELS[labels]), tmp_path / "model")
        loaded.partial_fit(X, LABELS[labels], sensitive_features=z)
        assert len(loaded.history_) == 3


def test_optimizer_is_made_when_it_is_used(tmp_path):
    net = save_and_load(fit(), tmp_path / "model").net_
    assert "optimizer_" not in vars(net)
    net = pickle.loads(pickle.dumps(net))
    net.set_params(lr=0.25)
    assert [group["lr"] for group in net.optimizer_.param_groups] == [0.25]
    assert net.optimizer_ is net.optimizer_


@pytest.mark.parametrize(
    "classifier",
    [
        AdversarialClassifier(max_epochs=1),
        GroupSpecificClassifier(max_epochs=1),
        RegularizedClassifier(max_epochs=1, multiplier_lr=0.1),
    ],
)
def test_baselines(tmp_path, classifier):
    classifier.fit(X, y, sensitive_features=z)
    loaded = save_and_load(classifier, tmp_path / "model")
    assert_same_predictions(loaded, classifier)
    assert_same_objective(loaded, classifier)


def test_table_with_categories_and_unknown_groups(tmp_path):
    table = pd.DataFrame({"n": X[:, 0], "c": np.resize(["u", "v", None], 200)})
    groups = pd.DataFrame(
        {"age": np.resize(["old", "young", None], 200), "sex": np.where(z, "m", "f")}
    )
    classifier = make_classifier(max_epochs=2, intersectional=True)
    classifier.fit(table, y, sensitive_features=groups)
    loaded = save_and_load(classifier, tmp_path / "model")
    assert_same_predictions(loaded, classifier, table)
    assert loaded.groups_[0].tolist() == classifier.groups_[0].tolist()
    assert loaded.feature_names_in_.tolist() == ["n", "c"]
    with pytest.raises(ValueError, match="feature names should match"):
        loaded.predict(table.rename(columns={"n": "m"}))


@pytest.mark.parametrize(
    ("kwargs", "name"),
    [
        ({"fairness_loss": GroupLossFairness()}, "fairness_loss"),
        ({"callbacks": [EarlyStopping("train_loss")]}, "callbacks"),
        ({"random_state": np.random.RandomState(0)}, "random_state"),
    ],
)
def test_parameters_that_need_code(tmp_path, kwargs, name):
    with pytest.raises(ValueError, match=f"`{name}` holds a .* without code cannot"):
        fit(**kwargs).save(tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.fixture(scope="module")
def fitted():
    return fit()


class TestUnknownContent:
    @pytest.fixture
    def path(self, tmp_path, fitted):
        fitted.save(tmp_path / "model")
        return tmp_path / "model"

    def change(self, path, change_content=None, change_tensors=None):
        """Write another content, with the digest that belongs to it."""
        with safe_open(path, framework="pt") as file:
            content = json.loads(file.metadata()["fairtask"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if change_content:
            change_content(content)
        if change_tensors:
            change_tensors(tensors)
        _persistence._write(path, content, tensors)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda c: c.pop("groups"), "cannot be loaded: 'groups'"),
            (lambda c: c.update(format=1), "format 2 is expected; its format is 1"),
            (lambda c: c.update({"class": "Other"}), "model of the class Other; load"),
            (lambda c: c["parameters"].update(new=1), "unexpected .* 'new'"),
            (lambda c: c["parameters"].update(lam=2), "'lam' parameter"),
            (lambda c: c["parameters"].update(lam={"call": 1}), r"\['call'\]"),
            (lambda c: c["modality"].pop("categories"), "'categories'"),
            (lambda c: c.update(compared=[1]), "cannot be loaded"),
            (lambda c: c.update(compared=[-1]), "`compared` must be positions among"),
            (lambda c: c.update(history=[1]), "cannot be loaded"),
            (lambda c: c["history"]["epoch"].pop(), "is longer than argument"),
            (lambda c: c["group_losses"].pop(), "1 `group_losses` for 2 epochs"),
            (lambda c: c["group_losses"][1]["train"].pop(), "3 `group_losses` for 4"),
            (lambda c: c.update(classes=[{"array": "O", "code": 1}]), r"'code'"),
            (lambda c: c["classes"][0].update(array="V1000000000"), "unknown names"),
            (lambda c: c.update(classes=[[0, 1]]), "`classes` must be arrays"),
            (lambda c: c.update(groups=[]), "0 `groups` for 1 `attribute_names`"),
            (
                lambda c: c.update(task_names=[1]),
                r"`task_names` must be strings.*\[1\]",
            ),
            (lambda c: c.update(task_names=["a", "b"]), "1 `classes` for 2 `task_nam"),
            (lambda c: c.update(attribute_names=[None]), "must be strings"),
        ],
    )
    def test_in_the_description(self, path, change, message):
        self.change(path, change)
        with pytest.raises(ValueError, match=message):
            AuxiliaryFairnessClassifier.load(path)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda t: t.update({"network.more": torch.zeros(1)}), "network.more"),
            (lambda t: t.pop("network.trunk.1.0.weight"), "it is absent"),
            (lambda t: t.update({"other": torch.zeros(1)}), "'other' must be absent"),
            (
                lambda t: t.update({"network.trunk.1.0.weight": torch.zeros(1)}),
                r"must be torch.float32 of shape \(16, 5\).*float32 of shape \(1,\)",
            ),
            (
                lambda t: t.update(
                    {"network.trunk.1.0.weight": torch.zeros(16, 5, dtype=torch.int8)}
                ),
                r"it is torch.int8 of shape \(16, 5\)",
            ),
            (lambda t: t["network.trunk.1.0.weight"].fill_(np.nan), "not finite"),
        ],
    )
    def test_in_the_tensors(self, path, change, message):
        self.change(path, change_tensors=change)
        with pytest.raises(ValueError, match=f"cannot be loaded: .*(?s:.*){message}"):
            AuxiliaryFairnessClassifier.load(path)

    def test_nothing_of_a_false_size_is_made(self, path):
        """A file of 4 kB must not take the memory that its parameters ask for."""
        sizes = {"tuple": [10**9, 10**9]}
        self.change(path, lambda c: c["parameters"].update(hidden_layer_sizes=sizes))
        with pytest.raises(ValueError, match=r"network.* must be torch.float32 of"):
            AuxiliaryFairnessClassifier.load(path)

    def test_classes_that_were_swapped(self, path):
        written = path.read_bytes()
        labels = rb'"classes": [{"array": "<i8", "values": [%s]}]'.replace(b'"', b'\\"')
        assert labels % b"0, 1" in written
        path.write_bytes(written.replace(labels % b"0, 1", labels % b"1, 0"))
        with pytest.raises(ValueError, match="is damaged, or has been changed"):
            AuxiliaryFairnessClassifier.load(path)

    def test_every_flipped_byte_is_noticed(self, path):
        written = path.read_bytes()
        rng = np.random.default_rng(0)
        ends = np.arange(8), [len(written) - 1]
        for place in np.concatenate([*ends, rng.integers(len(written), size=200)]):
            damaged = bytearray(written)
            damaged[place] ^= 1 << rng.integers(8)
            path.write_bytes(damaged)
            try:
                loaded = AuxiliaryFairnessClassifier.load(path)
            except ValueError:
                continue
            # White space of the header may change.
            assert written[place] == ord(" "), place
            assert_same_predictions(loaded, fit())

    @pytest.mark.parametrize("part", [0.0, 0.5, 0.999])
    def test_a_file_that_was_cut_off(self, path, part):
        written = path.read_bytes()
        path.write_bytes(written[: int(part * len(written))])
        with pytest.raises(ValueError, match="not a file that `save` wrote, or it is"):
            AuxiliaryFairnessClassifier.load(path)

    @pytest.mark.parametrize("content", [b"", b"not a model", pickle.dumps({})])
    def test_other_files(self, tmp_path, content):
        (tmp_path / "file").write_bytes(content)
        with pytest.raises(ValueError, match="is not a file that `save` wrote"):
            AuxiliaryFairnessClassifier.load(tmp_path / "file")


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        fit().save(tmp_path / "none" / "model")


def test_folder_in_place_of_a_file(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        fit().save(tmp_path)
    with pytest.raises(IsADirectoryError, match="is a folder, not a file"):
        AuxiliaryFairnessClassifier.load(tmp_path)
    assert not list(tmp_path.parent.glob("*.part"))


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    def interrupt(tensors, path, metadata):
        path.write_bytes(b"a part")
        raise KeyboardInterrupt

    classifier = fit()
    classifier.save(tmp_path / "model")
    monkeypatch.setattr("fairtask._persistence.save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fit(lam=1).save(tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
    assert_same_predictions(loaded, classifier)


def test_parameters_are_those_of_the_fit(tmp_path):
    classifier = fit()
    classifier.set_params(activation="tanh", hidden_layer_sizes=(3,))
    loaded = save_and_load(classifier, tmp_path / "model")
    assert loaded.activation == "relu"
    assert_same_predictions(loaded, classifier)


def test_device_of_another_machine(tmp_path):
    classifier = fit()
    # As if it had been fitted there.
    classifier._fitted_parameters["device"] = "cuda:7"
    classifier.save(tmp_path / "model")
    with pytest.raises(ValueError, match=r"`device` .* 'cuda:7'"):
        AuxiliaryFairnessClassifier.load(tmp_path / "model")
    loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model", device="cpu")
    assert_same_predictions(loaded, classifier)


def through_joblib(classifier):
    file = io.BytesIO()
    joblib.dump(classifier, file)
    return joblib.load(file)


@pytest.mark.parametrize(
    "transfer", [copy.deepcopy, through_joblib, lambda c: pickle.loads(pickle.dumps(c))]
)
def test_copies(transfer):
    classifier = fit(early_stopping=True)
    assert_same_predictions(transfer(classifier), classifier)
    transfer(classifier).partial_fit(X, y, sensitive_features=z)
