"""Erasure: equal means of groups, heads that are fitted to them, and estimators."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier, _erasure
from fairtask._diagnosis import TaskFit, warn_if_erased
from fairtask._labels import encode_labels
from fairtask._sensitive import UNKNOWN
from fairtask.exceptions import LossyErasureWarning
from fairtask.modules import MeanErasure, MultiTaskNetwork
from fairtask.objective import cross_entropies
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)
from tests.test_image import make_classifier as make_image_classifier
from tests.test_image import make_faces

EACH_CLASS = torch.eye(2, dtype=torch.bool)
ALL = torch.ones(1, 2, dtype=torch.bool)


def gaps(h, y, groups, weight=None):
    """Largest distance of a group's mean from that of its class, in any unit."""
    h = np.asarray(h, dtype=float)
    weight = np.ones(len(h)) if weight is None else np.asarray(weight, dtype=float)
    y, groups = np.asarray(y), pd.Series(groups)
    largest = 0.0
    for label in np.unique(y):
        known = (y == label) & groups.notna().to_numpy()
        center = np.average(h[known], axis=0, weights=weight[known])
        for _, rows in groups[known].groupby(groups[known]).groups.items():
            mean = np.average(h[rows], axis=0, weights=weight[rows])
            largest = max(largest, np.abs(mean - center).max())
    return largest


def make_h(n=200, p=6, n_groups=2, seed=0):
    """(h, y, groups) whose means depend on class and group."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=generator)
    groups = torch.randint(n_groups, (n,), generator=generator)
    h = torch.randn(n, p, generator=generator)
    h[:, 0] += groups * (1 + y) + 2 * y
    h[:, 1] -= groups
    return h, y, groups


def erase(h, y, groups, strata=None, n_epochs=0, **weights_):
    """Return the network of an erasure for one or more tasks and attributes."""
    y = y[:, None] if y.ndim == 1 else y
    groups = groups[:, None] if groups.ndim == 1 else groups
    p = h.shape[1]
    heads = [nn.Linear(p, 2) for _ in range(y.shape[1])]
    network = MultiTaskNetwork(nn.Identity(), heads, erasure=MeanErasure(p))
    if strata is None:
        strata = [[EACH_CLASS] * y.shape[1]] * groups.shape[1]
    _erasure.erase(network, h, {"y": y, "groups": groups, **weights_}, strata)
    return network


def erased(h, *args, **kwargs):
    return erase(h, *args, **kwargs).represent(h)


class TestMeans:
    def test_by_hand(self):
        # The second unit has equal means and is uncorrelated with the first in the
        # groups: the first alone is removed.
        h = torch.tensor([[0.0, 1], [0, -1], [2, 1], [2, -1]])
        h[:, 0] += torch.tensor([0.5, -0.5, -0.5, 0.5])
        y, groups = torch.zeros(4, dtype=int), torch.tensor([0, 0, 1, 1])
        assert_close(gaps(h, y, groups), 1.0)
        # Correlated with 0.5 in one group and -0.5 in the other: 0 inside both.
        h_erased = erased(h, y, groups)
        assert_close(h_erased, torch.stack([torch.zeros(4), h[:, 1]], dim=1))

    @pytest.mark.parametrize("n_groups", [2, 4])
    def test_are_equal(self, n_groups):
        batch = make_h(p=12, n_groups=n_groups)
        h_erased = erased(*batch)
        assert gaps(*batch) > 0.5
        assert gaps(h_erased, *batch[1:]) < 1e-5
        assert h_erased.std(0).min() > 0.1  # other directions stay

    def test_are_equal_over_all_samples(self):
        h, y, groups = make_h()
        h_erased = erased(h, y, groups, [[ALL]])
        everybody = torch.zeros_like(y)
        assert gaps(h_erased, everybody, groups) < 1e-5
        assert gaps(h_erased, y, groups) > 1e-2

    def test_weighted_ones_are_equal(self):
        h, y, groups = make_h()
        weight = torch.rand(len(h)) + 0.5
        h_erased = erased(h, y, groups, group_weight=weight)
        assert gaps(h_erased, y, groups, weight) < 1e-5
        assert gaps(h_erased, y, groups) > 1e-3

    def test_of_several_tasks_and_attributes_are_equal(self):
        h, y, groups = make_h(p=10)
        _, other, other_groups = make_h(n_groups=3, seed=1)
        labels = torch.stack([y, other], 1)
        h_erased = erased(h, labels, torch.stack([groups, other_groups], 1))
        for task in labels.T:
            for attribute in (groups, other_groups):
                assert gaps(h_erased, task, attribute) < 1e-5

    def test_of_unknown_groups_do_not_matter(self):
        h, y, groups = make_h()
        groups[:50] = UNKNOWN
        h_erased = erased(h, y, groups)
        assert gaps(h_erased[50:], y[50:], groups[50:]) < 1e-5
        noise = h.clone()
        noise[:50] += 5 * torch.randn(50, 6)
        removed = [erase(each, y, groups).erasure.removed for each in (h, noise)]
        assert_close(*removed)

    def test_of_a_class_without_known_groups_do_not_matter(self):
        h, y, groups = make_h()
        groups[y == 1] = UNKNOWN
        h_erased = erased(h, y, groups)
        assert h_erased.isfinite().all()
        known = y == 0
        assert gaps(h_erased[known], y[known], groups[known]) < 1e-5

    def test_without_known_groups_nothing_changes(self):
        h, y, groups = make_h()
        h_erased = erased(h, y, torch.full_like(groups, UNKNOWN))
        assert_same_bits(h_erased, h)

    @pytest.mark.parametrize("n", [2, 4])
    def test_of_a_small_cell_move_by_a_share(self, n):
        h, _, groups = make_h(n=400)
        y, groups = torch.zeros(400, dtype=int), torch.zeros(400, dtype=int)
        groups[:n] = 1
        small, large = h[:n], h[n:]
        offset = small.mean(0) - large.mean(0)
        inside = torch.cat([small - small.mean(0), large - large.mean(0)])
        squared = offset @ torch.linalg.solve(inside.T @ inside / 400, offset)
        left = squared_noise = 6 / n  # of six units
        left = squared_noise / (squared + squared_noise)
        h_erased = erased(h, y, groups)
        assert_close(
            h_erased[:n].mean(0) - h_erased[n:].mean(0),
            left * offset,
            rtol=1e-3,
            atol=0,
        )

    def test_of_large_cells_are_equal_beside_a_small_one(self):
        h, y, groups = make_h(p=10)
        groups[:3] = 2
        h_erased = erased(h, y, groups)
        assert gaps(h_erased[3:], y[3:], groups[3:]) < 1e-5
        assert gaps(h_erased, y, groups) > 1e-2

    def test_of_as_many_samples_as_units_are_equal(self):
        h, _, groups = make_h(n=400)
        y = torch.zeros(400, dtype=int)
        groups = (torch.arange(400) < 6).long()
        assert gaps(erased(h, y, groups), y, groups) < 1e-5

    def test_of_one_group_stay(self):
        # Its mean is that of the class: there is no direction to remove.
        h, y, _ = make_h(p=40)
        weight = torch.rand(len(h))
        h_erased = erased(h, y, torch.zeros_like(y), group_weight=weight)
        assert_same_bits(h_erased, h)


class TestMap:
    def test_changes_nothing_until_it_is_set(self):
        h = torch.randn(5, 3)
        assert_same_bits(MeanErasure(3)(h), h)

    def test_units_that_hardly_vary_become_zero(self):
        h, y, groups = make_h()
        h[:, 3], h[:, 5] = 0.25, 0.0
        h[:2, 5] = 1.0
        h_erased = erased(h, y, groups)
        assert (h_erased[:, [3, 5]] == 0).all()
        assert gaps(h_erased, y, groups) < 1e-5

    def test_constant_representation(self):
        _, y, groups = make_h()
        assert (erased(torch.ones(len(y), 6), y, groups) == 0).all()

    def test_is_a_projection(self):
        removed = erase(*make_h()).erasure.removed
        assert_close(removed @ removed, removed, atol=1e-5, rtol=0)
        # Two classes of two groups have two differences.
        assert torch.linalg.matrix_rank(removed, rtol=1e-4) == 2

    def test_second_erasure_changes_next_to_nothing(self):
        h, y, groups = make_h()
        once = erased(h, y, groups).detach()
        assert_close(erased(once, y, groups), once, atol=1e-4, rtol=0)

    def test_does_not_depend_on_the_scale_of_units(self):
        h, y, groups = make_h()
        scale = torch.tensor([1.0, 2, 0.5, 1, 3, 0.25])
        # But for the ridge, a share of the mean variance.
        expected = scale * erased(h, y, groups)
        assert_close(erased(scale * h, y, groups), expected, atol=1e-2, rtol=0)

    def test_collinear_units(self):
        h, y, groups = make_h()
        h = torch.cat([h, h[:, :2], h.sum(1, keepdim=True)], dim=1)
        h_erased = erased(h, y, groups)
        assert h_erased.isfinite().all()
        assert gaps(h_erased, y, groups) < 1e-4

    def test_more_units_than_samples(self):
        h, y, groups = make_h(n=20, p=40)
        h_erased = erased(h, y, groups)
        assert h_erased.isfinite().all()
        assert gaps(h_erased, y, groups) < gaps(h, y, groups)


class TestHeads:
    def test_are_fitted_to_the_erased_representation(self):
        h, y, groups = make_h()
        network = erase(h, y, groups)
        (head,) = network.task_heads
        # The penalty of scikit-learn's logistic regression, divided by n.
        penalty = head.weight.square().sum() / (2 * len(h))
        (cross_entropy(network.task_logits(h)[0], y) + penalty).backward()
        assert head.weight.grad.abs().max() < 1e-3
        assert not h.requires_grad

    @pytest.mark.parametrize("is_weighted", [False, True])
    def test_loss_is_not_worse_than_that_of_the_old_heads(self, is_weighted):
        h, y, groups = make_h()
        labels = torch.stack([y, (h[:, 2] > 0).long()], 1)
        weight = torch.rand(len(h), 2) + 0.1 if is_weighted else None
        heads = [nn.Linear(6, 2), nn.Linear(6, 2)]
        network = MultiTaskNetwork(nn.Identity(), heads, erasure=MeanErasure(6))
        old = copy.deepcopy(network.task_heads)
        target = {"y": labels, "groups": groups[:, None]}
        if is_weighted:
            target["task_weight"] = weight
        _erasure.erase(network, h, target, [[EACH_CLASS, EACH_CLASS]])
        h_erased = network.represent(h)
        of_old, of_new = (
            sum(cross_entropies([head(h_erased) for head in heads], labels, weight))
            for heads in (old, network.task_heads)
        )
        assert of_new < of_old

    def test_are_finite_where_a_line_separates_the_classes(self):
        h, y, groups = make_h()
        h[:, 2] = 10.0 * y
        network = erase(h, y, groups)
        assert network.task_logits(h)[0].isfinite().all()
        assert (network.task_logits(h)[0].argmax(1) == y).all()


X, y, z = make_samples(300)
TABLE = pd.DataFrame({"sex": z, "age": np.resize(["a", "b", "b", None], 300)})
LABELS = np.column_stack([y, X[:, 1] > 0]).astype(int)


def fit(labels=y, groups=z, **kwargs):
    defaults = {"max_epochs": 2, "hidden_layer_sizes": (8,), "erase": True}
    classifier = make_classifier(**{**defaults, **kwargs})
    return classifier.fit(X, labels, sensitive_features=groups)


class TestLoss:
    """The warning about a task that the erasure has taken."""

    @pytest.mark.parametrize(
        ("before", "after", "share", "warns"),
        [
            (0.40, 0.54, 0.5, False),  # 0.15 of a gain of 0.29 is left
            (0.40, 0.55, 0.5, True),
            (0.682, 0.686, 0.5, False),
            (0.682, 0.687, 0.5, True),  # less than 1 % below the class shares
            (0.6929, 0.6931, 0.5, False),  # not learnt before it either
            (0.40, 0.55, 0.9995, False),  # hardly a task
        ],
    )
    def test_of_half_of_the_gain(self, before, after, share, warns, recwarn):
        _, tasks = encode_labels(np.array([0, 1]), n_samples=2)
        fits = [[TaskFit(loss, 0.6931, share)] for loss in (before, after)]
        warn_if_erased(*fits, tasks, width=8)
        assert [w.category for w in recwarn] == warns * [LossyErasureWarning]

    def test_fit_of_a_task_by_hand(self):
        prob = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.5, 0.5]])
        y = torch.tensor([0, 1, 1])
        found = TaskFit.of(prob.log(), y, torch.tensor([2.0, 1, 1]))
        assert found.loss == pytest.approx(-(2 * np.log(0.75) + 2 * np.log(0.5)) / 4)
        assert found.loss_of_shares == pytest.approx(np.log(2))
        assert found.largest_share == 0.5

    def test_of_a_task_that_the_group_tells(self):
        """The directions that are erased are those of the other task."""
        labels = np.column_stack([y, y ^ (np.arange(300) % 10 == 0)])
        message = (
            r"task '[01]' .* which has 8 units: the log loss .* Fit with erase=False"
        )
        with pytest.warns(LossyErasureWarning, match=message):
            fit(labels, z, max_epochs=20)

    def test_of_one_task_is_small(self, recwarn):
        fit(max_epochs=20)
        assert LossyErasureWarning not in [w.category for w in recwarn]


@pytest.mark.filterwarnings(NOT_LEARNT)
@pytest.mark.filterwarnings("ignore::fairtask.exceptions.CollapsedHeadWarning")
@pytest.mark.filterwarnings("ignore::fairtask.exceptions.LossyErasureWarning")
class TestEstimators:
    def test_means_of_transform_are_equal(self):
        assert gaps(fit(erase=False).transform(X), y, z) > 0.05
        classifier = fit()
        assert gaps(classifier.transform(X), y, z) < 1e-5
        assert classifier.score(X, y) > 0.6

    def test_only_the_end_differs(self):
        plain, classifier = fit(erase=False), fit()
        pd.testing.assert_frame_equal(
            plain.history_.drop(columns="dur"), classifier.history_.drop(columns="dur")
        )
        trunk, erased_trunk = (
            each.net_.module_.trunk.state_dict() for each in (plain, classifier)
        )
        assert_same_bits(erased_trunk, trunk)

    @pytest.mark.parametrize(
        ("labels", "groups", "kwargs"),
        [
            (y, TABLE, {}),
            (LABELS, z, {}),
            (LABELS, TABLE, {"hidden_layer_sizes": (16,)}),
            (y, z, {"fairness_head": None}),
            (y, z, {"representation_weight": 0}),
            (y, z, {"fairness_head": "task", "fairness_loss": "glf"}),
        ],
    )
    def test_means_of_each_attribute_and_task_are_equal(self, labels, groups, kwargs):
        classifier = fit(labels, groups, **kwargs)
        h = classifier.transform(X)
        for task in np.reshape(labels, (300, -1)).T:
            for _, attribute in pd.DataFrame(groups).items():
                assert gaps(h, task, attribute) < 1e-5
        assert classifier.predict(X).shape == labels.shape  # without groups

    def test_means_of_intersections_are_equal(self):
        classifier = fit(groups=TABLE, intersectional=True)
        both = TABLE["sex"].astype(str) + TABLE["age"]
        assert gaps(classifier.transform(X), y, both) < 1e-5

    def test_weighted_means_are_equal(self):
        weight = np.random.default_rng(0).uniform(0.5, 2, 300)
        for weighted_losses, expected in [("all", weight), ("task", None)]:
            classifier = make_classifier(
                erase=True, weighted_losses=weighted_losses, max_epochs=2
            ).fit(X, y, sensitive_features=z, sample_weight=weight)
            assert gaps(classifier.transform(X), y, z, expected) < 1e-5

    def test_early_stopping_erases_for_the_samples_that_are_trained_on(self):
        X_val, y_val, z_val = make_samples(100, seed=1)
        classifier = make_classifier(erase=True, early_stopping=True, max_epochs=3)
        classifier.fit(
            X,
            y,
            sensitive_features=z,
            X_val=X_val,
            y_val=y_val,
            sensitive_features_val=z_val,
        )
        assert gaps(classifier.transform(X), y, z) < 1e-5
        assert gaps(classifier.transform(X_val), y_val, z_val) > 1e-3

    def test_images(self):
        images, labels, groups = make_faces(48)
        classifier = make_image_classifier(max_epochs=1, erase=True)
        classifier.fit(images, labels, sensitive_features=groups)
        plain = make_image_classifier(max_epochs=1)
        plain.fit(images, labels, sensitive_features=groups)
        largest, before = (
            gaps(each.transform(images), labels, groups) for each in (classifier, plain)
        )
        assert largest < before
        assert classifier.predict(images).shape == labels.shape

    def test_lam_1_erases_nothing(self):
        classifier = fit(lam=1)
        assert classifier.net_.module_.erasure is None
        assert_same_bits(weights(classifier), weights(fit(lam=1, erase=False)))
        classifier.partial_fit(X, y, sensitive_features=z)

    def test_is_kept_in_pickles_and_files(self, tmp_path):
        classifier = fit()
        classifier.save(tmp_path / "model")
        for other in (
            pickle.loads(pickle.dumps(classifier)),
            AuxiliaryFairnessClassifier.load(tmp_path / "model"),
        ):
            assert np.array_equal(other.transform(X), classifier.transform(X))
            assert np.array_equal(other.predict_proba(X), classifier.predict_proba(X))

    def test_warm_start_erases_anew(self):
        classifier = fit(warm_start=True)
        before = classifier.net_.module_.erasure.removed.clone()
        X_new, y_new, z_new = make_samples(300, seed=1)
        classifier.fit(X_new, y_new, sensitive_features=z_new)
        assert gaps(classifier.transform(X_new), y_new, z_new) < 1e-5
        assert gaps(classifier.transform(X), y, z) > 1e-3
        assert not torch.equal(classifier.net_.module_.erasure.removed, before)

    def test_warm_start_may_leave_out_the_fairness(self, tmp_path):
        classifier = fit(warm_start=True)
        classifier.set_params(lam=1).fit(X, y, sensitive_features=z)
        assert gaps(classifier.transform(X), y, z) < 1e-5
        classifier.save(tmp_path / "model")
        loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
        assert np.array_equal(loaded.transform(X), classifier.transform(X))

    def test_cannot_change_in_a_continued_training(self):
        classifier = fit(warm_start=True).set_params(erase=False)
        with pytest.raises(
            ValueError, match=r"`erase` was True .* cannot become False"
        ):
            classifier.fit(X, y, sensitive_features=z)

    @pytest.mark.parametrize("is_fitted", [False, True])
    def test_a_part_of_a_stream_does_not_determine_the_means(self, is_fitted):
        classifier = fit() if is_fitted else make_classifier(erase=True)
        with pytest.raises(ValueError, match=r"`erase=True` .* `partial_fit`"):
            classifier.partial_fit(X, y, sensitive_features=z)
        assert hasattr(classifier, "net_") == is_fitted
