"""Choosing a model whose disparity is within a budget, with a stated confidence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.metrics import get_scorer, get_scorer_names

from fairtask._frames import check_same_rows
from fairtask._validation import check_one_of
from fairtask.exceptions import BudgetNotMetError
from fairtask.metrics import make_fairness_scorer
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._names import find_metric, metric_of_name
from fairtask.metrics._samples import is_constant
from fairtask.model_selection._limits import UpperLimits, check_limits
from fairtask.model_selection._multiplicity import TESTS
from fairtask.model_selection._predictions import predict_all
from fairtask.model_selection._rules import check_budget
from fairtask.model_selection._scores import name_of_disparity

__all__ = ["BudgetChoice", "choose_within_budget"]


@dataclass(frozen=True, eq=False)
class BudgetChoice:
    """The model that `choose_within_budget` chose, or the reason why it chose none.

    Attributes
    ----------
    name : str, int or None
        Name of the chosen candidate. None: no candidate qualified.
    reason : str
        Why this one was chosen, or none.
    table : DataFrame
        A row per candidate, in their order, with the columns "performance",
        "disparity", "constant" (whether it predicts one class for all samples),
        "limit" (the upper limit of the disparity, NaN if it was not tested), "delta"
        (the probability with which this limit may fail) and "qualifies".

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.dummy import DummyClassifier
    >>> from fairtask.model_selection import choose_within_budget
    >>> X, y, z = np.zeros((40, 1)), [0, 1] * 20, ["f", "f", "m", "m"] * 10
    >>> choice = choose_within_budget(
    ...     {"prior": DummyClassifier().fit(X, y)},
    ...     X,
    ...     y,
    ...     sensitive_features=z,
    ...     budget=0.1,
    ... )
    >>> choice.table[["disparity", "constant", "qualifies"]]
           disparity  constant  qualifies
    prior        0.0      True      False
    >>> choice.name is None
    True
    """

    name: Any
    reason: str
    table: pd.DataFrame = field(repr=False)
    _candidates: Mapping[Any, Any] = field(repr=False)

    @property
    def estimator(self) -> Any:
        """The chosen model.

        Raises
        ------
        BudgetNotMetError
            If no candidate qualified.
        """
        if self.name is None:
            raise BudgetNotMetError(self.reason)
        return self._candidates[self.name]


def choose_within_budget(
    candidates: Mapping[Any, Any] | Sequence[Any],
    X: Any,
    y: Any,
    *,
    sensitive_features: Any,
    budget: float,
    performance: str = "roc_auc",
    disparity: str | Callable = "equalized_odds_difference",
    confidence_level: float = 0.95,
    limit: Literal["exact", "bootstrap"] = "exact",
    multiplicity: Literal["holm", "fixed_sequence"] = "holm",
    n_resamples: int = 1000,
    random_state: Any = None,
    **metric_params: Any,
) -> BudgetChoice:
    r"""Choose the best model whose disparity is within a budget, with confidence.

    Each candidate is tested on held-out samples. It qualifies if an upper confidence
    limit of its disparity is within the budget. The best of those that qualify is
    chosen. If none does, none is chosen: the result says why.

    .. math::

        P(\text{true disparity of the chosen model} > \text{budget}) \le \delta,
        \qquad \delta = 1 - \text{confidence level}

    whatever the number of candidates, and whatever the rule that chooses among those
    that qualify. This is the scheme of "Learn then Test" [1]_ and of the safety test of
    Seldonian algorithms [2]_.

    It holds for samples that were drawn independently from the population of interest,
    and that played no part in training, in a search, or in the choice of the candidates
    and of their order. Keep another part of the samples for a report: of several
    candidates that qualify, the best on these samples has been a little lucky, so that
    its performance in the table is a little too high on average.

    Parameters
    ----------
    candidates : dict of str to estimator, or sequence of estimator
        Fitted classifiers, such as pipelines. `fit_candidates` makes them of a search.
    X : array-like of shape (n_samples, n_features)
        Held-out samples.
    y : array-like of shape (n_samples,)
        Their labels.
    sensitive_features : array-like of shape (n_samples,) or (n_samples, n_attributes)
        Group of each sample; the worst attribute counts.
    budget : float
        Largest disparity allowed, at least 0.
    performance : str or callable, default="roc_auc"
        A score of scikit-learn, a metric of `fairtask.metrics`, or a scorer.
    disparity : str or callable, default="equalized_odds_difference"
        A metric of `fairtask.metrics`, or its name. Of a metric of which 1 is the best,
        such as "demographic_parity_ratio", the disparity is 1 minus it: a budget of 0.2
        is the four-fifths rule.
    confidence_level : float, default=0.95
        Between 0.5 and 1.
    limit : {"exact", "bootstrap"}, default="exact"
        - "exact": `~fairtask.bounds.certified_difference`, for differences between
          rates. The guarantee holds for any number of samples, and for the groups in
          them: name those that count with ``groups`` where some may be missing.
        - "bootstrap": `~fairtask.metrics.bootstrap`, for every metric that has
          intervals. The guarantee holds for many samples, approximately; the limit is
          lower.
    multiplicity : {"holm", "fixed_sequence"}, default="holm"
        How several candidates share :math:`\delta`.

        - "holm": each of K candidates is tested with :math:`\delta / K`; those that
          fail, again with :math:`\delta / (K - k)` after k have passed [3]_. It finds
          all that a Bonferroni correction finds, and often more. The order of the
          candidates does not matter.
        - "fixed_sequence": candidates are tested one after another, each with
          :math:`\delta`, until the first fails. Order them beforehand from the one that
          you expect to be the least disparate, such as by increasing ``lam`` or, as
          `fit_candidates` does, by the scores of a search on other samples.
    n_resamples : int, default=1000
        Number of resamples for ``limit="bootstrap"``.
    random_state : int, RandomState or None, default=None
        Seed of the resamples.
    **metric_params
        Further arguments of the metric, such as ``groups``. With ``limit="exact"`` they
        may be ``attributes``, ``control_features``, ``groups``, ``labels`` and
        ``pos_label``. ``sample_weight`` counts in the disparity, and not in the
        performance.

    Returns
    -------
    choice : BudgetChoice
        With the attributes ``estimator``, ``name``, ``reason`` and ``table``.
        ``estimator`` raises a `~fairtask.exceptions.BudgetNotMetError` if no candidate
        qualified. One that predicts one class for all samples does not qualify: its
        disparity says nothing about fairness.

    Raises
    ------
    ValueError
        If an argument is not as described.

    See Also
    --------
    best_under_budget : A choice by cross-validation alone, without a guarantee.

    References
    ----------
    .. [1] A. N. Angelopoulos, S. Bates, E. J. Candès, M. I. Jordan and L. Lei. "Learn
       then test: calibrating predictive algorithms to achieve risk control". Annals of
       Applied Statistics 19, 2025.
    .. [2] P. S. Thomas et al. "Preventing undesirable behavior of intelligent
       machines". Science 366, 2019.
    .. [3] S. Holm. "A simple sequentially rejective multiple test procedure".
       Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.model_selection import choose_within_budget
    >>> X, y, z = make_biased_classification(n_samples=20_000, random_state=0)
    >>> train, held_out = slice(0, 10_000), slice(10_000, None)
    >>> choice = choose_within_budget(
    ...     {C: LogisticRegression(C=C).fit(X[train], y[train]) for C in (1e-3, 1.0)},
    ...     X[held_out],
    ...     y[held_out],
    ...     sensitive_features=z[held_out],
    ...     budget=0.2,
    ... )
    >>> choice.table[["performance", "disparity", "qualifies"]].round(2)
           performance  disparity  qualifies
    0.001         0.87       0.28      False
    1.000         0.88       0.14       True
    >>> choice.estimator
    LogisticRegression()
    """
    metric = find_metric(disparity, "disparity")
    budget = check_budget(budget, metric.name)
    models = _read_candidates(candidates)
    check_resampling(n_resamples, confidence_level)
    if confidence_level <= 0.5:
        raise ValueError(
            f"`confidence_level` must be between 0.5 and 1; got {confidence_level!r}."
        )
    check_one_of("limit", limit, ("exact", "bootstrap"))
    check_one_of("multiplicity", multiplicity, tuple(TESTS))
    check_same_rows({"X": X, "y": y, "sensitive_features": sensitive_features})
    score = _make_scorer(performance, sensitive_features)
    delta = 1 - confidence_level
    check_limits(metric, limit == "exact", metric_params)
    make_limits = partial(
        UpperLimits,
        is_exact=limit == "exact",
        deltas=(delta / np.arange(len(models), 0, -1)).tolist(),
        n_resamples=n_resamples,
        random_state=int(make_generator(random_state).integers(2**31)),
        leaves_out="min_group_size" in metric_params,
    )
    rows, limits = [], []
    for model in models.values():
        labels, y_pred, y_score = predict_all(
            model,
            X,
            y,
            with_scores=metric.family.output != "y_pred",
            argument="candidates",
        )
        comparison = metric.compare(
            y,
            y_pred if y_score is None else y_score,
            sensitive_features=sensitive_features,
            **{"labels": labels, **metric_params},
        )
        limits.append(make_limits(comparison))
        rows.append(
            {
                "performance": score(model, X, y),
                "disparity": limits[-1].value,
                "constant": is_constant(np.asarray(y), np.asarray(y_pred)),
            }
        )
    table = pd.DataFrame(rows, index=pd.Index(models, tupleize_cols=False))
    table["limit"], table["delta"] = TESTS[multiplicity](
        lambda i, delta: limits[i].limit(delta), len(models), budget, delta
    )
    table["qualifies"] = (
        (table["limit"] <= budget) & ~table["constant"] & table["performance"].notna()
    )
    disparity_name = name_of_disparity(metric.name)
    if table["qualifies"].any():
        chosen = int(table["performance"].where(table["qualifies"]).argmax())
        name = list(models)[chosen]
        reason = _why_chosen(chosen, table, disparity_name, budget)
    else:
        name = None
        reason = _why_none(table, limits, disparity_name, budget, multiplicity)
    return BudgetChoice(name, reason, table, models)


def _read_candidates(candidates: Any) -> dict[Any, Any]:
    """Return models by name; those of a sequence by position."""
    if hasattr(candidates, "cv_results_"):
        raise ValueError(
            "`candidates` must be fitted models, and a search keeps one at most; fit "
            "its candidates with `fit_candidates`."
        )
    if isinstance(candidates, Mapping):
        models = dict(candidates)
    elif isinstance(candidates, Sequence) and not isinstance(candidates, str):
        models = dict(enumerate(candidates))
    elif isinstance(candidates, np.ndarray):
        models = dict(enumerate(candidates.ravel()))
    else:
        models = {}
    are_models = all(hasattr(model, "predict") for model in models.values())
    if not models or not are_models or None in models:
        raise ValueError(
            "`candidates` must be a dict of names to fitted classifiers, or a sequence "
            f"of these, one at least; got {candidates!r}."
        )
    return models


def _make_scorer(performance: Any, sensitive_features: Any) -> Callable[..., float]:
    """Return a function of a model, samples and labels."""
    if isinstance(performance, str) and metric_of_name(performance) is not None:
        scorer = make_fairness_scorer(performance)
        return partial(scorer, sensitive_features=sensitive_features)
    if callable(performance):
        return performance
    if isinstance(performance, str) and performance in get_scorer_names():
        return get_scorer(performance)
    raise ValueError(
        "`performance` must be a score of scikit-learn, a metric of groups or a "
        f"scorer; got {performance!r}."
    )


def _why_chosen(chosen: int, table: pd.DataFrame, disparity: str, budget: float) -> str:
    """Say why the candidate at a position was chosen."""
    name, row = table.index.tolist()[chosen], table.iloc[chosen]
    return (
        f"{name!r} has the best performance, {row['performance']:.4g}, "
        f"of the candidates that qualified ({table['qualifies'].sum()} of "
        f"{len(table)}); its {disparity!r} is {row['disparity']:.4g}, with an upper "
        f"limit of {row['limit']:.4g} for a budget of {budget:g}."
    )


def _why_none(
    table: pd.DataFrame,
    limits: list[UpperLimits],
    disparity: str,
    budget: float,
    multiplicity: str,
) -> str:
    """Say why no candidate was chosen."""
    names, found = table.index.tolist(), table["limit"].to_numpy()
    sentences = [f"No candidate qualified for a budget of {budget:g}."]
    is_constant = table["constant"].to_numpy(dtype=bool)
    for is_useless, why in (
        (is_constant, "predict one class for all samples"),
        (~is_constant, "have no performance"),
    ):
        useless = [names[i] for i in np.flatnonzero((found <= budget) & is_useless)]
        if useless:
            sentences.append(f"{useless} are within it, but {why}.")
    failed = np.flatnonzero(found > budget)
    if len(failed):
        which = "candidates" if len(sentences) == 1 else "others"
        tested = f"the {which} that were tested ({len(failed)} of {len(table)})"
        least = failed[found[failed].argmin()]
        name, limit, value = names[least], found[least], table["disparity"].iloc[least]
        remedy = "Limits are lower with more held-out samples"
        if multiplicity == "holm" and len(table) > 1:
            remedy += ", and with fewer candidates, if they are left out beforehand"
        sentences.append(
            f"None of {tested} has an upper limit of {disparity!r}: {name!r} has none "
            f"because {limits[least].why_infinite()}"
            if np.isinf(limit)
            else f"Of {tested}, {name!r} has the least upper limit of {disparity!r}: "
            f"{limit:.4g}; its value is {value:.4g}. {remedy}."
        )
    if np.isnan(found).any():
        sentences.append(
            f"The sequence stopped at {names[failed[0]]!r}; the candidates after it "
            "were not tested. Another order must be chosen on other samples."
        )
    return " ".join(sentences)
