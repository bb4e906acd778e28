"""What each method reaches over its grid of lam, and how it moves along it."""

from typing import Any

import numpy as np
import pandas as pd

from fairtask.experiments._evaluation import OVERALL, Evaluation, in_common, means
from fairtask.experiments._methods import BASELINE
from fairtask.model_selection import ParetoFrontDisplay, hypervolume, pareto_front

__all__ = ["Fronts", "draw_ablation", "make_fronts"]

MARGIN = 0.05
"""Loss of performance, against single-task learning, from which nothing counts."""


class Fronts:
    """Performance and EOD of each method and lam, for one attribute.

    All points are means over the same repeats; see `in_common`.

    Parameters
    ----------
    evaluation : Evaluation
    figures : DataFrame
        Those of its figures that are drawn, of the same repeats.
    attribute : str

    Attributes
    ----------
    points : DataFrame
        "method", "lam" (NaN for the method's own), "performance", "disparity", their
        standard errors over the repeats, and "on_front" of the method.
    volumes : Series
        Hypervolume of each method's front: what it covers between single-task
        learning's EOD and 0, and from 0.05 below its performance, as a share of that
        rectangle. Points above its performance add to it. Single-task learning has 0.
    n_repeats : int
        Number of repeats behind each point.
    """

    def __init__(
        self, evaluation: Evaluation, figures: pd.DataFrame, attribute: str
    ) -> None:
        self.performance_name = evaluation.performance
        self.attribute = attribute
        mean, sd = means(figures)
        columns = {
            "performance": (OVERALL, evaluation.performance),
            "disparity": (attribute, "EOD"),
        }
        self.n_repeats = figures.index.get_level_values("repeat").nunique()
        # EOD may be undefined in some test parts.
        by_setting = figures.groupby(level=["method", "lam"], sort=False, dropna=False)
        counts = by_setting.count()
        points = mean.index.to_frame(index=False)
        for name, column in columns.items():
            error = sd[column].to_numpy() / np.sqrt(counts[column].to_numpy())
            points[name] = mean[column].to_numpy()
            points[f"{name}_low"] = points[name] - error
            points[f"{name}_high"] = points[name] + error
        order = {name: i for i, name in enumerate(evaluation.methods.index)}
        self.points = points.sort_values(
            ["method", "lam"], key=lambda c: c.map(order) if c.name == "method" else c
        ).reset_index(drop=True)
        self.is_varied = bool(self.points["lam"].notna().any())
        self.points["on_front"] = False
        volumes: dict[str, float] = {}
        objectives = ["performance", "disparity"]
        base = self.points.loc[self.points["method"] == BASELINE, objectives].iloc[0]
        reference = [base["performance"] - MARGIN, base["disparity"]]
        for method in self.points["method"].unique():
            rows = self.points[self.points["method"] == method]
            values = rows[objectives].to_numpy()
            directions = [True, False]
            front = pareto_front(values, greater_is_better=directions)
            self.points.loc[rows.index, "on_front"] = front
            # Without a difference of the baseline there is nothing to cover.
            volumes[method] = np.nan
            if base["disparity"] > 0:
                volume = hypervolume(values, reference, greater_is_better=directions)
                volumes[method] = volume / (MARGIN * base["disparity"])
        self.volumes = pd.Series(volumes, name="hypervolume", dtype=float)

    def to_frame(self) -> pd.DataFrame:
        """Points and volumes, for a file."""
        frame = self.points.drop(columns=["performance_low", "disparity_low"])
        for name in ("performance", "disparity"):
            frame[f"{name}_high"] -= frame[name]
        frame = frame.rename(
            columns={
                "performance": self.performance_name,
                "disparity": "EOD",
                "performance_high": f"{self.performance_name} standard error",
                "disparity_high": "EOD standard error",
            }
        )
        frame["hypervolume of the method"] = frame["method"].map(self.volumes)
        frame.insert(0, "attribute", self.attribute)
        return frame.round(5)

    def draw(self) -> Any:
        """Draw performance against EOD; return the figure."""
        display = ParetoFrontDisplay(
            self.points.assign(
                label="",  # of many points none can be read
                method=self.points["method"].map(_plain),
            ),
            performance_name=self.performance_name,
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
    return [Fronts(evaluation, drawn, name) for name in evaluation.attributes]


def draw_ablation(fronts: Fronts) -> Any:
    """Draw performance and EOD over lam, a line per method; return the figure."""
    from matplotlib.figure import Figure

    from fairtask.model_selection._displays._shared import BESIDE, styles

    varied = fronts.points.dropna(subset="lam")
    # The colours that the methods have in the figure of the fronts.
    methods = fronts.points["method"].unique()
    style_of = dict(zip(methods, styles(len(methods)), strict=True))
    figure = Figure(figsize=(9.5, 3.8), layout="constrained")
    axes = figure.subplots(1, 2)
    for ax, column, label in (
        (axes[0], "performance", f"{fronts.performance_name} (higher is better)"),
        (axes[1], "disparity", f"EOD, {_plain(fronts.attribute)} (lower is better)"),
    ):
        for method, rows in varied.groupby("method", sort=False):
            style = style_of[method]
            low, high = rows[f"{column}_low"], rows[f"{column}_high"]
            ax.fill_between(rows["lam"], low, high, color=style["color"], alpha=0.12)
            ax.plot(
                rows["lam"],
                rows[column],
                label=_plain(str(method)),
                markersize=4,
                **style,
            )
        ax.set(xlabel="lam, the weight of the task", ylabel=label)
    axes[1].legend(title="bands: one standard error", fontsize="small", **BESIDE)
    return figure


def _plain(text: str) -> str:
    """Keep matplotlib from taking what is between two dollars for mathematics."""
    return text.replace("$", r"\$")
