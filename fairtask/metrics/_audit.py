"""The result of an audit of a representation."""

from dataclasses import dataclass
from html import escape

import pandas as pd

from fairtask.metrics._report import format_intervals

__all__ = ["OWN_PREDICTION", "RepresentationAudit"]

OWN_PREDICTION = "own prediction"
"""Name of the transformer itself among the heads."""


@dataclass(frozen=True, eq=False, repr=False)
class RepresentationAudit:
    """Differences that heads show on a representation, and groups read from it.

    `audit_representation` makes it. The first three data frames have the columns
    "value", "low" and "high", the limits of the interval.

    Attributes
    ----------
    performance : DataFrame
        A row per metric and head: "roc_auc", if there are two classes, and "accuracy".
    differences : DataFrame
        A row per attribute, difference metric and head. The first metric is the
        equalized odds difference.
    group_auc : DataFrame
        A row per attribute: how well the group is read from the representation of
        samples of one class, as an AUC. 0.5 means not at all, 1 without an error.
    group_sizes : DataFrame
        A row per attribute and group: numbers of training and of test samples of each
        class.
    left_out : dict of (str, str) to list
        Groups with fewer than ``min_group_size`` test samples of the kind needed, by
        attribute and difference metric. Of several classes one is enough to be here.
    confidence_level : float
        Of all intervals.
    constant_heads : list of str
        Heads that predict one class for all samples although there are several. No
        group has other rates then, which says nothing about fairness.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
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
    ...     heads={"prior": DummyClassifier()},
    ...     n_resamples=0,
    ... )
    >>> audit.constant_heads
    ['prior']
    >>> audit.performance.loc[("roc_auc", "prior"), "value"].item()
    0.5
    """

    performance: pd.DataFrame
    differences: pd.DataFrame
    group_auc: pd.DataFrame
    group_sizes: pd.DataFrame
    left_out: dict[tuple[str, str], list]
    confidence_level: float
    constant_heads: list[str]

    def to_text(self, digits: int = 3, line_width: int | None = None) -> str:
        """Write performance, differences, group AUCs and sizes of groups as text.

        Parameters
        ----------
        digits, line_width
            See `FairnessReport.to_text`.
        """
        tables = [
            table.to_string(line_width=line_width) for table in self._tables(digits)
        ]
        return "\n\n".join([self._heading(), *tables, *self._left_out_lines(), ""])

    def __repr__(self) -> str:
        return self.to_text(line_width=pd.get_option("display.width"))

    def _repr_html_(self) -> str:
        tables = [table.to_html() for table in self._tables(3)]
        lines = [f"<p>{escape(line)}</p>" for line in self._left_out_lines()]
        return "\n".join([f"<p>{escape(self._heading())}</p>", *tables, *lines])

    def _heading(self) -> str:
        heading = "Heads on the representation"
        if self.differences["low"].notna().any():
            heading += f", with {100 * self.confidence_level:g}% intervals"
        if self.constant_heads:
            heading += (
                f". All predictions of {', '.join(self.constant_heads)} are one class, "
                "and rates cannot differ"
            )
        return heading

    def _left_out_lines(self) -> list[str]:
        """Name the groups that differences leave out."""
        metrics: dict[tuple[str, str], list[str]] = {}
        for (attribute, metric), groups in self.left_out.items():
            listed = ", ".join(map(str, groups))
            metrics.setdefault((attribute, listed), []).append(metric)
        return [
            f"Groups of {attribute} left out of {', '.join(names)}: {groups}"
            for (attribute, groups), names in metrics.items()
        ]

    def _tables(self, digits: int) -> list[pd.DataFrame]:
        """Write numbers and intervals as strings, in a table for each kind of figure.

        The name of the columns says which figure it is.
        """
        performance, differences, group_auc = (
            format_intervals(table["value"], table["low"], table["high"], digits)
            for table in (self.performance, self.differences, self.group_auc)
        )
        tables = {"performance": _by_head(performance, "metric")}
        for metric in differences.index.unique("metric"):
            of_metric = differences.xs(metric, level="metric")
            tables[metric] = _by_head(of_metric, "attribute")
        tables["group_auc"] = group_auc.to_frame("inside the classes").T
        return [
            table.rename_axis(index=None, columns=name)
            for name, table in tables.items()
        ] + [self.group_sizes]


def _by_head(values: pd.Series, columns: str) -> pd.DataFrame:
    """Table with a row per head; `unstack` puts both in alphabetical order."""
    names = values.index
    return values.unstack(columns).loc[names.unique("head"), names.unique(columns)]
