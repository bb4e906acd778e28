"""Performance and EOD of each method over its grid of lam, and the fronts."""

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from fairtask.experiments._evaluation import OVERALL, Evaluation, in_common
from fairtask.experiments._methods import BASELINE
from fairtask.model_selection import ParetoFrontDisplay, hypervolume, pareto_front
from fairtask.model_selection._displays._shared import BESIDE, styles

__all__ = ["Fronts", "draw_ablation", "make_fronts"]

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
    """

    attribute: str
    performance: str
    n_repeats: int
    points: pd.DataFrame
    volumes: pd.Series

    @property
    def is_varied(self) -> bool:
        """Whether lam was varied."""
        return bool(self.points["lam"].notna().any())

    def to_frame(self) -> pd.DataFrame:
        """Return points and volumes, for a file."""
        columns = {
            "method": "method",
            "lam": "lam",
            "performance": self.performance,
            "performance error": f"{self.performance} standard error",
            "disparity": "EOD",
            "disparity error": "EOD standard error",
            "on_front": "on_front",
        }
        frame = self.points[list(columns)].rename(columns=columns)
        frame["hypervolume of the method"] = frame["method"].map(self.volumes)
        frame.insert(0, "attribute", self.attribute)
        return frame.round(5)

    def draw(self) -> Figure:
        """Draw performance against EOD."""
        limits = {
            f"{name}_{end}": self.points[name] + sign * self.points[f"{name} error"]
            for name in OBJECTIVES
            for end, sign in (("low", -1), ("high", 1))
        }
        display = ParetoFrontDisplay(
            self.points.assign(
                label="",  # the labels of many points cannot be read
                method=self.points["method"].map(_plain),
                **limits,
            ),
            performance_name=self.performance,
            disparity_name=f"EOD, {_plain(self.attribute)}",
            bars="one standard error",
        )
        return display.plot(show_labels=False).figure_


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
    return Fronts(
        attribute,
        evaluation.performance,
        figures.index.get_level_values("repeat").nunique(),
        points.reset_index(drop=True).assign(on_front=on_front),
        pd.Series(volumes, name="hypervolume", dtype=float),
    )


def draw_ablation(fronts: Fronts) -> Figure:
    """Draw performance and EOD over lam, a line per method."""
    varied = fronts.points.dropna(subset="lam")
    # The colours that the methods have in the figure of the fronts.
    methods = fronts.points["method"].unique()
    style_of = dict(zip(methods, styles(len(methods)), strict=True))
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    labels = (
        f"{fronts.performance} (higher is better)",
        f"EOD, {_plain(fronts.attribute)} (lower is better)",
    )
    for ax, column, label in zip(axes, OBJECTIVES, labels, strict=True):
        for method, rows in varied.groupby("method", sort=False):
            style = style_of[method]
            mean, error = rows[column], rows[f"{column} error"]
            ax.fill_between(
                rows["lam"],
                mean - error,
                mean + error,
                color=style["color"],
                alpha=0.12,
            )
            name = _plain(str(method))
            ax.plot(rows["lam"], mean, label=name, markersize=4, **style)
        ax.set(xlabel="lam, the weight of the task", ylabel=label)
    axes[1].legend(title="bands: one standard error", fontsize="small", **BESIDE)
    return figure


def _plain(text: str) -> str:
    """Keep matplotlib from taking the text between two dollars for mathematics."""
    return text.replace("$", r"\$")
