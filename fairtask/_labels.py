"""Task labels: encoded as class codes, and decoded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d

from fairtask._columns import (
    as_column,
    check_no_missing_names,
    check_same_kind,
    codes_of,
    exact_names,
    kind_of,
)
from fairtask._frames import as_pandas, check_n_rows
from fairtask._validation import check_distinct, named_in_errors

__all__ = [
    "NO_LABELS",
    "Tasks",
    "are_right",
    "encode_labels",
    "label_columns",
    "positive_codes",
]


# The second half is the message that scikit-learn's checks look for.
NO_LABELS = (
    "`{}` must hold labels: the estimator requires y to be passed, but the target y is "
    "None."
)


@dataclass(frozen=True)
class Tasks:
    """The tasks and their classes.

    Attributes
    ----------
    classes : list of ndarray
        Classes of each task, sorted. A class code is a position among them.
    names : list of str
        Name of each task; empty for a single task.
    """

    classes: list[np.ndarray]
    names: list[str]

    @property
    def is_multioutput(self) -> bool:
        """Whether there are several tasks."""
        return bool(self.names)

    @property
    def n_classes(self) -> list[int]:
        """Number of classes of each task."""
        return [len(classes) for classes in self.classes]

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Return labels, of shape (n_samples,) or (n_samples, n_tasks)."""
        columns = [classes[codes[:, k]] for k, classes in enumerate(self.classes)]
        if not self.is_multioutput:
            return columns[0]
        # Numbers and strings side by side would all become strings.
        kinds = {"number" if c.dtype.kind in "biuf" else "other" for c in columns}
        if len(kinds) > 1:
            columns = [column.astype(object) for column in columns]
        return np.column_stack(columns)


def encode_labels(
    y: Any,
    *,
    n_samples: int,
    classes: Any = None,
    known: Tasks | None = None,
    argument: str = "y",
) -> tuple[np.ndarray, Tasks]:
    """Encode labels.

    Parameters
    ----------
    y : array-like of shape (n_samples,) or (n_samples, n_tasks)
        Labels of any type.
    n_samples : int
        Number of rows expected.
    classes : array-like, or list of array-like for several tasks, optional
        The classes, where `y` may lack some.
    known : Tasks, optional
        The same tasks and classes are expected.
    argument : str
        Name for error messages.

    Returns
    -------
    codes : ndarray of shape (n_samples, n_tasks), int64
    tasks : Tasks

    Raises
    ------
    ValueError
        If `y` does not hold class labels, has a missing value, only one class in a
        column, or a label that is not among those expected.
    """
    if classes is not None:
        as_pandas(classes, "classes")  # raises where it is no list
    columns, names = label_columns(
        y, argument, declared=classes if known is None else known.classes
    )
    check_n_rows(y, len(columns[0]), argument, n_samples)
    expected: Sequence[Any] | None = None
    if known is not None:
        expected = known.classes
        if len(columns) != len(expected):
            raise ValueError(
                f"`{argument}` must have {len(expected)} column(s), as before; got "
                f"{len(columns)}."
            )
        check_task_names(names, known, argument)
        names = known.names
        _check_same_classes(classes, expected)
    elif classes is not None:
        expected = classes if names else [classes]
        if len(expected) != len(columns):
            raise ValueError(
                f"`classes` must be a list with an array for each of the "
                f"{len(columns)} columns of `y`; got {len(expected)}."
            )
    encoded = [
        _encode_column(
            column,
            None if expected is None else _distinct(expected[k]),
            where=f"`{argument}` column {names[k]!r}" if names else f"`{argument}`",
        )
        for k, column in enumerate(columns)
    ]
    codes = np.column_stack([codes for codes, _ in encoded])
    return codes, Tasks([classes for _, classes in encoded], names)


def _check_same_classes(classes: Any, expected: Sequence[np.ndarray]) -> None:
    if classes is None:
        return
    given = classes if len(expected) > 1 else [classes]
    same = len(given) == len(expected) and all(
        np.array_equal(_distinct(new), old)
        for new, old in zip(given, expected, strict=True)
    )
    if not same:
        raise ValueError(
            "`classes` must be those of the first call, "
            f"{[old.tolist() for old in expected]}; got {classes!r}."
        )


def check_task_names(names: list[str], known: Tasks, argument: str = "y") -> None:
    """Raise a ValueError if the columns of labels are not the tasks, in their order."""
    unnamed = [str(k) for k in range(len(names))]  # those of an array
    if names != known.names and unnamed not in (names, known.names):
        raise ValueError(
            f"`{argument}` must have the columns {known.names}, as before; got {names}."
        )


def are_right(y_pred: np.ndarray, y: Any, tasks: Tasks) -> np.ndarray:
    """Whether the predictions for a sample are those of all tasks.

    Parameters
    ----------
    y_pred : ndarray of shape (n_samples,) or (n_samples, n_tasks)
        Output of `Tasks.decode`.
    y : array-like of the same shape
        Labels.
    tasks : Tasks

    Returns
    -------
    are_right : ndarray of shape (n_samples,), bool

    Raises
    ------
    ValueError
        If `y` does not hold labels of these tasks, or has another number of rows.
    """
    columns, names = label_columns(y, declared=tasks.classes)
    if len(columns) != len(tasks.classes):
        raise ValueError(
            f"`y` must have {len(tasks.classes)} column(s), one per task; got "
            f"{len(columns)}."
        )
    check_task_names(names, tasks)
    y_pred = y_pred.reshape(len(y_pred), -1)
    check_n_rows(y, len(columns[0]), "y", len(y_pred))
    is_right = np.ones(len(y_pred), dtype=bool)
    for k, (column, classes) in enumerate(zip(columns, tasks.classes, strict=True)):
        check_same_kind(pd.unique(column), classes, "`y`")
        is_right &= y_pred[:, k] == column
    return is_right


def label_columns(
    y: Any, argument: str = "y", *, declared: Any = None
) -> tuple[list[np.ndarray], list[str]]:
    """Split labels into checked columns; return them with the names of the tasks.

    `declared` are the classes that were announced, or lists of them: one of these may
    have a name that a missing value often gets by accident.
    """
    with named_in_errors(argument):
        return _label_columns(y, argument, declared)


def _label_columns(
    y: Any, argument: str, declared: Any
) -> tuple[list[np.ndarray], list[str]]:
    if y is None:
        raise ValueError(NO_LABELS.format(argument))
    announced = {
        name
        for entry in (() if declared is None else declared)
        for name in np.ravel(np.asarray(entry, dtype=object))
    }
    y = as_pandas(y, argument)
    if isinstance(y, pd.DataFrame) and y.shape[1] > 1:
        # Column by column: an array would turn mixed types into objects.
        names = [str(name) for name in y.columns]
        check_distinct(names, argument)
        return [
            _read(y.iloc[:, k], argument, announced) for k in range(len(names))
        ], names
    if isinstance(y, pd.Series):
        return [_read(y, argument, announced)], []
    if isinstance(y, list | tuple):
        y = np.asarray(y, dtype=object)  # numpy would turn [0, "a"] into strings
    if getattr(y, "ndim", 1) != 1 or not isinstance(y, np.ndarray):
        y = check_array(y, ensure_2d=False, dtype=None, input_name=argument)
    if y.ndim == 2 and y.shape[1] > 1:
        n_tasks = y.shape[1]
        columns = [_read(y[:, k], argument, announced) for k in range(n_tasks)]
        return columns, [str(k) for k in range(n_tasks)]
    return [_read(column_or_1d(y, warn=True), argument, announced)], []


def _read(column: Any, argument: str, announced: set) -> np.ndarray:
    """Check a column of labels and return it as an array that holds them exactly."""
    labels = exact_names(pd.Series(column), f"`{argument}`", "class labels of one type")
    if len(labels) < len(column):
        raise ValueError(
            f"`{argument}` must not have missing values: Input {argument} contains NaN."
        )
    is_text = isinstance(column, np.ndarray) and column.dtype.kind == "U"
    values = check_array(
        column if is_text else np.asarray(labels),
        ensure_2d=False,
        dtype=None,
        input_name=argument,
    )
    check_classification_targets(values)
    check_no_missing_names(
        set(labels.unique()) - announced,
        f"`{argument}`",
        declared=isinstance(labels.dtype, pd.CategoricalDtype),
    )
    return values


def _distinct(classes: Any) -> np.ndarray:
    """Return the classes that were named, sorted."""
    column = as_column(classes, "classes")
    kind_of(column.array, "`classes`", "class labels of one type")
    if column.isna().any():
        raise ValueError("`classes` must not have missing values.")
    with named_in_errors("classes"):
        distinct = np.unique(np.asarray(classes))
    if len(distinct) < len(column):
        raise ValueError(
            f"`classes` must name each class once; got {len(column)} values, of which "
            f"{len(distinct)} are distinct. Pass groups as `sensitive_features=...`."
        )
    return distinct


def _encode_column(
    column: np.ndarray, expected: np.ndarray | None, *, where: str
) -> tuple[np.ndarray, np.ndarray]:
    classes, codes = np.unique(column, return_inverse=True)
    if expected is not None:
        check_same_kind(classes.tolist(), expected.tolist(), where)
        positions = codes_of(classes, expected)
        unexpected = classes[positions < 0]
        if len(unexpected):
            raise ValueError(
                f"{where} must hold the classes {expected.tolist()}; found "
                f"{unexpected.tolist()} as well."
            )
        codes, classes = positions[codes], expected
    if len(classes) < 2:
        raise ValueError(
            f"{where} must have at least two classes; found 1 class: "
            f"{classes.tolist()}."
        )
    return codes.astype(np.int64), classes


def positive_codes(positive_classes: Any, tasks: Tasks) -> list[list[int] | None]:
    """Codes of the positive classes of each task; None where none were named.

    Parameters
    ----------
    positive_classes : list of labels, list of such lists (several tasks), or None
    tasks : Tasks

    Returns
    -------
    list of (list of int, or None)

    Raises
    ------
    ValueError
        If an entry is no class of the task.
    """
    n_tasks = len(tasks.classes)
    if positive_classes is None:
        return [None] * n_tasks
    per_task = positive_classes if tasks.is_multioutput else [positive_classes]
    if len(per_task) != n_tasks:
        raise ValueError(
            "`positive_classes` must be a list with an entry for each of the "
            f"{n_tasks} tasks; got {positive_classes!r}."
        )
    codes: list[list[int] | None] = []
    for classes, entry in zip(tasks.classes, per_task, strict=True):
        if entry is None:
            codes.append(None)
            continue
        known = classes.tolist()
        labels = np.asarray(entry, dtype=object)
        is_list = labels.ndim == 1 and len(labels) > 0
        if not is_list or any(label not in known for label in labels.tolist()):
            raise ValueError(
                f"`positive_classes` must name classes of `y`, which are {known}; "
                f"got {entry!r}."
            )
        codes.append([known.index(label) for label in labels.tolist()])
    return codes
