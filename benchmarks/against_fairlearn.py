"""Accuracy and differences of fairtask's and fairlearn's methods, by experiment.

From runs that were saved: see the page "Experiments". EOD is the larger of the gaps in
true and in false positive rate; groups with fewer than 10 positives or negatives in a
test part are left out. Per cent, mean over the hold-outs.

    python benchmarks/against_fairlearn.py results --table docs/tables/against.csv
"""

import argparse
from pathlib import Path

import pandas as pd

from fairtask.experiments._evaluation import OVERALL, Rules, evaluate, means
from fairtask.experiments._store import DESCRIPTION, Store

METHODS = [
    "fairtask-single-task",
    "fairtask",
    "fairtask-regularised",
    "boosting",
    "exponentiated-gradient",
    "exponentiated-gradient-boosting",
    "fairlearn-adversarial",
    "threshold-optimizer",
]


def columns_of(folder):
    """Accuracy and EOD of each attribute of an experiment, a row per method."""
    evaluation = evaluate(Store(folder), Rules("worst_case", 10))
    figures = evaluation.figures
    own = figures[figures.index.get_level_values("lam").isna()]
    mean = means(own)[0].droplevel("lam").reindex(METHODS)
    source = Store(folder).experiment().source
    title = f"{source.name}, {' and '.join(source.attributes)}"
    columns = {f"{title}: ACC": mean[OVERALL, "ACC"]}
    for attribute in evaluation.attributes:
        columns[f"{title}: EOD {attribute}"] = mean[attribute, "EOD"]
    return columns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--preset", default="paper")
    parser.add_argument("--table", type=Path, metavar="FILE", help="write a CSV table")
    arguments = parser.parse_args()
    columns = {}
    for path in sorted(arguments.results.glob(f"*_{arguments.preset}/{DESCRIPTION}")):
        columns |= columns_of(path.parent)
    # A column per method: there are more experiments than methods.
    table = (100 * pd.DataFrame(columns)).T.round(1)
    print(table.to_string())
    if arguments.table:
        table.to_csv(arguments.table)


if __name__ == "__main__":
    main()
