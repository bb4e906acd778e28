"""A bound from held-out samples, for any number of groups."""

from math import log
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._columns import as_column, exact_names
from fairtask._frames import as_pandas, check_same_rows
from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import warn_user
from fairtask.bounds._formulas import check_delta, warn_if_vacuous
from fairtask.exceptions import VacuousBoundWarning

__all__ = ["certified_difference", "encode_strata"]


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
    in stratum c. This is Hoeffding's inequality [1]_ for a difference of two means. It
    adds less than Theorem 2, which adds a slack for each mean.

    The samples must have been drawn independently from the population of interest (not
    several rows of one person), and must not have been used to train or to choose the
    model. Then the bound holds with probability 1 - delta, whatever the model and the
    distribution, for the groups and strata in the samples. It says nothing of groups
    that were not drawn: name those that count with `groups`.

    Parameters
    ----------
    losses : array-like of shape (n_samples,)
        Loss of each sample, in [0, 1]: ``y_true != y_pred``, or one minus the
        probability of the true class.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample; the largest difference of several attributes counts. A
        sample whose group is unknown belongs to none.
    strata : array-like of shape (n_samples,), optional
        Groups are compared inside each stratum. With ``y_true != y_pred`` and
        ``strata=y_true`` the means are the error rates inside each class, and for two
        classes the bound is one on the equalized-odds difference.
    groups : array-like, or dict or list of array-likes, optional
        The groups of the attribute, or of each, where the samples may lack some.
    delta : float in (0, 1), default=0.05
        Probability with which the bound may fail.

    Returns
    -------
    bound : float
        NaN if no attribute has two groups, infinite if a stratum lacks a group.

    Warns
    -----
    VacuousBoundWarning
        If the bound is 1 or more.
    UndefinedMetricWarning
        If an attribute has fewer than two groups; the others count.

    See Also
    --------
    fairtask.metrics.bootstrap : Narrower intervals, which hold for many samples.

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
    check_delta(delta)
    check_same_rows(
        {"losses": losses, "sensitive_features": sensitive_features, "strata": strata}
    )
    losses = np.asarray(as_pandas(losses, "losses"))
    if losses.ndim != 1 or not len(losses) or losses.dtype.kind not in "bfiu":
        raise ValueError(
            "`losses` must be numbers of shape (n_samples,), one at least; got "
            f"{losses.dtype} of shape {losses.shape}."
        )
    losses = losses.astype(float)
    outside = ~((losses >= 0) & (losses <= 1))
    if outside.any():
        raise ValueError(
            "`losses` must be in [0, 1], which the bound requires; found "
            f"{outside.sum():,} others, such as {losses[outside][0]}."
        )
    sensitive = encode_sensitive_features(
        sensitive_features, n_samples=len(losses), groups=groups
    )
    stratum, strata_names = encode_strata(strata, len(losses), "strata")
    bounds = []
    for name, codes, group_names in zip(
        sensitive.names, sensitive.codes.T, sensitive.groups, strict=True
    ):
        if len(group_names) < 2:
            warn_user(
                UndefinedMetricWarning,
                f"{name} has fewer than two groups, and no difference",
            )
            continue
        sizes, sums = _totals(losses, stratum, codes, len(group_names))
        absent = np.argwhere(sizes == 0)
        if len(absent):
            i, g = absent[0]
            warn_user(
                VacuousBoundWarning,
                f"there is no bound: stratum {strata_names[i]!r} has no sample of the "
                f"group {group_names.tolist()[g]!r} of {name}",
            )
            return float("inf")
        bounds.append(_largest_difference(sizes, sums, delta))
    return warn_if_vacuous(max(bounds)) if bounds else float("nan")


def encode_strata(
    strata: Any, n_samples: int, argument: str
) -> tuple[np.ndarray, list]:
    """Return the code of each sample's stratum, and the names of the strata."""
    if strata is None:
        return np.zeros(n_samples, dtype=np.int64), ["all"]
    column = as_column(strata if np.ndim(strata) else [], argument)
    if len(column) != n_samples:
        raise ValueError(
            f"`{argument}` must have one entry per sample: expected {n_samples}, found "
            f"{len(column)}."
        )
    known = exact_names(column, f"`{argument}`", "names of one type")
    if len(known) < n_samples:
        raise ValueError(
            f"`{argument}` must have no missing values; found "
            f"{n_samples - len(known):,}."
        )
    codes, names = pd.factorize(known)
    return codes, names.tolist()


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
    # NOTE: `delta` is not divided by the number of pairs. The pair with the largest
    # expected difference does not depend on the samples. It is enough that the bound of
    # this one pair holds, since the maximum over all pairs can only be larger.
    means, inverse = sums / sizes, 1 / sizes
    differences = means[:, :, None] - means[:, None, :]
    slack = np.sqrt(log(1 / delta) / 2 * (inverse[:, :, None] + inverse[:, None, :]))
    pairs = ~np.eye(sizes.shape[1], dtype=bool)
    return float((differences + slack)[:, pairs].max())
