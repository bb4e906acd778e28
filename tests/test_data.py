import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from torch.testing import assert_close

from fairtask._data import InMemorySource, SampleDataset, Source
from fairtask._holdout import hold_out_rows
from fairtask._random import RandomStream


def make_dataset():
    X = np.arange(20.0).reshape(10, 2)
    rows = np.arange(10)[:, None]
    return SampleDataset(InMemorySource(X), {"y": rows % 2, "groups": rows // 2 % 2})


class TestBatches:
    def test_in_order(self):
        batches = list(make_dataset().batches(4))
        assert [len(X) for X, _ in batches] == [4, 4, 2]
        assert_close(torch.cat([X for X, _ in batches]), make_dataset().source.X)

    def test_shuffled_keeps_samples_and_targets_together(self):
        batches = make_dataset().batches(4, RandomStream(0))
        first, second = (list(batches) for _ in range(2))
        for epoch in (first, second):
            X = torch.cat([X for X, _ in epoch])
            y = torch.cat([target["y"] for _, target in epoch])
            rows = X[:, 0].long() // 2
            assert sorted(rows.tolist()) == list(range(10))
            assert_close(y[:, 0], rows % 2)
        assert not torch.equal(first[0][0], second[0][0])

    def test_inputs_may_be_a_mapping(self):
        source = InMemorySource({"a": np.arange(5.0), "b": np.eye(5)})
        for X, target in SampleDataset(source, {"y": np.arange(5)}).batches(
            2, RandomStream(0)
        ):
            assert_close(X["a"], target["y"].double())
            assert_close(X["b"], torch.eye(5).double()[target["y"]])
        assert source.take(np.array([0, 2, 4]))[:]["a"].tolist() == [0, 2, 4]

    def test_some_samples_are_drawn_at_random(self):
        # Not every other one, which may all have the same label.
        source, target = InMemorySource(np.arange(40.0)), np.arange(40)
        source.evaluated_at_once = 20
        some, again = (SampleDataset(source, {"y": target}).some() for _ in range(2))
        assert_close(some.source[:], some.target["y"].double())
        assert_close(some.target, again.target)
        assert len(set(some.target["y"].tolist())) == 20
        assert set((some.target["y"] % 2).tolist()) == {0, 1}
        source.evaluated_at_once = 100
        everything = SampleDataset(source, {"y": target}).some()
        assert everything.target["y"].tolist() == target.tolist()

    def test_rows_of_a_sparse_matrix_become_dense(self):
        X = sparse.random(20, 5, density=0.3, format="csr", random_state=0)
        dense = InMemorySource(X.toarray().astype(np.float32))
        for index in (slice(3, 9), torch.tensor([7, 0, 7]), slice(None, None, 3)):
            assert_close(InMemorySource(X)[index], dense[index])

    def test_few_rows_of_a_wide_sparse_matrix_are_dense_at_once(self):
        source = InMemorySource(sparse.csr_matrix((30, 4_000_000), dtype=np.float32))
        assert source.evaluated_at_once == 9
        some = SampleDataset(source).some().source
        assert sparse.issparse(some.X.array)
        assert some.X.array.shape == (9, 4_000_000)

    def test_read_only_array_stays_where_it_is(self, tmp_path):
        np.save(tmp_path / "X.npy", np.arange(12).reshape(4, 3))
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
        source = InMemorySource(X)
        assert np.shares_memory(source.X.array, X)
        for index in (slice(1, 3), torch.tensor([3, 0]), np.array([2])):
            rows = source[index]
            assert_close(rows, torch.arange(12).reshape(4, 3)[index])
            rows.zero_()  # a copy, whose batch may be changed

    @pytest.mark.parametrize("device", ["cpu", "meta"])
    def test_device(self, device):
        source = InMemorySource(np.zeros((2, 1)), torch.device(device))
        dataset = SampleDataset(source, {"y": np.zeros(2)})
        assert source.X.device.type == dataset.target["y"].device.type == device


def test_source_is_abstract():
    class Incomplete(Source):
        def __len__(self):
            return 0

    with pytest.raises(TypeError, match=r"abstract methods '?batches"):
        Incomplete()


class TestHoldOutRows:
    @given(
        n=st.integers(2, 200),
        fraction=st.floats(0.01, 0.99),
        seed=st.integers(0, 2**16),
    )
    def test_splits_all_rows(self, n, fraction, seed):
        rng = np.random.RandomState(seed)
        cells = rng.randint(0, 3, size=(n, 2))
        labels, groups = cells[:, :1], cells[:, 1:]
        kept, held_out = hold_out_rows(labels, groups, fraction, rng)
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
            hold_out_rows(zeros, zeros, 0.2, np.random.RandomState(seed))[1]
            for seed in (0, 1)
        )
        assert set(first) != set(second)
