"""Fairness losses: values computed by hand, then properties of every loss."""

import copy
import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from fairtask._sensitive import UNKNOWN
from fairtask.losses import (
    FAIRNESS_LOSSES,
    PARITIES,
    BoundedGroupLoss,
    DemographicParityLoss,
    FalsePositiveRateLoss,
    GroupLossDivergence,
    GroupLossFairness,
    GroupLossPenalty,
    TruePositiveRateLoss,
    group_sums,
)
from tests._inputs import batches

RATE_LOSS_CLASSES = [DemographicParityLoss, FalsePositiveRateLoss, TruePositiveRateLoss]
# Every loss with everything it can compare.
KINDS = [
    pytest.param(
        partial(loss_class, **settings), id="-".join([name, *settings.values()])
    )
    for name, loss_class in FAIRNESS_LOSSES.items()
    for settings in (
        [{}]
        if "parity" not in loss_class.settings
        else [
            *({"parity": parity} for parity in PARITIES),
            {"parity": "equalized_odds", "sample_loss": "zero_one"},
        ]
    )
]
every_loss = pytest.mark.parametrize("make_loss", KINDS)


def penalty(loss_class, *losses, **kwargs):
    """Penalty of one stratum with these cell losses; NaN stands for an absent cell."""
    values = torch.tensor([losses], dtype=torch.float64)
    present = ~values.isnan()
    if "parity" in getattr(loss_class, "func", loss_class).settings:
        kwargs["parity"] = "overall"
    loss = loss_class(len(losses), **kwargs)
    return loss.penalty(values.nan_to_num(), present).item()


def logits_with_loss(*losses):
    """Logits of two classes whose cross-entropy with class 0 is as given."""
    margin = -torch.expm1(torch.tensor(losses, dtype=torch.float64)).log()
    return torch.stack([margin, torch.zeros_like(margin)], dim=1)


def evaluate(loss, *losses):
    """Value of a loss on a sample of class 0 per group, with these cross-entropies."""
    n_samples = len(losses)
    y, groups = torch.zeros(n_samples, dtype=int), torch.arange(n_samples)
    return loss(logits_with_loss(*losses), y, groups)


class TestGroupSums:
    @given(
        n_samples=st.integers(0, 50),
        n_strata=st.integers(1, 3),
        n_groups=st.integers(1, 50),
        seed=st.integers(0, 2**16),
    )
    @settings(max_examples=50)
    def test_equal_sums_over_each_cell(self, n_samples, n_strata, n_groups, seed):
        generator = torch.Generator().manual_seed(seed)
        columns = torch.rand(2, n_samples, n_strata, generator=generator).double()
        codes = torch.randint(-1, n_groups, (n_samples,), generator=generator)
        sums = group_sums(list(columns), codes, n_groups)
        for group in range(n_groups):
            expected = columns[:, codes == group].sum(1)
            assert_close(torch.stack(sums)[:, :, group], expected)

    def test_gradient_is_shared_in_the_group(self):
        values = torch.ones(4, 1, requires_grad=True)
        (sums,) = group_sums([values], torch.tensor([0, 0, 1, UNKNOWN]), 2)
        (2 * sums[0, 0] + 3 * sums[0, 1]).backward()
        assert values.grad[:, 0].tolist() == [2, 2, 3, 0]

    def test_mixed_precision_does_not_round(self):
        values = [1 + torch.arange(1000.0)[:, None] / 1e6]
        codes = torch.arange(1000) % 2
        expected = group_sums(values, codes, 2)
        with torch.autocast("cpu", torch.bfloat16):
            assert_close(group_sums(values, codes, 2), expected, rtol=0, atol=0)


def test_cell_means_are_weighted():
    y, groups = torch.zeros(4, dtype=int), torch.tensor([0, 0, 2, UNKNOWN])
    loss = GroupLossFairness(4, parity="overall")
    logits, weight = logits_with_loss(1, 3, 5, 7), torch.tensor([1.0, 3, 1, 1])
    means, sizes = loss.cell_means(logits, y, groups, weight)
    assert means[0].tolist() == pytest.approx([2.5, 0, 5, 0])  # (1 * 1 + 3 * 3) / 4
    assert sizes[0].tolist() == pytest.approx([1.6, 0, 1, 0])  # 4 ** 2 / (1 + 9)


class TestPenalties:
    @pytest.mark.parametrize(
        ("loss_class", "losses", "expected"),
        [
            (GroupLossFairness, [0.2, 0.5], 0.3),  # of two groups the gap
            # Of more groups 1 - (1 + 2 + 3)^2 / (3 * (1 + 4 + 9)).
            (GroupLossFairness, [1, 2, 3], 1 - 36 / 42),
            (GroupLossFairness, [1, math.nan, 3], 1 - 16 / 20),
            (GroupLossFairness, [9, 0, 0], 1 - 1 / 3),  # the largest value
            # P = (2/3, 1/3): exp(KL) - 1 = 2 * (2/3)^(2/3) * (1/3)^(1/3) - 1
            (
                GroupLossDivergence,
                [0, math.log(2)],
                2 * (2 / 3) ** (2 / 3) * (1 / 3) ** (1 / 3) - 1,
            ),
            (BoundedGroupLoss, [0.2, 0.7, 0.5], 0.7),  # of the worst group
            (partial(BoundedGroupLoss, bound=0.3), [0.2, 0.7], 0.4),
            (partial(BoundedGroupLoss, bound=0.9), [0.2, 0.7], 0),
        ],
    )
    def test_by_hand(self, loss_class, losses, expected):
        assert penalty(loss_class, *losses) == pytest.approx(expected)

    @given(scale=st.floats(1e-6, 1e6))
    def test_glf_of_more_groups_does_not_depend_on_the_scale(self, scale):
        scaled = penalty(GroupLossFairness, scale, 2 * scale, 3 * scale)
        assert scaled == pytest.approx(1 - 36 / 42)

    def test_gld_leaves_out_an_absent_group(self):
        absent = penalty(GroupLossDivergence, 0.1, math.nan, 0.7)
        assert absent == pytest.approx(penalty(GroupLossDivergence, 0.1, 0.7))

    @pytest.mark.parametrize("gap", [1e-2, 1e-3])
    def test_gld_near_equality_is_the_squared_gap_over_8(self, gap):
        value = penalty(GroupLossDivergence, 0.4, 0.4 + gap)
        assert value == pytest.approx(gap**2 / 8, rel=1e-3)

    def test_gld_of_more_groups_near_equality_is_half_the_variance(self):
        losses = 0.40, 0.41, 0.43
        variance = torch.tensor(losses).double().var(correction=0).item()
        value = penalty(GroupLossDivergence, *losses)
        assert value == pytest.approx(variance / 2, rel=2e-2)

    @pytest.mark.parametrize("loss_class", [GroupLossFairness, GroupLossDivergence])
    @given(value=st.floats(0, 20), n_groups=st.integers(2, 50))
    def test_zero_when_the_groups_are_equal(self, loss_class, value, n_groups):
        assert penalty(loss_class, *[value] * n_groups) == pytest.approx(0, abs=1e-12)


class TestParity:
    """Cross-entropies of class 0: 0.1 and 0.3 in group 0; 0.5 in group 1."""

    logits = logits_with_loss(0.1, 0.3, 0.5)

    @pytest.mark.parametrize(
        ("parity", "y", "groups", "expected"),
        [
            ("overall", [0, 0, 0], [0, 0, 1], 0.5 - 0.2),
            ("overall", [0, 0, 0], [0, UNKNOWN, 1], 0.5 - 0.1),
            # Class 0: groups 0 and 1 with 0.1 and 0.5. Class 1: group 0 alone, hence 0.
            ("equalized_odds", [0, 1, 0], [0, 0, 1], (0.4 + 0) / 2),
        ],
    )
    def test_by_hand(self, parity, y, groups, expected):
        loss = GroupLossFairness(2, parity=parity)
        value = loss(self.logits, torch.tensor(y), torch.tensor(groups))
        assert value.item() == pytest.approx(expected)

    def test_equal_opportunity_compares_inside_the_positive_class(self):
        logits = self.logits.flip(1)  # the same losses, now of class 1
        loss = GroupLossFairness(2, parity="equal_opportunity")
        value = loss(logits, torch.tensor([1, 0, 1]), torch.tensor([0, 0, 1]))
        assert value.item() == pytest.approx(0.4)

    @pytest.mark.parametrize(
        ("kwargs", "expected"),
        [
            ({}, math.log(3) / 3),  # the mean over three classes
            ({"parity": "equal_opportunity", "positive_classes": [2]}, math.log(3)),
        ],
    )
    def test_more_than_two_classes(self, kwargs, expected):
        # Uniform logits but for one sample of class 2: its loss is 0 instead of log 3.
        logits = torch.zeros(4, 3)
        logits[3, 2] = 1000
        y, groups = torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 0, 1])
        value = GroupLossFairness(2, 3, **kwargs)(logits, y, groups)
        assert value.item() == pytest.approx(expected)

    def test_zero_one_loss_is_the_probability_of_the_other_class(self):
        # Probabilities of the label: exp(-0.1) and exp(-0.5) in groups 0 and 1.
        loss = GroupLossFairness(2, parity="overall", sample_loss="zero_one")
        value = loss(self.logits[[0, 2]], torch.tensor([0, 0]), torch.tensor([0, 1]))
        assert value.item() == pytest.approx(math.exp(-0.1) - math.exp(-0.5))


class TestRates:
    """Probabilities of class 1: 0.2 and 0.4 in group 0; 0.9 and 0.6 in group 1."""

    logits = torch.tensor([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.4, 0.6]]).log()
    y = torch.tensor([0, 1, 0, 1])
    groups = torch.tensor([0, 0, 1, 1])

    @pytest.mark.parametrize(
        ("loss_class", "expected"),
        [
            (DemographicParityLoss, 0.75 - 0.3),
            (FalsePositiveRateLoss, 0.9 - 0.2),
            (TruePositiveRateLoss, 0.6 - 0.4),
        ],
    )
    def test_binary_by_hand(self, loss_class, expected):
        value = loss_class(2)(self.logits, self.y, self.groups)
        assert value.item() == pytest.approx(expected)
        tolerant = loss_class(2, tolerance=0.1)(self.logits, self.y, self.groups)
        assert tolerant.item() == pytest.approx(expected - 0.1)

    def test_range_of_more_than_two_groups(self):
        value = DemographicParityLoss(3)(
            self.logits[:3], self.y[:3], torch.tensor([0, 1, 2])
        )
        assert value.item() == pytest.approx(0.9 - 0.2)

    def test_multiclass_is_the_mean_over_one_against_the_rest(self):
        # Rates of the three classes: (.5, .3, .2) and (.1, .3, .6).
        logits = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.3, 0.6]]).log()
        y, groups = torch.tensor([0, 0]), torch.tensor([0, 1])
        value = DemographicParityLoss(2, 3)(logits, y, groups)
        assert value.item() == pytest.approx((0.4 + 0.0 + 0.4) / 3)
        named = DemographicParityLoss(2, 3, positive_classes=[2])
        assert named(logits, y, groups).item() == pytest.approx(0.4)

    @pytest.mark.parametrize("loss_class", RATE_LOSS_CLASSES)
    @given(batch=batches(max_groups=4), seed=st.integers(0, 2**16))
    def test_certain_predictions_have_the_rates_of_the_metrics(
        self, loss_class, batch, seed
    ):
        _, y, groups, n_groups = batch
        y_pred = torch.randint(
            0, 2, y.shape, generator=torch.Generator().manual_seed(seed)
        )
        counted = {
            DemographicParityLoss: torch.ones_like(y, dtype=bool),
            FalsePositiveRateLoss: y == 0,
            TruePositiveRateLoss: y == 1,
        }[loss_class]
        rates = [
            y_pred[counted & (groups == g)].double().mean()
            for g in range(n_groups)
            if (counted & (groups == g)).any()
        ]
        logits = 1e4 * nn.functional.one_hot(y_pred, 2).double()
        expected = max(rates) - min(rates) if len(rates) > 1 else torch.tensor(0.0)
        assert_close(
            loss_class(n_groups)(logits, y, groups), expected, check_dtype=False
        )


def test_resized_copy_keeps_the_settings_and_forgets_what_was_seen():
    template = BoundedGroupLoss(2, bound=0.25, parity="overall")
    template(torch.randn(4, 2), torch.zeros(4, dtype=int), torch.arange(4) % 2)
    loss = template.resized(3, 4)
    assert loss.running_means.shape == (1, 3)
    assert not loss.seen.any()
    assert (loss.bound, loss.parity) == (0.25, "overall")
    assert template.seen.all()


class TestRunningMeans:
    def loss(self, momentum):
        return GroupLossFairness(2, parity="overall", group_momentum=momentum).double()

    def test_value_is_the_penalty_of_the_running_means(self):
        loss = self.loss(0.75)
        evaluate(loss, 0.2, 0.6)
        value = evaluate(loss, 0.4, 0.6)
        # 0.75 * 0.2 + 0.25 * 0.4 = 0.25 against 0.6
        assert loss.running_means.tolist()[0] == pytest.approx([0.25, 0.6])
        assert value.item() == pytest.approx(0.35)

    def test_gradient_is_that_of_the_batch_at_the_running_means(self):
        loss = self.loss(0.75)
        evaluate(loss, 0.9, 0.1)
        logits = logits_with_loss(0.2, 0.3).requires_grad_()
        y, groups = torch.tensor([0, 0]), torch.tensor([0, 1])
        # The running gap is 0.725 - 0.15 > 0, that of the batch 0.2 - 0.3 < 0.
        loss(logits, y, groups).backward()
        first, second = nn.functional.cross_entropy(logits, y, reduction="none")
        (expected,) = torch.autograd.grad(first - second, logits)
        assert_close(logits.grad, expected)

    def test_absent_cell_keeps_its_mean_and_stays_in_the_comparison(self):
        loss = self.loss(0.75)
        evaluate(loss, 0.2, 0.6)
        value = evaluate(loss, 0.2)
        assert value.item() == pytest.approx(0.4)

    def test_zero_momentum_forgets_an_absent_cell(self):
        loss = self.loss(0.0)
        evaluate(loss, 0.2, 0.6)
        assert evaluate(loss, 0.2).item() == 0

    def test_evaluation_looks_at_the_batch_and_leaves_the_means(self):
        loss = self.loss(0.75)
        evaluate(loss, 0.2, 0.6)
        before = copy.deepcopy(loss.state_dict())
        value = evaluate(loss.eval(), 0.3, 0.4)
        assert value.item() == pytest.approx(0.1)
        assert_close(loss.state_dict(), before)

    def test_auto_looks_back_on_as_many_samples_of_each_cell(self):
        loss = self.loss("auto")
        # 50 of the 200 samples that count in group 0, one of them in group 1.
        groups = torch.tensor([0] * 50 + [1])
        y = torch.zeros(51, dtype=int)
        loss(logits_with_loss(*[0.2] * 51), y, groups)
        loss(logits_with_loss(*[0.4] * 51), y, groups)
        # Momentum 1 - 50 / 200 of group 0; that of group 1 is capped at 0.99.
        assert loss.running_means.tolist()[0] == pytest.approx([0.25, 0.202])

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @pytest.mark.parametrize("good", [[(0.2, 0.6)], []])
    def test_a_batch_that_is_not_finite_leaves_the_means(self, good, bad):
        loss, without = self.loss(0.75), self.loss(0.75)
        for losses in good:
            assert evaluate(loss, *losses) == evaluate(without, *losses)
        assert evaluate(loss, bad, 0.6).isnan()
        assert evaluate(loss, 0.5, 0.1) == evaluate(without, 0.5, 0.1)

    def test_means_are_saved_with_the_module(self):
        loss, restored = self.loss(0.75), self.loss(0.75)
        evaluate(loss, 0.2, 0.6)
        restored.load_state_dict(loss.state_dict())
        assert evaluate(loss, 0.5, 0.1) == evaluate(restored, 0.5, 0.1)


@every_loss
class TestEveryLoss:
    @given(batch=batches(), momentum=st.sampled_from([0.0, 0.9, "auto"]))
    @settings(max_examples=60)
    def test_finite_scalar_with_finite_gradient(self, make_loss, batch, momentum):
        logits, y, groups, n_groups = batch
        loss = make_loss(n_groups, group_momentum=momentum)
        for _ in range(2):  # the second call starts from running means
            logits = logits.detach().clone().requires_grad_()
            value = loss(logits, y, groups)
            value.backward()
            assert value.shape == ()
            assert value.isfinite()
            assert value >= 0
            assert logits.grad.isfinite().all()

    @given(batch=batches(), seed=st.integers(0, 2**16))
    @settings(max_examples=30)
    def test_invariant_to_permuting_samples_and_groups(self, make_loss, batch, seed):
        logits, y, groups, n_groups = batch
        logits = logits.double()
        loss = make_loss(n_groups, group_momentum=0.0)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(y), generator=generator)
        names = torch.randperm(n_groups, generator=generator)
        renamed = torch.where(groups >= 0, names[groups], UNKNOWN)
        permuted = loss(logits[order], y[order], renamed[order])
        assert_close(permuted, loss(logits, y, groups))

    @given(batch=batches(max_groups=5), seed=st.integers(0, 2**16))
    @settings(max_examples=20)
    def test_weight_is_repetition(self, make_loss, batch, seed):
        logits, y, groups, n_groups = batch
        logits = logits.double()
        weight = torch.randint(
            0, 4, y.shape, generator=torch.Generator().manual_seed(seed)
        )
        loss = make_loss(n_groups, group_momentum=0.0)
        repeated = loss(*(t.repeat_interleave(weight, 0) for t in (logits, y, groups)))
        assert_close(loss(logits, y, groups, weight.double()), repeated)

    def test_fewer_than_two_known_groups_cost_nothing(self, make_loss):
        logits = torch.randn(6, 2, requires_grad=True)
        y = torch.tensor([0, 1, 0, 1, 0, 1])
        value = make_loss(3)(logits, y, torch.tensor([2, 2, 2, -1, -1, -1]))
        value.backward()  # still connected to the graph
        assert value == 0
        assert not logits.grad.any()

    def test_gradient_reaches_only_known_groups(self, make_loss):
        torch.manual_seed(0)
        logits = torch.randn(8, 2, requires_grad=True)
        y = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])
        groups = torch.tensor([0, 1, -1, -1, 0, 1, -1, -1])
        make_loss(2)(logits, y, groups).backward()
        assert not logits.grad[groups < 0].any()
        assert logits.grad[groups >= 0].any()

    @pytest.mark.slow
    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    def test_one_graph_and_equal_values_when_compiled(self, make_loss, momentum):
        torch.compiler.reset()  # the cases share one compiled function otherwise
        # The eager backend captures the graph and compiles nothing: it is quick.
        loss = make_loss(3, group_momentum=momentum)
        batch = torch.randn(9, 2), torch.arange(9) % 2, torch.arange(9) % 4 - 1
        captured = torch.compile(copy.deepcopy(loss), fullgraph=True, backend="eager")
        assert_close(captured(*batch), loss(*batch))

    @pytest.mark.parametrize("momentum", [0.0, 0.9, "auto"])
    def test_vmaps_over_models(self, make_loss, momentum):
        losses = [make_loss(3, group_momentum=momentum) for _ in range(4)]
        _, buffers = stack_module_state(losses)
        logits = torch.randn(4, 9, 2)
        y, groups = torch.arange(9) % 2, torch.arange(9) % 4 - 1

        def one(buffers, logits):
            return functional_call(losses[0], buffers, (logits, y, groups))

        together = vmap(one)(buffers, logits)
        apart = torch.stack(
            [loss(logits[i], y, groups) for i, loss in enumerate(losses)]
        )
        assert_close(together, apart)
        for i, loss in enumerate(losses):
            assert_close(buffers["running_means"][i], loss.running_means)


def test_a_new_penalty_on_group_losses_needs_one_method():
    class Variance(GroupLossPenalty):
        def penalty(self, means, present):
            n = present.sum(-1, keepdim=True).clamp_min(1)
            mean = torch.where(present, means, 0).sum(-1, keepdim=True) / n
            return (torch.where(present, means - mean, 0).square() / n).sum(-1)

    value = evaluate(Variance(2, parity="overall"), 0.2, 0.6)
    assert value.item() == pytest.approx(0.04)


def test_a_penalty_has_a_number_per_stratum():
    class OneNumber(GroupLossPenalty):
        def penalty(self, means, present):
            return means.var()

    with pytest.raises(ValueError, match=r"`penalty` of OneNumber must .*\(1,\).*\(\)"):
        evaluate(OneNumber(2, parity="overall"), 0.2, 0.6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"parity": "odds"}, "`parity` must be .*'equalized_odds'.* got 'odds'"),
        ({"parity": torch.zeros(2)}, "`parity` must be .* got tensor"),
        (
            {"group_momentum": 1.0},
            r"`group_momentum` must be a number in \[0, 1\) or 'auto'; got 1.0",
        ),
        ({"group_momentum": math.nan}, "`group_momentum` must be .* got nan"),
        ({"group_momentum": "mean"}, "`group_momentum` must be .* got 'mean'"),
        ({"group_momentum": torch.zeros(2)}, "`group_momentum` must be .* tensor"),
        (
            {"sample_loss": "hinge"},
            "`sample_loss` must be 'cross_entropy' or 'zero_one'; got 'hinge'",
        ),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GroupLossFairness(2, **kwargs)


@pytest.mark.parametrize(
    ("parity", "n_classes", "positive", "message"),
    [
        ("equalized_odds", 2, [1], "`positive_classes` goes with parity="),
        ("equal_opportunity", 2, [2], r"hold codes of the 2 classes.* got \[2\]"),
        ("equal_opportunity", 2, [], r"hold codes of the 2 classes.* got \[\]"),
        ("equal_opportunity", 2, [1, 1], r"each of them once; got \[1, 1\]"),
        ("equal_opportunity", 2, 1, "hold codes of the 2 classes.* got 1"),
        ("equal_opportunity", 3, None, "`positive_classes` must name .* 3 classes"),
    ],
)
def test_bad_positive_classes(parity, n_classes, positive, message):
    with pytest.raises(ValueError, match=message):
        GroupLossFairness(2, n_classes, parity=parity, positive_classes=positive)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupLossFairness(1), "`n_groups` must be an integer of at least 2"),
        (lambda: GroupLossFairness(2.0), "`n_groups` must be an integer .* got 2.0"),
        (lambda: GroupLossFairness(2, 1), "`n_classes` must be an integer of at least"),
        (lambda: GroupLossFairness(2).resized(0, 2), "`n_groups` must be .* got 0"),
        (
            lambda: DemographicParityLoss(2, tolerance=-1),
            r"`tolerance` must be a number in \[0, 1\); got -1",
        ),
        (lambda: TruePositiveRateLoss(2, tolerance=1), "`tolerance` must be .* got 1"),
        (lambda: FalsePositiveRateLoss(2, tolerance="0"), "`tolerance` must be"),
        (lambda: BoundedGroupLoss(2, bound=math.nan), "`bound` must be .* got nan"),
        (lambda: BoundedGroupLoss(2, bound=-0.1), r"`bound` must be .*\[0, inf\)"),
        (lambda: BoundedGroupLoss(2, bound=math.inf), "`bound` must be .* got inf"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


BATCH = {
    "logits": torch.zeros(4, 2),
    "y": torch.tensor([0, 1, 0, 1]),
    "groups": torch.tensor([0, 1, 1, UNKNOWN]),
    "weight": torch.ones(4),
}
MISTAKES = [
    ({"y": torch.tensor([0, 1, 0, 2])}, "`y` must hold class codes from 0 to 1.* 2"),
    # Torch leaves out samples of this class without a word.
    ({"y": torch.tensor([0, 1, 0, -100])}, "`y` must hold class codes .* found -100"),
    ({"y": torch.zeros(4)}, "`y` must hold codes of type torch.int64; got .*float32"),
    ({"y": torch.zeros(4, 1, dtype=int)}, r"`y` must .* \(4,\), .* shape \(4, 1\)"),
    (
        {"groups": torch.tensor([0, 1, 2, 1])},
        "`groups` must hold group codes from 0 to 1, .* `n_groups=2`, .* found 2",
    ),
    ({"groups": torch.tensor([0, 1, -2, 1])}, "`groups` must .* found -2"),
    ({"groups": torch.tensor([0.0, 1, 0, 1])}, "`groups` must hold codes of type"),
    ({"groups": torch.tensor([0, 1, 0])}, r"`groups` must have the shape \(4,\)"),
    ({"weight": torch.tensor([1.0, 0, 1, -1])}, "`weight` must .* found -1.0"),
    ({"weight": torch.tensor([1.0, 0, 1, math.nan])}, "`weight` must .* found nan"),
    ({"weight": torch.tensor([1.0, 0, 1, math.inf])}, "`weight` must .* found inf"),
    ({"weight": torch.ones(1)}, r"`weight` must have the shape \(4,\)"),
]


@every_loss
class TestMisuse:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            *MISTAKES,
            ({"logits": torch.zeros(4, 3)}, r"`logits` .* `n_classes=2`; .*\(4, 3\)"),
            ({"logits": torch.zeros(4)}, r"`logits` must .* Of one logit t per sample"),
            *(
                ({name: torch.zeros(4).numpy()}, f"`{name}` must be a tensor .*ndarray")
                for name in ("logits", "y", "groups", "weight")
            ),
            ({"groups": None}, "`groups` must be a tensor of torch; got NoneType"),
        ],
    )
    def test_error_names_the_argument(self, make_loss, changes, message):
        loss = make_loss(2)
        with pytest.raises(ValueError, match=message):
            loss(**BATCH | changes)
        assert not loss.seen.any()

    def test_later_batches_are_looked_at_ever_less_often(self, make_loss, monkeypatch):
        loss, looks = make_loss(2), []
        monkeypatch.setattr(
            "fairtask.losses._fairness_loss.check_values",
            lambda *_, **__: looks.append(True),
        )
        n_looks = []
        for _ in range(20):
            loss(**BATCH)
            n_looks.append(len(looks))
        assert n_looks == [1, 2, 2, 3, 3, 3, 3, *[4] * 8, *[5] * 5]
        loss.resized(3, 2)(**BATCH)
        assert len(looks) == 6

    def test_vmaps_over_labels_groups_and_weights(self, make_loss):
        loss = make_loss(2).eval()
        stacked = [torch.stack([column, column.flip(0)]) for column in BATCH.values()]
        apart = [loss(*(column[i] for column in stacked)) for i in range(2)]
        assert_close(vmap(make_loss(2).eval())(*stacked), torch.stack(apart))

    def test_errors_of_the_device_are_raised(self, make_loss, monkeypatch):
        def fail(*_, **__):
            raise RuntimeError("CUDA error: device-side assert triggered")

        monkeypatch.setattr("fairtask.losses._fairness_loss.check_values", fail)
        with pytest.raises(RuntimeError, match="device-side assert"):
            make_loss(2)(**BATCH)

    def test_half_precision_is_finite(self, make_loss):
        """The cross-entropy of the third sample is more than the largest float16."""
        logits = torch.tensor([[0.0, 1], [1, 0], [-6e4, 6e4], [6e4, -6e4]])
        values = []
        for dtype in (torch.float16, torch.float32):
            given = logits.to(dtype).requires_grad_()
            values.append(make_loss(2).eval()(given, *list(BATCH.values())[1:]))
            values[-1].backward()
            assert values[-1].isfinite()
            assert given.grad.isfinite().all()
        assert_close(values[0], values[1])
