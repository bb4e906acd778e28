"""The table of an experiment, as text, CSV, LaTeX and HTML."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import pandas as pd

from fairtask.experiments._evaluation import (
    OVERALL,
    Evaluation,
    in_common,
    means,
    ranked,
)
from fairtask.experiments._methods import BASELINE
from fairtask.experiments._notes import notes_of

__all__ = ["Table", "make_table"]

LATEX = str.maketrans(
    {
        **{character: f"\\{character}" for character in "%&_#${}"},
        "±": r"$\pm$",
        "Δ": r"$\Delta$",
        "\\": r"\textbackslash{}",
        "^": r"\textasciicircum{}",
        "~": r"\textasciitilde{}",
    }
)


@dataclass(frozen=True)
class Table:
    """Mean and standard deviation of each method, in per cent.

    Attributes
    ----------
    columns : list of (attribute or `OVERALL`, metric)
    mean, sd : DataFrame
        A row per method, and these columns.
    summary : DataFrame
        "runs", "collapsed", "MR" and "delta-m" of each method.
    families, losses : Series
        Family and fairness loss of each method.
    notes : list of str
        What a reader must know.
    """

    columns: list[tuple[str, str]]
    mean: pd.DataFrame
    sd: pd.DataFrame
    summary: pd.DataFrame
    families: pd.Series
    losses: pd.Series
    notes: list[str]

    def to_frame(self) -> pd.DataFrame:
        """Numbers: a column each for mean and standard deviation."""
        columns: dict[str, pd.Series] = {
            "family": self.families,
            "fairness loss": self.losses,
            "runs": self.summary["runs"],
        }
        for attribute, metric in self.columns:
            name = f"{attribute} {metric}".strip()
            columns[f"{name} mean"] = self.mean[attribute, metric].round(4)
            columns[f"{name} sd"] = self.sd[attribute, metric].round(4)
        columns |= {name: self.summary[name].round(4) for name in ("MR", "delta-m")}
        columns["collapsed"] = self.summary["collapsed"]
        return pd.DataFrame(columns).rename_axis("method")

    def to_text_frame(self) -> pd.DataFrame:
        """What is printed: "mean ± sd", under two levels of columns."""
        cells = {
            ("", "family"): self.families,
            ("", "loss"): self.losses,
        }
        for attribute, metric in self.columns:
            mean, sd = self.mean[attribute, metric], self.sd[attribute, metric]
            cells[attribute, metric] = mean.combine(sd, _mean_and_deviation)
        cells["", "MR"] = self.summary["MR"].map(_number)
        cells["", "Δm %"] = self.summary["delta-m"].map(_number)
        if self.summary["collapsed"].any():
            cells["", "collapsed"] = self.summary["collapsed"].astype(str)
        frame = pd.DataFrame(cells).rename_axis("method")
        frame.columns = pd.MultiIndex.from_tuples(cells)
        return frame

    def to_text(self) -> str:
        """For a terminal, without the family, which most names begin with."""
        notes = "".join(f"\n- {note}" for note in self.notes)
        frame = self.to_text_frame().drop(columns=[("", "family")])
        return f"{frame.to_string(index_names=False)}\n{notes}\n"

    def to_latex(self) -> str:
        """For a paper; needs the package booktabs."""
        frame = self.to_text_frame()
        above = [
            rf"\multicolumn{{{len(list(same))}}}{{c}}{{{_latex(attribute)}}}"
            for attribute, same in groupby(["", *frame.columns.get_level_values(0)])
        ]
        rows = [
            ["method", *frame.columns.get_level_values(1)],
            *([name, *cells] for name, *cells in frame.itertuples(name=None)),
        ]
        rows = [above, *([_latex(cell) for cell in row] for row in rows)]
        body = [" & ".join(row) + r" \\" for row in rows]
        lines = [
            rf"\begin{{tabular}}{{lll{'c' * (frame.shape[1] - 2)}}}",
            *(r"\toprule", *body[:2], r"\midrule", *body[2:]),
        ]
        lines += [r"\bottomrule", r"\end{tabular}"]
        notes = [f"% {note}" for note in self.notes]
        return "\n".join([*lines, *notes]) + "\n"

    def to_html(self) -> str:
        """A table element."""
        return self.to_text_frame().to_html(border=0, index_names=False)


def _mean_and_deviation(mean: float, sd: float) -> str:
    # One run has no deviation.
    return _number(mean) + ("" if np.isnan(sd) else f" ± {_number(sd)}")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def _latex(text: str) -> str:
    return text.translate(LATEX)


def make_table(evaluation: Evaluation, about: Sequence[str] = ()) -> Table:
    """Make the table of the runs with each method's own lam.

    Parameters
    ----------
    evaluation : Evaluation
    about : sequence of str
        Notes on the experiment, which come first.

    Raises
    ------
    ValueError
        If there is no run of single-task learning.
    """
    figures, columns = evaluation.figures, evaluation.columns_of_paper()
    own = figures[figures.index.get_level_values("lam").isna()]
    names = own.index.get_level_values("method").unique()
    if BASELINE not in names:
        raise ValueError(f"no run of {BASELINE} with its own lam has succeeded yet.")
    methods = evaluation.methods[evaluation.methods.index.isin(names)]
    mean, sd = (part.droplevel("lam").loc[methods.index] for part in means(own))
    compared = in_common(own, evaluation.failures)
    mean_of_common = means(compared)[0].droplevel("lam")
    summary = ranked(mean_of_common, evaluation.performance, columns)
    summary = summary.reindex(methods.index)
    by_method = own[OVERALL].groupby(level="method")
    summary["runs"] = by_method.size()
    summary["collapsed"] = by_method["collapsed"].sum().astype(int)
    columns = [(OVERALL, "AUC"), (OVERALL, "ACC"), *columns]
    return Table(
        columns,
        100 * mean[columns],
        100 * sd[columns],
        summary,
        methods["family"],
        methods["fairness_loss"],
        [*about, *notes_of(evaluation, own, compared)],
    )
