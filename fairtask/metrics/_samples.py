"""Labels, groups and weights of samples, from the arguments of a metric to codes."""

import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fairtask._columns import (
    as_column,
    check_no_missing_names,
    check_same_kind,
    codes_of,
    exact_names,
    read_number_array,
)
from fairtask._frames import check_same_rows
from fairtask._sensitive import MAX_GROUPS, SensitiveFeatures, encode_sensitive_features

__all__ = ["GroupedSamples", "is_constant"]


def is_constant(y_true: np.ndarray, y_output: np.ndarray) -> bool:
    """Whether all predictions or scores are the same although there are two classes."""
    return bool((y_output == y_output[:1]).all() and (y_true != y_true[:1]).any())


EXPECTED = "class labels of one type"
"""Values of `y_true` and `y_pred`."""


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
        check_same_rows(
            {
                "y_true": y_true,
                **outputs,
                "sensitive_features": sensitive_features,
                "sample_weight": sample_weight,
            }
        )
        columns = {"y_true": as_column(y_true, "y_true")}
        n_samples = len(columns["y_true"])
        if "y_pred" in outputs:
            columns["y_pred"] = as_column(outputs["y_pred"], "y_pred")
            _check_length(columns["y_pred"], "y_pred", n_samples)
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
    def is_constant(self) -> bool:
        """Whether all predictions are one class although there are several."""
        return self.y_pred is not None and is_constant(self.y_true, self.y_pred)

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
        n_samples, n_classes = len(self.counted), len(self.classes)
        numbers = read_number_array(self.outputs[argument], argument)
        if numbers.ndim == 2 and numbers.shape[1] == n_classes:
            _check_length(numbers, argument, n_samples)
            return _finite(numbers, argument)[self.counted]
        if self.is_one_vs_rest:
            raise ValueError(
                f"`{argument}` must have a column for each of the {n_classes} classes "
                f"{reprlib.repr(self.classes)}, shape {(n_samples, n_classes)}; got "
                f"shape {numbers.shape}. Name the classes with `labels` if `y_true` "
                "lacks some."
            )
        return _as_numbers(numbers, argument, n_samples)[self.counted]


def _check_length(
    column: np.ndarray | pd.Series, argument: str, n_samples: int
) -> None:
    if len(column) != n_samples:
        raise ValueError(
            f"`{argument}` must have as many samples as `y_true`: expected "
            f"{n_samples}, found {len(column)}."
        )


def _as_numbers(values: Any, argument: str, n_samples: int) -> np.ndarray:
    column = as_column(values, argument)
    _check_length(column, argument, n_samples)
    return _finite(read_number_array(column, argument), argument)


def _finite(numbers: np.ndarray, argument: str) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{argument}` must be finite; found NaN or infinity.")
    return numbers


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
    names = " and ".join(f"`{name}`" for name in distinct)
    classes = list(
        dict.fromkeys(label for found in distinct.values() for label in found)
    )
    if labels is not None:
        unexpected = [label for label in classes if label not in labels]
        if unexpected:
            raise ValueError(
                f"`labels` must name every class of {names}; found "
                f"{reprlib.repr(unexpected)} besides {reprlib.repr(labels)}."
            )
        if labels != sorted(labels):
            raise ValueError(
                "`labels` must be sorted, as the columns of scores are; got "
                f"{reprlib.repr(labels)}."
            )
        classes = labels
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


def _have_one_type(labels: list) -> bool:
    return len({isinstance(label, str) for label in labels}) <= 1
