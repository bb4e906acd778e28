"""What the reader of a table must know besides its figures."""

from collections import Counter

import pandas as pd

from fairtask.experiments._evaluation import OVERALL, Evaluation

__all__ = ["notes_of"]

EOD = {
    "mean": "EOD is the mean of the gaps in true and in false positive rates, as in "
    "the paper's tables.",
    "worst_case": "EOD is the larger of the gaps in true and in false positive rates.",
}


def notes_of(
    evaluation: Evaluation, own: pd.DataFrame, compared: pd.DataFrame
) -> list[str]:
    """Sentences for below a table.

    Parameters
    ----------
    evaluation : Evaluation
    own, compared : DataFrame
        Figures of the runs in the table, and of those that ranks are made from.
    """
    told = [
        *_of_the_rules(evaluation, own),
        *_of_the_methods(evaluation, own),
        *_of_what_is_missing(evaluation, own, compared),
        *_of_the_groups(evaluation, own),
    ]
    # Errors, and notes of users, may have lines of their own.
    return [" ".join(sentence.split()) for sentence in told]


def _of_the_rules(evaluation: Evaluation, own: pd.DataFrame) -> list[str]:
    n_all = own.index.get_level_values("repeat").nunique()
    rules = evaluation.rules
    told = [f"Test parts of {n_all} hold-outs, per cent. {EOD[rules.eod]}"]
    if rules.min_group_size > 1:
        told.append(
            f"A group with fewer than {rules.min_group_size} of the samples that a "
            "difference is about (positives, negatives, or both) is left out of it."
        )
    return [*told, f"The positive class is {evaluation.positive}."]


def _of_the_methods(evaluation: Evaluation, own: pd.DataFrame) -> list[str]:
    in_table = evaluation.methods.index.isin(own.index.get_level_values("method"))
    notes = evaluation.methods["note"][in_table]
    told = [f"{name}: {note}" for name, note in notes.items() if note]
    lams = evaluation.figures.index.get_level_values("lam")
    collapsed = evaluation.figures[lams.notna()][OVERALL, "collapsed"]
    return told + [
        f"{name}: in the ablation the fairness head collapsed in {int(runs.sum())} of "
        f"{len(runs)} runs."
        for name, runs in collapsed.groupby(level="method", sort=False)
        if runs.any()
    ]


def _of_what_is_missing(
    evaluation: Evaluation, own: pd.DataFrame, compared: pd.DataFrame
) -> list[str]:
    in_table = own.index.get_level_values("method")
    n_all = own.index.get_level_values("repeat").nunique()
    n_common = compared.index.get_level_values("repeat").nunique()
    told = []
    if evaluation.n_pending:
        told.append(
            f"Not finished: {evaluation.n_pending} of the runs that were asked for are "
            "still to come."
        )
    failed = Counter((run.method, error) for run, error in evaluation.failures)
    told += [f"{name}: {n} failed: {error}" for (name, error), n in failed.items()]
    told += [
        f"{name}: with the lams of the ablation only."
        for name in evaluation.methods.index
        if name not in in_table
    ]
    n_runs = in_table.value_counts()
    told += [
        f"{name}: {n_runs[name]} of {n_all} runs."
        for name in evaluation.methods.index
        if 0 < n_runs.get(name, 0) < n_all
    ]
    if n_common < n_all:
        told.append(f"MR and Δm: over {n_common} of {n_all} repeats, which all have.")
    unranked = in_table.unique().difference(compared.index.get_level_values("method"))
    if n_common and len(unranked):
        told.append(
            f"No MR and Δm, for want of some of these repeats: {', '.join(unranked)}."
        )
    return told + [f"No run, or a damaged one: {path}" for path in evaluation.damaged]


def _of_the_groups(evaluation: Evaluation, own: pd.DataFrame) -> list[str]:
    unknown = {name: own[name, "unknown"].mean() for name in evaluation.attributes}
    told = [
        f"{100 * share:.1f} % of the test samples belong to no known group of "
        f"{attribute}, and count for performance only."
        for attribute, share in unknown.items()
        if share > 0
    ]
    # All methods have the same test parts: one run of each will do.
    sizes = evaluation.sizes.loc[own.index].groupby(level="repeat").first()
    small = sizes < evaluation.rules.min_group_size
    n_small = int(small.any(axis=1).sum())
    if n_small:
        cells = sizes.columns[small.any()]
        groups = dict.fromkeys(
            f"{attribute} {group}"
            for attribute, group in zip(
                cells.get_level_values(0), cells.get_level_values(1), strict=True
            )
        )
        told.append(
            f"In {n_small} of {len(sizes)} test parts a group was too small for a "
            f"difference and left out of it: {', '.join(groups)}."
        )
    return told
