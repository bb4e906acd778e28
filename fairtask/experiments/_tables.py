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


MARKS = ["constant", "collapsed"]
"""Runs that predict one class for everybody; that have a constant fairness head."""


@dataclass(frozen=True)
class Table:
    """Mean and standard deviation of each method, in per cent.

    Attributes
    ----------
    methods : DataFrame
        A row per method, with "family", "fairness_loss", "MR", "delta-m", "runs" and
        the numbers of the runs that are `MARKS`.
    columns : list of (attribute or `OVERALL`, metric)
    mean, sd : DataFrame
        The same rows, and these columns.
    notes : list of str
    """

    methods: pd.DataFrame
    columns: list[tuple[str, str]]
    mean: pd.DataFrame
    sd: pd.DataFrame
    notes: list[str]

    def to_frame(self) -> pd.DataFrame:
        """Return numbers: a column each for mean and standard deviation."""
        columns: dict[str, pd.Series] = {
            "family": self.methods["family"],
            "fairness loss": self.methods["fairness_loss"],
            "runs": self.methods["runs"],
        }
        for attribute, metric in self.columns:
            name = f"{attribute} {metric}".strip()
            columns[f"{name} mean"] = self.mean[attribute, metric].round(4)
            columns[f"{name} sd"] = self.sd[attribute, metric].round(4)
        columns |= {name: self.methods[name].round(4) for name in ("MR", "delta-m")}
        columns |= {mark: self.methods[mark] for mark in MARKS}
        return pd.DataFrame(columns).rename_axis("method")

    def to_text_frame(self) -> pd.DataFrame:
        """Return cells such as "mean ± sd", under two levels of columns."""
        cells: dict[tuple[str, str], pd.Series] = {
            ("", "family"): self.methods["family"],
            ("", "loss"): self.methods["fairness_loss"],
        }
        for column in self.columns:
            cells[column] = self.mean[column].combine(self.sd[column], _with_deviation)
        cells["", "MR"] = self.methods["MR"].map(_number)
        cells["", "Δm %"] = self.methods["delta-m"].map(_number)
        for mark in MARKS:
            if self.methods[mark].any():
                cells["", mark] = self.methods[mark].astype(str)
        return pd.DataFrame(cells).rename_axis("method")

    def to_text(self) -> str:
        """Format for a terminal, without the family, which begins most names."""
        notes = "".join(f"\n- {note}" for note in self.notes)
        frame = self.to_text_frame().drop(columns=[("", "family")])
        return f"{frame.to_string(index_names=False)}\n{notes}\n"

    def to_latex(self) -> str:
        """Format for a paper; LaTeX needs the package booktabs."""
        frame = self.to_text_frame()
        above = [
            rf"\multicolumn{{{len(list(same))}}}{{c}}{{{attribute.translate(LATEX)}}}"
            for attribute, same in groupby(["", *frame.columns.get_level_values(0)])
        ]
        rows = [
            ["method", *frame.columns.get_level_values(1)],
            *([name, *cells] for name, *cells in frame.itertuples(name=None)),
        ]
        rows = [above, *([cell.translate(LATEX) for cell in row] for row in rows)]
        body = [" & ".join(row) + r" \\" for row in rows]
        lines = [
            rf"\begin{{tabular}}{{lll{'c' * (frame.shape[1] - 2)}}}",
            *(r"\toprule", *body[:2], r"\midrule", *body[2:]),
        ]
        lines += [r"\bottomrule", r"\end{tabular}"]
        notes = [f"% {note}" for note in self.notes]
        return "\n".join([*lines, *notes]) + "\n"

    def to_html(self) -> str:
        """Format as an element of a page."""
        return self.to_text_frame().to_html(border=0, index_names=False)


def _with_deviation(mean: float, sd: float) -> str:
    # One run has no deviation.
    return _number(mean) + ("" if np.isnan(sd) else f" ± {_number(sd)}")


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.2f}"


def make_table(evaluation: Evaluation, about: Sequence[str] = ()) -> Table:
    """Make the table of the runs with each method's own lam.

    The notes `about` the experiment come before the others. Without a run of
    single-task learning a ValueError is raised.
    """
    own, differences = evaluation.own, evaluation.columns_of_paper()
    names = own.index.get_level_values("method").unique()
    if BASELINE not in names:
        raise ValueError(f"no run of {BASELINE} with its own lam has succeeded yet.")
    methods = evaluation.methods[evaluation.methods.index.isin(names)]
    mean, sd = (part.droplevel("lam").loc[methods.index] for part in means(own))
    compared = in_common(own, evaluation.failures)
    mean_of_common = means(compared)[0].droplevel("lam")
    by_method = own[OVERALL].groupby(level="method")
    methods = (
        methods.assign(runs=by_method.size())
        .join(by_method[MARKS].sum().astype(int))
        .join(ranked(mean_of_common, evaluation.performance, differences))
    )
    columns = [(OVERALL, "AUC"), (OVERALL, "ACC"), *differences]
    return Table(
        methods,
        columns,
        100 * mean[columns],
        100 * sd[columns],
        [*about, *notes_of(evaluation, compared)],
    )
