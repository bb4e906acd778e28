"""Commands `run`, `ablate`, `report` and `methods`."""

import argparse
import ast
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import joblib

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier
from fairtask.experiments._cases import DATASETS, DataSource, check_data
from fairtask.experiments._methods import BASELINE, BUILT_IN, Method, find_methods
from fairtask.experiments._recipes import PRESETS
from fairtask.experiments._runner import carry_out_all, make_estimator
from fairtask.experiments._store import Experiment, Run, Store

__all__ = ["main"]

NETWORKS: dict[str, type] = {
    "table": AuxiliaryFairnessClassifier,
    "image": AuxiliaryFairnessImageClassifier,
}

FIXED = {
    *("device", "lam", "random_state"),
    *("early_stopping", "epoch_scoring", "n_iter_no_change", "validation_fraction"),
    *("fairness_head", "fairness_loss", "sample_loss", "group_momentum"),
    *("intersectional", "parity", "positive_classes", "aggregator", "weighted_losses"),
}
"""Parameters that define a method, or belong to the protocol."""

LAMS = (0.1, 0.3, 0.5, 0.7, 0.9)


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a command; return 0, or 1 if a run failed, or 2 if it was wrong."""
    asked = _parser().parse_args(arguments)
    try:
        return asked.command(asked)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fairtask.experiments",
        description="Compare methods of group fairness on repeated hold-outs.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="train, and save the predictions")
    _add_arguments(run, repeats=10)
    run.set_defaults(command=_run)

    ablate = commands.add_parser("ablate", help="the same over a grid of lam")
    _add_arguments(ablate, repeats=3)
    grid = f"the grid (default: {' '.join(map(str, LAMS))})"
    numbers: dict[str, Any] = {"nargs": "+", "type": float, "metavar": "LAM"}
    ablate.add_argument("--lams", default=LAMS, help=grid, **numbers)
    ablate.set_defaults(command=_ablate)

    report = commands.add_parser("report", help="tables and figures of saved runs")
    add = report.add_argument
    add("results", type=Path, nargs="?", default=Path("results"))
    add("--output", type=Path, help="default: RESULTS/report")
    means = "the mean of the two gaps (default, as in the paper), or the larger"
    add("--eod", choices=("mean", "worst_case"), default="mean", help=means)
    small = "leave groups with fewer positives or negatives out (default: 1)"
    add("--min-group-size", type=int, default=1, metavar="N", help=small)
    report.set_defaults(command=_report)

    methods = commands.add_parser("methods", help="list the methods there are")
    methods.add_argument("--methods-file", action="append", default=[], metavar="FILE")
    methods.set_defaults(command=_list_methods)
    return parser


def _add_arguments(parser: argparse.ArgumentParser, *, repeats: int) -> None:
    def add(name: str, help: str, *other: str, **options: Any) -> None:
        parser.add_argument(name, *other, help=help, **options)

    def flag(name: str, help: str) -> None:
        parser.add_argument(name, help=help, action="store_true")

    add("--dataset", f"{', '.join(DATASETS)}, or a CSV file", required=True)
    names: dict[str, Any] = {"type": _names, "metavar": "A,B"}
    quoted = "a name with a comma in double quotes"
    attributes = f"sensitive attributes (default: all of the data set); {quoted}"
    add("--attributes", attributes, "--sensitive", **names)
    add("--target", "labels, of a CSV file", metavar="COLUMN")
    add("--positive", "label, as written in a CSV file (default: the greater)")
    flag("--drop-sensitive", "leave the sensitive columns out of the features")
    add("--methods", "default: all for this kind of data", **names)
    methods = "a file of Python with a list METHODS of fairtask.experiments.Method"
    add("--methods-file", methods, action="append", default=[], metavar="FILE")
    add("--preset", "recipe (default: paper)", choices=PRESETS, default="paper")
    number: dict[str, Any] = {"type": int, "metavar": "N"}
    add("--repeats", f"hold-outs (default: {repeats}, or 2 with --quick)", **number)
    add("--first-repeat", "seed of the first one (default: 0)", default=0, **number)
    add("--output", "(default: results)", type=Path, default=Path("results"))
    cores = joblib.cpu_count()
    add("--jobs", "processes (default: one per core)", default=cores, **number)
    add("--weights", "pretrained weights of the backbone", metavar="FILE")
    parameters = "parameters of fairtask's networks, in place of the preset's"
    add("--set", parameters, nargs="+", default=[], metavar="NAME=VALUE")
    flag("--quick", "1,500 samples, three epochs, two repeats: to see that all works")
    flag("--retry-failed", "repeat the runs that failed before")
    flag("--quiet", "show no progress")
    parser.set_defaults(default_repeats=repeats)


def _names(text: str) -> list[str]:
    """Names between commas; in double quotes one that has a comma or outer spaces."""
    found = re.findall(r'\s*(?:"([^"]*)"\s*|([^,]*))(?:,|$)', text)
    names = [quoted or plain.strip() for quoted, plain in found]
    return [name for name in names if name]


def _run(asked: argparse.Namespace) -> int:
    experiment, methods = _prepare(asked)
    return _carry_out(asked, experiment, {name: [None] for name in methods})


def _ablate(asked: argparse.Namespace) -> int:
    if not all(0 <= lam <= 1 for lam in asked.lams):
        raise ValueError(f"`lams` must be in [0, 1]; got {asked.lams}.")
    experiment, methods = _prepare(asked)
    if not any(method.has_lam for method in methods.values()):
        raise ValueError("`methods` must name one that has a lam; see `methods`.")
    lams = list(dict.fromkeys(asked.lams))
    grids = {name: lams if m.has_lam else [None] for name, m in methods.items()}
    return _carry_out(asked, experiment, grids)


def _prepare(asked: argparse.Namespace) -> tuple[Experiment, dict[str, Method]]:
    """Check all arguments before anything is trained."""
    for name, least in (("repeats", 1), ("first_repeat", 0), ("jobs", 1)):
        number = getattr(asked, name)
        if number is not None and number < least:
            raise ValueError(f"`{name}` must be at least {least}; got {number}.")
    source = DataSource.of(
        asked.dataset,
        asked.attributes,
        target=asked.target,
        positive=asked.positive,
        drop_sensitive=asked.drop_sensitive,
        quick=asked.quick,
    )
    for note in check_data(source):  # one error now, rather than one for each run
        print(f"note: {note}", file=sys.stderr)
    parameters = _parameters(asked, source)
    methods = _chosen_methods(asked, source)
    experiment = Experiment(source, asked.preset, parameters, source.digest)
    for method in methods.values():
        if method in BUILT_IN:
            _check_parameters(method, experiment)
    return experiment, methods


def _chosen_methods(asked: argparse.Namespace, source: DataSource) -> dict[str, Method]:
    if asked.methods == []:
        raise ValueError("`methods` must name one at least; got none.")
    available = find_methods(asked.methods_file)
    suitable = {name: m for name, m in available.items() if source.kind in m.kinds}
    chosen = asked.methods or list(suitable)
    wrong = [name for name in chosen if name not in suitable]
    if wrong:
        raise ValueError(
            f"`methods` must be among {', '.join(suitable)}; got {', '.join(wrong)}."
        )
    if BASELINE not in chosen:
        chosen = [BASELINE, *chosen]
    return {name: suitable[name] for name in chosen}


def _parameters(asked: argparse.Namespace, source: DataSource) -> dict[str, Any]:
    """Return the parameters of `set`, and the weights, for fairtask's networks."""
    parameters = dict(_parameter(entry) for entry in asked.set)
    if len(parameters) < len(asked.set):
        raise ValueError(f"`set` takes each parameter once; got {' '.join(asked.set)}.")
    allowed = sorted(NETWORKS[source.kind]().get_params().keys() - FIXED)
    unknown = [name for name in parameters if name not in allowed]
    if unknown:
        raise ValueError(
            f"`set` takes parameters of the networks, {', '.join(allowed)}; got "
            f"{', '.join(unknown)}. To change a parameter that defines a method, "
            "write a method of your own: `methods-file`."
        )
    if not asked.weights:
        return parameters
    if source.kind != "image":
        raise ValueError(f"`weights` is for images; {source.name} is a table.")
    if not Path(asked.weights).is_file():
        raise ValueError(f"`weights` must be a file; got {asked.weights}.")
    if "backbone_params" in parameters:
        raise ValueError(
            "`weights` cannot be combined with a `set` of backbone_params; name the "
            "file there: {'pretrained_cfg_overlay': {'file': ...}}."
        )
    overlay = {"pretrained_cfg_overlay": {"file": asked.weights}}
    return parameters | {"backbone_params": overlay}


def _check_parameters(method: Method, experiment: Experiment) -> None:
    """Raise a ValueError if a network cannot be made, or rejects its parameters."""
    try:
        estimator = make_estimator(method, experiment, Run(method.name, 0))
        if hasattr(estimator, "_parameter_constraints"):
            estimator._validate_params()
    except Exception as error:  # weights may be missing, of which timm says much
        first_line = str(error).split("\n")[0]
        raise ValueError(
            f"`methods`: {method.name} cannot be made with the parameters "
            f"{dict(experiment.parameters)}: {type(error).__name__}: {first_line}"
        ) from error


def _parameter(entry: str) -> tuple[str, Any]:
    """Return the name and the value of NAME=VALUE."""
    name, separator, value = entry.partition("=")
    if not separator:
        raise ValueError(f"`set` takes NAME=VALUE; got {entry!r}.")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def _carry_out(
    asked: argparse.Namespace,
    experiment: Experiment,
    grids: Mapping[str, Sequence[float | None]],
) -> int:
    """Carry out the runs of each method over its grid of lam."""
    store = Store(asked.output / experiment.name)
    store.open(experiment)
    repeats = asked.repeats or (2 if asked.quick else asked.default_repeats)
    runs = [
        Run(name, repeat, lam)
        for repeat in range(asked.first_repeat, asked.first_repeat + repeats)
        for name, lams in grids.items()
        for lam in lams
    ]
    store.ask(runs)
    n_before = 0
    if not asked.retry_failed:
        n_before = sum(store.has_failed(run) for run in runs)
    n_failed = carry_out_all(
        store,
        experiment,
        runs,
        methods_files=asked.methods_file,
        n_jobs=asked.jobs,
        retry_failed=asked.retry_failed,
        quiet=asked.quiet,
    )
    if n_before and not asked.quiet:
        print(f"{n_before} runs failed before; --retry-failed repeats them")
    if not asked.quiet:
        print(f"The runs are in {store.folder}. For tables and figures of them, type:")
        print(
            f"  python -m fairtask.experiments report {shlex.quote(str(asked.output))}"
        )
    return int(n_failed + n_before > 0)


def _report(asked: argparse.Namespace) -> int:
    from fairtask.experiments._report import write_report

    page = write_report(
        asked.results,
        asked.output or asked.results / "report",
        eod=asked.eod,
        min_group_size=asked.min_group_size,
    )
    print(f"written: {page}")
    return 0


def _list_methods(asked: argparse.Namespace) -> int:
    for name, method in find_methods(asked.methods_file).items():
        print(f"{name:34}{method.family:26}{', '.join(method.kinds)}")
    return 0
