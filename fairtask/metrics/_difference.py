"""Metrics that compare statistics of groups, and their values."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from numbers import Integral
from typing import Any, Literal, ParamSpec, TypeVar

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from fairtask._validation import check_one_of, warn_user
from fairtask.metrics._parameters import describe_parameters
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._statistics import (
    ANY_SAMPLE,
    GroupStatistics,
    SampleKind,
    Statistic,
    n_needed,
)

__all__ = [
    "METRICS",
    "Attributes",
    "Difference",
    "DifferenceMetric",
    "aggregate",
    "check_min_group_size",
    "difference_metric",
    "find_metric",
    "nan_reduce",
    "warn_undefined",
]

P = ParamSpec("P")
R = TypeVar("R")
Attributes = Literal["worst_case", "each", "intersection"]


@dataclass(frozen=True)
class Difference:
    """A difference metric on some data.

    Attributes
    ----------
    metric : DifferenceMetric
    statistics : GroupStatistics
    strata : list of int
        The strata of the statistics that the metric is about.
    compared : list of ndarray of shape (n_strata, n_groups), bool
        The groups of each attribute that are compared.
    agg : {"worst_case", "mean"}
        How the differences of the strata become one.
    each : bool
        Whether there is a value for each attribute, instead of the largest.
    """

    metric: "DifferenceMetric"
    statistics: GroupStatistics
    strata: list[int]
    compared: list[np.ndarray]
    agg: str
    each: bool

    @property
    def samples(self) -> GroupedSamples:
        """The samples of the statistics."""
        return self.statistics.samples

    @property
    def classes(self) -> list[int]:
        """Code of the positive class of each stratum."""
        return [self.statistics.strata[i][1] for i in self.strata]

    def select(self, statistics: list[np.ndarray]) -> list[np.ndarray]:
        """Select the strata of the metric, and set groups to NaN that it leaves out.

        `statistics` has an array of shape (..., n_strata, n_groups) per attribute.
        """
        return [
            np.where(compared, of_attribute[..., self.strata, :], np.nan)
            for compared, of_attribute in zip(self.compared, statistics, strict=True)
        ]

    def by_attribute(self) -> dict[str, float]:
        """Return the value of each attribute."""
        observed = self.select(self.statistics.observed)
        values = [float(aggregate(of_attribute, self.agg)) for of_attribute in observed]
        return dict(zip(self.samples.sensitive.names, values, strict=True))

    def value(self) -> float | dict[str, float]:
        """Return the value of the metric."""
        values = self.by_attribute()
        if self.each:
            return values
        return float(nan_reduce(np.max, np.array(list(values.values()))))

    def left_out(self) -> list[tuple[str, str, list[str]]]:
        """Find the groups that have no samples of a kind that the metric needs.

        An entry has the attribute and class, if there are several, the missing kind,
        and the groups.
        """
        needs = self.metric.needs
        missing = " or without ".join(kind.name for kind in needs)
        found = []
        for i, sizes in enumerate(self.samples.sizes()):
            absent = sizes.sum(axis=1) == 0
            for c in dict.fromkeys(self.classes):
                has_none = n_needed(needs, sizes, c) == 0
                for kind, chosen in (
                    (ANY_SAMPLE.name, absent),
                    (missing, has_none & ~absent),
                ):
                    if chosen.any():
                        groups = self.samples.sensitive.groups[i][chosen]
                        found.append(
                            (self._where(i, c), kind, [str(g) for g in groups])
                        )
        return found

    def warn_of_undefined(self) -> None:
        """Warn of groups that are left out, and of fewer than two that remain."""
        name = self.metric.name
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
                if n_compared < 2:
                    warn_undefined(
                        f"`{name}`{self._where(i, c)} is undefined and set to NaN: "
                        f"{n_compared} of {compared.shape[1]} groups can be compared, "
                        "and it takes two."
                    )

    def _where(self, i: int, c: int) -> str:
        """Name the attribute and the class where there are several."""
        names, where = self.samples.sensitive.names, ""
        if len(names) > 1:
            where += f" of {names[i]!r}"
        if self.samples.is_one_vs_rest and self.metric.needs != (ANY_SAMPLE,):
            where += f" for class {self.samples.classes[c]!r}"
        return where


def aggregate(statistics: np.ndarray, agg: str) -> np.ndarray:
    """Aggregate the differences between groups over the strata with two groups or more.

    `statistics` has shape (..., n_strata, n_groups), and NaN where a group is not
    compared. The result has shape (...), and NaN where there is no difference.
    """
    differences = nan_reduce(np.max, statistics) - nan_reduce(np.min, statistics)
    alone = np.isfinite(statistics).sum(-1) < 2
    differences = np.where(alone, np.nan, differences)
    return nan_reduce(np.max if agg == "worst_case" else np.mean, differences)


def nan_reduce(reduction: Any, values: np.ndarray) -> np.ndarray:
    """Reduce the last axis without NaN; NaN, without a warning, if nothing is left."""
    known = ~np.isnan(values)
    if reduction is np.mean:
        with np.errstate(invalid="ignore"):
            return np.where(known, values, 0).sum(-1) / known.sum(-1)
    fill = -np.inf if reduction is np.max else np.inf
    reduced = reduction(np.where(known, values, fill), axis=-1, initial=fill)
    return np.where(known.any(-1), reduced, np.nan)


@dataclass(frozen=True)
class DifferenceMetric:
    """A metric: the largest minus the smallest of the statistics of the groups.

    Attributes
    ----------
    name : str
    family : type of GroupStatistics
        The class that computes the statistics.
    statistics : tuple of Statistic
        Statistics whose differences between groups are aggregated.
    settings : mapping of str to object
        Its arguments besides the data, and their defaults.
    """

    name: str
    family: type[GroupStatistics]
    statistics: tuple[Statistic, ...]
    settings: Mapping[str, Any]

    @property
    def needs(self) -> tuple[SampleKind, ...]:
        """The kinds of samples that a group must have to be compared."""
        kinds = [kind for statistic in self.statistics for kind in statistic.needs]
        return tuple(dict.fromkeys(kinds))

    def check_settings(self, settings: Mapping[str, Any]) -> None:
        """Raise a ValueError if there is no such argument, or not with this value."""
        unknown = [name for name in settings if name not in self.settings]
        if unknown:
            raise ValueError(
                f"`{unknown[0]}` is no argument of `{self.name}`, which takes "
                f"{sorted(self.settings)}."
            )
        for name, options in {
            "agg": ("worst_case", "mean"),
            "loss": ("log_loss", "soft_zero_one"),
            "attributes": ("worst_case", "each", "intersection"),
        }.items():
            if name in settings:
                check_one_of(name, settings[name], options)
        check_min_group_size(settings.get("min_group_size", 1))

    def compare(
        self,
        y_true: Any,
        y_output: Any,
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        **settings: Any,
    ) -> Difference:
        """Compare groups, and warn of those that cannot be compared.

        The arguments are those of the metric.
        """
        self.check_settings(settings)
        settings = {**self.settings, **settings}
        samples = GroupedSamples.encode(
            y_true,
            {self.family.output: y_output},
            sensitive_features=sensitive_features,
            sample_weight=sample_weight,
            intersectional=settings["attributes"] == "intersection",
            pos_label=settings.get("pos_label"),
            labels=settings["labels"],
            groups=settings["groups"],
            needs_positive="pos_label" in settings,
        )
        loss = settings.get("loss")
        statistics = self.family(
            samples, [s for s in self.statistics if loss in (None, s.name)]
        )
        difference = self.compare_statistics(
            statistics,
            settings["min_group_size"],
            agg=settings.get("agg", "worst_case"),
            each=settings["attributes"] == "each",
        )
        difference.warn_of_undefined()
        return difference

    def compare_statistics(
        self,
        statistics: GroupStatistics,
        min_group_size: int,
        *,
        agg: str = "worst_case",
        each: bool = False,
    ) -> Difference:
        """Select the statistics of the metric, and the groups with enough samples."""
        strata = [
            i for i, (s, _) in enumerate(statistics.strata) if s in self.statistics
        ]
        compared = [
            np.array(
                [
                    n_needed(self.needs, sizes, statistics.strata[i][1])
                    >= min_group_size
                    for i in strata
                ]
            )
            for sizes in statistics.samples.sizes()
        ]
        return Difference(self, statistics, strata, compared, agg, each)


REQUIRED = ("attributes", "labels", "groups", "min_group_size")
"""Arguments that every metric has besides the data."""

METRICS: dict[str, DifferenceMetric] = {}
"""The difference metrics by name, in the order of their definitions."""


def difference_metric(
    family: type[GroupStatistics], *statistics: Statistic
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a metric of a function that has a signature and a docstring only.

    The metric compares the statistics, which the class `family` computes. Its
    parameters are added to the docstring.
    """
    data = ("y_true", family.output, "sensitive_features", "sample_weight")

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        missing = {*data, *REQUIRED} - signature.parameters.keys()
        if missing:
            raise TypeError(f"{function.__name__}() must have {sorted(missing)}.")
        settings = {
            name: parameter.default
            for name, parameter in signature.parameters.items()
            if name not in data
        }
        metric = DifferenceMetric(function.__name__, family, statistics, settings)
        METRICS[metric.name] = metric

        @wraps(function)
        def compute(*args: P.args, **kwargs: P.kwargs) -> Any:
            try:
                arguments = signature.bind(*args, **kwargs).arguments
            except TypeError as error:
                raise TypeError(f"{metric.name}() {error}") from None
            y_true, y_output = arguments.pop("y_true"), arguments.pop(family.output)
            return metric.compare(y_true, y_output, **arguments).value()

        compute.__doc__ = describe_parameters(
            function.__doc__ or "",
            signature.parameters,
            " and of ".join(kind.name for kind in metric.needs),
        )
        return compute

    return decorate


def find_metric(metric: Any) -> DifferenceMetric:
    """Return the metric with this name or function, or raise a ValueError."""
    name = getattr(metric, "__name__", metric)
    if not isinstance(name, str) or name not in METRICS:
        raise ValueError(
            f"`metric` must be one of {list(METRICS)}, or a function of that name; "
            f"got {metric!r}."
        )
    return METRICS[name]


def check_min_group_size(min_group_size: Any) -> None:
    """Raise a ValueError if it is no number of samples."""
    is_number = isinstance(min_group_size, Integral) and min_group_size is not True
    if not is_number or min_group_size < 1:
        raise ValueError(
            "`min_group_size` must be an integer of at least 1; got "
            f"{min_group_size!r}."
        )


def warn_undefined(message: str) -> None:
    """Issue an UndefinedMetricWarning at the user's line."""
    warn_user(UndefinedMetricWarning, message)
