"""Performance and EOD of each method over its grid of lam, and the fronts."""

from dataclasses import dataclass

import pandas as pd

from fairtask.experiments._evaluation import OVERALL, Evaluation, in_common
from fairtask.experiments._methods import BASELINE
from fairtask.model_selection import hypervolume, pareto_front

__all__ = ["DIRECTIONS", "OBJECTIVES", "Fronts", "make_fronts"]

MARGIN = 0.05
"""Loss of performance, against single-task learning, from which nothing counts."""

OBJECTIVES = ["performance", "disparity"]
DIRECTIONS = [True, False]


@dataclass(frozen=True)
class Fronts:
    """Performance and EOD of each method and lam, for one attribute.

    Attributes
    ----------
    attribute : str
    performance : str
        Name of the metric.
    n_repeats : int
        Number of repeats behind each point; all points have the same, see `in_common`.
    points : DataFrame
        "method", "lam" (NaN for the method's own), "performance", "disparity", the
        standard error of each over the repeats, and "on_front" of the method. Runs
        whose predictions are all one class have no EOD here.
    volumes : Series
        Hypervolume of each method's front: the area that it covers between single-task
        learning's EOD and 0, and from 0.05 below its performance, as a share of that
        rectangle. Points above its performance add to it. Single-task learning has 0.
    families : Series
        Family of each method.
    not_shown : dict of str to str
        Methods of which a figure shows nothing, and the reason.
    """

    attribute: str
    performance: str
    n_repeats: int
    points: pd.DataFrame
    volumes: pd.Series
    families: pd.Series
    not_shown: dict[str, str]

    @property
    def is_varied(self) -> bool:
        """Whether lam was varied."""
        return bool(self.points["lam"].notna().any())

    def to_frame(self) -> pd.DataFrame:
        """Return points, in per cent, and volumes, for a file."""
        columns = {
            "method": "method",
            "lam": "lam",
            "performance": self.performance,
            "performance error": f"{self.performance} standard error",
            "disparity": "EOD",
            "disparity error": "EOD standard error",
            "on_front": "on_front",
        }
        percents = [name for name in columns if name.split()[0] in OBJECTIVES]
        points = self.points.assign(**{n: 100 * self.points[n] for n in percents})
        frame = points[list(columns)].rename(columns=columns)
        frame["hypervolume of the method"] = frame["method"].map(self.volumes)
        frame.insert(0, "attribute", self.attribute)
        return frame.round(5)


def make_fronts(evaluation: Evaluation) -> list[Fronts]:
    """Fronts of each attribute; none where no repeat has all methods and lams."""
    figures = evaluation.figures
    methods = figures.index.get_level_values("method")
    lams = figures.index.get_level_values("lam")
    # Where lam was varied its own value is a point of the grid, or beside it.
    varied = methods.isin(methods[lams.notna()])
    drawn = in_common(figures[~varied | lams.notna()], evaluation.failures)
    if BASELINE not in drawn.index.get_level_values("method"):
        return []
    return [_make(evaluation, drawn, name) for name in evaluation.attributes]


def _make(evaluation: Evaluation, figures: pd.DataFrame, attribute: str) -> Fronts:
    columns = [(OVERALL, evaluation.performance), (attribute, "EOD")]
    chosen = figures[columns].set_axis(OBJECTIVES, axis=1)
    # Where all predictions are one class, an EOD of 0 says nothing about fairness.
    constant = figures[OVERALL, "constant"] == 1
    chosen["disparity"] = chosen["disparity"].mask(constant)
    by_setting = chosen.groupby(level=["method", "lam"], sort=False, dropna=False)
    # EOD may be undefined in some test parts, which `sem` leaves out.
    points = by_setting.mean().join(by_setting.sem().add_suffix(" error"))
    order = list(evaluation.methods.index)
    points = points.reset_index().sort_values(
        ["method", "lam"], key=lambda c: c.map(order.index) if c.name == "method" else c
    )
    base = points.loc[points["method"] == BASELINE, OBJECTIVES].iloc[0]
    reference = [base["performance"] - MARGIN, base["disparity"]]
    on_front, volumes = [], {}
    for method, rows in points.groupby("method", sort=False):
        values = rows[OBJECTIVES].to_numpy()
        on_front += list(pareto_front(values, greater_is_better=DIRECTIONS))
        # Without a difference of the baseline there is nothing to cover.
        volumes[method] = float("nan")
        if base["disparity"] > 0:
            volume = hypervolume(values, reference, greater_is_better=DIRECTIONS)
            volumes[method] = volume / (MARGIN * base["disparity"])
    found = points["method"].unique()
    shown = points.dropna(subset=OBJECTIVES)["method"]
    failed = {run.method for run, _ in evaluation.failures}
    reasons = {name: "failed" for name in sorted(failed - set(found))}
    unseen = sorted(set(found) - set(shown))
    reasons |= dict.fromkeys(unseen, "constant predictions")
    return Fronts(
        attribute,
        evaluation.performance,
        figures.index.get_level_values("repeat").nunique(),
        points.reset_index(drop=True).assign(on_front=on_front),
        pd.Series(volumes, name="hypervolume", dtype=float),
        evaluation.methods["family"],
        reasons,
    )
