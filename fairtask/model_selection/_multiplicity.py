"""Tests of several candidates, which share the probability of an error."""

from collections.abc import Callable

import numpy as np

__all__ = ["TESTS", "fixed_sequence", "holm"]

Limit = Callable[[int, float], float]
"""From the position of a candidate and a delta to its upper limit."""

Tested = tuple[np.ndarray, np.ndarray]
"""The limit of each candidate, and its delta; NaN for one that was not tested."""


def holm(limit: Limit, n: int, budget: float, delta: float) -> Tested:
    """Test n candidates, and those that fail again after others have passed."""
    limits, deltas = np.full(n, np.nan), np.full(n, np.nan)
    failed = list(range(n))
    while failed:
        tested = failed
        for i in tested:
            deltas[i] = delta / len(tested)
            limits[i] = limit(i, deltas[i])
        failed = [i for i in tested if not limits[i] <= budget]
        if len(failed) == len(tested):
            break
    return limits, deltas


def fixed_sequence(limit: Limit, n: int, budget: float, delta: float) -> Tested:
    """Test n candidates one after another, until the first fails."""
    limits, deltas = np.full(n, np.nan), np.full(n, np.nan)
    for i in range(n):
        deltas[i] = delta
        limits[i] = limit(i, delta)
        if not limits[i] <= budget:
            break
    return limits, deltas


TESTS = {"holm": holm, "fixed_sequence": fixed_sequence}
"""By the argument `multiplicity` of `choose_within_budget`."""
