"""What is compared: labels, groups and weights, from what users pass to codes."""

import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairtask._sensitive import MAX_GROUPS, SensitiveFeatures, encode_sensitive_features

__all__ = ["Attributes", "Comparison", "check_one_of"]

Attributes = Literal["worst_case", "each", "intersection"]


@dataclass(frozen=True)
class Comparison:
    """Labels, groups and weights of the samples that count.

    Samples of weight 0 are not among them, nor are those that are in no group.

    Attributes
    ----------
    classes : list
        The classes, sorted.
    positive : int or None
        Position of the positive class, whose code is 1 while that of the rest is 0; or
        None for several classes, each of which is taken against the rest and has its
        position for a code.
    y_true : ndarray of shape (n_samples,), int64
        Class codes.
    y_pred : ndarray of shape (n_samples,), int64, or None
        Class codes of the predictions.
    weights : ndarray of shape (n_samples,)
    sensitive : SensitiveFeatures
        The groups of each attribute that are compared.
    rows : ndarray of shape (n_samples_passed,), bool
        Which of the samples passed are here.
    """

    classes: list
    positive: int | None
    y_true: np.ndarray
    y_pred: np.ndarray | None
    weights: np.ndarray
    sensitive: SensitiveFeatures
    rows: np.ndarray

    @classmethod
    def encode(
        cls,
        y_true: Any,
        y_pred: Any = None,
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        attributes: str = "worst_case",
        pos_label: Any = None,
        labels: Any = None,
        groups: Any = None,
        has_predictions: bool = True,
        has_positive: bool = True,
    ) -> "Comparison":
        """Check what was passed and encode it.

        Parameters
        ----------
        y_true, y_pred, sensitive_features, sample_weight, attributes, pos_label, \
                labels, groups
            See the metrics.
        has_predictions : bool, default=True
            Whether `y_pred` is one of the arguments.
        has_positive : bool, default=True
            Whether it matters which class is the positive one.
        """
        check_one_of("attributes", attributes, ("worst_case", "each", "intersection"))
        columns = {"y_true": _column(y_true, "y_true")}
        n_samples = len(columns["y_true"])
        if has_predictions:
            columns["y_pred"] = _column(y_pred, "y_pred")
            _check_length(columns["y_pred"], "y_pred", n_samples)
        classes, positive = _find_classes(
            columns, pos_label, labels, has_positive=has_positive
        )
        codes = {
            name: _encode(column, classes, positive) for name, column in columns.items()
        }
        if sensitive_features is None:
            raise ValueError(
                "`sensitive_features` must have a column for each attribute; got 0."
            )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=attributes == "intersection",
            groups=groups,
            unseen="unknown",
        )
        weights = np.ones(n_samples)
        if sample_weight is not None:
            weights = _numbers(sample_weight, "sample_weight", n_samples)
            if (weights < 0).any():
                raise ValueError(
                    f"`sample_weight` must not be negative; found {weights.min():.3g}."
                )
        rows = (sensitive.codes >= 0).any(axis=1) & (weights > 0)
        return cls(
            classes=classes,
            positive=positive,
            y_true=codes["y_true"][rows],
            y_pred=codes["y_pred"][rows] if has_predictions else None,
            weights=weights[rows],
            sensitive=sensitive.take(rows),
            rows=rows,
        )

    @property
    def is_multiclass(self) -> bool:
        """Whether each of several classes is taken against the rest."""
        return self.positive is None

    @property
    def n_codes(self) -> int:
        """Number of class codes."""
        return len(self.classes) if self.is_multiclass else 2

    @property
    def positives(self) -> list[int]:
        """Codes of the classes that are taken as the positive one, one by one."""
        return list(range(self.n_codes)) if self.is_multiclass else [1]

    def pooled(self) -> "Comparison":
        """Return the same samples as one group, called "all"."""
        one = np.zeros((len(self.y_true), 1), dtype=np.int64)
        sensitive = SensitiveFeatures(one, ["all"], [np.array(["all"], dtype=object)])
        return replace(self, sensitive=sensitive)

    def scores(self, values: Any, name: str) -> np.ndarray:
        """Check scores; return a column per class taken as positive.

        Parameters
        ----------
        values : array-like of shape (n_samples,) or (n_samples, n_classes)
        name : str
            Name for error messages.

        Returns
        -------
        scores : ndarray of shape (n_samples, n_positives)
        """
        scores = np.asarray(values)
        if self.positive is not None:
            if scores.ndim == 2 and scores.shape[1] == len(self.classes) > 2:
                scores = scores[:, self.positive]
            return _numbers(scores, name, len(self.rows))[self.rows, None]
        expected = (len(self.rows), len(self.classes))
        if scores.shape != expected:
            raise ValueError(
                f"`{name}` must have a column for each of the {len(self.classes)} "
                f"classes {reprlib.repr(self.classes)}, shape {expected}; got shape "
                f"{scores.shape}. Name the classes with `labels` if `y_true` lacks "
                "some."
            )
        return _as_finite(scores, name)[self.rows]

    def probabilities_of_truth(self, values: Any, name: str) -> np.ndarray:
        """Check probabilities; return that of each sample's true class."""
        prob = self.scores(values, name)
        if ((prob < 0) | (prob > 1)).any():
            raise ValueError(
                f"`{name}` must hold probabilities in [0, 1]; found values from "
                f"{prob.min():.3g} to {prob.max():.3g}."
            )
        if not self.is_multiclass:
            return np.where(self.y_true == 1, prob[:, 0], 1 - prob[:, 0])
        sums = prob.sum(axis=1)
        # Probabilities in float32 miss 1 by some 1e-7 a class.
        if not np.allclose(sums, 1, atol=1e-4):
            worst = sums[np.abs(sums - 1).argmax()]
            raise ValueError(
                f"`{name}` must hold probabilities that sum to 1 in each row; found a "
                f"sum of {worst:.3g}."
            )
        return prob[np.arange(len(prob)), self.y_true]

    def sizes(self, attribute: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Number of samples, or sum of weights, of each group and class.

        Parameters
        ----------
        attribute : int
        weights : ndarray of shape (n_samples,), optional

        Returns
        -------
        sizes : ndarray of shape (n_groups, n_codes)
        """
        codes = self.sensitive.codes[:, attribute]
        known = codes >= 0
        n_groups = len(self.sensitive.groups[attribute])
        sizes = np.bincount(
            codes[known] * self.n_codes + self.y_true[known],
            None if weights is None else weights[known],
            minlength=n_groups * self.n_codes,
        )
        return sizes.reshape(n_groups, self.n_codes)


def check_one_of(name: str, value: Any, options: Sequence[str]) -> None:
    """Raise a ValueError if a value is not among the options."""
    if not isinstance(value, str) or value not in options:
        *first, last = (repr(option) for option in options)
        choice = f"{', '.join(first)} or {last}"
        raise ValueError(f"`{name}` must be {choice}; got {value!r}.")


def _column(values: Any, name: str) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(
            f"`{name}` must have one value per sample, shape (n_samples,); got shape "
            f"{column.shape}."
        )
    return column


def _check_length(column: np.ndarray, name: str, n_samples: int) -> None:
    if len(column) != n_samples:
        raise ValueError(
            f"`{name}` must have as many samples as `y_true`: expected {n_samples}, "
            f"found {len(column)}."
        )


def _numbers(values: Any, name: str, n_samples: int) -> np.ndarray:
    column = _column(values, name)
    _check_length(column, name, n_samples)
    return _as_finite(column, name)


def _as_finite(values: np.ndarray, name: str) -> np.ndarray:
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{name}` must hold numbers: {error}.") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{name}` must be finite; found NaN or infinity.")
    return numbers


def _find_classes(
    columns: dict[str, np.ndarray], pos_label: Any, labels: Any, *, has_positive: bool
) -> tuple[list, int | None]:
    """Return the classes, and the position of the positive one if there is one."""
    found = {name: _unique_labels(column, name) for name, column in columns.items()}
    names = " and ".join(f"`{name}`" for name in columns)
    classes = list(dict.fromkeys(label for v in found.values() for label in v))
    if labels is not None:
        given = _known(_column(labels, "labels"), "labels")
        unexpected = [label for label in classes if label not in given]
        if unexpected:
            raise ValueError(
                f"`labels` must name every class of {names}; found "
                f"{reprlib.repr(unexpected)} besides {reprlib.repr(given)}."
            )
        classes = given
    # "1" and 1 never compare equal: one column of each would give rates of 0.
    if not _one_type(classes):
        raise ValueError(
            f"{names} must have classes of one type; found {len(classes)}: "
            f"{reprlib.repr(classes)}."
        )
    if pos_label is not None:
        fits = len(classes) < 2 and _one_type([*classes, pos_label])
        if pos_label not in classes and not fits:
            raise ValueError(
                f"`pos_label` must be one of {reprlib.repr(sorted(classes))}; got "
                f"{pos_label!r}."
            )
    elif len(classes) > 2:
        return sorted(classes), None
    elif {0, 1}.issuperset(classes) or {-1, 1}.issuperset(classes):
        pos_label = 1
    elif len(classes) == 2 or not has_positive:
        pos_label = max(classes)
    else:
        raise ValueError(
            f"`pos_label` is needed: all labels are {classes[0]!r}, so that the "
            "positive class cannot be told."
        )
    classes = sorted({*classes, pos_label})
    return classes, classes.index(pos_label)


def _known(column: np.ndarray, name: str) -> list:
    values = pd.unique(column)
    if pd.isna(values).any():
        raise ValueError(f"`{name}` must not have missing values.")
    return values.tolist()


def _unique_labels(column: np.ndarray, name: str) -> list:
    unique = _known(column, name)
    fractions = [v for v in unique if isinstance(v, float) and not v.is_integer()]
    if fractions:
        raise ValueError(
            f"`{name}` must hold class labels; found numbers such as {fractions[0]:g}."
        )
    if len(unique) > MAX_GROUPS and len(unique) > len(column) / 2:
        raise ValueError(
            f"`{name}` must hold class labels; found {len(unique)} distinct values in "
            f"{len(column)} samples: {reprlib.repr(unique)}."
        )
    return unique


def _one_type(labels: list) -> bool:
    return len({isinstance(label, str) for label in labels}) <= 1


def _encode(column: np.ndarray, classes: list, positive: int | None) -> np.ndarray:
    if positive is not None:
        return (column == classes[positive]).astype(np.int64)
    return pd.Index(classes).get_indexer(pd.Index(column)).astype(np.int64)
