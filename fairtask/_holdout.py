"""A random part of the samples, held out for validation."""

import numpy as np

__all__ = ["hold_out_rows"]


def hold_out_rows(
    labels: np.ndarray,
    groups: np.ndarray,
    fraction: float,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random, each cell of labels and groups in about the same share.

    Unlike scikit-learn's stratified splits it takes cells of any size. Each label stays
    among the rows that are kept.

    Parameters
    ----------
    labels, groups : ndarray of shape (n_samples, n_columns)
        Codes of the labels and of the groups.
    fraction : float in (0, 1)
        Share of the rows to hold out.
    rng : RandomState

    Returns
    -------
    kept, held_out : ndarray of int
        Row numbers, in ascending order.
    """
    n = len(labels)
    cells = np.hstack([labels, groups])
    n_held_out = min(max(1, round(fraction * n)), n - 1)
    order = rng.permutation(n)
    order = order[np.lexsort(cells[order].T)]
    # Every 1/fraction-th row of the rows sorted by cell, from a random start.
    positions = ((np.arange(n_held_out) + rng.uniform()) * n / n_held_out).astype(int)
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[order[np.minimum(positions, n - 1)]] = True
    for column in labels.T:
        lost = np.setdiff1d(column, column[~is_held_out])
        for label in lost:
            is_held_out[np.flatnonzero(column == label)[0]] = False
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
