import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch.testing import assert_close

from fairtask._data import InMemoryBatches, InMemoryDataset, holdout


def make_dataset(n=10):
    X = np.arange(2.0 * n).reshape(n, 2)
    y = np.arange(n)[:, None] % 2
    return InMemoryDataset(X, {"y": y, "groups": np.arange(n)[:, None] // 2 % 2})


class TestInMemoryBatches:
    def test_in_order(self):
        batches = list(InMemoryBatches(make_dataset(), batch_size=4))
        assert [len(X) for X, _ in batches] == [4, 4, 2]
        assert_close(torch.cat([X for X, _ in batches]), make_dataset().X)

    def test_shuffled_keeps_samples_and_targets_together(self):
        torch.manual_seed(0)
        batches = InMemoryBatches(make_dataset(), batch_size=4, shuffle=True)
        first, second = (list(batches) for _ in range(2))
        for epoch in (first, second):
            X = torch.cat([X for X, _ in epoch])
            y = torch.cat([target["y"] for _, target in epoch])
            rows = X[:, 0].long() // 2
            assert sorted(rows.tolist()) == list(range(10))
            assert_close(y[:, 0], rows % 2)
        assert not torch.equal(first[0][0], second[0][0])

    @pytest.mark.parametrize("n", [1, 4, 5, 8])
    def test_length_is_the_number_of_batches(self, n):
        batches = InMemoryBatches(make_dataset(n), batch_size=4)
        assert len(batches) == len(list(batches))


class TestStratifiedBatches:
    @given(
        sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
        batch_size=st.integers(2, 20),
        seed=st.integers(0, 2**16),
    )
    def test_every_batch_has_its_share_of_each_cell(self, sizes, batch_size, seed):
        groups = np.repeat(np.arange(len(sizes)), sizes)
        n = len(groups)
        dataset = InMemoryDataset(
            np.arange(n, dtype=float)[:, None],
            {"y": np.zeros((n, 1), int), "groups": groups[:, None]},
        )
        torch.manual_seed(seed)
        batches = list(
            InMemoryBatches(dataset, batch_size, shuffle=True, stratify=True)
        )
        rows = torch.cat([X[:, 0] for X, _ in batches])
        assert sorted(rows.tolist()) == list(range(n))
        for X, target in batches:
            share = len(X) / n
            counts = target["groups"][:, 0].bincount(minlength=len(sizes))
            for size, count in zip(sizes, counts.tolist(), strict=True):
                assert abs(count - share * size) < len(sizes) + 1

    def test_a_small_group_is_in_all_batches_but_one_at_most(self):
        groups = np.repeat([0, 1], [990, 10])
        dataset = InMemoryDataset(
            np.zeros((1000, 1)),
            {"y": np.zeros((1000, 1), int), "groups": groups[:, None]},
        )
        torch.manual_seed(0)
        for _ in range(20):
            batches = InMemoryBatches(dataset, 100, shuffle=True, stratify=True)
            counts = [(t["groups"] == 1).sum().item() for _, t in batches]
            assert sum(counts) == 10
            # Random batches leave out the group in about a third of the cases.
            assert counts.count(0) <= 1

    def test_epochs_differ(self):
        batches = InMemoryBatches(make_dataset(50), 10, shuffle=True, stratify=True)
        first, second = (torch.cat([X for X, _ in batches]) for _ in range(2))
        assert not torch.equal(first, second)


class TestSparse:
    def test_batches_are_dense(self):
        X = sparse.random(20, 5, density=0.3, format="csr", random_state=0)
        dense = InMemoryDataset(X.toarray().astype(np.float32))
        rows = InMemoryDataset(X)
        for index in (slice(3, 9), torch.tensor([7, 0, 7]), slice(None, None, 3)):
            assert_close(rows[index][0], dense[index][0])


class TestHoldout:
    @given(
        n=st.integers(2, 200),
        fraction=st.floats(0.01, 0.99),
        seed=st.integers(0, 2**16),
    )
    def test_splits_all_rows(self, n, fraction, seed):
        rng = np.random.RandomState(seed)
        cells = rng.randint(0, 3, size=(n, 2))
        labels, groups = cells[:, :1], cells[:, 1:]
        kept, held_out = holdout(labels, groups, fraction, rng)
        assert sorted([*kept, *held_out]) == list(range(n))
        assert set(labels[kept, 0]) == set(labels[:, 0])
        wanted = min(max(1, round(fraction * n)), n - 1)
        assert wanted - 3 <= len(held_out) <= wanted
        for cell in np.unique(cells, axis=0):
            members = np.flatnonzero((cells == cell).all(axis=1))
            share = wanted / n * len(members)
            assert -2 <= np.isin(members, held_out).sum() - share <= 1

    def test_is_random(self):
        zeros = np.zeros((100, 1))
        first, second = (
            holdout(zeros, zeros, 0.2, np.random.RandomState(seed))[1]
            for seed in (0, 1)
        )
        assert set(first) != set(second)


def test_cells_number_the_combinations():
    dataset = InMemoryDataset(
        np.zeros((4, 1)),
        {"y": np.array([[0], [1], [0], [0]]), "groups": np.array([[0], [0], [1], [0]])},
    )
    assert dataset.cells.tolist() == [0, 2, 1, 0]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_device(device):
    dataset = InMemoryDataset(np.zeros((2, 1)), {"y": np.zeros(2)}, device)
    assert dataset.X.device.type == dataset.target["y"].device.type == device
