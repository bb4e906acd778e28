"""A bound from held-out samples, for any number of groups."""

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._columns import as_column, exact_names, read_number_array
from fairtask._frames import check_n_rows, check_same_rows
from fairtask._sensitive import SensitiveFeatures, encode_sensitive_features
from fairtask._validation import warn_user
from fairtask.bounds._formulas import check_delta, warn_if_vacuous
from fairtask.bounds._two_samples import (
    BettingTest,
    ExactTest,
    approximate_limits,
)
from fairtask.exceptions import VacuousBoundWarning

__all__ = [
    "attributes_to_compare",
    "certified_difference",
    "difference_of_rates",
    "encode_groups",
    "encode_strata",
]


def certified_difference(
    losses: Any,
    *,
    sensitive_features: Any,
    strata: Any = None,
    groups: Any = None,
    delta: float = 0.05,
) -> float:
    r"""Bound on the largest difference in expected loss, from held-out samples.

    The bound is the largest, over the strata and the pairs of groups, of an upper
    confidence limit of the difference between two groups. It holds with probability
    1 - delta, for any number of samples, whatever the model and the distribution, and
    is narrow because one test compares both groups:

    - 0-1 losses: the exact unconditional test with a confidence interval for the other
      parameter [1]_, in the order of an approximate limit [2]_. With 1,000 samples of
      each group and error rates of .05 the bound is .017 above the measured difference;
      Hoeffding's inequality adds .055.
    - Other losses: a test by betting [3]_, which adapts to the variance of the losses.

    Losses that are all 0 or 1 are taken as 0-1 losses. Every sample of the population
    must have such a loss then.

    The samples must have been drawn independently from the population of interest. They
    must not have been used to train or to choose the model. Several rows of one person
    are not independent, and nothing is certified for them: keep one row of each. The
    bound is for the groups and strata in the samples. It says nothing of groups that
    were not drawn: name those that count with `groups`.

    To certify K models with the same samples, or to choose one of them by its bound,
    pass ``delta / K`` for each. All K bounds then hold with probability 1 - delta,
    because the probabilities to fail add up to delta at most. With ``delta`` itself,
    each bound may fail, and the model with the smallest one is often one of those for
    which it does.

    The time grows with the number of pairs of groups, of which each is tested.

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
    delta : float in (0, 0.5], default=0.05
        Probability with which the bound may fail.

    Returns
    -------
    bound : float
        At most 1 if each stratum has each group, else infinite. NaN if no attribute has
        two groups.

    Raises
    ------
    ValueError
        If an argument is not as described, such as a loss outside of [0, 1].

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
    .. [1] R. L. Berger and D. D. Boos. "P values maximized over a confidence set for
       the nuisance parameter". Journal of the American Statistical Association 89,
       1994.
    .. [2] A. Agresti and B. Caffo. "Simple and effective confidence intervals for
       proportions and differences of proportions result from adding two successes and
       two failures". The American Statistician 54, 2000.
    .. [3] I. Waudby-Smith and A. Ramdas. "Estimating means of bounded random variables
       by betting". Journal of the Royal Statistical Society, Series B 86, 2024.

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
    0.07
    """
    check_delta(delta)
    check_same_rows(
        {"losses": losses, "sensitive_features": sensitive_features, "strata": strata}
    )
    losses = read_number_array(losses, "losses")
    if losses.ndim != 1 or not len(losses):
        raise ValueError(
            "`losses` must be numbers of shape (n_samples,), one at least; got the "
            f"shape {losses.shape}."
        )
    outside = ~((losses >= 0) & (losses <= 1))
    if outside.any():
        raise ValueError(
            "`losses` must be in [0, 1], which the bound requires; found "
            f"{outside.sum():,} others, such as {losses[outside][0]}."
        )
    zero_one = bool(np.isin(losses, (0, 1)).all())
    sensitive = encode_groups(sensitive_features, len(losses), groups)
    stratum, strata_names = encode_strata(strata, len(losses), "strata")
    bounds = []
    for name, codes, group_names in attributes_to_compare(sensitive):
        cells = _losses_of_cells(losses, stratum, codes, len(group_names))
        sizes, sums = (
            np.array([[reduce(losses) for losses in row] for row in cells])
            for reduce in (len, np.sum)
        )
        absent = np.argwhere(sizes == 0).tolist()
        if absent:
            i, g = absent[0]
            warn_user(
                VacuousBoundWarning,
                f"there is no bound: stratum {strata_names[i]!r} has no sample of the "
                f"group {group_names.tolist()[g]!r} of {name}",
            )
            return float("inf")
        bounds.append(
            difference_of_rates(sums, sizes, [delta])
            if zero_one
            else _difference_of_means(cells, sums / sizes, sizes, delta)
        )
    return warn_if_vacuous(max(bounds)) if bounds else float("nan")


def attributes_to_compare(
    sensitive: SensitiveFeatures,
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, the codes and the groups of each attribute.

    It warns of an attribute with fewer than two groups, which is left out.
    """
    for name, codes, groups in zip(
        sensitive.names, sensitive.codes.T, sensitive.groups, strict=True
    ):
        if len(groups) < 2:
            warn_user(
                UndefinedMetricWarning,
                f"{name} has fewer than two groups, and no difference",
            )
        else:
            yield name, codes, groups


def encode_groups(
    sensitive_features: Any, n_samples: int, groups: Any
) -> SensitiveFeatures:
    """Return the sensitive attributes as codes; nothing is certified without them."""
    if sensitive_features is None:
        raise ValueError(
            "`sensitive_features` must have a column for each attribute; got None."
        )
    return encode_sensitive_features(
        sensitive_features, n_samples=n_samples, groups=groups
    )


def encode_strata(
    strata: Any, n_samples: int, argument: str
) -> tuple[np.ndarray, list]:
    """Return the code of each sample's stratum, and the names of the strata."""
    if strata is None:
        return np.zeros(n_samples, dtype=np.int64), ["all"]
    column = as_column(strata, argument)
    check_n_rows(strata, len(column), argument, n_samples)
    known = exact_names(column, f"`{argument}`", "names of one type")
    if len(known) < n_samples:
        raise ValueError(
            f"`{argument}` must have no missing values; found "
            f"{n_samples - len(known):,}."
        )
    codes, names = pd.factorize(known)
    return codes, names.tolist()


def _losses_of_cells(
    losses: np.ndarray, strata: np.ndarray, groups: np.ndarray, n_groups: int
) -> list[list[np.ndarray]]:
    """Return the losses of each stratum and group, in random order.

    Samples may be sorted by their loss. The order is another one of random numbers, but
    always the same.
    """
    known = np.flatnonzero(groups >= 0)
    known = np.random.default_rng(0).permutation(known)
    n_cells = (strata.max() + 1) * n_groups
    cells = strata[known] * n_groups + groups[known]
    order = np.argsort(cells, kind="stable")
    ends = np.bincount(cells, minlength=n_cells).cumsum()
    parts = np.split(losses[known[order]], ends[:-1])
    return [parts[i : i + n_groups] for i in range(0, n_cells, n_groups)]


def difference_of_rates(
    events: np.ndarray, sizes: np.ndarray, deltas: Sequence[float]
) -> float:
    """Bound on the largest difference between rates, from counts.

    Parameters
    ----------
    events, sizes : ndarray of shape (n_strata, n_groups)
        Number of samples for which the event happened, and of all samples.
    deltas : sequence of float
        In ascending order. The bound is no lower than with any of these.
    """
    pairs = _pairs(events / sizes, sizes, deltas[0])
    # Many pairs of small groups have the same counts.
    counts = dict.fromkeys(
        (tuple(events[stratum, pair]), tuple(sizes[stratum, pair]))
        for stratum, *pair in pairs
    )
    bound = 0.0
    for events_of_pair, sizes_of_pair in counts:
        bound = _limit_of_pair(bound, events_of_pair, sizes_of_pair, deltas)
    return bound


def _difference_of_means(
    cells: list[list[np.ndarray]], means: np.ndarray, sizes: np.ndarray, delta: float
) -> float:
    """Bound on the largest difference, from the losses of each stratum and group."""
    bound = 0.0
    for stratum, first, second in _pairs(means, sizes, delta):
        test = BettingTest(cells[stratum][first], cells[stratum][second], delta)
        if not test.rejects(bound):
            bound = test.limit(bound)
    return bound


def _pairs(
    means: np.ndarray, sizes: np.ndarray, delta: float
) -> list[tuple[int, int, int]]:
    """List strata and pairs of groups, those first that are likely to differ most.

    The first pair decides nearly always: to test the others at its limit is quick.

    NOTE: `delta` is not divided by the number of pairs. The pair with the largest
    expected difference does not depend on the samples. It is enough that the bound of
    this one pair holds, since the maximum over all pairs can only be larger.
    """
    likely = approximate_limits(means, sizes, delta)
    pairs = [
        (stratum, first, second)
        for stratum in range(len(sizes))
        for first, second in permutations(range(sizes.shape[1]), 2)
    ]
    return sorted(pairs, key=lambda pair: -likely[pair])


def _limit_of_pair(
    bound: float, events: tuple, sizes: tuple, deltas: Sequence[float]
) -> float:
    """Return the largest of a bound and of the exact limits of two groups.

    Mostly only the smallest delta raises the bound. The others then reject it together,
    in a few tests.
    """
    test = ExactTest(events, sizes, deltas)
    if test.rejects(bound):
        return bound
    if len(deltas) == 1:
        return test.limit(bound)
    half = len(deltas) // 2
    for part in (deltas[:half], deltas[half:]):
        bound = _limit_of_pair(bound, events, sizes, part)
    return bound
