"""What is compared: labels, groups and weights, from what users pass to codes."""

import reprlib
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd

from fairtask._sensitive import MAX_GROUPS, SensitiveFeatures, encode_sensitive_features
from fairtask._validation import check_one_of

__all__ = ["Attributes", "Comparison"]

Attributes = Literal["worst_case", "each", "intersection"]


@dataclass(frozen=True)
class Comparison:
    """Labels, groups and weights of the samples that count.

    Samples of weight 0 are not among them, nor are those that are in no group.

    Attributes
    ----------
    classes : list
        The classes, sorted, in the order of their codes.
    positives : list of int
        Codes of the classes that are taken as the positive one, each against the rest:
        one of two classes, all of more, or the one that was named.
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
    positives: list[int]
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
        classes, positives = _find_classes(
            columns, pos_label, labels, has_positive=has_positive
        )
        codes = {name: _encode(column, classes) for name, column in columns.items()}
        if sensitive_features is None:
            raise ValueError(
                "`sensitive_features` must have a column for each attribute; got None."
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
            positives=positives,
            y_true=codes["y_true"][rows],
            y_pred=codes["y_pred"][rows] if has_predictions else None,
            weights=weights[rows],
            sensitive=sensitive.take(rows),
            rows=rows,
        )

    @property
    def takes_turns(self) -> bool:
        """Whether several classes are the positive one in turn."""
        return len(self.positives) > 1

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
        scores = self._outputs(values, name)
        return scores[:, None] if scores.ndim == 1 else scores[:, self.positives]

    def probabilities_of_truth(self, values: Any, name: str) -> np.ndarray:
        """Check probabilities; return that of each sample's true class.

        One column is the positive class against the rest.
        """
        prob = self._outputs(values, name)
        if ((prob < 0) | (prob > 1)).any():
            raise ValueError(
                f"`{name}` must hold probabilities in [0, 1]; found values from "
                f"{prob.min():.3g} to {prob.max():.3g}."
            )
        if prob.ndim == 1:
            return np.where(self.y_true == self.positives[0], prob, 1 - prob)
        sums = prob.sum(axis=1)
        # Probabilities in float32 miss 1 by some 1e-7 a class.
        if not np.allclose(sums, 1, atol=1e-4):
            worst = sums[np.abs(sums - 1).argmax()]
            raise ValueError(
                f"`{name}` must hold probabilities that sum to 1 in each row; found a "
                f"sum of {worst:.3g}."
            )
        return prob[np.arange(len(prob)), self.y_true]

    def _outputs(self, values: Any, name: str) -> np.ndarray:
        """Check numbers per sample, or per sample and class, of the samples here."""
        outputs = np.asarray(values)
        n_samples, n_classes = len(self.rows), len(self.classes)
        if outputs.ndim == 2 and outputs.shape[1] == n_classes:
            _check_length(outputs, name, n_samples)
            return _as_finite(outputs, name)[self.rows]
        if self.takes_turns:
            raise ValueError(
                f"`{name}` must have a column for each of the {n_classes} classes "
                f"{reprlib.repr(self.classes)}, shape {(n_samples, n_classes)}; got "
                f"shape {outputs.shape}. Name the classes with `labels` if `y_true` "
                "lacks some."
            )
        return _numbers(outputs, name, n_samples)[self.rows]

    def sizes(self, attribute: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Number of samples, or sum of weights, of each group and class.

        Parameters
        ----------
        attribute : int
        weights : ndarray of shape (n_samples,), optional

        Returns
        -------
        sizes : ndarray of shape (n_groups, n_classes)
        """
        codes = self.sensitive.codes[:, attribute]
        known = codes >= 0
        n_groups = len(self.sensitive.groups[attribute])
        sizes = np.bincount(
            codes[known] * len(self.classes) + self.y_true[known],
            None if weights is None else weights[known],
            minlength=n_groups * len(self.classes),
        )
        return sizes.reshape(n_groups, len(self.classes))


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
) -> tuple[list, list[int]]:
    """Return the classes, and the positions of those taken as positive."""
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
        if _one_type(given) and given != sorted(given):
            raise ValueError(
                "`labels` must be sorted, as the columns of scores are; got "
                f"{reprlib.repr(given)}."
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
        return sorted(classes), list(range(len(classes)))
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
    return classes, [classes.index(pos_label)]


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


def _encode(column: np.ndarray, classes: list) -> np.ndarray:
    """Return the position of each label; an equality per class is the quickest."""
    codes = np.zeros(len(column), dtype=np.int64)
    for code, label in enumerate(classes):
        codes[column == label] = code
    return codes
