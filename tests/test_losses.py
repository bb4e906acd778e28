"""Hand-computed values, then what every fairness loss must keep to."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.func import functional_call, stack_module_state, vmap
from torch.testing import assert_close

from fairtask._groups import UNKNOWN
from fairtask.losses import (
    FAIRNESS_LOSSES,
    PARITIES,
    BoundedGroupLoss,
    FairnessLoss,
    GroupLossDivergence,
    GroupLossFairness,
)
from tests._inputs import batches

all_losses = pytest.mark.parametrize("loss_class", FAIRNESS_LOSSES.values())
all_parities = pytest.mark.parametrize("parity", PARITIES)


def penalty(loss_class, *losses, **kwargs):
    """Penalty of one stratum with these cell losses; NaN stands for an absent cell."""
    values = torch.tensor([losses], dtype=torch.float64)
    present = ~values.isnan()
    loss = loss_class(len(losses), parity="overall", **kwargs)
    return loss.penalty(values.nan_to_num(), present).item()


def logits_with_loss(*losses):
    """Logits of two classes whose cross-entropy with class 0 is as given."""
    margin = -torch.expm1(torch.tensor(losses, dtype=torch.float64)).log()
    return torch.stack([margin, torch.zeros_like(margin)], dim=1)


class TestPenalties:
    def test_glf_of_two_groups_is_the_gap(self):
        assert penalty(GroupLossFairness, 0.2, 0.5) == pytest.approx(0.3)

    def test_glf_of_more_groups_is_one_minus_jain(self):
        # 1 - (1 + 2 + 3)^2 / (3 * (1 + 4 + 9)) = 1 - 36 / 42
        assert penalty(GroupLossFairness, 1, 2, 3) == pytest.approx(1 - 36 / 42)

    def test_glf_leaves_out_an_absent_group(self):
        # 1 - (1 + 3)^2 / (2 * (1 + 9)) = 1 - 16 / 20
        assert penalty(GroupLossFairness, 1, math.nan, 3) == pytest.approx(0.2)

    @given(scale=st.floats(1e-6, 1e6))
    def test_glf_of_more_groups_does_not_depend_on_the_scale(self, scale):
        scaled = penalty(GroupLossFairness, scale, 2 * scale, 3 * scale)
        assert scaled == pytest.approx(1 - 36 / 42)

    def test_glf_of_more_groups_stays_below_its_bound(self):
        assert penalty(GroupLossFairness, 9, 0, 0) == pytest.approx(1 - 1 / 3)

    def test_gld_by_hand(self):
        # P = (2/3, 1/3): exp(KL) - 1 = 2 * (2/3)^(2/3) * (1/3)^(1/3) - 1
        expected = 2 * (2 / 3) ** (2 / 3) * (1 / 3) ** (1 / 3) - 1
        assert penalty(GroupLossDivergence, 0, math.log(2)) == pytest.approx(expected)

    def test_gld_leaves_out_an_absent_group(self):
        expected = penalty(GroupLossDivergence, 0.1, 0.7)
        assert penalty(GroupLossDivergence, 0.1, math.nan, 0.7) == pytest.approx(
            expected
        )

    @pytest.mark.parametrize("gap", [1e-2, 1e-3])
    def test_gld_near_equality_is_the_squared_gap_over_8(self, gap):
        value = penalty(GroupLossDivergence, 0.4, 0.4 + gap)
        assert value == pytest.approx(gap**2 / 8, rel=1e-3)

    def test_gld_of_more_groups_near_equality_is_half_the_variance(self):
        value = penalty(GroupLossDivergence, 0.40, 0.41, 0.43)
        variance = torch.tensor([0.40, 0.41, 0.43]).double().var(correction=0).item()
        assert value == pytest.approx(variance / 2, rel=2e-2)

    def test_bgl_is_the_worst_group(self):
        assert penalty(BoundedGroupLoss, 0.2, 0.7, 0.5) == pytest.approx(0.7)

    def test_bgl_counts_what_exceeds_the_bound(self):
        assert penalty(BoundedGroupLoss, 0.2, 0.7, bound=0.3) == pytest.approx(0.4)
        assert penalty(BoundedGroupLoss, 0.2, 0.7, bound=0.9) == 0

    @pytest.mark.parametrize("loss_class", [GroupLossFairness, GroupLossDivergence])
    @given(value=st.floats(0, 20), n_groups=st.integers(2, 50))
    def test_zero_when_the_groups_are_equal(self, loss_class, value, n_groups):
        assert penalty(loss_class, *[value] * n_groups) == pytest.approx(0, abs=1e-12)


class TestParity:
    """Cross-entropies of class 0: 0.1 and 0.3 in group 0; 0.5 in group 1."""

    logits = logits_with_loss(0.1, 0.3, 0.5)
    groups = torch.tensor([0, 0, 1])

    def test_overall_compares_the_means_of_the_groups(self):
        loss = GroupLossFairness(2, parity="overall")
        value = loss(self.logits, torch.tensor([0, 0, 0]), self.groups)
        assert value.item() == pytest.approx(0.5 - 0.2)

    def test_equalized_odds_compares_inside_each_class(self):
        # Class 0: groups 0 and 1 with 0.1 and 0.5. Class 1: group 0 alone, hence 0.
        # Mean over the two classes: (0.4 + 0) / 2.
        loss = GroupLossFairness(2, parity="equalized_odds")
        value = loss(self.logits, torch.tensor([0, 1, 0]), self.groups)
        assert value.item() == pytest.approx(0.2)

    def test_equal_opportunity_compares_inside_the_positive_class(self):
        logits = self.logits.flip(1)  # the same losses, now of class 1
        loss = GroupLossFairness(2, parity="equal_opportunity")
        value = loss(logits, torch.tensor([1, 0, 1]), self.groups)
        assert value.item() == pytest.approx(0.4)

    def test_unknown_groups_are_left_out(self):
        loss = GroupLossFairness(2, parity="overall")
        groups = torch.tensor([0, UNKNOWN, 1])
        value = loss(self.logits, torch.tensor([0, 0, 0]), groups)
        assert value.item() == pytest.approx(0.4)

    @all_parities
    def test_code_of_no_group_is_unknown(self, parity):
        # With code 2 of two groups a sample would fall into a cell of the next class.
        loss = GroupLossFairness(2, parity=parity)
        logits, y = torch.randn(4, 2), torch.tensor([0, 1, 0, 1])
        value = loss(logits, y, torch.tensor([0, 0, 2, 1]))
        assert value == loss(logits, y, torch.tensor([0, 0, UNKNOWN, 1]))

    def test_more_than_two_classes(self):
        # Uniform logits but for one sample of class 2: its loss is 0 instead of log 3.
        logits = torch.zeros(4, 3)
        logits[3, 2] = 1000
        loss = GroupLossFairness(2, 3)
        value = loss(logits, torch.tensor([0, 1, 2, 2]), torch.tensor([0, 1, 0, 1]))
        assert value.item() == pytest.approx(math.log(3) / 3)


class TestRunningMeans:
    y = torch.tensor([0, 0])
    groups = torch.tensor([0, 1])

    def loss(self, momentum):
        return GroupLossFairness(2, parity="overall", group_momentum=momentum).double()

    def test_value_is_the_penalty_of_the_running_means(self):
        loss = self.loss(0.75)
        loss(logits_with_loss(0.2, 0.6), self.y, self.groups)
        value = loss(logits_with_loss(0.4, 0.6), self.y, self.groups)
        # 0.75 * 0.2 + 0.25 * 0.4 = 0.25 against 0.6
        assert loss.running_losses.tolist()[0] == pytest.approx([0.25, 0.6])
        assert value.item() == pytest.approx(0.35)

    def test_gradient_is_that_of_the_batch_at_the_running_means(self):
        loss = self.loss(0.75)
        loss(logits_with_loss(0.9, 0.1), self.y, self.groups)
        logits = logits_with_loss(0.2, 0.3).requires_grad_()
        # The running gap is 0.725 - 0.15 > 0, that of the batch 0.2 - 0.3 < 0.
        loss(logits, self.y, self.groups).backward()
        cross_entropies = torch.nn.functional.cross_entropy(
            logits, self.y, reduction="none"
        )
        (expected,) = torch.autograd.grad(
            cross_entropies[0] - cross_entropies[1], logits
        )
        assert_close(logits.grad, expected)

    def test_absent_cell_keeps_its_mean_and_stays_in_the_comparison(self):
        loss = self.loss(0.75)
        loss(logits_with_loss(0.2, 0.6), self.y, self.groups)
        value = loss(logits_with_loss(0.2), self.y[:1], self.groups[:1])
        assert value.item() == pytest.approx(0.4)

    def test_zero_momentum_forgets_an_absent_cell(self):
        loss = self.loss(0.0)
        loss(logits_with_loss(0.2, 0.6), self.y, self.groups)
        assert loss(logits_with_loss(0.2), self.y[:1], self.groups[:1]).item() == 0

    def test_evaluation_looks_at_the_batch_and_leaves_the_means(self):
        loss = self.loss(0.75)
        loss(logits_with_loss(0.2, 0.6), self.y, self.groups)
        before = copy.deepcopy(loss.state_dict())
        value = loss.eval()(logits_with_loss(0.3, 0.4), self.y, self.groups)
        assert value.item() == pytest.approx(0.1)
        assert_close(loss.state_dict(), before)

    def test_means_are_saved_with_the_module(self):
        loss, restored = self.loss(0.75), self.loss(0.75)
        loss(logits_with_loss(0.2, 0.6), self.y, self.groups)
        restored.load_state_dict(loss.state_dict())
        batch = logits_with_loss(0.5, 0.1), self.y, self.groups
        assert loss(*batch) == restored(*batch)


@all_losses
@all_parities
class TestEveryLoss:
    @given(batch=batches(), momentum=st.sampled_from([0.0, 0.9]))
    @settings(max_examples=60)
    def test_finite_scalar_with_finite_gradient(
        self, loss_class, parity, batch, momentum
    ):
        logits, y, groups, n_groups = batch
        loss = loss_class(n_groups, parity=parity, group_momentum=momentum)
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
    def test_invariant_to_permuting_samples_and_groups(
        self, loss_class, parity, batch, seed
    ):
        logits, y, groups, n_groups = batch
        logits = logits.double()
        loss = loss_class(n_groups, parity=parity)
        generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(y), generator=generator)
        names = torch.randperm(n_groups, generator=generator)
        renamed = torch.where(groups >= 0, names[groups], UNKNOWN)
        permuted = loss(logits[order], y[order], renamed[order])
        assert_close(permuted, loss(logits, y, groups))

    def test_fewer_than_two_known_groups_cost_nothing(self, loss_class, parity):
        logits = torch.randn(6, 2, requires_grad=True)
        y = torch.tensor([0, 1, 0, 1, 0, 1])
        value = loss_class(3, parity=parity)(
            logits, y, torch.tensor([2, 2, 2, -1, -1, -1])
        )
        value.backward()  # still connected to the graph
        assert value == 0
        assert not logits.grad.any()

    def test_gradient_reaches_only_known_groups(self, loss_class, parity):
        torch.manual_seed(0)
        logits = torch.randn(8, 2, requires_grad=True)
        y = torch.tensor([1, 1, 1, 1, 0, 0, 0, 0])
        groups = torch.tensor([0, 1, -1, -1, 0, 1, -1, -1])
        loss_class(2, parity=parity)(logits, y, groups).backward()
        assert not logits.grad[groups < 0].any()
        assert logits.grad[groups >= 0].any()

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_one_graph_and_equal_values_when_compiled(
        self, loss_class, parity, momentum
    ):
        torch.compiler.reset()  # the cases share one compiled function otherwise
        # The eager backend captures the graph and compiles nothing: it is quick.
        loss = loss_class(3, parity=parity, group_momentum=momentum)
        batch = torch.randn(9, 2), torch.arange(9) % 2, torch.arange(9) % 4 - 1
        captured = torch.compile(copy.deepcopy(loss), fullgraph=True, backend="eager")
        assert_close(captured(*batch), loss(*batch))

    @pytest.mark.parametrize("momentum", [0.0, 0.9])
    def test_vmaps_over_models(self, loss_class, parity, momentum):
        losses = [
            loss_class(3, parity=parity, group_momentum=momentum) for _ in range(4)
        ]
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
            assert_close(buffers["running_losses"][i], loss.running_losses)


def test_a_loss_of_the_users_own_needs_a_penalty_only():
    class Variance(FairnessLoss):
        def penalty(self, losses, present):
            return losses.var(-1, correction=0)

    value = Variance(2, parity="overall")(
        logits_with_loss(0.2, 0.6), torch.tensor([0, 0]), torch.tensor([0, 1])
    )
    assert value.item() == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        (
            {"parity": "equal_odds"},
            "`parity` must be one of .*equalized_odds.*equal_odds",
        ),
        ({"group_momentum": 1.0}, r"`group_momentum` must be in \[0, 1\); got 1.0"),
        ({"parity": "equal_opportunity", "n_classes": 3}, "binary task; got 3 classes"),
    ],
)
def test_bad_settings(kwargs, message):
    with pytest.raises(ValueError, match=message):
        GroupLossFairness(2, **kwargs)
