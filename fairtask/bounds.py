r"""What is known of differences between groups on data that were not seen.

The bounds of Section 4 of the paper [1]_ as functions of plain numbers, for two groups
and a loss between 0 and 1, such as the zero-one loss. With :math:`L_g` the expected
loss of group g they bound :math:`\Delta L = |L_0 - L_1|`. All share a slack

.. math::

    C = 4 \sum_{g=0}^{1} \operatorname{Rad}_g(\mathcal{H})
    + \sum_{g=0}^{1} \sqrt{\frac{\ln(2 / \delta)}{2 n_g}},

in which :math:`n_g` is the number of samples of group g, drawn independently, and
:math:`\operatorname{Rad}_g(\mathcal{H})` the Rademacher complexity of the hypotheses
among which training chose, for as many samples of the group. For a neural network no
useful value of it is known: on its training data these bounds are vacuous. On samples
that played no part in training there is one hypothesis, whose complexity is 0.
`certified_difference` is what can be said there, for any number of groups, and what one
can act on.

The formulas are as the paper states them, and so are the conditions; what a proof needs
besides stands with each function. The complexity must be the expected one, a mean over
draws of the samples. With that on the samples at hand, which the paper writes,
:math:`3 \sqrt{\ln(4 / \delta) / (2 n_g)}` takes the place of the square root.

References
----------
.. [1] "Learning fair latent representation with multi-task deep learning", Section 4.
"""

from collections.abc import Sequence
from math import isfinite, log, sqrt
from numbers import Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import check_one_of
from fairtask._warnings import warn_user
from fairtask.exceptions import VacuousBoundWarning

__all__ = [
    "adversarial_bound",
    "certified_difference",
    "discrepancy_bound",
    "excess_bound",
    "generalization_slack",
    "group_loss_bound",
]

PENALTY_SCALES = {"glf": 1.0, "adversarial": 4.0}
"""What a unit of a fairness loss bounds of the difference."""


def generalization_slack(
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    """Slack C between what was measured and what is expected.

    Parameters
    ----------
    n_samples : sequence of 2 int
        Number of samples of each group.
    delta : float in (0, 1), default=0.05
        Probability with which the bound may fail.
    complexities : sequence of 2 float, default=(0.0, 0.0)
        Expected Rademacher complexity of the hypotheses, for as many samples of each
        group; 0 for one hypothesis that was fixed before the samples were seen.

    Returns
    -------
    slack : float

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Examples
    --------
    >>> from fairtask.bounds import generalization_slack
    >>> round(generalization_slack([2_000, 8_000]), 4)
    0.0456
    """
    sizes = _pair(n_samples, "n_samples", smallest=1)
    if any(size != int(size) for size in sizes):
        raise ValueError(f"`n_samples` must be whole numbers; got {n_samples!r}.")
    _check_delta(delta)
    rademacher = sum(_pair(complexities, "complexities", smallest=0))
    return 4 * rademacher + sum(sqrt(log(2 / delta) / (2 * n)) for n in sizes)


def discrepancy_bound(
    discrepancy: float,
    n_samples: Sequence[int],
    *,
    complexities: Sequence[float],
    delta: float = 0.05,
) -> float:
    r"""Bound on the discrepancy of the distributions of two groups (Lemmas 1 and 2).

    .. math::

        \operatorname{disc}(P_0, P_1)
        \le \operatorname{disc}(\hat P_0, \hat P_1) + C

    Lemma 1 has the complexity of disagreements between hypotheses, of which Lemma 2
    says that it is at most twice that of the hypotheses. It is a statement on all pairs
    of hypotheses, whose complexity is not 0.

    Parameters
    ----------
    discrepancy : float in [0, 1]
        Largest difference between the groups, over pairs of hypotheses, in the share of
        samples on which the two disagree.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    """
    _check_share(discrepancy, "discrepancy")
    return _told(
        discrepancy
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def group_loss_bound(
    difference: float,
    n_samples: Sequence[int],
    *,
    delta: float = 0.05,
    complexities: Sequence[float] = (0.0, 0.0),
) -> float:
    r"""Bound on the difference in loss from the one that was measured (Theorem 2).

    .. math:: \Delta L \le \widehat{\Delta L} + C

    It is about the head whose losses are compared. In training that is a fairness head:
    of the head that predicts it speaks only with ``fairness_head="task"``.

    Parameters
    ----------
    difference : float in [0, 1]
        Absolute difference between the groups in mean loss.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.

    Examples
    --------
    >>> from fairtask.bounds import group_loss_bound
    >>> round(group_loss_bound(0.03, [2_000, 8_000]), 4)
    0.0756
    """
    _check_share(difference, "difference")
    return _told(
        difference
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def adversarial_bound(
    error: float,
    n_samples: Sequence[int],
    *,
    complexities: Sequence[float],
    delta: float = 0.05,
) -> float:
    r"""Bound on the difference in loss from a discriminator's error (Theorem 1).

    .. math:: \Delta L \le 2 - 4 \hat\varepsilon + C

    It holds under two conditions that the paper does not state. The groups must have
    the same distribution of labels given what the discriminator sees: else the loss may
    differ although the groups cannot be told apart. And the error must be that of the
    best discriminator of the class; one that was trained by gradient descent may have a
    greater error, and the bound too small a value.

    Parameters
    ----------
    error : float in [0, 0.5]
        Smallest error :math:`\hat\varepsilon` of a discriminator that tells the groups
        apart, each group counting half.
    n_samples, delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more, as for any error up to 0.25.
    """
    _check_share(error, "error", largest=0.5)
    return _told(
        2
        - 4 * error
        + generalization_slack(n_samples, delta=delta, complexities=complexities)
    )


def excess_bound(
    difference: float,
    n_samples: Sequence[int],
    *,
    eta: float,
    lam: float,
    complexities: Sequence[float],
    fairness_loss: Literal["glf", "adversarial"] = "glf",
    delta: float = 0.05,
) -> float:
    r"""Bound on the difference in loss after training (Corollaries 1 and 2).

    .. math::

        \Delta L(\hat\theta) \le \Delta L(\theta^*) + \frac{a \eta}{1 - \lambda} + 2 C

    with a = 1 for GLF and a = 4 for an adversary. It holds where the task loss of
    :math:`\theta^*` is at most that of :math:`\hat\theta`, which the paper does not
    state: a constant prediction has no difference, and a task loss that the objective
    would not accept.

    Parameters
    ----------
    difference : float in [0, 1]
        Expected difference :math:`\Delta L(\theta^*)` of the parameters compared with.
    n_samples : sequence of 2 int
        See `generalization_slack`.
    eta : float
        By how much, at most, the objective of the trained parameters exceeds its
        minimum.
    lam : float in [0, 1)
        Weight of the task in the objective.
    fairness_loss : {"glf", "adversarial"}, default="glf"
    delta, complexities
        See `generalization_slack`.

    Returns
    -------
    bound : float
        It holds with probability 1 - delta.

    Raises
    ------
    ValueError
        If an argument is not of this form.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    """
    _check_share(difference, "difference")
    if not (_is_number(eta) and eta >= 0):
        raise ValueError(f"`eta` must be a finite number of at least 0; got {eta!r}.")
    if not (_is_number(lam) and 0 <= lam < 1):
        raise ValueError(
            "`lam` must be a number in [0, 1), since with 1 nothing is penalised; got "
            f"{lam!r}."
        )
    check_one_of("fairness_loss", fairness_loss, list(PENALTY_SCALES))
    slack = generalization_slack(n_samples, delta=delta, complexities=complexities)
    excess = PENALTY_SCALES[fairness_loss] * eta / (1 - lam)
    return _told(difference + excess + 2 * slack)


def certified_difference(
    losses: Any,
    *,
    sensitive_features: Any,
    strata: Any = None,
    groups: Any = None,
    delta: float = 0.05,
) -> float:
    r"""Bound on the largest difference in expected loss, from held-out samples.

    .. math::

        \max_{c, a \ne b} \left( \hat L_{ca} - \hat L_{cb}
        + \sqrt{\frac{\ln(1 / \delta)}{2}
        \left( \frac{1}{n_{ca}} + \frac{1}{n_{cb}} \right)} \right)

    where :math:`\hat L_{cg}` is the mean loss of the :math:`n_{cg}` samples of group g
    in stratum c. This is Hoeffding's inequality for a difference of two means, which is
    less than Theorem 2 adds for each mean. No pair of groups pays for the others: the
    pair that differs most is a fixed one, and it is enough that its bound holds.

    The samples must have been drawn independently from the population that is meant
    (not several rows of one person), and the model, and the choice of it, must not have
    seen them. Then it holds with probability 1 - delta, whatever the model and the
    distribution, for the groups and strata that are there. Of groups that were not
    drawn it says nothing: name those that count with `groups`.

    Parameters
    ----------
    losses : array-like of shape (n_samples,)
        Loss of each sample, in [0, 1]: ``y_true != y_pred``, or one minus the
        probability of the true class.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Groups; of several attributes the largest difference counts. A sample whose
        group is unknown belongs to none.
    strata : array-like of shape (n_samples,), optional
        Groups are compared inside each stratum. With ``y_true != y_pred`` and
        ``strata=y_true`` these are the error rates inside each class, and for two
        classes the bound is one on the equalized-odds difference.
    groups : array-like, or dict or list of array-likes, optional
        The groups of the attribute, or of each, where the samples may lack some.
    delta : float in (0, 1), default=0.05
        Probability with which the bound may fail.

    Returns
    -------
    bound : float
        NaN if no attribute has two groups; infinite if a stratum lacks a group.

    Raises
    ------
    ValueError
        If the arguments have different lengths, losses are outside [0, 1], a stratum is
        missing, or a group is not among `groups`.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    UndefinedMetricWarning
        If an attribute has fewer than two groups; the others count.

    See Also
    --------
    fairtask.metrics.bootstrap : Intervals, narrower, that hold for many samples.

    References
    ----------
    .. [1] W. Hoeffding. "Probability inequalities for sums of bounded random
       variables". Journal of the American Statistical Association 58, 1963.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.bounds import certified_difference
    >>> rng = np.random.default_rng(0)
    >>> y_true, groups = rng.integers(0, 2, (2, 10_000))
    >>> is_wrong = rng.random(10_000) < np.where(groups == 0, 0.10, 0.15)
    >>> bound = certified_difference(
    ...     is_wrong, sensitive_features=groups, strata=y_true
    ... )
    >>> round(bound, 2)
    0.09
    """
    _check_delta(delta)
    losses = np.asarray(losses)
    if losses.ndim != 1 or not len(losses) or losses.dtype.kind not in "bfiu":
        raise ValueError(
            "`losses` must be numbers of shape (n_samples,), one at least; got "
            f"{losses.dtype} of shape {losses.shape}."
        )
    losses = losses.astype(float)
    outside = ~((losses >= 0) & (losses <= 1))
    if outside.any():
        raise ValueError(
            "`losses` must be in [0, 1], as the bound supposes; found "
            f"{outside.sum():,} others, such as {losses[outside][0]}."
        )
    sensitive = encode_sensitive_features(
        sensitive_features, n_samples=len(losses), groups=groups
    )
    stratum, strata_names = _encode_strata(strata, len(losses))
    bounds = []
    for name, codes, of_attribute in zip(
        sensitive.names, sensitive.codes.T, sensitive.groups, strict=True
    ):
        if len(of_attribute) < 2:
            warn_user(
                UndefinedMetricWarning,
                f"{name} has fewer than two groups, and no difference",
            )
            continue
        sizes, sums = _totals(losses, stratum, codes, len(of_attribute))
        absent = np.argwhere(sizes == 0)
        if len(absent):
            i, g = absent[0]
            warn_user(
                VacuousBoundWarning,
                f"there is no bound: stratum {strata_names[i]!r} has no sample of the "
                f"group {of_attribute[g]!r} of {name}",
            )
            return float("inf")
        bounds.append(_largest_difference(sizes, sums, delta))
    return _told(max(bounds)) if bounds else float("nan")


def _encode_strata(strata: Any, n_samples: int) -> tuple[np.ndarray, list]:
    """Number the strata of the samples from 0; return their names as well."""
    if strata is None:
        return np.zeros(n_samples, dtype=np.int64), ["all"]
    column = pd.Series(list(strata) if np.ndim(strata) else [], dtype=object)
    if len(column) != n_samples:
        raise ValueError(
            f"`strata` must have one entry per sample: expected {n_samples}, found "
            f"{len(column)}."
        )
    codes, names = pd.factorize(column)
    if (codes < 0).any():
        raise ValueError(
            f"`strata` must have no missing values; found {(codes < 0).sum():,}."
        )
    return codes, list(names)


def _totals(
    losses: np.ndarray, strata: np.ndarray, groups: np.ndarray, n_groups: int
) -> tuple[np.ndarray, np.ndarray]:
    """Number of samples and sum of losses, each of shape (n_strata, n_groups)."""
    known = groups >= 0
    shape = (strata.max() + 1, n_groups)
    cells = strata[known] * n_groups + groups[known]
    sizes = np.bincount(cells, minlength=shape[0] * n_groups)
    sums = np.bincount(cells, losses[known], minlength=shape[0] * n_groups)
    return sizes.reshape(shape), sums.reshape(shape)


def _largest_difference(sizes: np.ndarray, sums: np.ndarray, delta: float) -> float:
    """Bound on the largest difference over the strata and pairs of groups."""
    means, inverse = sums / sizes, 1 / sizes
    differences = means[:, :, None] - means[:, None, :]
    slack = np.sqrt(log(1 / delta) / 2 * (inverse[:, :, None] + inverse[:, None, :]))
    pairs = ~np.eye(sizes.shape[1], dtype=bool)
    return float((differences + slack)[:, pairs].max())


def _pair(values: Sequence[float], name: str, *, smallest: float) -> list[float]:
    pair = list(values) if np.ndim(values) == 1 else []
    if len(pair) != 2 or not all(_is_number(v) and v >= smallest for v in pair):
        raise ValueError(
            f"`{name}` must be two finite numbers of at least {smallest}, one for each "
            f"group; got {values!r}."
        )
    return [float(value) for value in pair]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and isfinite(value)


def _check_delta(delta: float) -> None:
    if not (_is_number(delta) and 0 < delta < 1):
        raise ValueError(f"`delta` must be a number in (0, 1); got {delta!r}.")


def _check_share(value: float, name: str, largest: float = 1) -> None:
    if not (_is_number(value) and 0 <= value <= largest):
        raise ValueError(f"`{name}` must be a number in [0, {largest}]; got {value!r}.")


def _told(bound: float) -> float:
    """Return a bound; warn if it says nothing."""
    if bound >= 1:
        warn_user(
            VacuousBoundWarning,
            f"the bound is vacuous: {bound:.3g}, where no difference can be above 1",
        )
    return bound
