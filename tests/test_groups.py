import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from fairtask._sensitive import UNKNOWN


def test_by_hand():
    means, totals = group_means(
        torch.tensor([[1.0], [3.0], [5.0], [7.0]]),
        torch.tensor([[1.0], [3.0], [1.0], [1.0]]),
        torch.tensor([0, 0, 2, UNKNOWN]),
        4,
    )
    assert means.tolist() == [[2.5, 0, 5, 0]]  # (1 * 1 + 3 * 3) / 4
    assert totals.tolist() == [[4, 0, 1, 0]]


@given(
    n_samples=st.integers(0, 50),
    n_strata=st.integers(1, 3),
    n_groups=st.integers(1, 50),
    seed=st.integers(0, 2**16),
)
def test_equals_a_mean_over_each_cell(n_samples, n_strata, n_groups, seed):
    generator = torch.Generator().manual_seed(seed)
    values, weights = (
        torch.rand(n_samples, n_strata, generator=generator, dtype=torch.float64)
        for _ in range(2)
    )
    weights[weights < 0.3] = 0
    codes = torch.randint(-1, n_groups, (n_samples,), generator=generator)
    means, totals = group_means(values, weights, codes, n_groups)
    for stratum in range(n_strata):
        for group in range(n_groups):
            w = weights[codes == group, stratum]
            v = values[codes == group, stratum]
            assert_close(totals[stratum, group], w.sum())
            expected = (w * v).sum() / w.sum() if w.sum() > 0 else 0 * w.sum()
            assert_close(means[stratum, group], expected)


def test_gradient_is_shared_in_the_group():
    values = torch.ones(4, 1, requires_grad=True)
    codes = torch.tensor([0, 0, 1, UNKNOWN])
    means, _ = group_means(values, torch.ones(4, 1), codes, 2)
    (2 * means[0, 0] + 3 * means[0, 1]).backward()
    assert values.grad[:, 0].tolist() == [1, 1, 3, 0]


def test_mixed_precision_does_not_round():
    values = 1 + torch.arange(1000.0)[:, None] / 1e6
    codes = torch.arange(1000) % 2
    expected = group_means(values, torch.ones(1000, 1), codes, 2)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = group_means(values, torch.ones(1000, 1), codes, 2)
    assert_close(rounded, expected, rtol=0, atol=0)
