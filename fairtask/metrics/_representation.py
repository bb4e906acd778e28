"""Evidence on a representation: heads fitted to it, and groups read from it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier

from fairtask._validation import check_bool, check_one_of, check_positive_integer
from fairtask.metrics._audit import OWN_PREDICTION, RepresentationAudit
from fairtask.metrics._bootstrap import check_resampling, make_generator
from fairtask.metrics._group_reading import GroupReading, linear_classifier
from fairtask.metrics._group_sizes import GroupSizes
from fairtask.metrics._group_table import (
    by_group,
    differences,
    group_limits,
    warn_of_notes,
)
from fairtask.metrics._rates import ACCURACY, RATES, GroupRates
from fairtask.metrics._represented_samples import (
    RepresentedSamples,
    silence_constant_units,
)
from fairtask.metrics._resampling import resample
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._scores import ROC_AUC, GroupAUCs
from fairtask.metrics._statistics import GroupStatistics

__all__ = ["audit_representation"]


def audit_representation(
    transformer: Any,
    X: Any,
    y: Any,
    *,
    sensitive_features: Any,
    X_test: Any,
    y_test: Any,
    sensitive_features_test: Any,
    heads: Mapping[str, Any] | None = None,
    own_prediction: bool = True,
    attributes: Literal["each", "intersection"] = "each",
    min_group_size: int = 1,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: Any = None,
) -> RepresentationAudit:
    """Judge a representation by new heads, and by how well groups are read from it.

    Each head is a classifier that is fitted to ``transformer.transform(X)`` and ``y``
    alone, without the groups. The test samples show its performance and the differences
    between the groups in its predictions: in a balanced representation they are small
    for every head. Besides, a logistic regression is fitted inside each class to tell
    the groups apart. Its AUC on the test samples, averaged over the classes and, for
    more than two groups, over each group against the rest, is 0.5 if the representation
    says nothing about the group that the class does not say.

    Units that are constant up to rounding are set to 0, because a head would blow up
    their rounding errors. A warning names those that are not exactly constant.

    Parameters
    ----------
    transformer : object with ``transform``
        A fitted transformer, such as an estimator of this package, a pipeline of
        scikit-learn or an object of yours.
    X, X_test : array-like of shape (n_samples, ...)
        Samples to fit the heads to, and samples to judge them by. The transformer has
        not seen those of the test.
    y, y_test : array-like of shape (n_samples,)
        Labels of one task, which need not be the task of the transformer.
    sensitive_features, sensitive_features_test : array-like of shape (n_samples,) or \
            (n_samples, n_attributes)
        Groups of each sample. Where a group is missing, the sample is left out of that
        attribute; it counts in the fit of the heads and in their performance.
    heads : dict of str to classifier, default=None
        The heads by name, classifiers of scikit-learn. Copies are fitted. None:
        "logistic regression", with standardised units, and "boosted trees", a
        `~sklearn.ensemble.HistGradientBoostingClassifier` of 50 iterations.
    own_prediction : bool, default=True
        Whether to judge the predictions of the transformer, too, if its ``classes_``
        are those of `y`. They are called "own prediction". Pass False for labels of
        another task with the same classes.
    attributes : {"each", "intersection"}, default="each"
        Whether the groups are those of each attribute, or the combinations that occur.
    min_group_size : int, default=1
        Smallest number of test samples of the kind needed that a compared group has:
        of each class for the equalized odds difference. The audit names the groups that
        are left out.
    n_resamples : int, default=1000
        Number of bootstrap resamples of the test samples, see `bootstrap`; 0 for none,
        which leaves the intervals of accuracies.
    confidence_level : float, default=0.95
        Between 0 and 1.
    random_state : int, RandomState, Generator or None, default=None
        Seed of the resamples and of the boosted trees.

    Returns
    -------
    audit : RepresentationAudit
        With the data frames ``performance``, ``differences``, ``group_auc`` and
        ``group_sizes``. The intervals are about the heads as they were fitted.

    Raises
    ------
    ValueError
        If an argument is not as described.

    Warns
    -----
    UndefinedMetricWarning
        Once, with everything that is undefined or left out for a lack of samples, also
        groups that occur in the training or the test samples alone.
    FewSamplesWarning
        If a rate of a compared group has fewer than 10 test samples. One prediction
        then changes it by more than .1.
    UserWarning
        If units that vary are set to 0.

    Examples
    --------
    >>> from sklearn.preprocessing import StandardScaler
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.metrics import audit_representation
    >>> X, y, z = make_biased_classification(n_samples=2_000, random_state=0)
    >>> audit = audit_representation(
    ...     StandardScaler().fit(X[:1000]),
    ...     X[:1000],
    ...     y[:1000],
    ...     sensitive_features=z[:1000],
    ...     X_test=X[1000:],
    ...     y_test=y[1000:],
    ...     sensitive_features_test=z[1000:],
    ...     random_state=0,
    ... )
    >>> audit.performance.index.unique("head").tolist()
    ['logistic regression', 'boosted trees']
    >>> bool(audit.group_auc["low"].item() > 0.5)
    True
    """
    check_one_of("attributes", attributes, ("each", "intersection"))
    check_positive_integer("min_group_size", min_group_size)
    check_resampling(n_resamples, confidence_level, smallest=0)
    check_bool("own_prediction", own_prediction)
    intersectional = attributes == "intersection"
    seed = int(make_generator(random_state).integers(2**31 - 1))
    heads = _default_heads(seed) if heads is None else _checked_heads(heads)
    train = RepresentedSamples.read(
        transformer, X, y, sensitive_features, intersectional
    )
    test = RepresentedSamples.read(
        transformer,
        X_test,
        y_test,
        sensitive_features_test,
        intersectional,
        known=train,
    )
    silence_constant_units(train.h, test.h)
    outputs = {
        name: _predict(clone(head).fit(train.h, train.labels), test.h, train.classes)
        for name, head in heads.items()
    }
    if own_prediction and _predicts(transformer, train.classes):
        own = _predict(transformer, X_test, train.classes)
        outputs = {OWN_PREDICTION: own, **outputs}
    judge = _Judge(min_group_size, n_resamples, confidence_level, seed)
    performance, by_attribute, constant_heads = {}, {}, []
    for name, output in outputs.items():
        everyone, grouped = (
            GroupedSamples.encode(
                test.labels,
                output,
                sensitive_features=groups,
                intersectional=intersectional,
                labels=train.classes,
            )
            for groups in (["all"] * len(test.h), sensitive_features_test)
        )
        performance[name] = judge.performance(everyone)
        by_attribute[name], notes = judge.differences(grouped)
        if everyone.is_constant:
            constant_heads.append(name)
    # The notes on the groups are the same for each head.
    group_auc, notes_of_reading = judge.group_auc(train, test)
    sizes = GroupSizes(train, grouped, min_group_size)
    notes += sizes.notes() + notes_of_reading
    joined = _join(performance, "roc_auc")
    notes += [
        f"{metric} of {head!r} is NaN: it takes scores, and samples of both classes"
        for metric, head in joined.index[joined["value"].isna()]
    ]
    warn_of_notes("audit_representation", notes)
    sizes.warn_of_few()
    return RepresentationAudit(
        performance=joined,
        differences=_join(by_attribute, "equalized_odds_difference"),
        group_auc=group_auc,
        group_sizes=sizes.table(),
        left_out=sizes.left_out(),
        confidence_level=confidence_level,
        constant_heads=constant_heads,
    )


def _default_heads(seed: int) -> dict[str, Any]:
    # Here, because the other metrics do not need the trees, which take long to import.
    from sklearn.ensemble import HistGradientBoostingClassifier

    return {
        "logistic regression": linear_classifier(),
        "boosted trees": HistGradientBoostingClassifier(max_iter=50, random_state=seed),
    }


def _checked_heads(heads: Any) -> dict[str, Any]:
    if not isinstance(heads, Mapping) or not heads:
        raise ValueError(
            "`heads` must be a dict of names to classifiers, such as {'linear': "
            f"LogisticRegression()}}; got {heads!r}."
        )
    for name, head in heads.items():
        if not isinstance(head, BaseEstimator) or not is_classifier(head):
            raise ValueError(
                "`heads` must hold classifiers of scikit-learn's form; got "
                f"{head!r} for {name!r}."
            )
    if OWN_PREDICTION in heads:
        raise ValueError(
            f"`heads` must not have the name {OWN_PREDICTION!r}, which stands for "
            "the transformer."
        )
    return dict(heads)


def _predicts(transformer: Any, classes: np.ndarray) -> bool:
    """Whether the transformer is a classifier of these classes."""
    own_classes = getattr(transformer, "classes_", ())
    return hasattr(transformer, "predict") and np.array_equal(own_classes, classes)


def _predict(classifier: Any, X: Any, classes: np.ndarray) -> dict[str, Any]:
    """Return predicted labels and, of two classes, scores, if there are any."""
    scores = None
    if len(classes) == 2 and hasattr(classifier, "predict_proba"):
        scores = np.asarray(classifier.predict_proba(X))[:, 1]
    elif len(classes) == 2 and hasattr(classifier, "decision_function"):
        scores = np.asarray(classifier.decision_function(X))
    return {"y_pred": np.asarray(classifier.predict(X)), "y_score": scores}


@dataclass(frozen=True)
class _Judge:
    """Figures with their intervals; every interval starts from the same seed."""

    min_group_size: int
    n_resamples: int
    confidence_level: float
    seed: int

    def _resample(
        self, statistics: Sequence[GroupStatistics]
    ) -> list[np.ndarray] | None:
        rng = np.random.default_rng(self.seed)
        if not self.n_resamples:
            return None
        return [resample(family, self.n_resamples, rng) for family in statistics]

    def performance(self, samples: GroupedSamples) -> pd.DataFrame:
        """Judge the predictions for all samples, which are one group here."""
        statistics: list[GroupStatistics] = [GroupRates(samples, [ACCURACY])]
        if samples.outputs["y_score"] is not None:
            statistics.insert(0, GroupAUCs(samples, [ROC_AUC]))
        low, high = group_limits(
            statistics, self._resample(statistics), self.confidence_level
        )
        # Of several classes each has a row, and accuracy is the same in all of them.
        tables = {"value": by_group(statistics), "low": low, "high": high}
        return pd.DataFrame(
            {name: table[low.columns].iloc[0] for name, table in tables.items()}
        ).rename_axis("metric")

    def differences(self, samples: GroupedSamples) -> tuple[pd.DataFrame, list[str]]:
        """Compare the groups of each attribute by the metrics on predicted labels."""
        statistics: list[GroupStatistics] = [GroupRates(samples, RATES)]
        return differences(
            statistics,
            self._resample(statistics),
            self.min_group_size,
            self.confidence_level,
        )

    def group_auc(
        self, train: RepresentedSamples, test: RepresentedSamples
    ) -> tuple[pd.DataFrame, list[str]]:
        """Read the groups of each attribute from the representation."""
        rows, notes = {}, []
        for i, (attribute, groups) in enumerate(
            zip(train.sensitive.names, train.sensitive.groups, strict=True)
        ):
            reading = GroupReading.of(train, test, i, self.min_group_size)
            rng = np.random.default_rng(self.seed)
            rows[attribute] = reading.mean(self.n_resamples, self.confidence_level, rng)
            notes += reading.left_out(attribute, groups, train.classes)
        table = pd.DataFrame(rows, index=["value", "low", "high"]).T
        return table.rename_axis("attribute"), notes


def _join(tables: dict[str, pd.DataFrame], first_metric: str) -> pd.DataFrame:
    """Join tables with a row per metric; the heads become the last level of rows."""
    joined = pd.concat(tables, names=["head"])
    names = [*map(str, joined.index.names[1:]), "head"]
    levels = [list(joined.index.unique(name)) for name in names]
    levels[-2].sort(key=lambda metric: metric != first_metric)
    # Levels in the order of the rows let pandas look up parts of the table.
    codes = np.indices([len(level) for level in levels]).reshape(len(levels), -1)
    rows = pd.MultiIndex(levels, list(codes), names=names)
    return joined.reorder_levels(names).reindex(rows)
