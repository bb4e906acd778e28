"""Bins of a number: intervals inside which the shares of the classes differ little."""

from heapq import heappop, heappush

import numpy as np

__all__ = ["bin_ends"]

MAX_BINS = 64
MIN_SAMPLES_BIN = 64
MIN_IMPURITY_DECREASE = 1e-4
"""Settings of the trees, chosen on hold-outs of Adult, Bank Marketing and COMPAS."""

MAX_SAMPLES = 200_000
"""About as many samples grow a tree, drawn at random from more of them."""

SMALLEST_SHARE = 1e-9
"""Least share of the weight that counts for the samples to the right of a split.

Rounding errors are divided by it.
"""


def bin_ends(x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> list[float]:
    """Return the numbers at which bins meet: the thresholds of a decision tree.

    The tree is that of scikit-learn's `DecisionTreeClassifier` with the Gini impurity,
    which makes the best split first, up to ties. That one takes numbers closer than
    1e-7 as equal, so that the bins would depend on the unit. It also sorts the column
    anew in each node, and takes half a millisecond to start.

    Parameters
    ----------
    x : ndarray of shape (n_samples,), float32
        Finite.
    y : ndarray of shape (n_samples, n_tasks), int64
        Class codes.
    weight : ndarray of shape (n_samples,), float64
        Above 0.
    """
    if len(x) > MAX_SAMPLES:
        drawn = np.random.default_rng(0).random(len(x)) < MAX_SAMPLES / len(x)
        x, y, weight = x[drawn], y[drawn], weight[drawn]
    column = _SortedColumn(x, y, weight)
    open_nodes: list[tuple] = []

    def add_node(start: int, stop: int, before: np.ndarray) -> None:
        decrease, middle = column.best_split(start, stop, before)
        if decrease >= MIN_IMPURITY_DECREASE:
            heappush(open_nodes, (-decrease, start, middle, stop, before))

    add_node(0, len(x), column.before)
    ends: list[float] = []
    while open_nodes and len(ends) < MAX_BINS - 1:
        _, start, middle, stop, before = heappop(open_nodes)
        left, right = column.x[middle - 1 : middle + 1].tolist()
        ends.append((left + right) / 2)
        add_node(start, middle, before)
        add_node(middle, stop, before + column.class_weights(start, middle))
    return ends


class _SortedColumn:
    """Samples in the order of a number, and the best splits of slices of them.

    The classes of all tasks are numbered together.

    Attributes
    ----------
    x, weight : ndarray of shape (n_samples,)
    codes : ndarray of shape (n_tasks, n_samples)
        Class of each sample.
    own : ndarray of shape (n_tasks, n_samples)
        Weight of the class of each sample in the samples up to this one, plus a
        constant of the class.
    before : ndarray of shape (n_classes,)
        These constants.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        order = np.argsort(x)
        self.x, self.weight = x[order], weight[order]
        self._total_weight = weight.sum()
        sizes = y.max(axis=0) + 1
        self._first_class = sizes.cumsum() - sizes
        self._n_classes = sizes.sum()
        self.codes = np.ascontiguousarray((y[order] + self._first_class).T)
        # numpy sorts codes of few bits fast.
        few_bits = self.codes.ravel().astype(np.min_scalar_type(self._n_classes))
        by_class = np.argsort(few_bits, kind="stable")
        own = np.empty(len(by_class))
        own[by_class] = self.weight.take(by_class, mode="wrap").cumsum()
        self.own = own.reshape(self.codes.shape)
        totals = self.class_weights(0, len(x))
        self.before = totals.cumsum() - totals

    def class_weights(self, start: int, stop: int) -> np.ndarray:
        """Return the weight of each class in a slice."""
        weight = self.weight[start:stop]
        total = np.zeros(self._n_classes)
        for codes in self.codes[:, start:stop]:
            total += np.bincount(codes, weight, self._n_classes)
        return total

    def best_split(
        self, start: int, stop: int, before: np.ndarray
    ) -> tuple[float, int]:
        """Return how much a split lowers the mean impurity, and where it is.

        Parameters
        ----------
        start, stop : int
            The slice.
        before : ndarray of shape (n_classes,)
            Weight of each class before it, plus the constant in `own`.

        Returns
        -------
        decrease : float
            Mean over the tasks and all samples. Not above 0 if there is no split.
        middle : int
            First sample after the split.
        """
        n = stop - start
        if n < 2 * MIN_SAMPLES_BIN:
            return 0.0, start
        # NOTE: the impurity of samples of weight w, of which w_c is in class c, is
        # 1 - sum_c (w_c / w)^2; times w it is w - squares / w. One more sample, of
        # weight v, adds v (2 w_c - v) to the squares, where w_c is its class with it.
        # In place: arrays of all samples take memory, and time to get it.
        codes, weight = self.codes[:, start:stop], self.weight[start:stop]
        left_squares = self.own[:, start:stop] - before[codes]
        left_squares *= 2
        left_squares -= weight
        left_squares *= weight
        left_squares.cumsum(axis=1, out=left_squares)
        totals = self.class_weights(start, stop)
        squares = np.add.reduceat(totals * totals, self._first_class)[:, None]
        right_squares = totals[codes]
        right_squares *= weight
        right_squares.cumsum(axis=1, out=right_squares)
        right_squares *= -2
        right_squares += left_squares
        right_squares += squares
        left = weight.cumsum()
        whole = left[-1]
        left_squares /= left
        right_squares /= np.maximum(whole - left, SMALLEST_SHARE * whole)
        left_squares += right_squares
        inner = slice(MIN_SAMPLES_BIN - 1, n - MIN_SAMPLES_BIN)
        gain = (left_squares[:, inner] - squares / whole).sum(axis=0)
        x = self.x[start:stop]
        gain[x[inner] == x[MIN_SAMPLES_BIN : n - MIN_SAMPLES_BIN + 1]] = 0
        best = int(gain.argmax())
        decrease = gain[best] / (len(codes) * self._total_weight)
        return float(decrease), start + MIN_SAMPLES_BIN + best
