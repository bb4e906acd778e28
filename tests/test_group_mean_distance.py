"""The distance between the groups' means: by hand, its properties, in estimators."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier
from fairtask._sensitive import UNKNOWN
from fairtask.datasets import make_biased_classification
from fairtask.losses import (
    FAIRNESS_LOSSES,
    DemographicParityLoss,
    FalsePositiveRateLoss,
    GroupLossDivergence,
    GroupMeanDistance,
    TruePositiveRateLoss,
)
from fairtask.metrics import equalized_odds_difference
from fairtask.modules import HeadOutputs
from fairtask.objective import Objective
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)
from tests.test_image import make_classifier as make_image_classifier
from tests.test_image import make_faces
from tests.test_losses import BATCH, MISTAKES

ALL = torch.ones(1, 2, dtype=torch.bool)
"""All samples of two classes are one stratum."""

EACH_CLASS = torch.eye(2, dtype=torch.bool)
OVERLAPPING = torch.tensor([[True, True], [False, True]])


@st.composite
def representations(draw, *, max_groups=4, max_samples=40):
    """(h, y, groups, n_groups, strata): any composition, unknown groups among them."""
    n, p = draw(st.integers(1, max_samples)), draw(st.integers(1, 4))
    n_groups = draw(st.integers(2, max_groups))
    # Few groups and classes are drawn from, so that absent cells are common.
    groups_drawn = draw(
        st.lists(st.integers(-1, n_groups - 1), min_size=1, max_size=4, unique=True)
    )
    classes_drawn = draw(st.sampled_from([[0], [1], [0, 1]]))
    strata = draw(st.sampled_from([ALL, EACH_CLASS, OVERLAPPING]))
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return (
        torch.tensor(rng.normal(size=(n, p)) * rng.uniform(0.1, 3, p)),
        torch.tensor(rng.choice(classes_drawn, n)),
        torch.tensor(rng.choice(groups_drawn, n)),
        n_groups,
        strata,
    )


seeds = st.integers(0, 2**16)


def rng_of(seed):
    return torch.Generator().manual_seed(seed)


def distance_of(h, y, groups, n_groups, strata, weight=None):
    """Value of the penalty on a batch alone."""
    distance = GroupMeanDistance(h.shape[1], strata, n_groups).eval()
    return distance(h, y, groups, weight)


def expected_distance(h, y, groups, n_groups, strata, weight=None):
    """The same value, computed cell by cell."""
    n, p = h.shape
    w = np.ones(n) if weight is None else weight.numpy()
    h, groups = h.double().numpy(), groups.numpy()
    if not w.any():
        return 0.0
    center = w @ h / w.sum()
    variance = (w @ (h - center) ** 2).mean() / w.sum()
    variance = max(variance + 1e-3 * (variance + (center**2).mean()), 1e-8)
    h = (h - center) / np.sqrt(variance)
    cells, covariance, total = [], np.zeros((p, p)), 0.0
    for classes in strata.numpy():
        cells.append([])
        for group in range(n_groups):
            rows = classes[y] & (groups == group) & (w > 0)
            if not rows.any():
                continue
            mean = np.average(h[rows], axis=0, weights=w[rows])
            covariance += (w[rows, None] * (h[rows] - mean)).T @ (h[rows] - mean)
            total += w[rows].sum()
            cells[-1].append((mean, w[rows].sum() ** 2 / (w[rows] ** 2).sum()))
    sizes = np.array([size for stratum in cells for _, size in stratum])
    if not len(sizes):
        return 0.0
    covariance = covariance / total + 5 * p / sizes.sum() * np.eye(p)
    values = []
    for stratum in cells:
        values.append(0.0)
        if len(stratum) < 2:
            continue
        means, sizes = (np.array(column) for column in zip(*stratum, strict=True))
        a = sizes / (sizes + p)
        a /= a.sum()
        differences = means - a @ means
        solved = np.linalg.solve(covariance, differences.T).T
        values[-1] = a @ (differences * solved).sum(1)
    return float(np.mean(values))


class TestValue:
    """Group means 1 and 2 of a representation of one unit."""

    h = torch.tensor([[0.0], [2], [1], [3]])
    y = torch.zeros(4, dtype=int)
    groups = torch.tensor([0, 0, 1, 1])
    # The mean is 1.5 and the variance (2.25 + 0.25 + 0.25 + 2.25) / 4 = 1.25, to which
    # a thousandth of the mean square, 1.25 + 1.5^2, is added.
    variance = 1.25 + 0.001 * (1.25 + 2.25)

    def test_by_hand(self):
        # The variance inside the cells is 1; ridge 5 p / n = 5 / 4. Both groups have
        # the weight 1 / 2, and are 0.5 away from their mean.
        expected = 0.5**2 / self.variance / (1 / self.variance + 5 / 4)
        value = distance_of(self.h, self.y, self.groups, 2, ALL)
        assert value.item() == pytest.approx(expected)

    def test_a_class_without_samples_has_distance_0(self):
        value = distance_of(self.h, self.y, self.groups, 2, EACH_CLASS)
        alone = distance_of(self.h, self.y, self.groups, 2, ALL)
        assert value.item() == pytest.approx(alone.item() / 2)

    def test_small_groups_weigh_less(self):
        # Groups of 3 samples and of 1: 3 / 4 and 1 / 2, divided by their sum.
        groups = torch.tensor([0, 0, 0, 1])
        # The means are 1 and 3, that of both (0.6 * 1 + 0.4 * 3) = 1.8. The variance
        # inside the cells is (1 + 1 + 0 + 0) / 4.
        squares = 0.6 * 0.8**2 + 0.4 * 1.2**2
        expected = squares / self.variance / (0.5 / self.variance + 5 / 4)
        value = distance_of(self.h, self.y, groups, 2, ALL)
        assert value.item() == pytest.approx(expected)

    def test_two_units(self):
        # The second unit has no difference: it only takes part in the mean variance.
        h = torch.cat([self.h, torch.tensor([[0.1], [-0.1], [-0.1], [0.1]])], dim=1)
        mean_square = (1.25 + 1.5**2 + 0.01) / 2
        variance = (1.25 + 0.01) / 2 + 0.001 * mean_square
        # The covariance of the units is -0.1 in one cell and 0.1 in the other.
        expected = 0.5**2 / variance / (1 / variance + 5 * 2 / 4)
        value = distance_of(h, self.y, self.groups, 2, ALL)
        assert value.item() == pytest.approx(expected)

    @given(batch=representations(), seed=seeds, is_weighted=st.booleans())
    @settings(max_examples=100)
    def test_equals_the_value_cell_by_cell(self, batch, seed, is_weighted):
        h, *_ = batch
        weight = None
        if is_weighted:
            weight = torch.randint(0, 4, (len(h),), generator=rng_of(seed)).double()
        value = distance_of(*batch, weight)
        expected = expected_distance(*batch, weight)
        assert value.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


class TestEveryBatch:
    @given(
        batch=representations(),
        seed=seeds,
        dtype=st.sampled_from(
            [torch.float16, torch.bfloat16, torch.float32, torch.float64]
        ),
        scale=st.sampled_from([0.0, 1e-6, 1.0, 100.0]),
        offset=st.sampled_from([0.0, 1.0, 1e4]),
        weighting=st.sampled_from(["none", "zero", "some zero"]),
        momentum=st.sampled_from([0.0, 0.9, "auto"]),
    )
    @settings(max_examples=200)
    def test_is_finite_with_finite_gradient(
        self, batch, seed, dtype, scale, offset, weighting, momentum
    ):
        h, y, groups, n_groups, strata = batch
        h, weight = scale * h + offset, None
        if weighting != "none":
            weight = torch.rand(len(h), generator=rng_of(seed))
            weight *= (weight > 0.5) & (weighting != "zero")
        distance = GroupMeanDistance(
            h.shape[1], strata, n_groups, group_momentum=momentum
        )
        # The second batch meets running means; the third is of the first distribution.
        for batch_offset in (offset, -offset, offset):
            x = (h + batch_offset - offset).to(dtype).requires_grad_()
            value = distance(x, y, groups, weight)
            value.backward()
            assert value.shape == ()
            assert value.isfinite()
            assert value >= 0
            assert x.grad.isfinite().all()
        for buffer in distance.buffers():
            assert buffer.isfinite().all()

    @pytest.mark.parametrize("offset", [1e2, 1e6, 1e12])
    def test_large_offset(self, offset):
        torch.manual_seed(0)
        h = (torch.randn(64, 4) + offset).requires_grad_()
        y, groups = torch.zeros(64, dtype=int), torch.arange(64) % 2
        value = distance_of(h, y, groups, 2, ALL)
        value.backward()
        assert 0 <= value <= 1
        assert h.grad.isfinite().all()

    @given(batch=representations(), seed=seeds)
    @settings(max_examples=30)
    def test_order_of_samples_and_names_of_groups_do_not_matter(self, batch, seed):
        h, y, groups, n_groups, strata = batch
        order = torch.randperm(len(y), generator=rng_of(seed))
        names = torch.randperm(n_groups, generator=rng_of(seed + 1))
        renamed = torch.where(groups >= 0, names[groups], UNKNOWN)
        value = distance_of(h[order], y[order], renamed[order], n_groups, strata)
        assert_close(value, distance_of(*batch))

    @given(batch=representations(), scale=st.floats(1e-2, 1e4))
    @settings(max_examples=30)
    def test_multiplication_changes_nothing(self, batch, scale):
        h, *rest = batch
        h = h + torch.arange(1.0, len(h) + 1)[:, None]  # one sample may be zero
        assert_close(distance_of(scale * h, *rest), distance_of(h, *rest))

    @given(batch=representations(), offset=st.floats(-1, 1))
    @settings(max_examples=30)
    def test_translation_changes_next_to_nothing(self, batch, offset):
        # Only the thousandth of the mean square, which is added to the variance.
        h, *rest = batch
        assume(len(h) > 2)
        h = (h - h.mean(0)) / h.std(0).clamp_min(1e-6)
        moved = distance_of(h + offset, *rest)
        assert_close(moved, distance_of(h, *rest), rtol=3e-3, atol=1e-12)

    @given(batch=representations(), seed=seeds)
    @settings(max_examples=30)
    def test_weight_0_is_absence(self, batch, seed):
        h, y, groups, n_groups, strata = batch
        kept = torch.rand(len(h), generator=rng_of(seed)) < 0.7
        kept[0] = True
        value = distance_of(*batch, kept.double())
        rows = h[kept], y[kept], groups[kept]
        assert_close(value, distance_of(*rows, n_groups, strata))

    @given(batch=representations(), factor=st.floats(0.1, 10), seed=seeds)
    @settings(max_examples=30)
    def test_only_ratios_of_weights_matter(self, batch, factor, seed):
        h, *_ = batch
        weight = torch.rand(len(h), generator=rng_of(seed)).double() + 0.1
        assert_close(distance_of(*batch, factor * weight), distance_of(*batch, weight))
        same = torch.full_like(weight, factor)
        assert_close(distance_of(*batch, same), distance_of(*batch))

    def test_a_weight_is_no_repetition_but_more_samples_are_trusted_more(self):
        # Of repeated samples the moments are the same, but there seem to be more.
        torch.manual_seed(0)
        h, y = torch.randn(12, 3), torch.zeros(12, dtype=int)
        batch = h, y, torch.arange(12) % 2
        repeated = [values.repeat(2, *[1] * (values.ndim - 1)) for values in batch]
        value = distance_of(*batch, 2, ALL)
        assert distance_of(*repeated, 2, ALL) > value
        assert_close(distance_of(*batch, 2, ALL, torch.full((12,), 2.0)), value)

    @given(batch=representations(), seed=seeds)
    @settings(max_examples=30)
    def test_unknown_groups_matter_for_the_scale_alone(self, batch, seed):
        h, y, groups, n_groups, strata = batch
        h = torch.cat([h, -h])  # the mean is zero with and without the unknown groups
        y, groups = torch.cat([y, y]), torch.cat([groups, groups.flip(0)])
        added = torch.cat([h, h])
        unknown = torch.full_like(groups, UNKNOWN)
        value = distance_of(
            added, torch.cat([y, y]), torch.cat([groups, unknown]), n_groups, strata
        )
        assert_close(value, distance_of(h, y, groups, n_groups, strata))

    def test_equal_means_have_distance_0(self):
        h = torch.tensor([[1.0, 0], [-1, 0], [0, 2], [0, -2]], requires_grad=True)
        y, groups = torch.zeros(4, dtype=int), torch.tensor([0, 0, 1, 1])
        value = distance_of(h, y, groups, 2, ALL)
        value.backward()
        assert value == 0
        assert not h.grad.any()

    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    def test_strata_in_which_no_groups_meet_cost_nothing(self, momentum):
        h = torch.randn(8, 3, requires_grad=True)
        y, groups = torch.arange(8) % 2, torch.arange(8) % 2
        distance = GroupMeanDistance(3, EACH_CLASS, 2, group_momentum=momentum)
        value = distance(h, y, groups)
        value.backward()  # still connected to the graph
        assert value == 0
        assert not h.grad.any()

    def test_mixed_precision_does_not_round(self):
        batch = torch.randn(20, 3), torch.arange(20) % 2, torch.arange(20) // 2 % 2
        expected = distance_of(*batch, 2, EACH_CLASS)
        with torch.autocast("cpu", torch.bfloat16):
            assert_same_bits(distance_of(*batch, 2, EACH_CLASS), expected)


class TestGradient:
    @given(batch=representations(), seed=seeds, is_weighted=st.booleans())
    @settings(max_examples=50)
    def test_does_not_move_or_scale_the_representation(self, batch, seed, is_weighted):
        h, *rest = batch
        weight = torch.ones(len(h)).double()
        if is_weighted:
            weight = torch.rand(len(h), generator=rng_of(seed)).double() + 0.1
        h = h.requires_grad_()
        value = distance_of(h, *rest, weight if is_weighted else None)
        (gradient,) = torch.autograd.grad(value, h)
        h = h.detach()
        center = weight @ h / weight.sum()
        assert_close(gradient.sum(0), torch.zeros(h.shape[1]).double())
        # The divisor is the variance times 1 + `share`, and `share` of it is not seen
        # by the gradient.
        variance = (weight @ (h - center).square()).mean() / weight.sum()
        share = 1e-3 * (1 + center.square().mean() / variance.clamp_min(1e-12))
        expected = 2 * value.detach() * share / (1 + share)
        assert_close((gradient * (h - center)).sum(), expected, rtol=1e-5, atol=1e-9)

    def test_brings_the_means_together(self):
        torch.manual_seed(0)
        groups = torch.arange(200) % 2
        h = torch.randn(200, 3)
        h[:, 0] += 2.0 * groups
        h = h.requires_grad_()
        batch = torch.zeros(200, dtype=int), groups
        distance_of(h, *batch, 2, ALL).backward()
        gap = h.grad[groups == 1].mean(0) - h.grad[groups == 0].mean(0)
        assert gap[0] > 0
        assert gap[0] > 3 * gap[1:].abs().max()

    def test_is_that_of_the_value_with_the_covariance_held(self):
        # In one unit, the penalty is proportional to d^2 / variance. The thousandth
        # that is added to the variance has no gradient: hence the exponent.
        h = TestValue.h.double().requires_grad_()
        value = distance_of(h, TestValue.y, TestValue.groups, 2, ALL)
        value.backward()
        held = 1.25 / TestValue.variance
        gap = h[2:].mean() - h[:2].mean()
        relative = gap**2 * (h.var(correction=0) / 1.25) ** -held
        (expected,) = torch.autograd.grad(value.detach() * relative, h)
        assert_close(h.grad, expected)


def stream(n_batches, n=64, p=3, seed=0):
    """Batches of one distribution: classes, groups, and means that depend on both."""
    generator = rng_of(seed)
    for _ in range(n_batches):
        y = torch.randint(2, (n,), generator=generator)
        groups = torch.randint(2, (n,), generator=generator)
        h = torch.randn(n, p, generator=generator) + 3
        h[:, 0] += groups * (1 + y) + y
        yield h, y, groups


def balanced(n=32, p=3):
    """A batch of equally large cells."""
    h = torch.randn(n, p, generator=rng_of(1))
    return h, torch.arange(n) % 2, torch.arange(n) // 2 % 2


class TestRunningMeans:
    def make(self, momentum="auto", p=3):
        return GroupMeanDistance(p, EACH_CLASS, 2, group_momentum=momentum)

    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    def test_first_batch_is_a_batch_alone(self, momentum):
        batch = balanced()
        expected = distance_of(*batch, 2, EACH_CLASS)
        assert_close(self.make(momentum)(*batch), expected)

    def test_zero_momentum_is_evaluation(self):
        distance = self.make(0.0)
        for batch in stream(3):
            assert_same_bits(distance(*batch), distance_of(*batch, 2, EACH_CLASS))
        assert not distance.seen.any()

    @pytest.mark.parametrize("momentum", [0.9, "auto"])
    def test_converges_to_the_distance_of_the_distribution(self, momentum):
        distance = self.make(momentum)
        values = torch.stack([distance(*batch) for batch in stream(300)])
        ((h, *_),) = stream(1, n=100_000)
        # The ridge of the running covariance is 5 p / (50 p) = 0.1.
        scale = h.var(0).mean() * (1 + 1e-3) + 1e-3 * h.mean(0).square().mean()
        gaps = torch.tensor([1.0, 2.0]) / 2  # from the mean of two equal groups
        expected = (gaps.square() / scale / (1 / scale + 0.1)).mean()
        assert_close(values[100:].mean(), expected, rtol=0.1, atol=0)
        assert values[100:].std() < 0.2 * expected

    def test_by_hand(self):
        distance = GroupMeanDistance(1, ALL, 2, group_momentum=0.75)
        distance(TestValue.h, TestValue.y, TestValue.groups)
        # Means 1 and 4 around 2.5, with the variance (6.25 + 0.25) / 2.
        h = torch.tensor([[0.0], [2], [3], [5]])
        value = distance(h, TestValue.y, TestValue.groups)
        variances = TestValue.variance, 3.25 + 0.001 * (3.25 + 6.25)
        means = [0.5 / variances[0] ** 0.5, 1.5 / variances[1] ** 0.5]
        running = 0.75 * means[0] + 0.25 * means[1]
        # The variance inside the cells is the mean of both batches, of 8 samples.
        inside = (1 / variances[0] + 1 / variances[1]) / 2
        assert distance.running_means.flatten().tolist() == pytest.approx(
            [-running, running]
        )
        assert value.item() == pytest.approx(running**2 / (inside + 5 / 8))

    @pytest.mark.parametrize("momentum", [0.9, "auto"])
    def test_gradient_is_that_of_the_batch_at_the_running_means(self, momentum):
        distance = self.make(momentum)
        for h, y, groups in stream(20):
            distance(h, y, groups)
        # In this batch group 0 has the larger mean, but not so far.
        h, groups = h.clone().requires_grad_(), 1 - groups
        distance(h, y, groups).backward()
        for c in range(2):
            first, second = (h.grad[(y == c) & (groups == g), 0] for g in range(2))
            assert second.mean() > 0 > first.mean()

    def test_absent_cell_stays_in_the_comparison(self):
        distance = self.make(0.9)
        h, y, groups = balanced()
        first = distance(h, y, groups)
        later = distance(h, y, torch.zeros_like(groups))
        assert later > first / 2

    def test_next_to_no_weight_after_ordinary_weights_is_absence(self):
        light, absent = self.make(), self.make()
        for i, (h, y, groups) in enumerate(stream(40)):
            h = h.double().requires_grad_()
            is_heavy = (i == 0) | (torch.rand(len(h), generator=rng_of(i)) < 0.05)
            values = [
                distance(h, y, groups, torch.where(is_heavy, 1.0, weight).double())
                for distance, weight in ((light, 1e-9), (absent, 0.0))
            ]
            assert_close(*values, rtol=1e-5, atol=0)
            gradients = [torch.autograd.grad(value, h)[0] for value in values]
            assert_close(*gradients, rtol=1e-4, atol=1e-7)

    @pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
    def test_only_ratios_of_weights_matter(self, factor):
        first, second = self.make(), self.make()
        for i, batch in enumerate(stream(10)):
            weight = torch.rand(len(batch[0]), generator=rng_of(i)).square()
            value = second(*batch, factor * weight)
            assert_close(value, first(*batch, weight), rtol=1e-5, atol=0)

    def test_equal_weights_are_none(self):
        first, second = self.make(), self.make()
        for batch in stream(10):
            weight = torch.full((len(batch[0]),), 0.25)
            assert_close(second(*batch, weight), first(*batch), rtol=1e-5, atol=0)

    def test_evaluation_looks_at_the_batch_and_leaves_the_means(self):
        distance = self.make()
        first, second = stream(2)
        distance(*first)
        before = copy.deepcopy(dict(distance.named_buffers()))
        value = distance.eval()(*second)
        assert_close(value, distance_of(*second, 2, EACH_CLASS))
        assert_same_bits(dict(distance.named_buffers()), before)

    def test_state_is_saved_with_the_module(self):
        distance, restored = self.make(), self.make()
        *before, last = stream(4)
        for batch in before:
            distance(*batch)
        restored.load_state_dict(distance.state_dict())
        assert_close(restored(*last), distance(*last))
        assert_close(restored.state_dict(), distance.state_dict())

    @pytest.mark.parametrize("momentum", [0.9, "auto"])
    def test_batch_without_known_groups_moves_nothing(self, momentum):
        distance = self.make(momentum)
        for h, y, groups in stream(5):
            value = distance(h, y, groups)
        before = distance.running_covariance.clone()
        unknown = torch.full_like(groups, UNKNOWN)
        assert_close(distance(h, y, unknown), value, rtol=1e-2, atol=0)
        assert_same_bits(distance.running_covariance, before)
        distance(h, y, groups)
        assert_close(distance.running_covariance, before, rtol=0, atol=0.1)

    @pytest.mark.parametrize("is_weighted", [False, True])
    def test_each_half_of_a_batch_has_the_loss_of_the_whole(
        self, monkeypatch, is_weighted
    ):
        path = "fairtask.losses._group_mean_distance.sum_over_processes"
        (batch,) = stream(1)
        weight = torch.rand(64) if is_weighted else None

        def penalise(rows):
            h, y, groups = (values[rows] for values in batch)
            h = h.clone().requires_grad_()
            distance = self.make(0.9)
            value = distance(h, y, groups, None if weight is None else weight[rows])
            value.backward()
            return value.detach(), h.grad, distance

        expected, gradient, whole = penalise(slice(None))
        halves = slice(0, 20), slice(20, 64)
        sent = []

        def send(sums):
            sent.append([each.detach() for each in sums])
            return sums

        monkeypatch.setattr(path, send)
        for rows in halves:
            penalise(rows)
        assert len(sent) == 2
        for rows, others in zip(halves, sent[::-1], strict=True):
            monkeypatch.setattr(
                path,
                lambda sums, others=others: [
                    mine + other for mine, other in zip(sums, others, strict=True)
                ],
            )
            value, of_half, distance = penalise(rows)
            assert_close(value, expected)
            assert_close(of_half, gradient[rows])
            for name, buffer in distance.named_buffers():
                assert_close(buffer, whole.get_buffer(name))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_type_of_the_module_need_not_be_that_of_the_samples(self, dtype):
        distance = self.make().to(dtype)
        expected = self.make()
        for h, y, groups in stream(3):
            value = distance(h.double(), y, groups)
            assert_close(value, expected(h, y, groups), check_dtype=False)
            assert_close(
                distance(h, y, groups), expected(h, y, groups), check_dtype=False
            )

    def test_offset_does_not_cost_digits(self):
        # After a batch, squares are sums around its center.
        distances = self.make(), self.make().double()
        for h, y, groups in stream(5):
            h = h + 100
            exact = distances[1](h.double(), y, groups)
            value = distances[0](h, y, groups)
        assert_close(value.double(), exact, rtol=1e-4, atol=0)
        covariances = [distance.running_covariance.double() for distance in distances]
        error = (covariances[0] - covariances[1]).abs().max()
        assert error < 1e-4 * covariances[1].abs().max()

    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    @pytest.mark.parametrize("is_weighted", [False, True])
    def test_vmaps_over_models(self, momentum, is_weighted):
        distances = [self.make(momentum) for _ in range(3)]
        template = copy.deepcopy(distances[0])
        _, buffers = stack_module_state(distances)
        y, groups = torch.arange(9) % 2, torch.arange(9) % 3 - 1
        weight = torch.rand(9) if is_weighted else None

        def one(buffers, h):
            return functional_call(template, buffers, (h, y, groups, weight))

        for _ in range(2):  # the second call starts from running means
            h = torch.randn(3, 9, 3)
            together = vmap(one)(buffers, h)
            apart = [
                distance(h[i], y, groups, weight)
                for i, distance in enumerate(distances)
            ]
            assert_close(together, torch.stack(apart))
        for i, distance in enumerate(distances):
            for name, buffer in distance.named_buffers():
                assert_close(buffers[name][i], buffer)

    @pytest.mark.slow
    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    def test_one_graph_and_equal_values_when_compiled(self, momentum):
        torch.compiler.reset()
        distance = self.make(momentum)
        (batch,) = stream(1)
        captured = torch.compile(
            copy.deepcopy(distance), fullgraph=True, backend="eager"
        )
        assert_close(captured(*batch), distance(*batch))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"group_momentum": 1},
            r"`group_momentum` must be .*\[0, 1\) or 'auto'; got 1",
        ),
        ({"n_features": 0}, "`n_features` must be an integer of at least 1; got 0"),
        ({"n_groups": 1}, "`n_groups` must be an integer of at least 2; got 1"),
        ({"strata": torch.ones(2, 2)}, "`strata` must be bool, .* got torch.float32"),
        ({"strata": ALL[0]}, r"`strata` must be bool, of shape .* \(2,\)"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(ValueError, match=message):
        GroupMeanDistance(**{"n_features": 2, "strata": ALL} | changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *MISTAKES,
        ({"h": torch.zeros(4, 3)}, r"`h` must .* `n_features=2`; .* \(4, 3\)"),
        ({"h": torch.zeros(4)}, r"`h` must have the shape \(n_samples, 2\)"),
    ],
)
def test_error_names_the_argument(changes, message):
    batch = {("h" if name == "logits" else name): t for name, t in BATCH.items()}
    distance = GroupMeanDistance(2, EACH_CLASS)
    with pytest.raises(ValueError, match=message):
        distance(**batch | changes)
    assert not distance.seen.any()


class TestStrata:
    @pytest.mark.parametrize(
        ("loss", "expected"),
        [
            (DemographicParityLoss(2), [[1, 1]]),
            (FalsePositiveRateLoss(2), [[1, 0]]),
            (TruePositiveRateLoss(2), [[0, 1]]),
            # Of three classes, each is positive against the rest.
            (DemographicParityLoss(2, 3), [[1, 1, 1]] * 3),
            (FalsePositiveRateLoss(2, 3), [[0, 1, 1], [1, 0, 1], [1, 1, 0]]),
            (TruePositiveRateLoss(2, 3), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
            (FalsePositiveRateLoss(2, 3, positive_classes=[1]), [[1, 0, 1]]),
            (TruePositiveRateLoss(2, 3, positive_classes=[1]), [[0, 1, 0]]),
        ],
    )
    def test_of_rates(self, loss, expected):
        assert loss.strata().int().tolist() == expected

    @pytest.mark.parametrize("name", ["bgl", "gld", "glf"])
    @pytest.mark.parametrize(
        ("parity", "n_classes", "positive", "expected"),
        [
            ("overall", 3, None, [[1, 1, 1]]),
            ("equalized_odds", 2, None, [[1, 0], [0, 1]]),
            ("equalized_odds", 3, None, [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
            ("equal_opportunity", 2, None, [[0, 1]]),
            ("equal_opportunity", 3, [0, 2], [[1, 0, 0], [0, 0, 1]]),
        ],
    )
    def test_of_group_losses(self, name, parity, n_classes, positive, expected):
        loss = FAIRNESS_LOSSES[name](
            2, n_classes, parity=parity, positive_classes=positive
        )
        assert loss.strata().int().tolist() == expected


class TestObjective:
    generator = rng_of(0)
    h = torch.randn(20, 3, generator=generator)
    logits = torch.randn(20, 2, generator=generator)
    y = (torch.arange(20) % 2)[:, None]
    groups = (torch.arange(20) // 2 % 2)[:, None]

    @pytest.mark.parametrize("n_tasks", [1, 2])
    @pytest.mark.parametrize("distance_weight", [0.03, 2.0])
    @pytest.mark.parametrize("has_head", [True, False])
    def test_fairness_term_is_the_loss_plus_the_weighted_distance(
        self, n_tasks, distance_weight, has_head
    ):
        outputs = HeadOutputs(
            self.h,
            [self.logits] * n_tasks,
            [[self.logits] * n_tasks * has_head],
            [[]],
        )
        y = self.y.repeat(1, n_tasks)
        y[:5, -1] = 1  # the second task has other classes
        weight = torch.rand(20, generator=rng_of(1))
        objective = Objective(
            0.25,
            [[GroupLossDivergence(2) for _ in range(n_tasks)]],
            distances=[[GroupMeanDistance(3, EACH_CLASS) for _ in range(n_tasks)]],
            distance_weight=distance_weight,
        ).eval()
        terms = objective(outputs, y, self.groups, group_weight=weight)
        distance = expected = 0.0
        for k in range(n_tasks):
            batch = y[:, k], self.groups[:, 0]
            distance += distance_of(self.h, *batch, 2, EACH_CLASS, weight)
            assert distance > 0
            if has_head:
                loss = GroupLossDivergence(2).eval()
                expected += loss(self.logits, *batch, weight)
        expected += distance_weight * distance
        assert_close(terms.values[-2:], [expected, distance])
        assert_close(terms.weighted[-1], 0.75 * expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lam": -0.1}, "`lam` must be a number from 0 to 1; got -0.1"),
        ({"lam": float("nan")}, "`lam` must be a number"),
        ({"distance_weight": float("inf")}, "`distance_weight` must be a finite"),
        ({"distance_weight": -1}, "`distance_weight` must be .* got -1"),
    ],
)
def test_bad_settings_of_an_objective(settings, message):
    with pytest.raises(ValueError, match=message):
        Objective(**{"lam": 0.5} | settings)


@pytest.mark.parametrize(
    ("y", "groups", "message"),
    [
        (TestObjective.y[:, 0], TestObjective.groups, r"`y` must .*\(n_samples, 1\)"),
        (
            TestObjective.y,
            TestObjective.groups[:, 0],
            "`groups` must .* each sensitive",
        ),
    ],
)
def test_columns_of_an_objective(y, groups, message):
    outputs = HeadOutputs(
        TestObjective.h, [TestObjective.logits], [[TestObjective.logits]], [[]]
    )
    with pytest.raises(ValueError, match=message):
        Objective(0.5, [[GroupLossDivergence(2)]])(outputs, y, groups)


def test_an_objective_of_float16_is_finite():
    logits = torch.tensor([[-6e4, 6e4], [6e4, -6e4]], dtype=torch.float16)
    outputs = HeadOutputs(TestObjective.h, [logits], [], [])
    terms = Objective(1.0)(outputs, torch.tensor([[0], [0]]), torch.zeros(2, 0).long())
    assert terms.total().item() == pytest.approx(6e4, rel=1e-3)


X, y, z = make_samples(200)
TABLE = pd.DataFrame({"sex": z, "age": np.resize(["a", "b", "b", None], 200)})
LABELS = np.column_stack([y, X[:, 1] > 0]).astype(int)


def fit(labels=y, groups=z, **kwargs):
    classifier = make_classifier(**{"max_epochs": 2, **kwargs})
    return classifier.fit(X, labels, sensitive_features=groups)


def fit_one_batch(**kwargs):
    """Fit in one step that changes nothing, and evaluate the terms by hand."""
    classifier = fit(
        batch_size=200,
        max_epochs=1,
        dropout=0.0,
        group_momentum=0.0,
        optimizer="sgd",
        weight_decay=0.0,
        lr=1e-12,
        **kwargs,
    )
    with torch.no_grad():
        outputs = classifier.net_.module_(torch.tensor(X))
    return classifier.history_.iloc[0], outputs


@pytest.mark.filterwarnings(NOT_LEARNT)
@pytest.mark.filterwarnings("ignore::fairtask.exceptions.CollapsedHeadWarning")
class TestEstimators:
    @pytest.mark.parametrize(
        ("head", "weight"),
        [("probe", 0.0), ("probe", 0.03), ("task", 1.0), (None, 0.03), (None, 1.0)],
    )
    def test_history_holds_the_loss_plus_the_weighted_distance(self, head, weight):
        epoch, outputs = fit_one_batch(representation_weight=weight, fairness_head=head)
        target = torch.tensor(y), torch.tensor(z)
        distance = distance_of(outputs.representation, *target, 2, EACH_CLASS)
        expected = weight * distance
        if head is not None:
            expected += GroupLossDivergence(2).eval()(outputs.fairness[0][0], *target)
        value = epoch["train_fairness_loss_sensitive_feature"]
        assert value == pytest.approx(expected.item(), rel=1e-4, abs=1e-6)
        if weight:
            value = epoch["train_distance_sensitive_feature"]
            assert value == pytest.approx(distance.item(), rel=1e-4, abs=1e-6)

    def test_weight_0_is_the_method_without_a_distance(self):
        classifier = fit(representation_weight=0)
        assert not any(
            "distances" in name for name in classifier.net_.criterion_.state_dict()
        )
        # A distance of hardly any weight draws no random numbers and moves nothing.
        assert_same_bits(weights(fit(representation_weight=1e-30)), weights(classifier))
        first, other = (
            weights(each)["task_heads.0.weight"] for each in (classifier, fit())
        )
        assert not torch.equal(first, other)

    def test_no_head_and_no_distance_is_an_error(self):
        with pytest.raises(
            ValueError, match=r"`fairness_head=None` .* `representation_weight=0`"
        ):
            fit(fairness_head=None, representation_weight=0)

    def test_lam_1_has_no_distances(self):
        first = fit(lam=1)
        assert not list(first.net_.criterion_.buffers())
        for settings_ in (
            {"representation_weight": 0},
            {"representation_weight": 5.0, "erase": True},
            {"fairness_head": None},
        ):
            assert_same_bits(weights(fit(lam=1, **settings_)), weights(first))

    @pytest.mark.parametrize("head", ["probe", None])
    @pytest.mark.parametrize(
        ("labels", "groups", "kwargs", "n_distances"),
        [
            (y, TABLE, {}, [1, 1]),
            (LABELS, z, {}, [2]),
            (LABELS, TABLE, {}, [2, 2]),
            (y, TABLE, {"intersectional": True}, [1]),
            (y, z, {"fairness_loss": "dpl"}, [1]),
            (y, z, {"early_stopping": True}, [1]),
        ],
    )
    def test_distances_of_attributes_and_tasks(
        self, labels, groups, kwargs, n_distances, head
    ):
        classifier = fit(labels, groups, fairness_head=head, **kwargs)
        distances = classifier.net_.criterion_.distances
        assert [len(of_attribute) for of_attribute in distances] == n_distances
        assert all(distance.seen.any() for each in distances for distance in each)
        losses = classifier.history_.filter(like="train_fairness_loss")
        assert losses.shape == (len(classifier.history_), len(n_distances))
        assert (losses > 0).all(axis=None)
        assert classifier.predict(X).shape == np.shape(labels)

    def test_has_the_memory_and_the_groups_of_the_loss(self):
        classifier = fit(y, TABLE, group_momentum=0.5, parity="overall")
        sex, age = (of[0] for of in classifier.net_.criterion_.distances)
        assert sex.group_momentum == age.group_momentum == 0.5
        assert sex.running_means.shape == (1, 2, 16)

    def test_images(self):
        images, labels, groups = make_faces(24)
        classifier = make_image_classifier(max_epochs=1, fairness_head=None)
        classifier.fit(images, labels, sensitive_features=groups)
        ((distance,),) = classifier.net_.criterion_.distances
        assert distance.n_features == classifier.transform(images[:1]).shape[1]
        assert distance.seen.all()

    def test_goes_on(self, tmp_path):
        """A stream, a pickle, a file and a warm start keep the running means."""
        part = slice(0, 100)
        classifier = make_classifier(warm_start=True)
        classifier.partial_fit(X[part], y[part], sensitive_features=z[part])
        classifier.save(tmp_path / "model")
        pickled = pickle.loads(pickle.dumps(classifier))
        loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
        rest = slice(100, 200)
        for other in (pickled, loaded):
            assert_same_bits(
                other.net_.criterion_.state_dict(),
                classifier.net_.criterion_.state_dict(),
            )
        assert_same_bits(
            *(
                weights(each.partial_fit(X[rest], y[rest], sensitive_features=z[rest]))
                for each in (pickled, classifier)
            )
        )
        loaded.partial_fit(X[rest], y[rest], sensitive_features=z[rest])
        before = classifier.net_.criterion_.distances[0][0].running_means
        classifier.set_params(max_epochs=1).fit(X, y, sensitive_features=z)
        after = classifier.net_.criterion_.distances[0][0].running_means
        assert len(classifier.history_) == 3
        assert not torch.equal(before, after)

    @pytest.mark.parametrize(
        ("name", "value", "message"),
        [
            ("fairness_head", None, "`fairness_head` was .* cannot become"),
            ("representation_weight", 0, "parameters do not fit the network"),
        ],
    )
    def test_cannot_change_in_a_continued_training(self, name, value, message):
        classifier = fit(warm_start=True).set_params(**{name: value})
        with pytest.raises(ValueError, match=message):
            classifier.fit(X, y, sensitive_features=z)

    def test_weight_can_change_in_a_continued_training(self):
        classifier = fit(warm_start=True).set_params(representation_weight=0.5)
        classifier.fit(X, y, sensitive_features=z)
        assert classifier.net_.criterion_.distance_weight == 0.5


def refitted(**kwargs):
    """Equalized-odds difference and accuracy of a new head on `transform`."""
    X, y, z = make_biased_classification(6000, n_features=5, random_state=0)
    train, test = slice(0, 2000), slice(2000, None)
    classifier = AuxiliaryFairnessClassifier(
        (32,),
        batch_size=125,
        max_epochs=6,
        numeric_encoding=None,
        device="cpu",
        random_state=0,
        **kwargs,
    ).fit(X[train], y[train], sensitive_features=z[train])
    head = LogisticRegression(max_iter=1000)
    head.fit(classifier.transform(X[train]), y[train])
    h = classifier.transform(X[test])
    difference = equalized_odds_difference(
        y[test], head.predict(h), sensitive_features=z[test]
    )
    return difference, head.score(h, y[test])


def test_a_new_head_finds_less_of_the_difference():
    (difference, accuracy), (before, accuracy_before) = (
        refitted(),
        refitted(representation_weight=0),
    )
    assert difference < 0.75 * before
    assert accuracy > accuracy_before - 0.02


def test_samples_of_next_to_no_weight_do_not_spoil_the_training():
    X, y, z = make_biased_classification(2000, n_features=5, random_state=0)
    train, test = slice(0, 1000), slice(1000, None)
    scores = []
    for weight in 0, 1e-6:
        classifier = make_classifier(max_epochs=20, hidden_layer_sizes=(32,)).fit(
            X[train],
            y[train],
            sensitive_features=z[train],
            sample_weight=np.where(np.arange(1000) < 50, 1, weight),
        )
        scores.append(roc_auc_score(y[test], classifier.predict_proba(X[test])[:, 1]))
    assert scores[1] > scores[0] - 0.02
