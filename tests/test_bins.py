"""Bins of a number."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.tree import DecisionTreeClassifier

from fairtask._bins import (
    MAX_BINS,
    MIN_IMPURITY_DECREASE,
    MIN_SAMPLES_BIN,
    bin_ends,
)


def ends_of_tree(x, y, weight):
    """Thresholds of scikit-learn's tree with the same settings."""
    tree = DecisionTreeClassifier(
        max_leaf_nodes=MAX_BINS,
        min_samples_leaf=MIN_SAMPLES_BIN,
        min_impurity_decrease=MIN_IMPURITY_DECREASE,
    )
    nodes = tree.fit(x[:, None], y, sample_weight=weight).tree_
    return nodes.threshold[nodes.children_left != nodes.children_right]


def draw(seed, n, n_tasks, n_classes, n_values, is_weighted=False):
    """Numbers, classes that depend on them, and weights."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    if n_values:
        x = np.floor(n_values * rng.random(n))
    ranks = x.argsort().argsort() / n
    y = (n_classes * (ranks[:, None] + rng.random((n, n_tasks)))).astype(np.int64)
    weight = rng.choice([0.5, 1.3, 2.0], size=n) if is_weighted else np.ones(n)
    return x.astype(np.float32), y % n_classes, weight


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 1500),
    n_tasks=st.integers(1, 3),
    n_classes=st.integers(1, 5),
    n_values=st.sampled_from([0, 3, 50]),
    is_weighted=st.booleans(),
)
def test_those_of_the_tree_of_scikit_learn(**settings):
    samples = draw(**settings)
    np.testing.assert_array_equal(
        sorted(bin_ends(*samples)), sorted(ends_of_tree(*samples))
    )


@pytest.mark.parametrize(("n_tasks", "n_classes"), [(1, 2), (1, 100), (5, 2)])
def test_as_many_bins_as_there_can_be(n_tasks, n_classes):
    sizes = np.random.default_rng(0).integers(200, 300, size=MAX_BINS + 10)
    y = np.repeat(np.arange(len(sizes)) % n_classes, sizes)
    y = np.column_stack([y] * n_tasks)
    x = np.arange(len(y), dtype=np.float32)
    ends = bin_ends(x, y, np.ones(len(y)))
    assert len(ends) == MAX_BINS - 1
    assert sorted(ends) == sorted(ends_of_tree(x, y, np.ones(len(y))))


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**100])
def test_unit_of_the_number(unit):
    x, y, weight = draw(0, 1000, 1, 2, 0)
    ends = bin_ends(x, y, weight)
    assert len(ends) > 1
    assert bin_ends((unit * x).astype(np.float32), y, weight) == [
        unit * e for e in ends
    ]


def test_largest_numbers():
    largest = np.finfo(np.float32).max
    x = np.repeat(np.float32([largest / 2, largest]), MIN_SAMPLES_BIN)
    y = (x == largest).astype(np.int64)[:, None]
    assert bin_ends(x, y, np.ones(len(x))) == [0.75 * float(largest)]


def test_no_split_among_samples_of_hardly_any_weight():
    # Weights that do not add up exactly leave rounding errors to the right of a split.
    x, y, weight = draw(1, 1000, 1, 2, 0, is_weighted=True)
    x = np.concatenate([x, np.linspace(10, 20, 200, dtype=np.float32)])
    y = np.concatenate([y, np.arange(200)[:, None] // 100])
    assert max(bin_ends(x, y, np.ones(1200))) > 10
    light = np.concatenate([weight, np.full(200, 1e-30)])
    assert sorted(bin_ends(x, y, light)) == sorted(ends_of_tree(x, y, light))


def test_a_part_of_many_samples_is_enough(monkeypatch):
    x, y, weight = draw(0, 10_000, 1, 2, 0)
    step = (x > 0.3).astype(np.int64)[:, None]
    every = bin_ends(x, y, weight)
    monkeypatch.setattr("fairtask._bins.MAX_SAMPLES", 2000)
    for order in (slice(None), np.argsort(x)):
        assert bin_ends(x[order], step[order], weight) == [pytest.approx(0.3, abs=0.01)]
    assert len(bin_ends(x, y, weight)) < len(every)
    # Each sample keeps its weight: those with other classes hardly have any.
    flipped = np.where(np.arange(10_000)[:, None] % 2, step, 1 - step)
    light = np.where(np.arange(10_000) % 2, 1.0, 1e-6)
    assert bin_ends(x, flipped, light) == [pytest.approx(0.3, abs=0.01)]
