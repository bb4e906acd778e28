"""Labels, groups and weights of samples, from the arguments of a metric to codes."""

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from fairtask._columns import as_column, read_number_array
from fairtask._frames import check_n_rows, check_same_rows
from fairtask._sensitive import SensitiveFeatures, encode_sensitive_features
from fairtask._validation import check_weights
from fairtask.metrics._attributes import (
    encode_control_features,
    inside_levels,
    with_overall,
)
from fairtask.metrics._class_labels import encode_class_labels

__all__ = ["GroupedSamples", "NotProbabilitiesError", "is_constant"]


class NotProbabilitiesError(ValueError):
    """Raised for scores that are valid, but not probabilities."""


def is_constant(y_true: np.ndarray, y_output: np.ndarray) -> bool:
    """Whether all predictions or scores are the same although there are two classes."""
    return bool((y_output == y_output[:1]).all() and (y_true != y_true[:1]).any())


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
        The groups of each attribute that are compared, inside each level of the control
        features if there are any.
    n_unknown : dict of str to int
        Numbers of samples with a weight above 0 that are in no group of an attribute.
    n_unknown_level : int
        Number of samples with a weight above 0 that are in no level of the control
        features.
    counted : ndarray of shape (n_samples_passed,), bool
        Which of the samples that were passed count.
    outputs : mapping of str to object
        The arguments with predictions, and with scores or probabilities, as they were
        passed.
    clusters : ndarray of shape (n_samples,), int64, or None
        Codes of the clusters, such as persons, that are drawn as a whole. None: each
        sample is drawn by itself.
    """

    classes: list
    positives: list[int]
    y_true: np.ndarray
    y_pred: np.ndarray | None
    weights: np.ndarray
    sensitive: SensitiveFeatures
    n_unknown: Mapping[str, int]
    n_unknown_level: int
    counted: np.ndarray
    outputs: Mapping[str, Any]
    clusters: np.ndarray | None = None

    @classmethod
    def encode(
        cls,
        y_true: Any,
        outputs: Mapping[str, Any],
        *,
        sensitive_features: Any,
        sample_weight: Any = None,
        control_features: Any = None,
        cluster: Any = None,
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
                "control_features": control_features,
                "cluster": cluster,
            }
        )
        columns = {"y_true": as_column(y_true, "y_true")}
        n_samples = len(columns["y_true"])
        if n_samples == 0:
            raise ValueError("`y_true` must have at least one sample; got none.")
        if "y_pred" in outputs:
            columns["y_pred"] = as_column(outputs["y_pred"], "y_pred")
            check_n_rows(outputs["y_pred"], len(columns["y_pred"]), "y_pred", n_samples)
        classes, positives, codes = encode_class_labels(
            columns, labels=labels, pos_label=pos_label, needs_positive=needs_positive
        )
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
        weights = _read_weights(sample_weight, n_samples)
        is_unknown = sensitive.codes < 0
        in_no_level = np.zeros(n_samples, dtype=bool)
        names = sensitive.names
        if control_features is not None:
            control = encode_control_features(control_features, n_samples)
            in_no_level = control.codes[:, 0] < 0
            sensitive = inside_levels(
                sensitive, control, keep_groups=groups is not None
            )
        n_unknown = is_unknown[weights > 0].sum(axis=0).tolist()
        counted = ~is_unknown.all(axis=1) & ~in_no_level & (weights > 0)
        clusters = None
        if cluster is not None:
            # Only clusters with a sample that counts are drawn.
            clusters = _encode_clusters(cluster, n_samples)[counted]
            clusters = np.unique(clusters, return_inverse=True)[1]
        return cls(
            classes=classes,
            positives=positives,
            y_true=codes["y_true"][counted],
            y_pred=codes["y_pred"][counted] if "y_pred" in codes else None,
            weights=weights[counted],
            sensitive=sensitive.take(counted),
            n_unknown=dict(zip(names, n_unknown, strict=True)),
            n_unknown_level=int(in_no_level[weights > 0].sum()),
            counted=counted,
            outputs=outputs,
            clusters=clusters,
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

    def with_overall(self) -> "GroupedSamples":
        """Return the same samples with all groups of each attribute as one, too."""
        return replace(self, sensitive=with_overall(self.sensitive))

    @property
    def n_groups(self) -> int:
        """Number of groups of all attributes."""
        return sum(map(len, self.sensitive.groups))

    @property
    def positions(self) -> np.ndarray:
        """Positions of the groups among those of all attributes; -1 if unknown.

        The shape is (n_samples, n_attributes).
        """
        codes, sizes = self.sensitive.codes, [len(g) for g in self.sensitive.groups]
        return np.where(codes >= 0, codes + np.cumsum([0, *sizes[:-1]]), -1)

    def by_attribute(self, values: np.ndarray, axis: int = -1) -> list[np.ndarray]:
        """Split an axis with the groups of all attributes."""
        ends = np.cumsum([len(groups) for groups in self.sensitive.groups])
        return np.split(values, ends[:-1], axis=axis)

    def tables(self) -> np.ndarray:
        """Count the samples by group, true and predicted class.

        The shape is (n_groups, n_classes, n_predicted), with the groups of all
        attributes one after another. Without predicted labels n_predicted is 1, and
        else n_classes.
        """
        return self.count_cells(self.positions, self.n_groups)

    def count_cells(
        self, codes: np.ndarray, n_codes: int, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """Count the samples of each code, or add their weights, see `tables`.

        `codes` has the shape (n_samples, n_attributes), and -1 is none.
        """
        n_classes, n_predicted = len(self.classes), 1
        cells = self.y_true
        if self.y_pred is not None:
            n_predicted = n_classes
            cells = cells * n_predicted + self.y_pred
        n_cells = n_classes * n_predicted
        known = codes >= 0
        samples, _ = np.nonzero(known)
        flat = np.bincount(
            codes[known] * n_cells + cells[samples],
            None if weights is None else weights[samples],
            minlength=n_codes * n_cells,
        )
        return flat.reshape(n_codes, n_classes, n_predicted)

    def scores(self) -> np.ndarray:
        """Check scores and return them with shape (n_samples, n_positives)."""
        _, scores = self._read_scores()
        return self._of_positives(scores)

    def probabilities(self) -> np.ndarray:
        """Check probabilities and return them with shape (n_samples, n_positives)."""
        return self._of_positives(self._read_probabilities())

    def _of_positives(self, scores: np.ndarray) -> np.ndarray:
        return scores[:, None] if scores.ndim == 1 else scores[:, self.positives]

    def true_class_probabilities(self) -> np.ndarray:
        """Check probabilities and return that of the true class of each sample.

        One column holds the probability of the positive class against the rest.
        """
        prob = self._read_probabilities()
        if prob.ndim == 1:
            return np.where(self.y_true == self.positives[0], prob, 1 - prob)
        return prob[np.arange(len(prob)), self.y_true]

    def _read_probabilities(self) -> np.ndarray:
        """Check probabilities of shape (n_samples,) or (n_samples, n_classes)."""
        argument, prob = self._read_scores()
        if ((prob < 0) | (prob > 1)).any():
            raise NotProbabilitiesError(
                f"`{argument}` must hold probabilities in [0, 1]; found values from "
                f"{prob.min():.3g} to {prob.max():.3g}."
            )
        if prob.ndim == 1:
            return prob
        sums = prob.sum(axis=1)
        # Rounding to float32 changes a sum by about 1e-7 per class.
        if not np.allclose(sums, 1, atol=1e-4):
            worst = sums[np.abs(sums - 1).argmax()]
            raise NotProbabilitiesError(
                f"`{argument}` must hold probabilities that sum to 1 in each row; "
                f"found a sum of {worst:.3g}."
            )
        return prob

    def _read_scores(self) -> tuple[str, np.ndarray]:
        """Check scores of shape (n_samples,) or (n_samples, n_classes).

        The name of their argument is returned, too.
        """
        n_samples, n_classes = len(self.counted), len(self.classes)
        (argument,) = self.outputs.keys() - {"y_pred"}
        numbers = read_number_array(self.outputs[argument], argument)
        if numbers.ndim == 2 and numbers.shape[1] == n_classes:
            check_n_rows(numbers, len(numbers), argument, n_samples)
            return argument, _finite(numbers, argument)[self.counted]
        if self.is_one_vs_rest or (numbers.ndim == 2 and numbers.shape[1] > 1):
            raise ValueError(
                f"`{argument}` must have a column for each of the {n_classes} classes "
                f"{reprlib.repr(self.classes)}, shape {(n_samples, n_classes)}; got "
                f"shape {numbers.shape}. Name the classes with `labels` if `y_true` "
                "lacks some."
            )
        return argument, _as_numbers(numbers, argument, n_samples)[self.counted]


def _read_weights(sample_weight: Any, n_samples: int) -> np.ndarray:
    if sample_weight is None:
        return np.ones(n_samples)
    weights = _as_numbers(sample_weight, "sample_weight", n_samples)
    check_weights(weights)
    return weights


def _encode_clusters(cluster: Any, n_samples: int) -> np.ndarray:
    column = as_column(cluster, "cluster")
    check_n_rows(cluster, len(column), "cluster", n_samples)
    try:
        codes, _ = pd.factorize(column)
    except TypeError as error:  # such as sets
        raise ValueError(
            f"`cluster` must hold names, such as numbers or strings: {error}."
        ) from error
    if (codes < 0).any():
        raise ValueError(
            f"`cluster` must name the cluster of each sample; {(codes < 0).sum()} have "
            "a missing value. Give each of these a name of its own if it depends on no "
            "other sample."
        )
    if n_samples > 1 and codes.max() == 0:
        raise ValueError(
            "`cluster` must name two clusters at least, which are drawn in place of "
            f"samples; all {n_samples} samples are in one."
        )
    return codes


def _as_numbers(values: Any, argument: str, n_samples: int) -> np.ndarray:
    column = as_column(values, argument)
    check_n_rows(values, len(column), argument, n_samples)
    return _finite(read_number_array(column, argument), argument)


def _finite(numbers: np.ndarray, argument: str) -> np.ndarray:
    if not np.isfinite(numbers).all():
        raise ValueError(f"`{argument}` must be finite; found NaN or infinity.")
    return numbers
