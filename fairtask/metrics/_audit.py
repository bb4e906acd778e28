"""The result of an audit of a representation."""

from dataclasses import dataclass

import pandas as pd

from fairtask.metrics._report import format_intervals

__all__ = ["OWN_PREDICTION", "RepresentationAudit"]

OWN_PREDICTION = "own prediction"
"""Name of the transformer itself among the heads."""


@dataclass(frozen=True, eq=False, repr=False)
class RepresentationAudit:
    """Differences that heads show on a representation, and groups read from it.

    `audit_representation` makes it. Each data frame has the columns "value", "low" and
    "high", the limits of the interval.

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
    confidence_level : float
        Of all intervals.
    constant_heads : list of str
        Heads that predict one class for all samples although there are several. No
        group has other rates then, which says nothing about fairness.
    """

    performance: pd.DataFrame
    differences: pd.DataFrame
    group_auc: pd.DataFrame
    confidence_level: float
    constant_heads: list[str]

    def to_text(self, digits: int = 3, line_width: int | None = None) -> str:
        """Write performance, differences and group AUCs as text.

        Parameters
        ----------
        digits : int, default=3
            Digits after the point.
        line_width : int, default=None
            Characters in a line, after which the columns go on below. None: all.
        """
        tables = [
            table.to_string(line_width=line_width) for table in self._tables(digits)
        ]
        return "\n\n".join([self._heading(), *tables, ""])

    def __repr__(self) -> str:
        return self.to_text(line_width=pd.get_option("display.width"))

    def _repr_html_(self) -> str:
        tables = [table.to_html() for table in self._tables(3)]
        return "\n".join([f"<p>{self._heading()}</p>", *tables])

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
        ]


def _by_head(values: pd.Series, columns: str) -> pd.DataFrame:
    """Table with a row per head; `unstack` puts both in alphabetical order."""
    names = values.index
    return values.unstack(columns).loc[names.unique("head"), names.unique(columns)]
