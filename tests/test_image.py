import copy
import gc
import pickle
import random
import weakref

import joblib
import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.pipeline import Pipeline
from skorch.callbacks import Callback
from torch import nn
from torchjd.aggregation import PCGrad

from fairtask import AuxiliaryFairnessImageClassifier
from fairtask._images._modality import as_images
from fairtask._images._opening import Images
from fairtask.baselines import (
    AdversarialImageClassifier,
    GroupSpecificImageClassifier,
    RegularizedImageClassifier,
)
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import best_under_budget
from tests._inputs import NOT_LEARNT

# Neither task nor fairness heads learn much in so few batches.
pytestmark = [
    pytest.mark.filterwarnings(NOT_LEARNT),
    pytest.mark.filterwarnings("ignore::fairtask.exceptions.CollapsedHeadWarning"),
]

ESTIMATORS = [
    AuxiliaryFairnessImageClassifier,
    AdversarialImageClassifier,
    GroupSpecificImageClassifier,
    RegularizedImageClassifier,
]
N = 48


def make_faces(n=N, size=20, seed=0):
    """(X, y, z): bright images are positive; a group has a red tint."""
    rng = np.random.default_rng(seed)
    y, z = rng.integers(2, size=(2, n))
    X = rng.integers(60, size=(n, size, size, 3)) + 100 * y[:, None, None, None]
    X[..., 0] += 60 * z[:, None, None]
    return X.astype(np.uint8), y, z


X, y, z = make_faces()


def make_classifier(estimator_class=AuxiliaryFairnessImageClassifier, **kwargs):
    defaults = {
        "backbone": "test_convnext",
        "pretrained": False,
        "image_size": 32,
        "max_epochs": 2,
        "batch_size": 16,
        "lr": 3e-3,
        "device": "cpu",
        "random_state": 0,
    }
    return estimator_class(**{**defaults, **kwargs})


def fit(images=X, *args, **kwargs):
    """Fit a classifier with these parameters."""
    return make_classifier(*args, **kwargs).fit(images, y, sensitive_features=z)


def task_loss(clf):
    """Return the mean loss of the predicted probabilities."""
    return -np.log(clf.predict_proba(X)[np.arange(N), y]).mean()


def assert_same_probabilities(first, second, images=X):
    np.testing.assert_array_equal(
        first.predict_proba(images), second.predict_proba(images)
    )


@pytest.fixture
def files(tmp_path):
    """Paths of the images."""
    paths = [tmp_path / f"{i:02d}.png" for i in range(N)]
    for path, pixels in zip(paths, X, strict=True):
        Image.fromarray(pixels).save(path)
    return [str(path) for path in paths]


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, stride=4)
        self.norm = nn.BatchNorm2d(8)

    def forward(self, X):
        return self.norm(self.conv(X)).relu().mean(dim=(2, 3))


def watched_backbone():
    """Return a backbone and a list to which it adds the shape of each input."""
    seen = []

    class Watched(Tiny):
        def forward(self, X):
            seen.append(tuple(X.shape))
            return super().forward(X)

    return Watched(), seen


class TestFit:
    @pytest.mark.slow
    @pytest.mark.parametrize("estimator_class", ESTIMATORS)
    def test_learns_the_task(self, estimator_class):
        X, y, z = make_faces(96)
        clf = make_classifier(estimator_class, backbone=Tiny(), max_epochs=20)
        clf.fit(X, y, sensitive_features=z)
        assert clf.score(X, y) > 0.9
        assert clf.predict_proba(X).shape == (96, 2)
        assert clf.transform(X).shape == (96, 8)

    @pytest.mark.parametrize("backbone", ["test_convnext", "test_resnet", "test_vit"])
    def test_backbones(self, backbone):
        clf = fit(backbone=backbone, max_epochs=1)
        assert clf.image_size_ == (32, 32)
        assert clf.transform(X).shape == (N, clf.net_.module_.trunk.out_features)
        names = clf.get_feature_names_out()
        assert names[0] == "auxiliaryfairnessimageclassifier0"

    def test_kinds_of_input_are_one(self, files):
        expected = fit(max_epochs=1)
        for images in (
            X / 255,
            np.moveaxis(X, 3, 1),
            [Image.fromarray(image) for image in X],
            files,
            pd.DataFrame({"file": files}),
        ):
            clf = fit(images, max_epochs=1)
            assert_same_probabilities(clf, expected)
            np.testing.assert_array_equal(
                clf.predict_proba(images), expected.predict_proba(X)
            )

    def test_same_seed_same_bits(self):
        augmentation = {"scale": (0.5, 1)}
        first, again, other = (
            fit(augmentation=augmentation, random_state=seed, num_workers=n)
            for seed, n in [(0, 0), (0, 2), (1, 0)]
        )
        assert_same_probabilities(first, again)
        assert np.abs(first.predict_proba(X) - other.predict_proba(X)).max() > 0

    @pytest.mark.parametrize("num_workers", [0, 2])
    def test_global_random_states_are_kept(self, num_workers):
        def states():
            numpy_state = np.random.get_state()[1].tolist()  # noqa: NPY002
            return random.getstate(), numpy_state, torch.get_rng_state().tolist()

        before = states()
        augmentation = {"auto_augment": "rand-m9"}
        fit(augmentation=augmentation, num_workers=num_workers, max_epochs=1)
        assert states() == before

    def test_validation_images_are_read_once_an_epoch(self, monkeypatch):
        opened = []
        read = Images.open

        def watched(self, i, **kwargs):
            opened.append(i)
            return read(self, i, **kwargs)

        monkeypatch.setattr(Images, "open", watched)
        make_classifier(early_stopping=True, max_epochs=3, lam=1).fit(
            X, y, X_val=X, y_val=y
        )
        # The training ones once more, to see whether the task was learnt.
        assert len(opened) == (3 * 2 + 1) * N

    def test_score_of_an_epoch_is_that_of_its_predictions(self):
        clf = make_classifier(
            GroupSpecificImageClassifier, early_stopping=True, max_epochs=3
        ).fit(X, y, sensitive_features=z, X_val=X, y_val=y, sensitive_features_val=z)
        best = -clf.history_["valid_score"].max()
        assert best == pytest.approx(task_loss(clf), rel=1e-5)
        (name,) = clf.sensitive_feature_names_
        assert f"valid_fairness_loss_{name}" in clf.history_

    def test_nothing_of_the_training_is_kept(self):
        images = as_images(X)
        is_alive = weakref.ref(images)
        clf = fit(images, early_stopping=True, max_epochs=1)
        assert "valid_score" in clf.history_
        del images
        gc.collect()
        assert is_alive() is None
        assert len(pickle.dumps(clf)) < 6 * 4 * 300_000  # weights and two moments

    def test_lam_of_one_is_single_task_learning(self):
        assert_same_probabilities(make_classifier(lam=1).fit(X, y), fit(lam=1))

    def test_several_attributes_many_groups_unknown_values_and_tasks(self):
        rng = np.random.default_rng(0)
        X, y, _ = make_faces(96)
        z = pd.DataFrame(
            {
                "gender": rng.choice(["f", "m", None], 96),
                "race": rng.choice(list("abcdefg"), 96),
            }
        )
        y = pd.DataFrame({"old": y, "mood": rng.choice(["glad", "sad", "calm"], 96)})
        clf = make_classifier(max_epochs=1).fit(X, y, sensitive_features=z)
        assert [len(groups) for groups in clf.groups_] == [2, 7]
        assert [p.shape for p in clf.predict_proba(X)] == [(96, 2), (96, 3)]
        assert set(clf.predict(X)[:, 1]) <= {"glad", "sad", "calm"}
        assert {"train_fairness_loss_gender", "train_fairness_loss_race"} <= set(
            clf.history_
        )

    def test_heads_are_a_normalisation_and_a_linear_layer(self):
        network = fit(max_epochs=1).net_.module_
        for head in (*network.task_heads, *network.fairness_heads[0].heads):
            assert [type(layer) for layer in head] == [nn.LayerNorm, nn.Linear]

    def test_module_is_left_as_it_is(self):
        module = Tiny()
        before = copy.deepcopy(module.state_dict())
        clf = fit(backbone=module)
        torch.testing.assert_close(module.state_dict(), before, rtol=0, atol=0)
        copied = clone(clf).backbone.state_dict()
        torch.testing.assert_close(copied, before, rtol=0, atol=0)

    def test_warm_start_and_partial_fit(self):
        clf = fit(warm_start=True).fit(X, y, sensitive_features=z)
        assert len(clf.history_) == 4
        clf.partial_fit(X, y, sensitive_features=z)
        assert len(clf.history_) == 5

    def test_groups_at_prediction(self):
        clf = fit(X, GroupSpecificImageClassifier)
        given = clf.predict_proba(X, sensitive_features=z)
        assert np.abs(given - clf.predict_proba(X)).max() > 0
        with pytest.raises(ValueError, match="got a single str"):
            clf.predict("face.png", sensitive_features=z)


class TestFreeze:
    def test_weights_of_frozen_stages_are_kept(self):
        weights = [
            fit(
                freeze=-1, backbone="test_resnet", max_epochs=n
            ).net_.module_.trunk.backbone.state_dict()
            for n in (1, 3)
        ]
        for name in weights[0]:
            is_same = torch.equal(weights[0][name], weights[1][name])
            assert is_same != name.startswith("layer4"), name

    def test_features_are_computed_once(self):
        backbone, seen = watched_backbone()
        clf = make_classifier(
            backbone=backbone, freeze="backbone", max_epochs=10, image_size=(32, 48)
        ).fit(X, y, sensitive_features=z, X_val=X, y_val=y)
        # One image to learn the width, and the training and validation images once.
        assert sorted(shape[0] for shape in seen) == [1, N, N]
        assert {shape[2:] for shape in seen} == {(32, 48)} == {clf.image_size_}
        assert clf.transform(X).shape == (N, 64)
        assert len(seen) == 4

    def test_predicts_what_it_was_trained_on(self):
        clf = fit(freeze="backbone", hidden_layer_sizes=(16,), dropout=0)
        expected = task_loss(clf)
        # Without a step the loss of another epoch is that of the predictions.
        clf.set_params(lr=1e-30, warm_start=True, max_epochs=1, weight_decay=0)
        clf.fit(X, y, sensitive_features=z)
        found = clf.history_["train_task_loss"].iloc[-1]
        assert found == pytest.approx(expected, rel=1e-4)

    @pytest.mark.parametrize(
        ("kwargs", "found"),
        [
            ({"augmentation": {}}, r"augmentation=\{\}"),
            ({"layer_decay": 0.5}, r"layer_decay=0\.5"),
        ],
    )
    def test_parameters_without_use(self, kwargs, found):
        clf = fit(max_epochs=1)
        before = clf.predict_proba(X)
        clf.set_params(freeze="backbone", **kwargs)
        with pytest.raises(ValueError, match=f"`{found}` has no use .*'backbone'"):
            clf.fit(X, y, sensitive_features=z)
        np.testing.assert_array_equal(clf.predict_proba(X), before)

    def test_head_first_and_then_the_backbone(self):
        clf = fit(freeze="backbone", hidden_layer_sizes=(16,), warm_start=True)
        before = clf.net_.module_.state_dict()
        clf.set_params(freeze=None, lr=1e-30).fit(X, y, sensitive_features=z)
        for name, weight in clf.net_.module_.named_parameters():
            assert weight.requires_grad
            torch.testing.assert_close(weight, before[name])

    def test_parts_of_a_stream(self):
        clf = make_classifier(freeze="backbone")
        for rows in (slice(24), slice(24, None)):
            clf.partial_fit(X[rows], y[rows], sensitive_features=z[rows])
        assert clf.history_["train_loss"].notna().all()

    def test_without_layers_there_is_nothing_to_train(self):
        clf = make_classifier(freeze="backbone", hidden_layer_sizes=())
        with pytest.raises(ValueError, match="`hidden_layer_sizes` must hold a layer"):
            clf.fit(X, y, sensitive_features=z)
        assert clf.set_params(lam=1).fit(X, y).transform(X).shape == (N, 64)


class TestOptimizer:
    def groups_of(self, **kwargs):
        """Return the settings of the optimizer by the name of a weight."""
        net = fit(
            **{"backbone": Tiny(), "lr_schedule": "constant", "max_epochs": 1, **kwargs}
        ).net_
        names = {id(p): name for name, p in net.module_.named_parameters()}
        assert len(net.optimizer_.param_groups) < len(names)
        return {
            names[id(p)]: group
            for group in net.optimizer_.param_groups
            for p in group["params"]
        }

    def test_layer_decay(self):
        groups = self.groups_of(layer_decay=0.5, backbone="test_resnet")
        for name, share in [
            ("trunk.backbone.layer4.0.conv1.weight", 1),
            ("trunk.backbone.layer3.0.conv1.weight", 1 / 2),
            ("trunk.backbone.conv1.0.weight", 1 / 2**4),
            ("task_heads.0.1.weight", 1),
        ]:
            assert groups[name]["lr"] == pytest.approx(3e-3 * share)

    def test_biases_and_scales_do_not_decay(self):
        groups = self.groups_of(weight_decay=0.1)
        for name, decay in [
            ("trunk.backbone.conv.weight", 0.1),
            ("task_heads.0.1.weight", 0.1),
            ("trunk.backbone.conv.bias", 0),
            ("trunk.backbone.norm.weight", 0),
            ("task_heads.0.0.weight", 0),
        ]:
            assert groups[name]["weight_decay"] == decay
        groups = self.groups_of(weight_decay=None)
        assert {group["weight_decay"] for group in groups.values()} == {1.0}

    def test_other_groups_in_a_further_part(self):
        clf = make_classifier()
        clf.partial_fit(X, y, sensitive_features=z)
        for changed in ({"layer_decay": 0.5}, {"weight_decay": None}, {"freeze": 1}):
            clf.set_params(**changed).partial_fit(X, y, sensitive_features=z)
            trained = [p for p in clf.net_.module_.parameters() if p.requires_grad]
            assert len(clf.net_.optimizer_.state) == len(trained)

    def test_has_no_frozen_weights(self):
        groups = self.groups_of(backbone="test_resnet", freeze=-1)
        assert not any("layer1" in name for name in groups)

    def test_without_settings_by_layer(self):
        with pytest.raises(ValueError, match="`optimizer` cannot be made"):
            fit(optimizer=torch.optim.LBFGS, max_epochs=1)

    def test_cosine_keeps_the_shares_of_the_layers(self):
        rates = []

        class Watch(Callback):
            def on_batch_begin(self, net, training, **kwargs):
                if training:
                    rates.append([g["lr"] for g in net.optimizer_.param_groups])

        fit(backbone="test_resnet", layer_decay=0.5, max_epochs=10, callbacks=[Watch()])
        rates = np.array(rates)  # 30 batches, of which 3 warm up
        largest = rates.max(axis=1)
        np.testing.assert_allclose(
            rates / largest[:, None], np.tile(rates[2] / 3e-3, (30, 1))
        )
        np.testing.assert_allclose(largest[:3], [1e-3, 2e-3, 3e-3])
        angles = np.pi * np.arange(27) / 27
        np.testing.assert_allclose(largest[3:], 3e-3 * (1 + np.cos(angles)) / 2)

    def test_aggregator(self):
        for freeze in (-1, "backbone"):
            assert len(fit(aggregator=PCGrad(), freeze=freeze).history_) == 2


@pytest.mark.slow
class TestAverage:
    def test_of_the_weights(self):
        plain, averaged = fit(), fit(ema_decay=0.9)
        # A mean that forgets at once is the weights themselves.
        assert_same_probabilities(plain, fit(ema_decay=0.0))
        assert averaged.net_.average is None
        assert np.abs(plain.predict_proba(X) - averaged.predict_proba(X)).max() > 1e-4
        # Batches were trained on as if there were none.
        np.testing.assert_array_equal(
            plain.history_["train_loss"], averaged.history_["train_loss"]
        )

    def test_over_the_parts_of_a_stream(self):
        def parts(**kwargs):
            clf = make_classifier(**kwargs)
            for start in range(0, N, 16):  # a batch each
                rows = slice(start, start + 16)
                clf.partial_fit(X[rows], y[rows], sensitive_features=z[rows])
            return clf

        plain, averaged = parts(), parts(ema_decay=0.9)
        # The average does not change the training.
        np.testing.assert_allclose(
            plain.history_["train_loss"], averaged.history_["train_loss"]
        )
        assert np.abs(plain.predict_proba(X) - averaged.predict_proba(X)).max() > 1e-4

    def test_best_epoch_is_one_of_the_average(self):
        clf = make_classifier(
            ema_decay=0.5, early_stopping=True, max_epochs=4, epoch_scoring="accuracy"
        ).fit(X, y, X_val=X, y_val=y, sensitive_features=z)
        assert clf.score(X, y) == clf.history_["valid_score"].max()

    def test_validation_is_on_the_average(self):
        clf = make_classifier(ema_decay=0.9).fit(
            X, y, sensitive_features=z, X_val=X, y_val=y
        )
        found = clf.history_["valid_task_loss"].iloc[-1]
        assert found == pytest.approx(task_loss(clf), rel=1e-5)


def test_mixed_precision():
    mixed = fit(mixed_precision=True).predict_proba(X)
    exact = fit(mixed_precision="auto").predict_proba(X)
    assert 0 < np.abs(mixed - exact).max() < 0.2


class TestUnreadable:
    @pytest.fixture
    def broken(self, files, tmp_path):
        """Paths of the images, of which 7 is missing and 11 is text."""
        (tmp_path / "07.png").unlink()
        (tmp_path / "11.png").write_bytes(b"no image")
        return files

    @pytest.mark.parametrize("freeze", [None, "backbone"])
    def test_named_before_training_starts(self, broken, freeze):
        backbone, seen = watched_backbone()
        with pytest.raises(ValueError, match="2 images of 48") as error:
            fit(broken, freeze=freeze, backbone=backbone)
        assert not seen
        assert "row 7, '" in str(error.value)
        assert "07.png' (there is no such file)" in str(error.value)
        assert "row 11, '" in str(error.value)

    @pytest.mark.parametrize("class_weight", [None, "balanced"])
    def test_skipped(self, broken, class_weight):
        clf = make_classifier(on_error="skip", class_weight=class_weight)
        with pytest.warns(UserWarning, match=r"2 images of 48 .*row 7.* are left out"):
            clf.fit(broken, y, sensitive_features={"z": z}, sample_weight=np.arange(N))
        rows = np.delete(np.arange(N), [7, 11])
        kept = make_classifier(class_weight=class_weight).fit(
            [broken[i] for i in rows],
            y[rows],
            sensitive_features={"z": z[rows]},
            sample_weight=rows,
        )
        assert_same_probabilities(clf, kept)

    def test_class_of_which_no_image_is_left(self, broken):
        labels = np.zeros(N, int)
        labels[[7, 11]] = 1
        clf = make_classifier(on_error="skip")
        with (
            pytest.warns(UserWarning, match="are left out"),
            pytest.raises(ValueError, match="class"),
        ):
            clf.fit(broken, labels, sensitive_features=z)
        # Not so in a part of a stream, and in validation data.
        part, labels = [broken[0], broken[7]], [0, 1]
        with pytest.warns(UserWarning, match="1 image of 2"):
            make_classifier(on_error="skip", lam=1).partial_fit(part, labels, [0, 1])
        with pytest.warns(UserWarning, match="1 image of 2"):
            make_classifier(on_error="skip", lam=1).fit(X, y, X_val=part, y_val=labels)

    def test_of_validation_data(self, broken):
        with pytest.raises(ValueError, match=r"`X_val` has 2 images.*row 7"):
            make_classifier().fit(X, y, sensitive_features=z, X_val=broken, y_val=y)
        clf = make_classifier(on_error="skip", lam=1)
        with (
            pytest.warns(UserWarning, match="1 image of 1"),
            pytest.raises(ValueError, match=r"`X_val` must hold at least one image"),
        ):
            clf.fit(X, y, X_val=broken[7:8], y_val=y[7:8])

    def test_in_prediction(self, broken):
        clf = fit(on_error="skip", max_epochs=1, num_workers=1)
        with pytest.raises(ValueError, match=r"1 image of 48 .*row 7"):
            clf.predict(broken)
        with pytest.raises(
            ValueError, match=r"^`X` .*row 200, .*11\.png.*not an image"
        ):
            clf.predict([*[broken[0]] * 200, broken[11]])


def test_opened_images_are_shared_by_the_processes_that_read_them(files):
    classifier = fit(files, num_workers=2)
    opened = [Image.open(path) for path in files]
    assert_same_probabilities(classifier, classifier, opened)
    np.testing.assert_array_equal(
        classifier.predict_proba(opened), classifier.predict_proba(X)
    )


class Auxiliary(Tiny):
    """A backbone that returns a second output in training, as googlenet does."""

    def forward(self, X):
        feature = super().forward(X)
        return (feature, feature) if self.training else feature


class Normalised(Tiny):
    """A backbone that a batch of one sample cannot train."""

    def __init__(self):
        super().__init__()
        self.last = nn.BatchNorm1d(8)

    def forward(self, X):
        return self.last(super().forward(X))


class TestTrainingMode:
    def test_auxiliary_outputs_are_refused(self):
        message = "`backbone` must return one tensor in training.* returned a tuple"
        with pytest.raises(ValueError, match=message):
            fit(backbone=Auxiliary())

    def test_one_sample_and_a_batch_normalisation(self):
        message = "`batch_size` and the number of samples must be 2 or more"
        with pytest.raises(ValueError, match=message):
            fit(backbone=Normalised(), batch_size=1)
        part = make_classifier(backbone=Normalised(), lam=1)
        with pytest.raises(ValueError, match=message):
            part.partial_fit(X[:1], y[:1], [0, 1])
        fit(backbone=Normalised(), batch_size=47)  # the last one joins the others

    def test_one_sample_without_a_batch_normalisation(self):
        classifier = make_classifier(backbone=Tiny(), lam=1)
        classifier.partial_fit(X[:1], y[:1], [0, 1])


class TestComposition:
    @pytest.mark.slow
    @pytest.mark.parametrize("collect", [list, np.array, pd.Series])
    def test_grid_search_on_paths_under_a_budget(self, files, collect):
        groups = pd.Series(z, name="tint")
        search = GridSearchCV(
            make_classifier(max_epochs=1),
            {"lam": [0.2, 1.0]},
            cv=2,
            scoring=make_fairness_scoring(
                ["accuracy", "equalized_odds_difference"], sensitive_features=groups
            ),
            refit=best_under_budget(
                performance="accuracy",
                disparity="equalized_odds_difference",
                budget=1.0,
            ),
        )
        search.fit(collect(files), pd.Series(y), sensitive_features=groups)
        assert np.isfinite(search.cv_results_["mean_test_accuracy"]).all()
        assert search.predict(files).shape == (N,)

    def test_pipeline_from_a_table(self, files):
        table = pd.DataFrame({"id": range(N), "file": files})
        take_files = make_column_transformer(("passthrough", ["file"]))
        pipeline = Pipeline(
            [("file", take_files), ("clf", make_classifier(max_epochs=1))]
        )
        pipeline.fit(table, y, clf__sensitive_features=z)
        np.testing.assert_array_equal(
            pipeline.predict_proba(table), fit(max_epochs=1).predict_proba(X)
        )

    def test_cross_val_predict(self, files):
        p = cross_val_predict(
            make_classifier(max_epochs=1),
            files,
            y,
            cv=2,
            method="predict_proba",
            params={"sensitive_features": z},
        )
        assert p.shape == (N, 2)


class TestPersistence:
    @pytest.fixture
    def weights(self, tmp_path):
        """A file of pretrained weights."""
        path = tmp_path / "weights.pth"
        torch.save(timm.create_model("test_convnext").state_dict(), path)
        return path

    def save_and_load(self, clf, tmp_path):
        clf.save(tmp_path / "model")
        return type(clf).load(tmp_path / "model")

    @pytest.mark.slow
    @pytest.mark.parametrize("freeze", [None, "backbone"])
    @pytest.mark.parametrize("estimator_class", ESTIMATORS)
    def test_save_and_load(self, tmp_path, estimator_class, freeze):
        clf = fit(X, estimator_class, freeze=freeze, image_size=(32, 40), max_epochs=4)
        loaded = self.save_and_load(clf, tmp_path)
        assert_same_probabilities(clf, loaded)
        assert loaded.image_size_ == (32, 40)
        assert loaded.get_params() == clf.get_params()

    def test_loading_needs_no_pretrained_weights(self, tmp_path, weights):
        overlay = {"pretrained_cfg_overlay": {"file": weights}}
        clf = fit(pretrained=True, backbone_params=overlay)
        weights.unlink()
        loaded = self.save_and_load(clf, tmp_path)
        assert_same_probabilities(clf, loaded)
        # A path is saved as text.
        overlay = loaded.backbone_params["pretrained_cfg_overlay"]
        assert overlay == {"file": str(weights)}

    def test_what_was_learnt_of_images_is_in_the_file(self, tmp_path, monkeypatch):
        clf = fit(image_size=None, max_epochs=1, batch_size=48)
        clf.save(tmp_path / "model")
        # A later version of timm may have other defaults.
        config = {
            "input_size": (3, 96, 96),
            "mean": (0.0,) * 3,
            "std": (1.0,) * 3,
            "interpolation": "nearest",
        }
        monkeypatch.setattr(timm.data, "resolve_model_data_config", lambda _: config)
        loaded = AuxiliaryFairnessImageClassifier.load(tmp_path / "model")
        assert loaded.image_size_ == (160, 160)
        assert_same_probabilities(clf, loaded, X[:8])

    def test_backbone_that_only_its_hub_describes(self, tmp_path):
        clf = fit(max_epochs=1)
        # As if it had been fitted with it.
        clf._modality.backbone = "hf-hub:timm/test_convnext.r160_in1k"
        with pytest.raises(ValueError, match=r"'hf-hub:.* outside of timm.*pickle"):
            clf.save(tmp_path / "model")

    def test_module_needs_pickle(self, tmp_path):
        clf = fit(backbone=Tiny())
        with pytest.raises(ValueError, match="`backbone` holds a Tiny"):
            clf.save(tmp_path / "model")
        assert_same_probabilities(clf, pickle.loads(pickle.dumps(clf)))
        joblib.dump(clf, tmp_path / "model")
        assert_same_probabilities(clf, joblib.load(tmp_path / "model"))


@pytest.mark.parametrize(
    ("method", "device", "kind", "n"),
    [
        ("fork", "cuda", "files", 8),
        ("fork", "cuda", "pixels", 0),
        ("fork", "cpu", "files", 0),
        ("spawn", "cuda", "files", 0),
    ],
)
def test_number_of_workers(monkeypatch, method, device, kind, n):
    monkeypatch.setattr("multiprocessing.get_start_method", lambda allow_none: method)
    monkeypatch.setattr("joblib.cpu_count", lambda: 32)
    images = as_images(["a.png", "b.png"] if kind == "files" else X)
    for num_workers, expected in (("auto", n), (3, 3)):
        modality = make_classifier(num_workers=num_workers)._make_modality()
        found = modality._resolve_num_workers(images, torch.device(device))
        assert found == expected


class TestWrongArguments:
    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"image_size": (1, 2, 3)}, r"`image_size` must be .*\(1, 2, 3\)"),
            ({"image_size": 0}, "`image_size`"),
            ({"image_size": (32, "a")}, "`image_size`"),
            ({"backbone": "convnet_tiny"}, "Similar"),
            ({"backbone": 3}, "'backbone' parameter"),
            ({"freeze": "stem"}, "'freeze' parameter"),
            ({"freeze": 99}, "`freeze` must be between"),
            ({"freeze": True}, "`freeze` must be"),
            ({"backbone_params": {"checkpoint_path": "a"}}, r"\['checkpoint_path'\]"),
            ({"augmentation": 0.5}, "'augmentation' parameter"),
            ({"batch_size": "auto"}, "'batch_size' parameter"),
            ({"layer_decay": 0}, "'layer_decay' parameter"),
            ({"ema_decay": 1.0}, "'ema_decay' parameter"),
            ({"on_error": "ignore"}, "'on_error' parameter"),
            ({"num_workers": -1}, "'num_workers' parameter"),
        ],
    )
    def test_parameters(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            fit(**kwargs)

    def test_lengths(self):
        with pytest.raises(ValueError, match=r"expected 48, found 47|\[48, 47\]"):
            make_classifier().fit(X, y[:-1], sensitive_features=z)
        with pytest.raises(ValueError, match="`sensitive_features`"):
            make_classifier().fit(X, y, sensitive_features=z[:-1])

    def test_not_fitted(self):
        for method in ("predict", "predict_proba", "transform"):
            with pytest.raises(NotFittedError):
                getattr(make_classifier(), method)(X)
