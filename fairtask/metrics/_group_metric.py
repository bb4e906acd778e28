"""Metrics: statistics of groups, and how their values become one number."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, ParamSpec

import numpy as np

from fairtask._validation import (
    check_one_of,
    check_positive_integer,
    groups_by_name,
)
from fairtask.metrics._comparison import Comparison
from fairtask.metrics._parameters import describe_metric
from fairtask.metrics._samples import GroupedSamples
from fairtask.metrics._signatures import DATA, SIGNATURES
from fairtask.metrics._statistics import (
    GroupStatistics,
    SampleKind,
    Statistic,
    n_needed,
)
from fairtask.metrics._transforms import Transform

__all__ = ["GroupMetric", "as_function", "group_metric"]

P = ParamSpec("P")


@dataclass(frozen=True)
class GroupMetric:
    """A metric.

    Attributes
    ----------
    name : str
    transform : Transform
        How the values of the groups become one number.
    statistics : tuple of Statistic
        Statistics of one family. Their numbers are aggregated, unless an argument
        chooses one of them.
    """

    name: str
    transform: Transform
    statistics: tuple[Statistic, ...]

    @property
    def family(self) -> type[GroupStatistics]:
        """The class that computes the statistics."""
        return self.statistics[0].family

    @property
    def needs(self) -> tuple[SampleKind, ...]:
        """The kinds of samples that a group must have to be compared."""
        kinds = [kind for statistic in self.statistics for kind in statistic.needs]
        return tuple(dict.fromkeys(kinds))

    @cached_property
    def signature(self) -> inspect.Signature:
        """The parameters that matter to it, of those that such metrics have."""
        several = len(self.statistics) > 1
        # Scores are those of the positive class, whatever is computed from them.
        directed = any(s.per_class for s in self.statistics)
        matters = {
            "agg": several and self.family.chosen_by is None,
            "loss": several and self.family.chosen_by == "loss",
            "n_bins": "n_bins" in self.family.options,
            "method": self.transform.compares_groups,
            "pos_label": directed or self.family.output != "y_pred",
        }
        signature = inspect.signature(SIGNATURES[self.family.output])
        return signature.replace(
            parameters=[
                parameter
                for name, parameter in signature.parameters.items()
                if matters.get(name, True)
            ]
        )

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its arguments besides the data, and their defaults."""
        data = ("y_true", self.family.output, *DATA)
        return {
            name: parameter.default
            for name, parameter in self.signature.parameters.items()
            if name not in data
        }

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
            "method": ("between_groups", "to_overall"),
            "attributes": ("worst_case", "each", "intersection"),
        }.items():
            if name in settings:
                check_one_of(name, settings[name], options)
        for name in ("min_group_size", "n_bins"):
            check_positive_integer(name, settings.get(name, 1))

    def compare(
        self,
        y_true: Any,
        y_output: Any,
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        control_features: Any = None,
        cluster: Any = None,
        **settings: Any,
    ) -> Comparison:
        """Compare groups, and warn of those that cannot be compared.

        The arguments are those of the metric, and clusters for `bootstrap`.
        """
        self.check_settings(settings)
        settings = {**self.settings, **settings}
        samples = GroupedSamples.encode(
            y_true,
            {self.family.output: y_output},
            sensitive_features=sensitive_features,
            sample_weight=sample_weight,
            control_features=control_features,
            cluster=cluster,
            intersectional=settings["attributes"] == "intersection",
            pos_label=settings.get("pos_label"),
            labels=settings["labels"],
            groups=settings["groups"],
            needs_positive="pos_label" in settings,
        )
        if settings.get("method") == "to_overall":
            samples = samples.with_overall()
        options = {name: settings[name] for name in self.family.options}
        statistics = self.family(samples, self.computed(settings), **options)
        comparison = self.compare_statistics(statistics, **settings)
        comparison.warn_of_undefined()
        return comparison

    def computed(self, settings: Mapping[str, Any]) -> tuple[Statistic, ...]:
        """Return the statistics that are computed with these settings."""
        chosen = settings.get(self.family.chosen_by or "")
        return tuple(s for s in self.statistics if chosen in (None, s.name))

    def compare_statistics(
        self, statistics: GroupStatistics, **settings: Any
    ) -> Comparison:
        """Select the statistics of the metric, and the groups with enough samples.

        The statistics may be those of several metrics. `settings` are arguments of the
        metric; others have their defaults.
        """
        settings = {**self.settings, **settings}
        chosen = self.computed(settings)
        to_overall = settings.get("method") == "to_overall"
        strata = [i for i, (s, _) in enumerate(statistics.strata) if s in chosen]
        tables = statistics.samples.tables()
        n = [n_needed(self.needs, tables, statistics.strata[i][1]) for i in strata]
        compared = statistics.samples.by_attribute(
            np.array(n) >= settings["min_group_size"]
        )
        if to_overall:
            compared = compared[: len(compared) // 2]
        return Comparison(
            self,
            statistics,
            strata,
            compared,
            agg=settings.get("agg", "worst_case"),
            each=settings["attributes"] == "each",
            to_overall=to_overall,
        )


def group_metric(
    signature: Callable[P, Any], transform: Transform, *statistics: Statistic
) -> Callable[[Callable[[], None]], Callable[P, Any]]:
    """Make a metric of a function that has a name and a docstring only.

    The metric has the parameters of the function `signature` that matter to it. They
    are added to the docstring, as are its formula and what it returns.
    """

    def decorate(function: Callable[[], None]) -> Callable[P, Any]:
        metric = GroupMetric(function.__name__, transform, statistics)
        return as_function(metric, function)

    return decorate


def as_function(metric: GroupMetric, described: Callable[[], None]) -> Callable:
    """Return the function that computes a metric; `described` has a docstring."""

    @wraps(described)
    def compute(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = metric.signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{metric.name}() {error}") from None
        y_true = arguments.pop("y_true")
        y_output = arguments.pop(metric.family.output)
        return metric.compare(y_true, y_output, **arguments).value()

    compute.__doc__ = describe_metric(described.__doc__ or "", metric)
    vars(compute).update(__signature__=metric.signature, metric=metric)
    return groups_by_name(compute)
