"""Sentences for below a table."""

from collections import Counter
from typing import TYPE_CHECKING

import pandas as pd

from fairtask.experiments._evaluation import OVERALL, Evaluation
from fairtask.experiments._methods import BASELINE

if TYPE_CHECKING:
    from fairtask.experiments._tables import Table

__all__ = ["FAMILIES", "notes_of", "summary_of"]

EOD = {
    "mean": "EOD is the mean of the gaps in true and in false positive rates, as in "
    "the paper's tables.",
    "worst_case": "EOD is the larger of the gaps in true and in false positive rates.",
}

FAMILIES = {
    "Single task": "Learns the task alone; the baseline of Δm.",
    "Regularised single task": "The fairness loss on the prediction itself.",
    "Adversarial": "An adversary predicts the groups from the representation.",
    "Group-specific": "A head for each group, mixed by predicted groups.",
    "Auxiliary task (paper)": "A head of its own is trained by the fairness loss.",
    "fairtask's defaults": "The defaults of fairtask's estimators.",
    "Peers, unconstrained": "Without a constraint on groups.",
    "Peers (fairlearn)": "fairlearn's methods, for equalized odds.",
    "Yours": "",
}
"""Description of each family of methods."""

EVENTS = {
    "constant": "all predictions were one class",
    "collapsed": "the fairness head collapsed",
}
"""Description of a run, by the column of the figures that says so."""


def notes_of(evaluation: Evaluation, compared: pd.DataFrame) -> list[str]:
    """Return notes on the runs with each method's own lam.

    `compared` are the figures of the runs that ranks are made from.
    """
    notes = [
        *_on_rules(evaluation),
        *_on_methods(evaluation),
        *_on_missing_runs(evaluation, compared),
        *_on_groups(evaluation),
    ]
    # Errors, and notes of users, may have lines of their own.
    return [" ".join(note.split()) for note in notes]


def summary_of(table: "Table", evaluation: Evaluation) -> str:
    """Return sentences on performance, each attribute, and runs to beware of."""
    mean, performance = table.mean, evaluation.performance
    of_task = mean[OVERALL, performance]
    base = mean.loc[BASELINE]
    sentences = [
        f"{of_task.idxmax()} has the highest {performance}, {of_task.max():.1f} %; "
        f"single-task learning has {base[OVERALL, performance]:.1f} %."
    ]
    for attribute in evaluation.attributes:
        # An EOD of 0 says nothing where all predictions are one class.
        eod = mean[attribute, "EOD"][table.methods["constant"] == 0].dropna()
        if len(eod):
            best = str(eod.idxmin())
            sentences.append(
                f"The lowest EOD of {attribute} is that of {best}, {eod[best]:.1f} % "
                f"with {of_task[best]:.1f} % {performance}; single-task learning has "
                f"{base[attribute, 'EOD']:.1f} %."
            )
    n_constant = int((table.methods["constant"] > 0).sum())
    n_failed = len({run.method for run, _ in evaluation.failures})
    n_runs = int(table.methods["runs"].max())
    sentences.append(
        f"These are means over up to {n_runs} runs; the number of methods that "
        f"predicted one class for everybody in a run is {n_constant}, of those that "
        f"failed in a run {n_failed}."
    )
    return " ".join(sentences)


def _on_rules(evaluation: Evaluation) -> list[str]:
    n = evaluation.own.index.get_level_values("repeat").nunique()
    rules = evaluation.rules
    of_what = f"Test parts of {n} hold-outs"
    if evaluation.details.get("has_test_part"):
        of_what = f"The test part of the data, {n} seeds"
    notes = [f"{of_what}, per cent. {EOD[rules.eod]}"]
    if rules.min_group_size > 1:
        notes.append(
            f"A group with fewer than {rules.min_group_size} of the samples that a "
            "difference is about (positives, negatives, or both) is left out of it."
        )
    return [*notes, f"The positive class is {evaluation.details['classes'][1]}."]


def _on_methods(evaluation: Evaluation) -> list[str]:
    in_table = evaluation.own.index.get_level_values("method")
    notes = evaluation.methods["note"][evaluation.methods.index.isin(in_table)]
    lams = evaluation.figures.index.get_level_values("lam")
    in_ablation = evaluation.figures[lams.notna()][OVERALL]
    return [f"{name}: {note}" for name, note in notes.items() if note] + [
        f"{name}: in the ablation {event} in {int(runs.sum())} of {len(runs)} runs."
        for mark, event in EVENTS.items()
        for name, runs in in_ablation[mark].groupby(level="method", sort=False)
        if runs.any()
    ]


def _on_missing_runs(evaluation: Evaluation, compared: pd.DataFrame) -> list[str]:
    own = evaluation.own.index
    n_all, n_common = (
        index.get_level_values("repeat").nunique() for index in (own, compared.index)
    )
    n_runs = own.get_level_values("method").value_counts()
    notes = []
    if evaluation.n_pending:
        notes.append(
            f"Not finished: {evaluation.n_pending} requested runs have no result yet."
        )
    failed = Counter((run.method, error) for run, error in evaluation.failures)
    notes += [f"{name}: {n} failed: {error}" for (name, error), n in failed.items()]
    notes += [
        f"{name}: with the lams of the ablation only."
        for name in evaluation.methods.index
        if name not in n_runs
    ]
    notes += [
        f"{name}: {n_runs[name]} of {n_all} runs."
        for name in evaluation.methods.index
        if n_runs.get(name, n_all) < n_all
    ]
    if n_common < n_all:
        notes.append(f"MR and Δm: over {n_common} of {n_all} repeats, which all have.")
    unranked = n_runs.index.difference(compared.index.get_level_values("method"))
    if n_common and len(unranked):
        notes.append(
            "MR and Δm are missing for methods without all of these repeats: "
            f"{', '.join(unranked)}."
        )
    return notes + [f"No run, or a damaged one: {path}" for path in evaluation.damaged]


def _on_groups(evaluation: Evaluation) -> list[str]:
    own = evaluation.own
    unknown = {name: own[name, "unknown"].mean() for name in evaluation.attributes}
    notes = [
        f"{100 * share:.1f} % of the test samples belong to no known group of "
        f"{attribute}, and count for performance only."
        for attribute, share in unknown.items()
        if share > 0
    ]
    # All methods have the same test parts, so one run of each is enough.
    sizes = evaluation.sizes.loc[own.index].groupby(level="repeat").first()
    small = sizes < evaluation.rules.min_group_size
    n_small = int(small.any(axis=1).sum())
    if n_small:
        cells = sizes.columns[small.any()]
        groups = dict.fromkeys(f"{cell[0]} {cell[1]}" for cell in cells)
        notes.append(
            f"In {n_small} of {len(sizes)} test parts a group was too small for a "
            f"difference and left out of it: {', '.join(groups)}."
        )
    return notes
