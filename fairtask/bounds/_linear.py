"""A bound for every linear head on a representation, from held-out samples."""

import reprlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._columns import read_number_array
from fairtask._frames import check_same_rows
from fairtask._sensitive import SensitiveFeatures
from fairtask._validation import (
    check_can_be_squared,
    check_positive_integer,
    warn_user,
)
from fairtask.bounds._certificate import (
    attributes_to_compare,
    encode_groups,
    encode_strata,
)
from fairtask.bounds._distance import GroupMoments, distance_of_means, nearly_constant
from fairtask.bounds._formulas import check_delta
from fairtask.exceptions import VacuousBoundWarning

__all__ = ["LinearCertificate", "certified_mean_difference"]

COLUMNS = (
    "attribute",
    "class",
    "group_1",
    "group_2",
    "n_1",
    "n_2",
    "distance",
    "bound",
)


@dataclass(frozen=True, eq=False)
class LinearCertificate:
    """A bound on the differences in mean score of all linear heads.

    Attributes
    ----------
    bound : float
        No linear score with a standard deviation of 1 within the groups has class-
        conditional means that differ by more than this between two groups.
    distance : float
        The largest difference of such a score in the samples. It is too large on
        average, most of all with many units and few samples.
    pairs : DataFrame
        One row for each attribute, class and pair of groups: numbers of samples
        ``n_1`` and ``n_2``, ``distance`` and ``bound``.
    delta : float
        Probability with which the bound may fail. This holds for the bounds of the
        pairs taken one by one, and for the largest, `bound`, as one of all pairs.
    covariances : ndarray of shape (n_pairs, n_units, n_units)
        Pooled covariance within the two groups of each pair.
    left_out : DataFrame
        The cells that are in no pair: "attribute", "class", "group", and the number of
        samples "n", which is below ``min_group_size``. Nothing is certified for them.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.bounds import certified_mean_difference
    >>> rng = np.random.default_rng(0)
    >>> h, groups = rng.normal(size=(900, 4)), ["a", "b", "c"] * 300
    >>> certificate = certified_mean_difference(h, None, sensitive_features=groups)
    >>> certificate.pairs[["group_1", "group_2", "n_1", "n_2"]]
      group_1 group_2  n_1  n_2
    0       a       b  300  300
    1       a       c  300  300
    2       b       c  300  300
    >>> bool(certificate.bound == certificate.pairs["bound"].max())
    True
    """

    bound: float
    distance: float
    pairs: pd.DataFrame = field(repr=False)
    delta: float
    covariances: np.ndarray = field(repr=False)
    left_out: pd.DataFrame = field(repr=False)

    def for_head(self, coef: Any) -> Any:
        """Bound on the difference in mean score of a linear head.

        It is `bound` times the standard deviation of the score within the groups, as
        measured in the pair of groups where it is largest. The intercept has no effect.
        The head must not have been fitted to the samples of the certificate.

        Parameters
        ----------
        coef : array-like of shape (n_units,) or (n_outputs, n_units)
            Weights of the head, such as ``coef_`` of a
            `~sklearn.linear_model.LogisticRegression`. The units are those of the
            representation as it was certified. With a scaler before the head, divide
            ``coef_`` by ``scale_``.

        Returns
        -------
        bound : float, or ndarray of shape (n_outputs,)
            In units of the score, such as logits.

        Raises
        ------
        ValueError
            If `coef` does not hold one finite number for each unit.
        """
        weights = read_number_array(coef, "coef")
        n_units = self.covariances.shape[-1]
        if weights.ndim not in (1, 2) or weights.shape[-1] != n_units:
            raise ValueError(
                f"`coef` must have shape ({n_units},) or (n_outputs, {n_units}), one "
                f"weight for each unit; got shape {weights.shape}."
            )
        _check_finite(weights, "coef")
        if not np.isfinite(self.bound):
            return np.full(weights.shape[:-1], self.bound)[()]
        variances = np.einsum(
            "...i,kij,...j->k...", weights, self.covariances, weights, optimize=True
        )
        return self.bound * np.sqrt(variances.clip(min=0).max(axis=0))


def certified_mean_difference(
    h: Any,
    y: Any,
    *,
    sensitive_features: Any,
    groups: Any = None,
    min_group_size: int | None = None,
    delta: float = 0.05,
) -> LinearCertificate:
    r"""Bound on the differences that linear heads can show, from held-out samples.

    With :math:`\mu_{cg}` the mean representation of group g in class c, and
    :math:`\Sigma` the covariance within the two groups compared, pooled over them,

    .. math::

        |w^\top (\mu_{ca} - \mu_{cb})| \le \sqrt{w^\top \Sigma w} \; D, \qquad
        D^2 = (\mu_{ca} - \mu_{cb})^\top \Sigma^{-1} (\mu_{ca} - \mu_{cb})

    for every head w, and one head attains it. The certificate is an upper confidence
    limit of the Mahalanobis distance D, the largest over classes and pairs of groups.
    It needs no head, and holds for those that are fitted later and for other tasks.

    The samples must have been drawn independently from the population of interest, and
    must not have been used to train the representation, to erase anything from it, or
    to choose it. The bound says nothing of heads that are not linear, nor of units that
    are constant in the samples of two groups. It is a bound on means of scores: rates
    above a threshold also depend on the rest of their distribution.

    Parameters
    ----------
    h : array-like of shape (n_samples, n_units)
        Representation of each sample, such as ``clf.transform(X)``.
    y : array-like of shape (n_samples,) or None
        Class of each sample. Groups are compared inside each class; with None over all
        samples.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample. A sample whose group is unknown belongs to none.
    groups : array-like, or dict or list of array-likes, optional
        The groups of the attribute, or of each, where the samples may lack some.
    min_group_size : int, default=None
        A group with fewer samples in a class is left out of this class, since one tiny
        group makes the bound infinite. The certificate then says nothing of that group
        in that class, and lists both in ``left_out``. It holds for the other pairs if
        the number was not chosen by the bounds. None: every group counts.
    delta : float in (0, 0.5], default=0.05
        Probability with which the bound may fail.

    Returns
    -------
    certificate : LinearCertificate
        Its ``bound`` is NaN if no attribute has two groups of `min_group_size` in a
        class. It is infinite if a class lacks a group that counts, if the samples of
        two groups are too few for the number of units (:math:`n_a + n_b - 2 \le p`), or
        if a combination of units separates two groups of the samples without any
        variation inside them.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    VacuousBoundWarning
        If the bound is infinite.
    UndefinedMetricWarning
        If an attribute has fewer than two groups, in a class or at all; the others
        count. Or if units vary so little beside their size that they count as constant.

    See Also
    --------
    certified_difference : A bound for one classifier, valid for any distribution.

    Notes
    -----
    For normal units with equal covariances, Hotelling's :math:`T^2` has a noncentral F
    distribution [1]_, which gives exact limits. These limits fail if the covariances
    differ. With four times the variance in the larger of two groups of 1,000 and 100
    samples, 64 units and a distance of .5, they held in none of 100 simulations. The
    noncentral F distribution used here has its degrees of freedom and scale changed, so
    that its first two moments also fit

    - the covariance of the difference of means,
      :math:`\Sigma_a / n_a + \Sigma_b / n_b`;
    - the variance of :math:`\hat D^2` by the delta method, from the third and fourth
      moments of the scores along :math:`\hat\Sigma^{-1} (\hat\mu_a - \hat\mu_b)`.

    For groups of one size with moments up to the normal ones the limit is Hotelling's.
    In all other cases it is approximate. The limit never is below that of two groups
    that are equal and show the median distance, so that chance cannot make it 0.

    In simulations with 4 to 64 units and 10 to 1,000 samples in a group, 95 % limits
    cover at least 95 % on average over the designs, for normal, heavy-tailed and skewed
    units, rectified ones, and unequal covariances. They cover more, and are wide, for
    small groups beside large ones. They may cover less for units that are 0 for nearly
    all samples and show a large difference (``benchmarks/linear_certificate.py``).

    Constant units are left out, and so are directions in which the correlation matrix
    of the units has an eigenvalue below 1e-10 of its largest.

    References
    ----------
    .. [1] T. W. Anderson. "An introduction to multivariate statistical analysis",
       3rd edition, Section 5.2. Wiley, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.bounds import certified_mean_difference
    >>> rng = np.random.default_rng(0)
    >>> y, groups = rng.integers(0, 2, (2, 4_000))
    >>> h = rng.normal(size=(4_000, 16))
    >>> h[:, 0] += 0.3 * groups
    >>> certificate = certified_mean_difference(h, y, sensitive_features=groups)
    >>> round(certificate.bound, 2)
    0.35
    >>> head = [2.0] + 15 * [0.0]
    >>> bool(certificate.for_head(head) > 2 * 0.3)
    True
    """
    check_delta(delta)
    if min_group_size is not None:
        check_positive_integer("min_group_size", min_group_size)
    smallest = min_group_size or 0
    check_same_rows({"h": h, "y": y, "sensitive_features": sensitive_features})
    h = read_number_array(h, "h")
    if h.ndim != 2 or not h.size:
        raise ValueError(
            "`h` must have shape (n_samples, n_units), one sample and one unit at "
            f"least; got shape {h.shape}."
        )
    _check_finite(h, "h")
    check_can_be_squared(h, "h")
    sensitive = encode_groups(sensitive_features, len(h), groups)
    classes, class_names = encode_strata(y, len(h), "y")
    rows, covariances, left_out = [], [], []
    flat = np.zeros(h.shape[1], dtype=bool)
    for name, class_name, cells in _cells(h, classes, class_names, sensitive):
        compared = [group for group in cells if cells[group].n >= smallest]
        left_out += [
            (name, class_name, group, cell.n)
            for group, cell in cells.items()
            if group not in compared
        ]
        if len(compared) < 2:
            warn_user(
                UndefinedMetricWarning,
                f"{name} has fewer than two groups of at least {smallest:,} samples "
                f"in class {class_name!r}, and no difference there",
            )
        for first, second in combinations(compared, 2):
            a, b = cells[first], cells[second]
            distance, bound, covariance = distance_of_means(a, b, delta)
            flat |= nearly_constant(a, b)
            covariances.append(covariance)
            rows.append((name, class_name, first, second, a.n, b.n, distance, bound))
    if flat.any():
        warn_user(
            UndefinedMetricWarning,
            "nothing is certified for the units "
            f"{reprlib.repr(np.flatnonzero(flat).tolist())} of `h`, which vary so "
            "little beside their size that they count as constant. If this is no "
            "rounding, subtract an offset from them",
        )
    pairs = pd.DataFrame(rows, columns=COLUMNS)
    without = pd.DataFrame(left_out, columns=["attribute", "class", "group", "n"])
    if not rows:
        none = np.empty((0, *h.shape[1:] * 2))
        return LinearCertificate(np.nan, np.nan, pairs, delta, none, without)
    # NOTE: As in `certified_difference`, `delta` is not divided by the number of pairs.
    worst = int(pairs["bound"].argmax())
    bound = float(pairs["bound"].iloc[worst])
    if np.isinf(bound):
        name, class_name, first, second, n_1, n_2, *_ = rows[worst]
        warn_user(
            VacuousBoundWarning,
            f"there is no bound: {n_1:,} and {n_2:,} samples of the groups {first!r} "
            f"and {second!r} of {name} in class {class_name!r} are too few for "
            f"{h.shape[1]:,} units, or a combination of units separates them. A larger "
            "`min_group_size` leaves small groups out",
        )
    return LinearCertificate(
        bound,
        float(pairs["distance"].max()),
        pairs,
        delta,
        np.stack(covariances),
        without,
    )


def _cells(
    h: np.ndarray, classes: np.ndarray, class_names: list, sensitive: SensitiveFeatures
) -> Iterator[tuple[str, Any, dict[Any, GroupMoments]]]:
    """Yield attribute, class, and the moments of the attribute's groups inside it."""
    for name, codes, groups in attributes_to_compare(sensitive):
        for c, class_name in enumerate(class_names):
            yield (
                name,
                class_name,
                {
                    group: GroupMoments.of(h[(classes == c) & (codes == g)])
                    for g, group in enumerate(groups.tolist())
                },
            )


def _check_finite(values: np.ndarray, argument: str) -> None:
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{argument}` must hold finite numbers; found "
            f"{(~np.isfinite(values)).sum():,} others."
        )
