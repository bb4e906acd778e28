"""Weights of classes: checked, and turned into weights of samples."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fairtask._labels import Tasks
from fairtask._validation import LARGEST_WEIGHT, warn_user

__all__ = ["check_class_totals", "class_weights", "task_weights"]


def task_weights(
    class_weight: Any,
    sample_weight: np.ndarray | None,
    codes: np.ndarray,
    tasks: Tasks,
    *,
    normalize: bool,
) -> np.ndarray | None:
    """Weight of each sample in the loss of each task, or None without weights.

    Parameters
    ----------
    class_weight : dict, "balanced", list of these (several tasks) or None
        Weights of classes, 1 for a class that is not named; "balanced" gives each
        class that occurs the same total.
    sample_weight : ndarray of shape (n_samples,) or None
        Weights of the samples, with a mean of 1.
    codes : ndarray of shape (n_samples, n_tasks)
        Class codes.
    tasks : Tasks
    normalize : bool
        Whether to scale the weights of each task to a mean of 1.

    Returns
    -------
    weights : ndarray of shape (n_samples, n_tasks), float32, or None

    Raises
    ------
    ValueError
        If a named class does not exist, a weight is negative, or the list is too short
        or long.
    """
    if class_weight is None and sample_weight is None:
        return None
    weights = np.ones(codes.shape)
    if class_weight is not None:
        totals = [
            np.bincount(codes[:, k], sample_weight, minlength=n)
            for k, n in enumerate(tasks.n_classes)
        ]
        by_task = class_weights(class_weight, totals, tasks)
        for k, by_class in enumerate(by_task):
            weights[:, k] = by_class[codes[:, k]]
    if sample_weight is not None:
        weights *= sample_weight[:, None]
    if not weights.any(axis=0).all():
        raise ValueError(
            "`sample_weight` and `class_weight` together leave no sample with a weight "
            "above 0."
        )
    if normalize:
        weights /= weights.mean(axis=0)
    return weights.astype(np.float32)


def check_class_totals(totals: Iterable[np.ndarray], tasks: Tasks) -> None:
    """Raise a ValueError if a task has fewer than two classes with a weight above 0.

    Of more classes warn of those without.

    Parameters
    ----------
    totals : iterable of ndarray of shape (n_classes,)
        Total weight of the samples of each class, for each task.
    tasks : Tasks
    """
    for k, total in enumerate(totals):
        classes = tasks.classes[k]
        without = classes[total == 0].tolist()
        if not without:
            continue
        where = f" of the task {tasks.names[k]!r}" if tasks.names else ""
        found = f"all samples of the classes {without}{where} have the weight 0"
        if len(classes) - len(without) < 2:
            raise ValueError(
                "`sample_weight` and `class_weight` together must leave two classes "
                f"with a weight above 0; {found}."
            )
        warn_user(
            UserWarning,
            f"`sample_weight` and `class_weight` leave classes out: {found}, so that "
            "the network does not learn them.",
        )


def class_weights(
    class_weight: Any, totals: Sequence[np.ndarray], tasks: Tasks
) -> list[np.ndarray]:
    """Weight of each class of each task, given the total weight of its samples."""
    n_tasks = len(tasks.classes)
    per_task = class_weight if isinstance(class_weight, list) else [class_weight]
    if per_task == ["balanced"]:
        per_task = ["balanced"] * n_tasks
    if len(per_task) != n_tasks:
        raise ValueError(
            "`class_weight` must be 'balanced' or a list with an entry for each of the "
            f"{n_tasks} tasks; got {class_weight!r}."
        )
    for entry in per_task:
        if not (entry is None or entry == "balanced" or isinstance(entry, Mapping)):
            raise ValueError(
                "`class_weight` must hold dicts, 'balanced' or None; got "
                f"{class_weight!r}."
            )
    return [
        _weights_of_task(entry, of_classes, classes.tolist())
        for entry, of_classes, classes in zip(
            per_task, totals, tasks.classes, strict=True
        )
    ]


def _weights_of_task(entry: Any, totals: np.ndarray, classes: list) -> np.ndarray:
    """Weight of each class of one task."""
    if entry == "balanced":
        present = totals > 0
        shares = totals / totals.sum() * np.count_nonzero(present)
        return np.where(present, 1 / np.where(present, shares, 1), 0)
    entry = {} if entry is None else entry
    unknown = [label for label in entry if label not in classes]
    if unknown:
        raise ValueError(
            f"`class_weight` names {unknown}, which are no classes of `y`: {classes}."
        )
    values = [entry.get(label, 1.0) for label in classes]
    if not all(
        isinstance(v, int | float | np.number) and 0 <= v <= LARGEST_WEIGHT
        for v in values
    ):
        raise ValueError(
            "`class_weight` must hold numbers of at least 0 and at most "
            f"{LARGEST_WEIGHT:.2g}; got {entry!r}."
        )
    if not any(values):
        raise ValueError("`class_weight` must have a weight above 0; all are zero.")
    return np.array(values, dtype=float)
