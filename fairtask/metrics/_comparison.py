"""A metric on some data: which values are compared, and what comes out."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._validation import warn_user
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import ANY_SAMPLE, GroupStatistics, n_needed
from fairtask.metrics._transforms import nan_max, nan_mean, nan_min

if TYPE_CHECKING:
    from fairtask.metrics._group_metric import GroupMetric

__all__ = ["Comparison", "warn_undefined"]


@dataclass(frozen=True)
class Comparison:
    """A metric on some data.

    Attributes
    ----------
    metric : GroupMetric
    statistics : GroupStatistics
    strata : list of int
        The strata of the statistics that the metric is about.
    compared : list of ndarray of shape (n_strata, n_groups), bool
        The groups of each attribute that are compared.
    agg : {"worst_case", "mean"}
        How the costs of the strata become one.
    each : bool
        Whether there is a value for each attribute, instead of the worst.
    to_overall : bool
        Whether groups are compared with all groups together. The statistics have an
        attribute for each attribute with all its groups as one, then.
    """

    metric: "GroupMetric"
    statistics: GroupStatistics
    strata: list[int]
    compared: list[np.ndarray]
    agg: str
    each: bool
    to_overall: bool

    @property
    def samples(self) -> GroupedSamples:
        """The samples of the statistics."""
        return self.statistics.samples

    @property
    def names(self) -> list[str]:
        """The attributes."""
        return self.samples.sensitive.names[: len(self.compared)]

    @property
    def classes(self) -> list[int]:
        """Code of the positive class of each stratum."""
        return [self.statistics.strata[i][1] for i in self.strata]

    @property
    def has_reference(self) -> bool:
        """Whether groups are compared with a reference, and not with each other."""
        return self.to_overall or not self.metric.transform.compares_groups

    def select(self, statistics: np.ndarray, constant: float = 0.0) -> list[np.ndarray]:
        """Select the strata of the metric, and set groups to NaN that it leaves out.

        `statistics` has the shape (..., n_strata, n_groups), and there is an array for
        each attribute in return. A last column is added for the reference, if there is
        one: all groups together, or `constant`.
        """
        selected = []
        parts = self.samples.by_attribute(statistics[..., self.strata, :])
        for i, compared in enumerate(self.compared):
            values = np.where(compared, parts[i], np.nan)
            if self.has_reference:
                reference = np.full((*values.shape[:-1], 1), constant)
                if self.to_overall:
                    reference = parts[len(self.compared) + i]
                values = np.concatenate([values, reference], axis=-1)
            selected.append(values)
        return selected

    def count_compared(self, selected: np.ndarray) -> np.ndarray:
        """Count the groups of each stratum that have a value; shape (..., n_strata)."""
        groups = selected[..., :-1] if self.has_reference else selected
        return np.isfinite(groups).sum(axis=-1)

    def costs(self, selected: np.ndarray) -> np.ndarray:
        """Compute the cost of each stratum; NaN where there is none.

        From an array of `select` to shape (..., n_strata).
        """
        if self.has_reference:
            return self.metric.transform.costs(selected[..., :-1], selected[..., -1])
        return self.metric.transform.costs(selected)

    def cost(self, selected: np.ndarray) -> np.ndarray:
        """Aggregate the costs of the strata that have one; shape (...)."""
        reduction = nan_max if self.agg == "worst_case" else nan_mean
        return reduction(self.costs(selected))

    def by_attribute(self) -> dict[str, float]:
        """Return the value of each attribute."""
        selected = self.select(self.statistics.observed)
        values = [self.metric.transform.value(self.cost(part)) for part in selected]
        return dict(zip(self.names, map(float, values), strict=True))

    def value(self) -> float | dict[str, float]:
        """Return the value of the metric."""
        values = self.by_attribute()
        if self.each:
            return values
        worst = nan_min if self.metric.transform.greater_is_better else nan_max
        return float(worst(list(values.values())))

    def left_out(self) -> list[tuple[str, str, list[str]]]:
        """Find the groups that have no samples of a kind that the metric needs.

        An entry has the attribute and class, if there are several, the missing kind,
        and the groups.
        """
        needs = self.metric.needs
        missing = " or without ".join(kind.name for kind in needs)
        found = []
        tables = self.samples.by_attribute(self.samples.tables(), axis=0)
        for i, table in enumerate(tables[: len(self.compared)]):
            absent = ANY_SAMPLE.count(table, 0) == 0
            for c in dict.fromkeys(self.classes):
                has_none = n_needed(needs, table, c) == 0
                for kind, chosen in (
                    (ANY_SAMPLE.name, absent),
                    (missing, has_none & ~absent),
                ):
                    if chosen.any():
                        groups = self.samples.sensitive.groups[i][chosen]
                        found.append((self.where(i, c), kind, [str(g) for g in groups]))
        return found

    def all_zero(self) -> list[tuple[str, str]]:
        """Find the statistics that are 0 in all groups, and have no ratio therefore.

        An entry has the attribute and class, if there are several, and the statistic.
        """
        found = []
        for i, selected in enumerate(self.select(self.statistics.observed)):
            enough = self.count_compared(selected) > 1
            for stratum in np.flatnonzero(enough & np.isnan(self.costs(selected))):
                statistic, c = self.statistics.strata[self.strata[stratum]]
                found.append((self.where(i, c), statistic.words))
        return found

    def warn_of_undefined(self) -> None:
        """Warn of groups that are left out, and of fewer than two that remain."""
        name, smallest = self.metric.name, self.metric.transform.smallest_number
        for where, kind, groups in self.left_out():
            warn_undefined(
                f"`{name}`{where} leaves out groups without {kind}: "
                f"{', '.join(groups)}."
            )
        # The rates of one class are compared in the same groups.
        strata = {c: i for i, c in enumerate(self.classes)}
        for i, compared in enumerate(self.compared):
            for c, stratum in strata.items():
                n_compared = compared[stratum].sum()
                if n_compared < smallest:
                    warn_undefined(
                        f"`{name}`{self.where(i, c)} is undefined and set to NaN: "
                        f"{n_compared} of {compared.shape[1]} groups can be compared, "
                        f"and it takes {'two' if smallest == 2 else 'one'}."
                    )
        for where, words in self.all_zero():
            warn_undefined(
                f"`{name}`{where} leaves out the {words}, which is 0 in all groups: "
                "0/0 is undefined."
            )

    def where(self, i: int, c: int) -> str:
        """Name an attribute and a class where there are several."""
        names, where = self.names, ""
        if len(names) > 1:
            where += f" of {names[i]!r}"
        if self.samples.is_one_vs_rest and self.metric.needs != (ANY_SAMPLE,):
            where += f" for class {self.samples.classes[c]!r}"
        return where


def warn_undefined(message: str) -> None:
    """Issue an UndefinedMetricWarning at the user's line."""
    warn_user(UndefinedMetricWarning, message)
