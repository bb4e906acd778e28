"""A generator of biased labels whose truth is known."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils import Bunch, check_random_state
from sklearn.utils._param_validation import Interval, validate_params

__all__ = ["make_biased_classification"]


@validate_params(
    {
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "n_features": [Interval(Integral, 2, None, closed="left")],
        "n_informative": [Interval(Integral, 2, None, closed="left")],
        "n_tasks": [Interval(Integral, 1, None, closed="left")],
        "n_groups": [Interval(Integral, 2, None, closed="left")],
        "group_weights": ["array-like", None],
        "label_bias": [Interval(Real, 0, 1, closed="both")],
        "group_shift": [Interval(Real, 0, None, closed="left")],
        "class_sep": [Interval(Real, 0, None, closed="left")],
        "return_truth": ["boolean"],
        "random_state": ["random_state"],
    },
    prefer_skip_nested_validation=True,
)
def make_biased_classification(
    n_samples: int = 1000,
    n_features: int = 10,
    *,
    n_informative: int = 5,
    n_tasks: int = 1,
    n_groups: int = 2,
    group_weights: Sequence[float] | None = None,
    label_bias: float = 0.3,
    group_shift: float = 1.0,
    class_sep: float = 3.0,
    return_truth: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    r"""Generate binary labels that are biased against groups readable from X.

    The unbiased labels follow one logistic model for everybody. What is returned are
    recorded labels, in which some positives of the higher groups are missing.

    Parameters
    ----------
    n_samples : int, default=1000
    n_features : int, default=10
        Features, of which the first `n_informative` are informative and the others
        are noise. The group itself is not one of them.
    n_informative : int, default=5
        Features that depend on the group and that the labels depend on, :math:`m`
        in the formulas; at least 2.
    n_tasks : int, default=1
        Labels per sample, each with coefficients of its own.
    n_groups : int, default=2
        Groups :math:`G`, numbered from 0.
    group_weights : array-like of shape (n_groups,), default=None
        Probability of each group, :math:`\pi_g`. By default all are equal.
    label_bias : float in [0, 1], default=0.3
        Probability that a positive label of the last group is recorded as negative,
        :math:`\rho`.
    group_shift : float, default=1.0
        Distance of the last group's centre from the first one's in every informative
        feature, :math:`\delta`. Features have standard deviation 1 in each group.
    class_sep : float, default=3.0
        Standard deviation of the log-odds in each group, :math:`s`.
    return_truth : bool, default=False
        Whether to return what the labels were made from as well.
    random_state : int, RandomState instance or None, default=None
        Determines everything that is random. None draws a new seed from the operating
        system; numpy's global generator is never used.

    Returns
    -------
    X : ndarray of shape (n_samples, n_features), float64
    y : ndarray of shape (n_samples,) or (n_samples, n_tasks), int64
        Recorded labels; two-dimensional if `n_tasks` is more than 1.
    sensitive_features : ndarray of shape (n_samples,), int64
        Group of each sample.
    truth : :class:`~sklearn.utils.Bunch`
        Only if `return_truth`. It has

        unbiased_y : ndarray of the shape of y, int64
            The labels :math:`\tilde y`.
        unbiased_proba : ndarray of the shape of y, float64
            :math:`P(\tilde y = 1 \mid x)`.
        biased_proba : ndarray of the shape of y, float64
            :math:`P(y = 1 \mid x, z)`.
        coef : ndarray of shape (n_tasks, n_features)
            The coefficients :math:`\beta`, zero for features that are noise.
        group_centers : ndarray of shape (n_groups, n_features)
            The centres :math:`\mu_g`.
        group_weights : ndarray of shape (n_groups,)
        flip_rates : ndarray of shape (n_groups,)
            The probabilities :math:`\rho_g`.

    Raises
    ------
    ValueError
        If a parameter is outside its range, `n_informative` is more than
        `n_features`, or `group_weights` is not a probability for each group.

    Notes
    -----
    With :math:`\sigma` the logistic function, a sample is drawn by

    .. math::

        z &\sim \text{Categorical}(\pi_0, \dots, \pi_{G-1}), \qquad
        x \mid z = g \sim \mathcal{N}(\mu_g, I), \\
        P(\tilde y = 1 \mid x) &= \sigma(\beta^\top x), \\
        P(y = 0 \mid \tilde y = 1, z = g) &= \rho_g = \rho \, \frac{g}{G - 1},
        \qquad P(y = 0 \mid \tilde y = 0) = 1.

    The centres lie on a line, :math:`\mu_{gj} = \delta \, (g / (G - 1) - 1/2)` for
    each informative feature :math:`j`, so that the group can be read from x up to
    errors: with two equal groups the best guess is right with probability
    :math:`\Phi(\delta \sqrt m / 2)` (0.87 by default). The coefficients
    :math:`\beta` point in a random direction in which the groups do not differ (they
    sum to zero) and have length :math:`s`. Hence :math:`\beta^\top x` is distributed
    as :math:`\mathcal{N}(0, s^2)` in every group, and for each task:

    - Half of the unbiased labels are positive in every group, and the predictor
      :math:`\sigma(\beta^\top x)` satisfies demographic parity and, with respect to
      the unbiased labels, equalized odds. Every gap beyond chance is the bias'.
    - A predictor that is perfect on the recorded labels and knows the group gives
      :math:`P(y = 1 \mid x, z = g) = (1 - \rho_g) \, \sigma(\beta^\top x)`, a
      fraction :math:`(1 - \rho_g) / 2` of positives in group g. One that only sees x
      gives :math:`\sigma(\beta^\top x) \, (1 - \sum_g \rho_g P(z = g \mid x))`: it
      reads the group from x, and the group with missing positives gets fewer true
      positives.
    - As flips do not depend on x, the recorded positives of a group are a random
      sample of its unbiased ones: true positive rates are the same with respect to
      both labels. False positive rates are not; with respect to the recorded labels
      they are raised by the missing positives, also for
      :math:`\sigma(\beta^\top x)`.

    Examples
    --------
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z, truth = make_biased_classification(
    ...     n_samples=5000, return_truth=True, random_state=0
    ... )
    >>> X.shape, y.shape, z.shape
    ((5000, 10), (5000,), (5000,))

    The last group has lost about 30 % of its positives, the first one none:

    >>> for g in (0, 1):
    ...     positives = (z == g) & (truth.unbiased_y == 1)
    ...     print(f"group {g}: {1 - y[positives].mean():.1f}")
    group 0: 0.0
    group 1: 0.3
    """
    if n_informative > n_features:
        raise ValueError(
            "`n_informative` must be at most `n_features`, "
            f"got n_informative={n_informative} and n_features={n_features}."
        )
    weights = _check_group_weights(group_weights, n_groups)
    # check_random_state(None) is numpy's global generator.
    rng = check_random_state(
        np.random.RandomState() if random_state is None else random_state
    )

    spread = np.arange(n_groups) / (n_groups - 1)
    centers = np.zeros((n_groups, n_features))
    centers[:, :n_informative] = group_shift * (spread[:, np.newaxis] - 0.5)
    directions = rng.normal(size=(n_tasks, n_informative))
    directions -= directions.mean(axis=1, keepdims=True)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    coef = np.zeros((n_tasks, n_features))
    coef[:, :n_informative] = class_sep * directions
    flip_rates = label_bias * spread

    z = rng.choice(n_groups, size=n_samples, p=weights).astype(np.int64)
    X = centers[z] + rng.normal(size=(n_samples, n_features))
    # The logistic function, without overflow for large log-odds.
    unbiased_proba = np.exp(-np.logaddexp(0, -X @ coef.T))
    unbiased_y = rng.uniform(size=unbiased_proba.shape) < unbiased_proba
    kept = rng.uniform(size=unbiased_proba.shape) >= flip_rates[z, np.newaxis]
    biased_proba = unbiased_proba * (1 - flip_rates[z, np.newaxis])

    def shaped(per_task: np.ndarray) -> np.ndarray:
        return per_task[:, 0] if n_tasks == 1 else per_task

    y = shaped((unbiased_y & kept).astype(np.int64))
    if not return_truth:
        return X, y, z
    truth = Bunch(
        unbiased_y=shaped(unbiased_y.astype(np.int64)),
        unbiased_proba=shaped(unbiased_proba),
        biased_proba=shaped(biased_proba),
        coef=coef,
        group_centers=centers,
        group_weights=weights,
        flip_rates=flip_rates,
    )
    return X, y, z, truth


def _check_group_weights(group_weights: Any, n_groups: int) -> np.ndarray:
    if group_weights is None:
        return np.full(n_groups, 1 / n_groups)
    weights = np.asarray(group_weights, dtype=np.float64)
    if (
        weights.shape != (n_groups,)
        or not (weights >= 0).all()
        or not np.isclose(weights.sum(), 1)
    ):
        raise ValueError(
            f"`group_weights` must be {n_groups} probabilities that sum to 1, "
            f"got {group_weights!r}."
        )
    # isclose allows more than `choice` does.
    return weights / weights.sum()
