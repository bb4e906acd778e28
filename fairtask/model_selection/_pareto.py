"""Pareto fronts, and the volume of the points that they beat."""

from collections.abc import Sequence
from typing import Any

import moocore
import numpy as np

__all__ = ["hypervolume", "pareto_front"]


def pareto_front(
    points: Any, *, greater_is_better: bool | Sequence[bool] = False
) -> np.ndarray:
    """Find the points that no other point beats.

    A point beats another if it is at least as good in all objectives and better in one.

    Parameters
    ----------
    points : array-like of shape (n_points, n_objectives)
        A point with a NaN is not on the front, and beats none.
    greater_is_better : bool or sequence of bool, default=False
        Whether more is better in all objectives, or in each.

    Returns
    -------
    on_front : ndarray of shape (n_points,), bool
        Points that tie in all objectives are on the front together.

    Examples
    --------
    A greater AUC is better, and a smaller difference between groups:

    >>> from fairtask.model_selection import pareto_front
    >>> points = [[0.91, 0.09], [0.90, 0.05], [0.89, 0.06]]
    >>> pareto_front(points, greater_is_better=[True, False])
    array([ True,  True, False])
    """
    points, maximise = _check_points(points, greater_is_better)
    known = ~np.isnan(points).any(axis=1)
    on_front = np.zeros(len(points), dtype=bool)
    if known.any():
        on_front[known] = moocore.is_nondominated(
            points[known], maximise=maximise, keep_weakly=True
        )
    return on_front


def hypervolume(
    points: Any,
    reference: Any,
    *,
    greater_is_better: bool | Sequence[bool] = False,
) -> float:
    """Volume between the front of the points and a reference point.

    Of two fronts the one with the larger volume is better.

    Parameters
    ----------
    points : array-like of shape (n_points, n_objectives)
        Points that are not better than the reference in every objective, or have a
        NaN, add nothing.
    reference : array-like of shape (n_objectives,)
        A point that is worse than all of interest.
    greater_is_better : bool or sequence of bool, default=False
        Whether more is better in all objectives, or in each.

    Returns
    -------
    volume : float
        At least 0.

    Examples
    --------
    >>> from fairtask.model_selection import hypervolume
    >>> points = [[0.9, 0.1], [0.8, 0.0]]
    >>> volume = hypervolume(points, [0.5, 0.5], greater_is_better=[True, False])
    >>> round(volume, 3)  # 0.4 * 0.4 + 0.3 * 0.1
    0.19
    """
    points, maximise = _check_points(points, greater_is_better)
    reference = _as_numbers(reference, "reference")
    if reference.shape != (points.shape[1],) or not np.isfinite(reference).all():
        raise ValueError(
            f"`reference` must have {points.shape[1]} finite numbers, one per "
            f"objective; got {reference.tolist()}."
        )
    points = points[~np.isnan(points).any(axis=1)]
    if not len(points):
        return 0.0
    return float(moocore.hypervolume(points, reference, maximise=maximise))


def _as_numbers(values: Any, name: str) -> np.ndarray:
    try:
        return np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold numbers: {error}.") from error


def _check_points(points: Any, greater_is_better: Any) -> tuple[np.ndarray, list[bool]]:
    """Return points, and for each objective whether more is better."""
    points = _as_numbers(points, "points")
    if points.ndim != 2 or points.shape[1] < 1:
        raise ValueError(
            "`points` must have shape (n_points, n_objectives); got shape "
            f"{points.shape}."
        )
    n_objectives = points.shape[1]
    directions = np.asarray(greater_is_better, dtype=object)
    are_bools = all(isinstance(d, bool | np.bool_) for d in directions.flat)
    if not are_bools or directions.shape not in ((), (n_objectives,)):
        raise ValueError(
            f"`greater_is_better` must be a bool, or one for each of {n_objectives} "
            f"objectives; got {greater_is_better!r}."
        )
    return points, np.broadcast_to(directions.astype(bool), n_objectives).tolist()
