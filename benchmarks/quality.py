"""Methods with the recipe of fairtask's defaults, on hold-outs that did not choose it.

The validation part is not used: no method is tuned. Groups with fewer than 10 positives
or negatives in a test part are left out of the differences, and the worst of several
attributes counts. ``benchmarks/representation.py`` judges the representations.

    python benchmarks/quality.py --tables docs/tables
    python benchmarks/quality.py --cases compas/sex --methods single-task,fairtask

All other options are those of ``python -m fairtask.experiments run``, which takes the
methods of this file with ``--methods-file benchmarks/quality.py``.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from fairtask.experiments._command_line import main as run
from fairtask.experiments._evaluation import OVERALL, Rules, evaluate
from fairtask.experiments._methods import ALL_CLASSES, find_methods, regularised
from fairtask.experiments._store import DESCRIPTION, Store

CASES = "adult/sex adult/race adult/sex,race compas/sex compas/race bank/age"
LOSSES = ("bgl", "glf", "gld")
ROWS = ["single-task", *(f"regularised-{loss}" for loss in (*LOSSES, "dpl", "fprl"))]
ROWS += ["regularised-tprl", "adversarial", "group-specific"]
ROWS += [*(f"auxiliary-{loss}" for loss in LOSSES), "fairtask-regularised", "fairtask"]


def fairtask_with(name, value):
    """Return the method of the defaults with another value of a parameter."""
    method = find_methods()["fairtask"]
    return replace(
        method,
        name=f"fairtask-{name}-{value}",
        make=lambda setting: method.make(setting).set_params(**{name: value}),
    )


METHODS = [
    *(regularised(loss, **ALL_CLASSES) for loss in ("glf", "gld")),
    fairtask_with("representation_weight", 0),
    *(fairtask_with("fairness_head", head) for head in ("task", "anchored")),
    *(fairtask_with("group_momentum", m) for m in (0, 0.9, 0.95, 0.98, 0.99)),
]


def figures_of(evaluation):
    """Figures of each run; the worst of several attributes counts."""
    own = evaluation.own
    worst = own.drop(columns=OVERALL, level=0).T.groupby(level=1).max().T
    return own[OVERALL].join(worst)


def table_of(store):
    """Mean ± standard deviation over the hold-outs, a row per method."""
    evaluation = evaluate(store, Rules("worst_case", 10))
    figures = figures_of(evaluation)
    figures["EOD mean"] = figures_of(evaluate(store, Rules("mean", 10)))["EOD"]
    by_method = figures.groupby(level="method")
    mean, sd = (f.map("{:.3f}".format) for f in (by_method.mean(), by_method.std()))
    # Short, and never broken: ".913 ± .002".
    table = (mean + "\u00a0±\u00a0" + sd).replace(r"\b0\.", ".", regex=True)
    table["collapsed"] = by_method["collapsed"].sum().astype(int)
    columns = ["AUC", "ACC", "EOD", "EOD mean", "EOpD", "GAUCD", "collapsed"]
    return table.loc[evaluation.methods.index, columns]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", nargs="+", default=CASES.split())
    parser.add_argument("--methods", default=",".join(ROWS))
    parser.add_argument("--output", type=Path, default=Path("results/quality"))
    parser.add_argument("--tables", type=Path, metavar="FOLDER")
    asked, more = parser.parse_known_args()
    codes = []
    for case in asked.cases:
        dataset, attributes = case.split("/")
        options = ["--dataset", dataset, "--attributes", attributes, *more]
        options += ["--methods", asked.methods, "--methods-file", __file__]
        options += ["--preset", "defaults", "--output", str(asked.output)]
        codes.append(run(["run", "--first-repeat", "300", "--repeats", "10", *options]))
    for path in sorted(asked.output.glob(f"*/{DESCRIPTION}")):
        source = Store(path.parent).experiment().source
        name = "_".join([source.name, *source.attributes])
        table = table_of(Store(path.parent))
        print(f"{name}\n{table.to_string()}\n")
        if asked.tables:
            table.to_csv(asked.tables / f"{name}.csv")
    return max(codes)


if __name__ == "__main__":
    sys.exit(main())
