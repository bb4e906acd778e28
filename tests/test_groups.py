import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from fairtask._groups import UNKNOWN, group_means


def test_by_hand():
    means, counts = group_means(
        torch.tensor([1.0, 3.0, 5.0, 7.0]), torch.tensor([0, 0, 2, UNKNOWN]), 4
    )
    assert means.tolist() == [2, 0, 5, 0]
    assert counts.tolist() == [2, 0, 1, 0]


@given(
    n_samples=st.integers(0, 50),
    n_groups=st.integers(1, 50),
    seed=st.integers(0, 2**16),
)
def test_equals_a_mean_over_each_group(n_samples, n_groups, seed):
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(n_samples, generator=generator, dtype=torch.float64)
    codes = torch.randint(-1, n_groups, (n_samples,), generator=generator)
    means, counts = group_means(values, codes, n_groups)
    for group in range(n_groups):
        members = values[codes == group]
        assert counts[group] == len(members)
        assert_close(means[group], members.sum() / max(1, len(members)))


def test_gradient_is_shared_in_the_group():
    values = torch.ones(4, requires_grad=True)
    means, _ = group_means(values, torch.tensor([0, 0, 1, UNKNOWN]), 2)
    (2 * means[0] + 3 * means[1]).backward()
    assert values.grad.tolist() == [1, 1, 3, 0]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_stays_on_the_device(device):
    means, counts = group_means(
        torch.ones(3, device=device), torch.zeros(3, dtype=int, device=device), 2
    )
    assert means.device.type == counts.device.type == device
