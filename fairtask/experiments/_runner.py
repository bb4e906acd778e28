"""Carrying out runs: in parallel, each once, and whatever happens to the others."""

import copy
import os
import re
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

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

__all__ = ["carry_out_all", "make_estimator"]

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
    """Carry out the runs that the store lacks; return the number without a result.

    Each run is written when it ends. There are `n_jobs` processes, and each computes in
    one thread. An error of the machine, such as a full disk, is not recorded as one of
    the method: the run is tried again, alone, and by the next command. `methods_files`
    have the user's methods, and `retry_failed` repeats the
    runs that failed before. A ValueError is raised if a run of the store was made with
    other settings than it would be now.
    """
    settings = {
        run: details["settings"] for run in runs if (details := store.details(run))
    }
    _check_settings(store, experiment, settings, methods_files)
    left = [
        run
        for run in runs
        if run not in settings and (retry_failed or not store.has_failed(run))
    ]
    n_failed = 0
    with tqdm(
        total=len(runs),
        initial=len(runs) - len(left),
        smoothing=0,  # methods take turns, so the average over all is the best estimate
        disable=quiet,
        bar_format="{percentage:3.0f} %|{bar:30}| {n_fmt} of {total_fmt} runs, "
        "about {remaining} left",
    ) as bar:
        for run, error in _outcomes(store, experiment, left, methods_files, n_jobs):
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
) -> Iterator[tuple[Run, str]]:
    """Carry out runs in processes; give each run with its error or "".

    A process may die, for example when memory runs out. The runs in progress are
    then repeated one at a time, to find the one that kills its process; so are runs
    that an error of the machine has ended. With one job there is no other process, and
    its death ends the command.
    """
    left = list(runs)
    suspects: list[Run] = []
    while left:
        # A suspect runs alone, but in another process.
        is_alone = bool(suspects)
        now, n_processes = (suspects[:1], 2) if is_alone else (list(left), n_jobs)
        suspects = suspects[1:]
        parallel = Parallel(
            n_processes,
            return_as="generator_unordered",
            pre_dispatch="all",
            batch_size=1,
        )
        try:
            for run, error, is_final in parallel(
                delayed(_carry_out)(store, experiment, run, methods_files, os.getpid())
                for run in now
            ):
                if is_final or is_alone:
                    left.remove(run)
                    yield run, error
                else:
                    suspects.append(run)
        except BrokenProcessPool as death:
            for run in [run for run in left if store.details(run)]:
                left.remove(run)  # it ended, but its process could not report it
                yield run, ""
            if not is_alone:
                suspects = left[:n_jobs]  # runs begin in order
            elif now[0] in left:
                codes = re.search(r"exit codes .*", str(death))
                error = f"its process died: {codes.group() if codes else death}"
                origin = _origin(experiment, now[0])
                store.save_error(now[0], origin | {"error": error})
                left.remove(now[0])
                yield now[0], error


def _check_settings(
    store: Store,
    experiment: Experiment,
    settings: Mapping[Run, Mapping[str, str]],
    methods_files: Sequence[str],
) -> None:
    """Raise a ValueError if a method has changed since its runs were made."""
    methods = _find_methods(methods_files)
    # One run is enough for each method and lam.
    for run in {(run.method, run.lam): run for run in settings}.values():
        try:
            now = _describe(make_estimator(methods[run.method], experiment, run))
        except Exception as error:  # a user's method may raise anything
            raise ValueError(
                f"`methods`: {run.method} has runs in {store.folder} and cannot be "
                f"made now: {type(error).__name__}: {error}"
            ) from error
        found = settings[run]
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


def make_estimator(method: Method, experiment: Experiment, run: Run) -> Any:
    """Make the unfitted estimator of a run."""
    source = experiment.source
    setting = Setting(
        preset=experiment.preset,
        dataset=source.name,
        attributes=source.attributes,
        kind=source.kind,
        seed=run.repeat,
        lam=run.lam,
        quick=source.quick,
        parameters=experiment.parameters,
    )
    return method.make(setting)


# The content of a file is part of the key: it may change between two commands.


@lru_cache(maxsize=1)
def _parts(source: DataSource, digest: str, repeat: int) -> dict[str, Case]:
    if source.digest != digest:
        raise ValueError(f"{source.dataset} has changed since the runs were begun.")
    return make_parts(source.load(), repeat)


def _find_methods(files: Sequence[str]) -> dict[str, Method]:
    return _methods(tuple(files), tuple(Path(file).read_bytes() for file in files))


@lru_cache(maxsize=1)
def _methods(files: tuple[str], contents: tuple[bytes]) -> dict[str, Method]:
    return find_methods(files)


def _origin(experiment: Experiment, run: Run) -> dict[str, Any]:
    """Return the details that say where a run comes from."""
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
    parent: int,
) -> tuple[Run, str, bool]:
    """Carry out a run; return it with its error or "", and whether that is recorded."""
    if os.getpid() != parent:
        # Ctrl-C reaches all processes; the parent ends the others.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _end_with_parent()
    try:
        # With one thread the sums, and the figures, do not depend on the machine. The
        # limit is that of the calling thread for torch, too, which uses OpenMP.
        with threadpool_limits(1):
            # A copy, because the cached parts are for other methods too.
            digest = experiment.digest
            parts = copy.deepcopy(_parts(experiment.source, digest, run.repeat))
            return run, _attempt(store, experiment, run, methods_files, parts), True
    except Exception as failure:
        if not _is_of_machine(failure):
            raise
        error = f"{type(failure).__name__}: {failure}"
        return run, f"{error} (not recorded; the same command tries it again)", False


def _attempt(
    store: Store,
    experiment: Experiment,
    run: Run,
    methods_files: Sequence[str],
    parts: Mapping[str, Case],
) -> str:
    """Fit, predict, and record predictions or error; return the error or ""."""
    details = _origin(experiment, run)
    try:
        method = _find_methods(methods_files)[run.method]
        details |= {
            "kind": experiment.source.kind,
            "classes": parts["test"].classes,
            "has_test_part": parts["test"].is_test is not None,
            "family": method.family,
            "fairness_loss": method.fairness_loss,
            "note": "Uses the groups at predict. " * method.groups_at_predict
            + method.note,
        }
        estimator = make_estimator(method, experiment, run)
        details["settings"] = _describe(estimator)
        table, of_fit = fit_and_predict(
            estimator,
            parts,
            seed=run.repeat,
            groups_at_predict=method.groups_at_predict,
        )
    except (Exception, SystemExit) as failure:  # the other runs go on
        if _is_of_machine(failure):
            raise
        error = f"{type(failure).__name__}: {failure}"
        details |= {"error": error, "traceback": traceback.format_exc()}
        store.save_error(run, details)
        return error
    store.save(run, table, details | of_fit)
    return ""


def _is_of_machine(failure: BaseException) -> bool:
    """Whether disk, memory, network or permissions failed, and not the method."""
    # torch has no class for a lack of memory on the CPU.
    return isinstance(
        failure, OSError | MemoryError | torch.OutOfMemoryError
    ) or "can't allocate memory" in str(failure)


@cache
def _end_with_parent() -> None:
    """End this process soon after its parent: a killed one cannot end the others."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _describe(estimator: Any) -> dict[str, str]:
    """Return the class and the parameters of an estimator, as text."""
    if isinstance(estimator, BaseEstimator):
        parameters = estimator.get_params(deep=False)
    else:
        parameters = getattr(estimator, "__dict__", {})
    # The representation of some objects has their address, which changes each time.
    values = {
        name: re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))
        for name, value in sorted(parameters.items())
    }
    kind = type(estimator)
    return {"class": f"{kind.__module__}.{kind.__name__}"} | values
