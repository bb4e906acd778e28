"""The first layer for tables."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from fairtask import AuxiliaryFairnessClassifier
from fairtask._table_encoding import (
    NumberEncoding,
    TableEncoding,
    learn_first_widths,
    learn_numbers,
)
from tests._inputs import make_samples

NAN = np.nan
BINS = NumberEncoding(
    column=[0, 1, 1],
    left=[3.0, 0.0, 10.0],
    width=[2.0, 10.0, 20.0],
    is_bin=[False, True, True],
    neutral=[3.0, 5.0],
    marked=[1],
)


def encode(encoding, rows, n_categories=()):
    module = TableEncoding(encoding, n_categories)
    encoded = module(torch.tensor(rows, dtype=torch.float32))
    assert encoded.shape == (len(rows), module.out_features)
    return encoded.numpy()


def learn(X, encoding="piecewise_linear", y=None, weight=None):
    X = np.asarray(X, dtype=np.float32)
    y = np.arange(len(X)) % 2 if y is None else y
    return learn_numbers(X, y[:, None], weight, encoding=encoding)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ([5, 5, 0], [1, 0.5, 0, 0, 1, 0]),
        ([5, 20, 1], [1, 1, 0.5, 0, 0, 1]),
        ([99, 99, -1], [48, 1, 1, 0, 0, 0]),
        ([-1, -1, 2], [-2, 0, 0, 0, 0, 0]),
        ([NAN, NAN, 0], [0, 0.5, 0, 1, 1, 0]),
    ],
)
def test_by_hand(row, expected):
    np.testing.assert_allclose(encode(BINS, [row], [2])[0], expected)


def test_categories_alone():
    nothing = NumberEncoding([], [], [], [], [], [])
    codes = [[0, 2], [1, -1]]
    expected = [[1, 0, 0, 0, 1], [0, 1, 0, 0, 0]]
    np.testing.assert_array_equal(encode(nothing, codes, [2, 3]), expected)


class TestLearn:
    def test_standard(self):
        X = np.array([[1.0], [2.0], [6.0], [NAN]])
        encoded = encode(learn(X, "standard"), X)
        sd = np.std([1, 2, 6])
        np.testing.assert_allclose(encoded[:, 0], [-2 / sd, -1 / sd, 3 / sd, 0], 1e-6)
        np.testing.assert_array_equal(encoded[:, 1], [0, 0, 0, 1])

    @pytest.mark.parametrize("encoding", ["standard", "piecewise_linear"])
    @pytest.mark.parametrize(
        ("x", "expected"),
        [([0, 1, 1], [0, 1, 1]), ([7, 5, 5], [1, 0, 0]), ([4, 4, 4], [0, 0, 0])],
    )
    def test_at_most_two_values(self, x, expected, encoding):
        X = np.array(x)[:, None]
        np.testing.assert_array_equal(encode(learn(X, encoding), X)[:, 0], expected)

    @pytest.mark.parametrize("encoding", ["standard", "piecewise_linear", None])
    def test_no_value_is_known(self, encoding):
        X = np.full((3, 1), NAN)
        later = np.array([[NAN], [0], [1e9]])
        np.testing.assert_array_equal(encode(learn(X, encoding), later), [[0]] * 3)

    @pytest.mark.parametrize("encoding", ["standard", "piecewise_linear"])
    def test_a_column_that_has_not_varied_has_no_effect(self, encoding):
        learnt = learn([[4.0, 1.0], [4.0, 2.0]], encoding)
        encoded = encode(learnt, [[4, 1], [5, 1], [-3e38, 1], [NAN, 1]])
        np.testing.assert_array_equal(encoded, np.zeros((4, 2)))

    @pytest.mark.parametrize("container", [np.array, sparse.csr_array])
    @pytest.mark.parametrize("encoding", ["standard", "piecewise_linear", None])
    def test_more_samples_give_it_a_width(self, encoding, container):
        X = container(np.array([[0, 0, 1], [0, 0, 2]], dtype=np.float32))
        learnt = learn_numbers(X, np.zeros((2, 1)), encoding=encoding)
        more = container(np.array([[0, -4, 9], [0, 2, 9], [8, 0, 9]], dtype=np.float32))
        weight = np.array([1.0, 1.0, 0.0])
        learnt_more = learn_first_widths(learnt, more, weight, encoding=encoding)
        rows = [[8, -4, 1], [8, 2, 2]]
        before, after = encode(learnt, rows), encode(learnt_more, rows)
        np.testing.assert_array_equal(after[:, 2], before[:, 2])
        expected = [[8, -4], [8, 2]] if encoding is None else [[0, -1], [0, 0.5]]
        np.testing.assert_array_equal(after[:, :2], expected)

    def test_more_samples_give_the_first_known_numbers_a_width(self):
        learnt = learn([[NAN], [NAN]])
        more = np.array([[NAN], [5.0], [10.0]])
        learnt_more = learn_first_widths(learnt, more, encoding="standard")
        np.testing.assert_array_equal(encode(learnt_more, more), [[0], [0.5], [1]])

    def test_numbers_as_they_are(self):
        X = np.array([[1.0, NAN], [3.0, 8.0]])
        encoded = encode(learn(X, None), X)
        np.testing.assert_array_equal(encoded, [[1, 8, 1], [3, 8, 0]])

    def test_bins_end_where_the_classes_change(self):
        x = np.arange(1000.0)
        learnt = learn(x[:, None], y=((x > 299.5) & (x < 699.5)).astype(int))
        assert learnt.left == [x.mean(), 0, 299.5, 699.5]
        assert learnt.is_bin == [False, True, True, True]
        encoded = encode(learnt, [[299.5], [499.5]])
        np.testing.assert_allclose(encoded[:, 1:], [[1, 0, 0], [1, 0.5, 0]])

    @given(scale=st.floats(1e-9, 1e6), shift=st.floats(-1e3, 1e3))
    def test_unit_of_a_number_has_no_effect(self, scale, shift):
        X, y, _ = make_samples(500, 2)
        moved = (scale * X.astype(float) + shift).astype(np.float32)
        expected = encode(learn(X, y=y), X)
        found = encode(learn(moved, y=y), moved)
        precision = 1e-3 + 1e-5 * abs(shift) / scale
        if found.shape == expected.shape and precision < 0.05:
            np.testing.assert_allclose(found, expected, atol=precision)

    def test_weight_is_repetition(self):
        X, y, _ = make_samples(300, 2)
        weight = np.arange(300) % 3
        rows = np.repeat(np.arange(300), weight)
        weighted, repeated = (
            learn(X, "standard", y, weight),
            learn(X[rows], "standard", y[rows]),
        )
        np.testing.assert_allclose(weighted.left, repeated.left)
        np.testing.assert_allclose(weighted.width, repeated.width)

    @pytest.mark.parametrize("rows_at_once", [1, 2, 100])
    @pytest.mark.parametrize(("encoding", "divisor"), [("standard", 4), (None, 1)])
    def test_sparse_columns_keep_their_zeros(
        self, encoding, divisor, rows_at_once, monkeypatch
    ):
        monkeypatch.setattr("fairtask._table_encoding.ROWS_AT_ONCE", rows_at_once)
        X = sparse.csr_array(np.array([[0, 0], [-4, 0], [2, 0]], dtype=np.float32))
        learnt = learn_numbers(X, np.zeros((3, 1)), encoding=encoding)
        expected = X.toarray() / [divisor, 1]
        np.testing.assert_array_equal(encode(learnt, X.toarray()), expected)

    def test_sparse_rows_without_weight_do_not_count(self):
        X = sparse.csr_array(np.array([[1e6], [-4], [2]], dtype=np.float32))
        weight = np.array([0.0, 1.0, 1.0])
        learnt = learn_numbers(X, np.zeros((3, 1)), weight, encoding="standard")
        assert learnt.width == [4]


@pytest.mark.parametrize("encoding", ["piecewise_linear", "standard"])
def test_neither_unit_nor_container_changes_the_model(encoding):
    X, y, z = make_samples(600)
    settings = {"numeric_encoding": encoding, "max_epochs": 3}
    settings |= {"random_state": 0, "device": "cpu"}

    def probabilities(samples):
        classifier = AuxiliaryFairnessClassifier(**settings)
        classifier.fit(samples, y, sensitive_features=z)
        return classifier.predict_proba(samples)

    expected = probabilities(X)
    np.testing.assert_array_equal(probabilities(pd.DataFrame(X)), expected)
    np.testing.assert_array_equal(probabilities(np.asfortranarray(X)), expected)
    read_only = X.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(probabilities(read_only), expected)
    np.testing.assert_allclose(probabilities(X * 2**20), expected, atol=1e-5)


class TestColumnThatDoesNotVary:
    X, y, z = make_samples(400)

    def fitted(self, container, column, **settings):
        X = self.X.copy()
        X[:, 0] = column
        classifier = AuxiliaryFairnessClassifier(
            max_epochs=3, random_state=0, device="cpu", **settings
        )
        return classifier.fit(container(X), self.y, sensitive_features=self.z)

    def moved(self, classifier, container):
        """Return the change of the probabilities where the first column changes."""
        found = []
        for value in (0, 1000):
            X = self.X.copy()
            X[:, 0] = value
            found.append(classifier.predict_proba(container(X)))
        return np.abs(found[1] - found[0]).max()

    @pytest.mark.parametrize(
        ("container", "column"),
        [
            (np.asarray, 7),
            (np.asarray, NAN),
            (pd.DataFrame, 7),
            (pd.DataFrame, NAN),
            (sparse.csr_array, 0),
        ],
    )
    @pytest.mark.parametrize("continuation", ["fit", "partial_fit"])
    def test_it_has_no_effect_until_it_varies(self, container, column, continuation):
        classifier = self.fitted(container, column, warm_start=True)
        assert self.moved(classifier, container) == 0
        train = getattr(classifier, continuation)
        train(container(self.X), self.y, sensitive_features=self.z)
        assert self.moved(classifier, container) > 0.01

    def test_a_file_keeps_it(self, tmp_path):
        classifier = self.fitted(np.asarray, 7)
        classifier.save(tmp_path / "model")
        loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
        assert self.moved(loaded, np.asarray) == 0
