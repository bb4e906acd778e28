"""Several metrics of a method in one number."""

from collections.abc import Hashable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._validation import check_one_of, warn_user

__all__ = ["delta_m", "mean_rank"]


def delta_m(
    table: pd.DataFrame,
    *,
    baseline: Hashable,
    higher_is_better: Sequence[str],
    reduce: Literal["mean", "sum_per_task"] = "mean",
) -> pd.Series:
    r"""Relative change against a baseline, over all metrics, in per cent.

    .. math::

        \Delta_m = \operatorname{reduce}_j \; (-1)^{[\text{higher is better}]} \,
        \frac{M_j - B_j}{|B_j|} \cdot 100

    for the metrics :math:`M_j` of a method and :math:`B_j` of the baseline. The lower
    the better; the baseline has 0.

    Parameters
    ----------
    table : DataFrame
        A row per method and a column per metric. With two levels of columns the first
        is the task, or the sensitive attribute, and the second the metric; a metric
        that belongs to several is repeated.
    baseline : label
        Row of the baseline.
    higher_is_better : sequence of str
        Names of the metrics, such as "AUC", where higher is better.
    reduce : {"mean", "sum_per_task"}, default="mean"
        The mean over all columns [1]_, or the sum over the metrics of each task and
        then the mean over the tasks, as in the tables of "Learning fair latent
        representation with multi-task deep learning".

    Returns
    -------
    changes : Series
        Per cent, for each method. NaN where a metric is NaN, or where the baseline's is
        0 and the method's is not.

    Raises
    ------
    ValueError
        If a name is not in the table, or the table is not as described.

    Warns
    -----
    UndefinedMetricWarning
        If a metric of the baseline is 0.

    References
    ----------
    .. [1] A. Navon et al. "Multi-task learning as a bargaining game". ICML 2022.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairtask.metrics import delta_m
    >>> table = pd.DataFrame(
    ...     {"AUC": [0.80, 0.76], "EOD": [0.20, 0.10]}, index=["single", "auxiliary"]
    ... )
    >>> delta_m(table, baseline="single", higher_is_better=["AUC"]).round(1)
    single        0.0
    auxiliary   -22.5
    Name: delta_m, dtype: float64
    """
    check_one_of("reduce", reduce, ("mean", "sum_per_task"))
    values, direction = _oriented(table, baseline, higher_is_better)
    reference = values.loc[[baseline]].iloc[0]
    undefined = reference.index[reference == 0].tolist()
    if undefined:
        warn_user(
            UndefinedMetricWarning,
            f"`delta_m` is relative to the baseline, which is 0 in {undefined}: "
            "methods with another value there get NaN.",
        )
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = (values - reference) / reference.abs() * direction
    changes = 100 * relative.to_numpy()
    changes[np.isinf(changes)] = np.nan
    changes[values.eq(reference).to_numpy()] = 0  # also where the baseline is 0
    if reduce == "mean":
        reduced = changes.mean(axis=1)
    else:
        nested = table.columns.nlevels == 2
        tasks = (
            table.columns.get_level_values(0) if nested else np.zeros(len(reference))
        )
        sums = [changes[:, tasks == task].sum(axis=1) for task in pd.unique(tasks)]
        reduced = np.mean(sums, axis=0)
    return pd.Series(reduced, index=table.index, name="delta_m")


def mean_rank(
    table: pd.DataFrame,
    *,
    higher_is_better: Sequence[str],
    baseline: Hashable | None = None,
) -> pd.Series:
    """Mean over the metrics of the rank of each method, 1 being the best.

    Methods that tie share the mean of their ranks.

    Parameters
    ----------
    table : DataFrame
        A row per method and a column per metric, see `delta_m`.
    higher_is_better : sequence of str
        Names of the metrics, such as "AUC", where higher is better.
    baseline : label, default=None
        Row that is not ranked. None: all are.

    Returns
    -------
    ranks : Series
        For each method that is ranked. NaN where a metric is NaN; the others are ranked
        among themselves.

    Raises
    ------
    ValueError
        If a name is not in the table, or the table is not as described.

    Examples
    --------
    >>> import pandas as pd
    >>> from fairtask.metrics import mean_rank
    >>> table = pd.DataFrame({"AUC": [0.8, 0.7], "EOD": [0.2, 0.2]}, index=["a", "b"])
    >>> mean_rank(table, higher_is_better=["AUC"])
    a    1.25
    b    1.75
    Name: mean_rank, dtype: float64
    """
    values, direction = _oriented(table, baseline, higher_is_better)
    if baseline is not None:
        values = values.drop(index=baseline)
    ranks = (values * direction).rank()
    return ranks.mean(axis=1, skipna=False).rename("mean_rank")


def _oriented(
    table: Any, baseline: Hashable | None, higher_is_better: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Check a table; return it with -1 for each metric where higher is better."""
    if not isinstance(table, pd.DataFrame) or table.columns.nlevels > 2:
        raise ValueError(
            "`table` must be a DataFrame with a row per method and one or two levels "
            f"of columns; got {type(table).__name__}."
        )
    if table.index.has_duplicates or table.columns.has_duplicates:
        raise ValueError("`table` must have distinct rows and columns.")
    try:
        values = table.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`table` must hold numbers: {error}.") from error
    if baseline is not None and not _is_label(baseline, table.index):
        raise ValueError(
            f"`baseline` must be one of the rows {table.index.tolist()}; got "
            f"{baseline!r}."
        )
    metrics = table.columns.get_level_values(-1)
    if not pd.api.types.is_list_like(higher_is_better):  # a string is none
        raise ValueError(
            f"`higher_is_better` must be a sequence of names; got {higher_is_better!r}."
        )
    names = list(higher_is_better)
    unknown = [name for name in names if not _is_label(name, metrics)]
    if unknown:
        raise ValueError(
            f"`higher_is_better` must name metrics of {metrics.unique().tolist()}; got "
            f"{unknown}."
        )
    return values, np.where(metrics.isin(names), -1.0, 1.0)


def _is_label(name: Any, labels: pd.Index) -> bool:
    try:
        return name in labels
    except TypeError:  # such as a list
        return False
