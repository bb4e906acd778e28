"""Labels, groups and weights of samples, from the arguments of a metric to codes."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fairtask._sensitive import MAX_GROUPS, SensitiveFeatures, encode_sensitive_features

__all__ = ["GroupedSamples"]


@dataclass(frozen=True)
class GroupedSamples:
    """The samples that count: those with a weight above 0 and at least one group.

    Attributes
    ----------
    classes : list
        The classes, sorted. Codes of labels are positions in it.
    positives : list of int
        Codes of the classes that are taken as the positive one, each against the rest:
        one of two classes, all of more, or the one that was named.
    y_true : ndarray of shape (n_samples,), int64
        Codes of the true labels.
    y_pred : ndarray of shape (n_samples,), int64, or None
        Codes of the predicted labels.
    weights : ndarray of shape (n_samples,)
    sensitive : SensitiveFeatures
        The groups of each attribute that are compared.
    counted : ndarray of shape (n_samples_passed,), bool
        Which of the samples that were passed count.
    outputs : mapping of str to object
        The arguments with predictions, scores or probabilities as they were passed.
    """

    classes: list
    positives: list[int]
    y_true: np.ndarray
    y_pred: np.ndarray | None
    weights: np.ndarray
    sensitive: SensitiveFeatures
    counted: np.ndarray
    outputs: Mapping[str, Any]

    @classmethod
    def encode(
        cls,
        y_true: Any,
        outputs: Mapping[str, Any],
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        intersectional: bool = False,
        pos_label: Any = None,
        labels: Any = None,
        groups: Any = None,
        needs_positive: bool = True,
    ) -> "GroupedSamples":
        """Check the arguments of a metric and encode them.

        `outputs` has predicted labels under "y_pred", scores or probabilities under the
        name of their argument. `needs_positive` says whether it matters which class is
        the positive one.
        """
        columns = {"y_true": _as_column(y_true, "y_true")}
        n_samples = len(columns["y_true"])
        if "y_pred" in outputs:
            columns["y_pred"] = _as_column(outputs["y_pred"], "y_pred")
            _check_length(columns["y_pred"], "y_pred", n_samples)
        classes, positives = _find_classes(
            columns, pos_label, labels, needs_positive=needs_positive
        )
        codes = {name: _encode(column, classes) for name, column in columns.items()}
        if sensitive_features is None:
            raise ValueError(
                "`sensitive_features` must have a column for each attribute; got None."
            )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=intersectional,
            groups=groups,
            unseen="unknown",
        )
        weights = np.ones(n_samples)
        if sample_weight is not None:
            weights = _as_numbers(sample_weight, "sample_weight", n_samples)
            if (weights < 0).any():
                raise ValueError(
                    f"`sample_weight` must not be negative; found {weights.min():.3g}."
                )
        counted = (sensitive.codes >= 0).any(axis=1) & (weights > 0)
        return cls(
            classes=classes,
            positives=positives,
            y_true=codes["y_true"][counted],
            y_pred=codes["y_pred"][counted] if "y_pred" in codes else None,
            weights=weights[counted],
            sensitive=sensitive.take(counted),
            counted=counted,
            outputs=outputs,
        )

    @property
    def is_one_vs_rest(self) -> bool:
        """Whether several classes are taken as the positive one in turn."""
        return len(self.positives) > 1

    def pooled(self) -> "GroupedSamples":
        """Return the same samples as one group, called "all"."""
        codes = np.zeros((len(self.y_true), 1), dtype=np.int64)
        groups = [np.array(["all"], dtype=object)]
        return replace(self, sensitive=SensitiveFeatures(codes, ["all"], groups))

    def group_codes(self) -> Iterator[tuple[np.ndarray, int]]:
        """Yield group codes, -1 if unknown, and number of groups of each attribute."""
        for codes, groups in zip(
            self.sensitive.codes.T, self.sensitive.groups, strict=True
        ):
            yield codes, len(groups)

    def sizes(self, weights: np.ndarray | None = None) -> list[np.ndarray]:
        """Count the samples, or add their weights, in each group and true class.

        Returns an array of shape (n_groups, n_classes) for each attribute.
        """
        n_classes = len(self.classes)
        sizes = []
        for codes, n_groups in self.group_codes():
            known = codes >= 0
            flat = np.bincount(
                codes[known] * n_classes + self.y_true[known],
                None if weights is None else weights[known],
                minlength=n_groups * n_classes,
            )
            sizes.append(flat.reshape(n_groups, n_classes))
        return sizes

    def scores(self, argument: str) -> np.ndarray:
        """Check scores and return them with shape (n_samples, n_positives)."""
        scores = self._numbers(argument)
        return scores[:, None] if scores.ndim == 1 else scores[:, self.positives]

    def true_class_probabilities(self, argument: str) -> np.ndarray:
        """Check probabilities and return that of the true class of each sample.

        One column holds the probability of the positive class against the rest.
        """
        prob = self._numbers(argument)
        if ((prob < 0) | (prob > 1)).any():
            raise ValueError(
                f"`{argument}` must hold probabilities in [0, 1]; found values from "
                f"{prob.min():.3g} to {prob.max():.3g}."
            )
        if prob.ndim == 1:
            return np.where(self.y_true == self.positives[0], prob, 1 - prob)
        sums = prob.sum(axis=1)
        # Rounding to float32 changes a sum by about 1e-7 per class.
        if not np.allclose(sums, 1, atol=1e-4):
            worst = sums[np.abs(sums - 1).argmax()]
            raise ValueError(
                f"`{argument}` must hold probabilities that sum to 1 in each row; "
                f"found a sum of {worst:.3g}."
            )
        return prob[np.arange(len(prob)), self.y_true]

    def _numbers(self, argument: str) -> np.ndarray:
        """Check an output of shape (n_samples,) or (n_samples, n_classes)."""
        numbers = np.asarray(self.outputs[argument])
        n_samples, n_classes = len(self.counted), len(self.classes)
        if numbers.ndim == 2 and numbers.shape[1] == n_classes:
            _check_length(numbers, argument, n_samples)
            return _as_finite(numbers, argument)[self.counted]
        if self.is_one_vs_rest:
            raise ValueError(
                f"`{argument}` must have a column for each of the {n_classes} classes "
                f"{reprlib.repr(self.classes)}, shape {(n_samples, n_classes)}; got "
                f"shape {numbers.shape}. Name the classes with `labels` if `y_true` "
                "lacks some."
            )
        return _as_numbers(numbers, argument, n_samples)[self.counted]


def _as_column(values: Any, argument: str) -> np.ndarray:
    column = np.asarray(values)
    if column.ndim == 2 and column.shape[1] == 1:
        column = column[:, 0]
    if column.ndim != 1:
        raise ValueError(
            f"`{argument}` must have one value per sample, shape (n_samples,); got "
            f"shape {column.shape}."
        )
    return column


def _check_length(column: np.ndarray, argument: str, n_samples: int) -> None:
    if len(column) != n_samples:
        raise ValueError(
            f"`{argument}` must have as many samples as `y_true`: expected "
            f"{n_samples}, found {len(column)}."
        )


def _as_numbers(values: Any, argument: str, n_samples: int) -> np.ndarray:
    column = _as_column(values, argument)
    _check_length(column, argument, n_samples)
    return _as_finite(column, argument)


def _as_finite(values: np.ndarray, argument: str) -> np.ndarray:
    try:
        numbers = values.astype(float)
    except (TypeError, ValueError) as error:
        raise ValueError(f"`{argument}` must hold numbers: {error}.") from error
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{argument}` must be finite; found NaN or infinity.")
    return numbers


def _find_classes(
    columns: dict[str, np.ndarray], pos_label: Any, labels: Any, *, needs_positive: bool
) -> tuple[list, list[int]]:
    """Return the sorted classes and the codes of those that are taken as positive."""
    found = [_class_labels(column, name) for name, column in columns.items()]
    names = " and ".join(f"`{name}`" for name in columns)
    classes = list(dict.fromkeys(label for column in found for label in column))
    if labels is not None:
        given = _distinct(_as_column(labels, "labels"), "labels")
        unexpected = [label for label in classes if label not in given]
        if unexpected:
            raise ValueError(
                f"`labels` must name every class of {names}; found "
                f"{reprlib.repr(unexpected)} besides {reprlib.repr(given)}."
            )
        if _have_one_type(given) and given != sorted(given):
            raise ValueError(
                "`labels` must be sorted, as the columns of scores are; got "
                f"{reprlib.repr(given)}."
            )
        classes = given
    # "1" and 1 never compare equal: one column of each would give rates of 0.
    if not _have_one_type(classes):
        raise ValueError(
            f"{names} must have classes of one type; found {len(classes)}: "
            f"{reprlib.repr(classes)}."
        )
    if pos_label is not None:
        is_new = len(classes) < 2 and _have_one_type([*classes, pos_label])
        if pos_label not in classes and not is_new:
            raise ValueError(
                f"`pos_label` must be one of {reprlib.repr(sorted(classes))}; got "
                f"{pos_label!r}."
            )
    elif len(classes) > 2:
        return sorted(classes), list(range(len(classes)))
    elif {0, 1}.issuperset(classes) or {-1, 1}.issuperset(classes):
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


def _class_labels(column: np.ndarray, argument: str) -> list:
    """Return the distinct labels, after a check that they are no other numbers."""
    labels = _distinct(column, argument)
    fractions = [v for v in labels if isinstance(v, float) and not v.is_integer()]
    if fractions:
        raise ValueError(
            f"`{argument}` must hold class labels; found numbers such as "
            f"{fractions[0]:g}."
        )
    if len(labels) > MAX_GROUPS and len(labels) > len(column) / 2:
        raise ValueError(
            f"`{argument}` must hold class labels; found {len(labels)} distinct values "
            f"in {len(column)} samples: {reprlib.repr(labels)}."
        )
    return labels


def _distinct(column: np.ndarray, argument: str) -> list:
    values = pd.unique(column)
    if pd.isna(values).any():
        raise ValueError(f"`{argument}` must not have missing values.")
    return values.tolist()


def _have_one_type(labels: list) -> bool:
    return len({isinstance(label, str) for label in labels}) <= 1


def _encode(column: np.ndarray, classes: list) -> np.ndarray:
    """Return the position of each label; an equality per class is the quickest."""
    codes = np.zeros(len(column), dtype=np.int64)
    for code, label in enumerate(classes):
        codes[column == label] = code
    return codes
