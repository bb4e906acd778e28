"""What changed between two reports, with the intervals of the changes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from fairtask.metrics._report import format_intervals
from fairtask.metrics._scores import GroupLosses
from fairtask.metrics._statistics import in_words

__all__ = ["ReportComparison"]


@dataclass(frozen=True, eq=False, repr=False)
class ReportComparison:
    """Two reports of the same samples, and the intervals of what changed.

    `compare_reports` makes it. The data frames have the columns "before", "after",
    "change", which is after minus before, and "low" and "high", the limits of the
    change.

    Attributes
    ----------
    overall : DataFrame
        A row per statistic of all samples (and class, of more than two).
    differences : DataFrame
        A row per attribute and metric.
    by_group : DataFrame
        A row per attribute, group (class, of more than two) and statistic.
    confidence_level : float
        Of all intervals.
    n_unknown : dict of str to int
        For each attribute, the number of samples that are in none of its groups.
    is_constant : dict of str to bool
        Whether the model "before", or that "after", predicts one class for all samples.
    greater_is_better : dict of str to bool
        For statistics and metrics that can be better or worse.

    Examples
    --------
    >>> from fairtask.metrics import compare_reports, fairness_report
    >>> y, z = [0, 0, 1, 1] * 50, ["f", "m"] * 100
    >>> before, after = (
    ...     fairness_report(
    ...         y, y_pred, sensitive_features=z, n_resamples=2, random_state=0
    ...     )
    ...     for y_pred in ([0, 1, 0, 1] * 50, [0, 0, 1, 1] * 50)
    ... )
    >>> comparison = compare_reports(before, after, random_state=0)
    >>> comparison.overall.loc["accuracy", ["before", "after", "change"]].tolist()
    [0.5, 1.0, 0.5]
    >>> comparison.greater_is_better["accuracy"]
    True
    """

    overall: pd.DataFrame
    differences: pd.DataFrame
    by_group: pd.DataFrame
    confidence_level: float
    n_unknown: Mapping[str, int]
    is_constant: Mapping[str, bool]
    greater_is_better: Mapping[str, bool]
    _everyone: str
    _same_labels: bool
    _notes: list[str]

    def sentences(self, digits: int = 3) -> list[str]:
        """Say what changed, in sentences for readers who need no tables.

        There is a sentence for each metric of an attribute and each statistic of all
        samples. A change whose interval contains 0 may be due to chance. Of many such
        changes, some have an interval without 0 by chance as well. A difference can
        also become smaller because a group lost: there is a sentence for each group of
        which a statistic is clearly worse. The first sentences name models that predict
        one class for all samples, or the same labels as each other, if there are any.

        Parameters
        ----------
        digits : int, default=3
            Digits after the point.

        Returns
        -------
        sentences : list of str
        """
        sentences = [
            f"The model {name} the change predicts one class for {self._everyone}, so "
            "that the rates of its groups cannot differ."
            for name, is_constant in self.is_constant.items()
            if is_constant
        ]
        if self._same_labels:
            sentences.append(
                f"Both models predict the same labels for {self._everyone}."
            )
        for (attribute, metric), row in _rows(self.differences):
            subject = f"Between the groups of {attribute}, the {in_words(metric)}"
            sentences.append(self._sentence(subject, metric, row, digits))
        for key, row in _rows(self.overall):
            statistic, where = _statistic_and_class(key)
            subject = f"Over {self._everyone}, the {in_words(statistic)}{where}"
            sentences.append(self._sentence(subject, statistic, row, digits))
        for (attribute, group, *rest), row in _rows(self.by_group):
            statistic, where = _statistic_and_class(rest)
            if self._verdict(statistic, row) == "worse":
                subject = (
                    f"In group {group} of {attribute}, the {in_words(statistic)}{where}"
                )
                sentences.append(self._sentence(subject, statistic, row, digits))
        return sentences + self._notes

    def _sentence(self, subject: str, name: str, row: Any, digits: int) -> str:
        if np.isnan(row["change"]):
            return f"{subject} cannot be compared."
        before, after = (f"{row[column]:z.{digits}f}" for column in ("before", "after"))
        is_same = before == after
        sentence = f"{subject} " + (
            f"stayed at {before}" if is_same else f"went from {before} to {after}"
        )
        if row["low"] == row["high"] == 0:
            return f"{sentence}."
        if np.isnan(row["low"]):
            return f"{sentence}; its change has no interval."
        if np.isinf([row["low"], row["high"]]).all():
            few = f"a group has fewer than {GroupLosses.few} samples"
            return f"{sentence}; its change has no interval: {few}."
        limits = " to ".join(_signed(row[name], digits) for name in ("low", "high"))
        level = f"{100 * self.confidence_level:g}%"
        found = self._verdict(name, row)
        if is_same and found == "uncertain":
            return f"{sentence} ({level} interval of the change {limits})."
        verdict = {
            "better": ", for the better, is unlikely to be due to chance",
            "worse": ", for the worse, is unlikely to be due to chance",
            "other": " is unlikely to be due to chance",
            "uncertain": " may be due to chance",
        }[found]
        return f"{sentence}. The change{verdict} ({level} interval {limits})."

    def _verdict(self, name: str, row: Any) -> str:
        """Say whether a change is "better", "worse", "other" or "uncertain"."""
        if not (row["low"] > 0 or row["high"] < 0):
            return "uncertain"
        if name not in self.greater_is_better:
            return "other"
        return "better" if self.greater_is_better[name] == (row["low"] > 0) else "worse"

    def to_text(self, digits: int = 3, line_width: int | None = None) -> str:
        """Write the sentences and the tables as text.

        Parameters
        ----------
        digits, line_width
            See `FairnessReport.to_text`.
        """
        parts = ["\n".join(self.sentences(digits))]
        for heading, table in self._formatted(digits):
            parts.append(f"{heading}\n{table.to_string(line_width=line_width)}")
        return "\n\n".join(parts) + "\n"

    def __repr__(self) -> str:
        return self.to_text(line_width=pd.get_option("display.width"))

    def _repr_html_(self) -> str:
        sentences = "".join(f"<li>{escape(line)}</li>\n" for line in self.sentences())
        tables = "".join(
            f"<p>{heading}</p>\n{table.to_html()}\n"
            for heading, table in self._formatted(3)
        )
        return f"<ul>\n{sentences}</ul>\n{tables}"

    def _formatted(self, digits: int) -> Iterator[tuple[str, pd.DataFrame]]:
        """Yield headings, and tables with a change and its interval as one string."""
        for heading, table in (
            ("Metrics of the groups", self.differences),
            (self._everyone.capitalize(), self.overall),
            ("Groups", self.by_group),
        ):
            shown = table[["before", "after"]].map(f"{{:z.{digits}f}}".format)
            shown["change"] = format_intervals(
                table["change"], table["low"], table["high"], digits
            )
            level = f"{100 * self.confidence_level:g}% intervals of the change"
            yield f"{heading}, with {level}", shown


def _signed(number: float, digits: int) -> str:
    """Write a number with its sign, and one that is nearly 0 not as 0."""
    text = f"{number:+z.{digits}f}"
    return f"{number:+.1g}" if number and not float(text) else text


def _rows(table: pd.DataFrame) -> Iterator[tuple[tuple, pd.Series]]:
    """Yield the labels of each row and its numbers."""
    for key, row in table.iterrows():
        yield key if isinstance(key, tuple) else (key,), row


def _statistic_and_class(key: Sequence) -> tuple[str, str]:
    """Return the statistic of a row, and the class if there are several."""
    *classes, statistic = key
    return statistic, "".join(f" of class {c}" for c in classes)
