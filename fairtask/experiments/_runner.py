"""Carrying out runs: in parallel, each once, whatever becomes of the others."""

import copy
import os
import re
import signal
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from threadpoolctl import threadpool_limits
from tqdm.auto import tqdm

from fairtask import __version__
from fairtask.experiments._cases import Case, DataSource
from fairtask.experiments._methods import Method, Setting, find_methods
from fairtask.experiments._protocol import fit_and_predict, make_parts
from fairtask.experiments._store import Experiment, Run, Store

__all__ = ["carry_out_all", "make_setting"]

Outcome = tuple[Run, float, str]
"""A run, the seconds it took, and its error or ""."""

PACKAGES = ("fairlearn", "numpy", "pandas", "scikit-learn", "timm", "torch")


def carry_out_all(
    store: Store,
    experiment: Experiment,
    runs: Sequence[Run],
    *,
    methods_files: Sequence[str] = (),
    n_jobs: int = 1,
    retry_failed: bool = False,
    quiet: bool = False,
) -> int:
    """Carry out the runs that are not there yet; show how many and how long.

    Parameters
    ----------
    store : Store
        Where they are written, each when it ends.
    experiment : Experiment
    runs : sequence of Run
    methods_files : sequence of str
        Files with methods of the user.
    n_jobs : int, default=1
        Number of processes; each computes in one thread.
    retry_failed : bool, default=False
        Whether runs that failed before are repeated.
    quiet : bool, default=False
        Whether to show nothing.

    Returns
    -------
    n_failed : int
        Number of these runs that failed now.

    Raises
    ------
    ValueError
        If a run that is there was made with other settings than it would be now.
    """
    there = {run for run in runs if store.has_succeeded(run)}
    _check_settings(store, experiment, sorted(there, key=str), methods_files)
    left = [
        run
        for run in runs
        if run not in there and (retry_failed or not store.has_failed(run))
    ]
    seconds: dict[str, list[float]] = {}
    waiting = [run.method for run in left]
    n_failed = 0
    with tqdm(
        total=len(runs),
        initial=len(runs) - len(left),
        disable=quiet,
        bar_format="{desc}{percentage:3.0f} %|{bar:30}| {n_fmt} of {total_fmt} runs"
        "{postfix}",
    ) as bar:
        for run, taken, error in _outcomes(
            store, experiment, left, methods_files, n_jobs
        ):
            seconds.setdefault(run.method, []).append(taken)
            waiting.remove(run.method)
            left_seconds = _time_left(waiting, seconds) / n_jobs
            bar.set_postfix_str(f"about {_clock(left_seconds)} left", refresh=False)
            bar.update()
            if error:
                n_failed += 1
                bar.write(f"{run.method}, repeat {run.repeat}: {error}")
    return n_failed


def _outcomes(
    store: Store,
    experiment: Experiment,
    runs: Sequence[Run],
    methods_files: Sequence[str],
    n_jobs: int,
) -> Iterator[Outcome]:
    """Carry out runs in processes, each of which may die, as of too little memory.

    Those that were under way then are repeated one at a time, to see which it was. With
    one job there is no other process, and what kills it ends the command.
    """
    carry_out = delayed(_carry_out)
    left = list(runs)
    suspects: list[Run] = []
    while left:
        # By itself, but in another process, is a run that may have killed one.
        now, n_processes = (suspects[:1], 2) if suspects else (list(left), n_jobs)
        parallel = Parallel(
            n_processes,
            return_as="generator_unordered",
            pre_dispatch="all",
            batch_size=1,
        )
        try:
            for outcome in parallel(
                carry_out(store, experiment, run, methods_files, os.getpid())
                for run in now
            ):
                left.remove(outcome[0])
                yield outcome
        except BrokenProcessPool as death:
            for run in [run for run in left if store.has_succeeded(run)]:
                left.remove(run)  # it ended, but was not heard of
                yield run, 0.0, ""
            if not suspects:
                suspects = left[:n_jobs]  # they are begun in order
                continue
            if suspects[0] in left:
                codes = re.search(r"exit codes .*", str(death))
                error = f"its process died: {codes.group() if codes else death}"
                details = _origin(experiment, suspects[0])
                store.save_error(suspects[0], details | {"error": error})
                left.remove(suspects[0])
                yield suspects[0], 0.0, error
        suspects = suspects[1:]


def _check_settings(
    store: Store,
    experiment: Experiment,
    runs: Sequence[Run],
    methods_files: Sequence[str],
) -> None:
    """Refuse to go on where a method has changed since; a run of each will do."""
    methods = _find_methods(methods_files)
    for run in {(run.method, run.lam): run for run in runs}.values():
        try:
            estimator = methods[run.method].make(make_setting(experiment, run))
        except Exception as error:  # whatever a user's method may raise
            raise ValueError(
                f"`methods`: {run.method} has runs in {store.folder} and cannot be "
                f"made now: {type(error).__name__}: {error}"
            ) from error
        found, now = store.settings(run), _describe(estimator)
        if found != now:
            changed = {
                name: f"{found.get(name, 'nothing')}, now {now.get(name, 'nothing')}"
                for name in sorted(found.keys() | now.keys())
                if found.get(name) != now.get(name)
            }
            folder = store.folder / run.path.parents[1]
            raise ValueError(
                f"runs of {run.method} in {store.folder} were made with other "
                f"settings: {changed}. Delete {folder} to repeat them, or name another "
                "folder with `output`."
            )


def make_setting(experiment: Experiment, run: Run) -> Setting:
    """What the method of a run is made for."""
    source = experiment.source
    return Setting(
        preset=experiment.preset,
        dataset=source.name,
        attributes=source.attributes,
        kind=source.kind,
        seed=run.repeat,
        lam=run.lam,
        quick=source.quick,
        parameters=experiment.parameters,
    )


def _time_left(waiting: Sequence[str], seconds: Mapping[str, list[float]]) -> float:
    """Sum of what the runs left will take, by those of the same method so far."""
    everywhere = float(np.mean([t for taken in seconds.values() for t in taken]))
    return sum(
        float(np.mean(seconds[name])) if name in seconds else everywhere
        for name in waiting
    )


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


# What a file holds is part of what is remembered: it may change between two commands.


@lru_cache(maxsize=1)
def _load(source: DataSource, digest: str) -> Case:
    if source.digest != digest:
        raise ValueError(f"{source.dataset} has changed since the runs were begun.")
    return source.load()


@lru_cache(maxsize=1)
def _parts(source: DataSource, digest: str, repeat: int) -> dict[str, Case]:
    return make_parts(_load(source, digest), repeat)


def _find_methods(files: Sequence[str]) -> dict[str, Method]:
    contents = tuple((file, Path(file).read_bytes()) for file in files)
    return _methods(contents)


@lru_cache(maxsize=1)
def _methods(contents: tuple[tuple[str, bytes], ...]) -> dict[str, Method]:
    return find_methods([file for file, _ in contents])


def _origin(experiment: Experiment, run: Run) -> dict[str, Any]:
    """What a run is made from, as it is kept."""
    return {
        "seed": run.repeat,
        "experiment": experiment.to_json(),
        "versions": {"fairtask": __version__} | {n: version(n) for n in PACKAGES},
    }


def _carry_out(
    store: Store,
    experiment: Experiment,
    run: Run,
    methods_files: Sequence[str],
    asking: int,
) -> Outcome:
    """Carry out a run and write it; return its time, and its error if it failed."""
    if os.getpid() != asking:
        # Ctrl-C reaches all processes; the one that asked ends the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    source = experiment.source
    start = time.perf_counter()
    n_threads = torch.get_num_threads()
    details = _origin(experiment, run)
    try:
        # One thread, so that the sums, and the figures, do not depend on the machine.
        torch.set_num_threads(1)
        with threadpool_limits(1):
            # A copy: what is remembered is for other methods too.
            parts = copy.deepcopy(_parts(source, experiment.digest, run.repeat))
            setting = make_setting(experiment, run)
            method = _find_methods(methods_files)[run.method]
            details |= {
                "kind": setting.kind,
                "classes": parts["test"].classes,
                "family": method.family,
                "fairness_loss": method.fairness_loss,
                "note": "Uses the groups at predict. " * method.groups_at_predict
                + method.note,
            }
            estimator = method.make(setting)
            details["settings"] = _describe(estimator)
            predictions = fit_and_predict(
                estimator,
                parts,
                seed=run.repeat,
                groups_at_predict=method.groups_at_predict,
            )
        details |= {
            "fit_seconds": predictions.fit_seconds,
            "predict_seconds": predictions.predict_seconds,
            "warnings": predictions.warnings,
        }
        store.save(run, predictions.table, details)
        error = ""
    except (Exception, SystemExit) as failure:  # whatever it may be, others go on
        error = f"{type(failure).__name__}: {failure}"
        details |= {"error": error, "traceback": traceback.format_exc()}
        store.save_error(run, details)
    finally:
        torch.set_num_threads(n_threads)
    return run, time.perf_counter() - start, error


def _describe(estimator: Any) -> dict[str, str]:
    """Class and parameters, as text."""
    if isinstance(estimator, BaseEstimator):
        parameters = estimator.get_params(deep=False)
    else:
        parameters = getattr(estimator, "__dict__", {})
    # Some objects show where they are, which is another place each time.
    values = {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
        for name, value in sorted(parameters.items())
    }
    return {
        "class": f"{type(estimator).__module__}.{type(estimator).__name__}"
    } | values
