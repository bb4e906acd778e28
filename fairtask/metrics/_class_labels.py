"""Class labels of the arguments of a metric, and which class is the positive one."""

import reprlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from fairtask._columns import (
    as_column,
    check_no_missing_names,
    check_same_kind,
    codes_of,
    exact_names,
)
from fairtask._sensitive import MAX_GROUPS
from fairtask._validation import warn_user

__all__ = ["encode_class_labels", "labels_of_model"]

EXPECTED = "class labels of one type"
"""Values of `y_true` and `y_pred`."""


def encode_class_labels(
    columns: Mapping[str, pd.Series],
    *,
    labels: Any,
    pos_label: Any,
    needs_positive: bool,
) -> tuple[list, list[int], dict[str, np.ndarray]]:
    """Check true and predicted labels and encode them.

    Parameters
    ----------
    columns : mapping of str to Series
        "y_true", and "y_pred" if there are predicted labels.
    labels : array-like or None
        All classes. None: those that occur.
    pos_label : object
        The positive class, or None.
    needs_positive : bool
        Whether it matters which class is the positive one.

    Returns
    -------
    classes : list
        Sorted.
    positives : list of int
        Codes of the classes that are taken as the positive one.
    codes : dict of str to ndarray
        For each column the positions of its labels among the classes.
    """
    if labels is not None:
        labels = _read_classes(as_column(labels, "labels"), "labels")[1]
    read = {name: _read_classes(column, name) for name, column in columns.items()}
    distinct = {name: found for name, (_, found) in read.items()}
    _check_class_labels(columns, distinct, labels)
    classes, positives = _find_classes(
        distinct, pos_label, labels, needs_positive=needs_positive
    )
    codes = {
        name: codes_of(found, classes)[rows] for name, (rows, found) in read.items()
    }
    return classes, positives, codes


def labels_of_model(classes: Any, y_true: Any, *, with_scores: bool) -> list | None:
    """Return the classes of a fitted model and those of `y_true`, sorted.

    The samples that are judged may lack some, and the training part of a fold may, too.
    A ValueError is raised `with_scores` if the model has none for a class. None for a
    model of several tasks or without classes.
    """
    if not isinstance(classes, np.ndarray):
        return None
    known = classes.tolist()
    _, found = _read_classes(as_column(y_true, "y_true"), "y_true")
    check_same_kind(found, known, "`y_true`, like the classes of the model,")
    unknown = sorted(set(found) - set(known))
    if unknown and with_scores:
        raise ValueError(
            f"The model has no scores for the classes {reprlib.repr(unknown)} of "
            "`y_true`: the samples that it was fitted to lack them, such as the "
            "training part of a fold. Each class must occur there."
        )
    return sorted([*known, *unknown])


def _read_classes(column: pd.Series, argument: str) -> tuple[np.ndarray, list]:
    """Return codes and the distinct labels that they stand for, as they occur."""
    labels = exact_names(column, f"`{argument}`", EXPECTED)
    if len(labels) < len(column):
        raise ValueError(f"`{argument}` must not have missing values.")
    codes, found = pd.factorize(labels)
    return codes, found.tolist()


def _check_class_labels(
    columns: Mapping[str, pd.Series], distinct: Mapping[str, list], labels: list | None
) -> None:
    """Check that the labels are of one kind, and neither scores nor missing values.

    `distinct` has the labels of each column; `labels` are those that were named.
    """
    first, *others = distinct
    for name in others:
        check_same_kind(distinct[name], distinct[first], f"`{name}`, like `{first}`,")
    if labels is not None:
        check_same_kind(labels, distinct[first], f"`labels`, like `{first}`,")
    known = set(labels or [])
    for name, found in distinct.items():
        is_category = isinstance(columns[name].dtype, pd.CategoricalDtype)
        # A prediction repeats a label that was true.
        check_no_missing_names(set(found) - known, f"`{name}`", declared=is_category)
        known.update(found)
        fractions = [v for v in found if isinstance(v, float) and not v.is_integer()]
        if fractions:
            raise ValueError(
                f"`{name}` must hold class labels; found numbers such as "
                f"{fractions[0]:g}."
            )
        n_samples = len(columns[name])
        if len(found) > MAX_GROUPS and len(found) > n_samples / 2:
            raise ValueError(
                f"`{name}` must hold class labels; found {len(found)} distinct values "
                f"in {n_samples} samples: {reprlib.repr(found)}."
            )


def _find_classes(
    distinct: Mapping[str, list],
    pos_label: Any,
    labels: list | None,
    *,
    needs_positive: bool,
) -> tuple[list, list[int]]:
    """Return the sorted classes and the codes of those that are taken as positive."""
    if pos_label is not None and not pd.api.types.is_scalar(pos_label):
        raise ValueError(f"`pos_label` must be one label; got {pos_label!r}.")
    names = " and ".join(f"`{name}`" for name in distinct)
    classes = list(
        dict.fromkeys(label for found in distinct.values() for label in found)
    )
    if labels is not None:
        unexpected = [label for label in classes if label not in labels]
        if unexpected:
            raise ValueError(
                f"`labels` must name every class of {names}; found "
                f"{reprlib.repr(sorted(unexpected))} besides "
                f"{reprlib.repr(sorted(labels))}."
            )
        if labels != sorted(labels):
            raise ValueError(
                "`labels` must be sorted, as the columns of scores are; got "
                f"{reprlib.repr(labels)}."
            )
        classes = labels
    else:
        _check_predicted(distinct, pos_label)
    if pos_label is not None:
        is_new = len(classes) < 2 and _have_one_type([*classes, pos_label])
        if pos_label not in classes and not is_new:
            raise ValueError(
                f"`pos_label` must be one of {reprlib.repr(sorted(classes))}; got "
                f"{pos_label!r}."
            )
    elif len(classes) > 2:
        return sorted(classes), list(range(len(classes)))
    elif _are_conventional(classes):
        pos_label = 1
    elif len(classes) == 2 or not needs_positive:
        pos_label = max(classes)
    else:
        raise ValueError(
            f"`pos_label` is needed: all labels are {classes[0]!r}, which does not "
            "say which class is the positive one."
        )
    classes = sorted({*classes, pos_label})
    return classes, [classes.index(pos_label)]


def _check_predicted(distinct: Mapping[str, list], pos_label: Any) -> None:
    """Notice a predicted label that is no true label of any sample.

    It may be misspelt, or of a class that is rare. Beside two true labels a third one
    is refused, as scikit-learn and fairlearn do where they expect two classes.
    """
    true, predicted = sorted(distinct["y_true"]), distinct.get("y_pred", [])
    known = {*true, pos_label}
    others = sorted(label for label in predicted if label not in known)
    if not others or _are_conventional([*true, *others]):
        return
    remedy = "If `y_true` may lack a class, name all classes with `labels`."
    if len(true) <= 2 < len({*true, *predicted}):
        raise ValueError(
            f"`y_pred` must hold labels of `y_true`, {reprlib.repr(true)}; found "
            f"{reprlib.repr(others)} as well. {remedy}"
        )
    warn_user(
        UserWarning,
        f"`y_pred` has labels that `y_true` lacks, {reprlib.repr(others)}, which count "
        f"as classes besides {reprlib.repr(true)}. {remedy}",
    )


def _are_conventional(labels: list) -> bool:
    """Whether 1 is the positive class among these labels by convention."""
    return {0, 1}.issuperset(labels) or {-1, 1}.issuperset(labels)


def _have_one_type(labels: list) -> bool:
    return len({isinstance(label, str) for label in labels}) <= 1
