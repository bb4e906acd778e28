"""Biased labels from a known model."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from scipy.special import expit, log_expit
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
        "label_bias": [Interval(Real, 0, None, closed="left")],
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
    label_bias: float = 2.0,
    group_shift: float = 1.5,
    class_sep: float = 2.0,
    return_truth: bool = False,
    random_state: int | np.random.RandomState | None = None,
) -> Any:
    r"""Generate binary labels that are biased against groups readable from X.

    The unbiased labels follow one logistic model for everybody. The returned labels are
    recorded ones, for which the higher groups were held to a stricter standard: some of
    their positives, borderline ones above all, are recorded as negatives.

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
    label_bias : float, default=2.0
        Penalty :math:`b` that is subtracted from the log-odds of the last group's
        recorded labels; at least 0. With 0 the recorded labels are the unbiased ones.
    group_shift : float, default=1.5
        Distance of the last group's centre from the first one's in every informative
        feature, :math:`\delta`. Features have standard deviation 1 in each group.
    class_sep : float, default=2.0
        Standard deviation of the log-odds in each group, :math:`s`.
    return_truth : bool, default=False
        Whether to return `truth` as well, from which the labels were made.
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
            The probabilities :math:`\pi_g`.
        group_penalties : ndarray of shape (n_groups,)
            The penalties :math:`b_g` on the log-odds of each group.

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
        P(\tilde y = 1 \mid x) &= \sigma(\eta), \qquad \eta = \beta^\top x, \\
        P(y = 0 \mid \tilde y = 1, x, z = g)
        &= 1 - \frac{\sigma(\eta - b_g)}{\sigma(\eta)}
        = (1 - e^{-b_g}) \, \sigma(b_g - \eta), \qquad b_g = b \, \frac{g}{G - 1}, \\
        P(y = 0 \mid \tilde y = 0) &= 1.

    Hence :math:`P(y = 1 \mid x, z = g) = \sigma(\eta - b_g)`. Positives with large
    log-odds are rarely lost; the probability of a positive label falls most, by
    :math:`\tanh(b_g / 4)`, at :math:`\eta = b_g / 2`, midway between the two standards.

    The centres lie on a line, :math:`\mu_{gj} = \delta \, (g / (G - 1) - 1/2)` for
    each informative feature :math:`j`, so that the group can be read from x up to
    errors: with two equal groups the best guess is right with probability
    :math:`\Phi(\delta \sqrt m / 2)` (0.95 by default). The coefficients
    :math:`\beta` point in a random direction in which the groups do not differ (they
    sum to zero) and have length :math:`s`. Hence :math:`\eta` is distributed as
    :math:`\mathcal{N}(0, s^2)` in every group, and for each task, if :math:`s > 0`:

    - Half of the unbiased labels are expected to be positive in every group, and the
      predictor :math:`\sigma(\eta)` satisfies demographic parity and, with respect to
      the unbiased labels, equalized odds.
    - A predictor that is perfect on the recorded labels and knows the group gives
      :math:`\sigma(\eta - b_g)`. Whatever the threshold, its true and its false
      positive rate with respect to the recorded labels are lower in a group with a
      larger :math:`b_g`. With the default parameters and the threshold 1/2 the true
      positive rates are 0.78 and 0.50, the false positive rates 0.22 and 0.06.
    - A perfect predictor that only sees x gives
      :math:`\sum_g P(z = g \mid x) \, \sigma(\eta - b_g)`: it reads the group from x
      and holds those who look like group :math:`G - 1` to nearly the stricter
      standard. If the group is readable enough, as it is by default, both rates are
      lower in that group, 0.53 against 0.75 and 0.08 against 0.20.
    - For :math:`\sigma(\eta)` it is the other way round: with respect to the recorded
      labels both rates are higher in a group with a larger :math:`b_g`. So if group 0
      is predicted positive where :math:`\eta > 0`, and group g where
      :math:`\eta > t`, the gap in each of the two rates closes at some t between
      :math:`b_g`, the recorded standard, and 0, the unbiased one. From
      :math:`t = b_g` to there the predictions for group g agree with its unbiased
      labels more and more often: by default 0.64 of them at :math:`t = 2`, 0.75 at
      :math:`t = 0.8`, where neither gap exceeds 0.02, and 0.78 at :math:`t = 0`.

    Examples
    --------
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z, truth = make_biased_classification(
    ...     n_samples=5000, return_truth=True, random_state=0
    ... )
    >>> X.shape, y.shape, z.shape
    ((5000, 10), (5000,), (5000,))

    The first group has kept all of its positives, the last one less than half:

    >>> for g in (0, 1):
    ...     positives = (z == g) & (truth.unbiased_y == 1)
    ...     print(f"group {g}: {1 - y[positives].mean():.2f} lost")
    group 0: 0.00 lost
    group 1: 0.54 lost
    """
    # True is an integer for the constraints, and none for numpy.
    n_samples, n_tasks = int(n_samples), int(n_tasks)
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
    penalties = label_bias * spread

    z = rng.choice(n_groups, size=n_samples, p=weights).astype(np.int64)
    X = centers[z] + rng.normal(size=(n_samples, n_features))
    unbiased_log_odds = X @ coef.T
    biased_log_odds = unbiased_log_odds - penalties[z, np.newaxis]
    unbiased_proba = expit(unbiased_log_odds)
    biased_proba = expit(biased_log_odds)
    unbiased_y = rng.uniform(size=unbiased_proba.shape) < unbiased_proba
    # The ratio of the two probabilities, also where both underflow.
    keep_proba = np.exp(log_expit(biased_log_odds) - log_expit(unbiased_log_odds))
    kept = rng.uniform(size=keep_proba.shape) < keep_proba

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
        group_penalties=penalties,
    )
    return X, y, z, truth


def _check_group_weights(group_weights: Any, n_groups: int) -> np.ndarray:
    if group_weights is None:
        return np.full(n_groups, 1 / n_groups)
    try:
        weights = np.asarray(group_weights, dtype=np.float64)
    except (TypeError, ValueError):
        weights = np.empty(0)
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
