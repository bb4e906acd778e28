"""The arguments of `fit`, checked and encoded, in memory or from disk."""

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import _safe_indexing

from fairtask._attribute_table import attribute_table
from fairtask._class_weights import check_class_totals, task_weights
from fairtask._data import Samples, n_samples_of, of_each_part
from fairtask._frames import as_pandas, check_same_rows
from fairtask._labels import Tasks, encode_labels
from fairtask._modality import Modality
from fairtask._parquet_samples import NamedColumns, read_samples
from fairtask._sensitive import (
    SensitiveAttributes,
    encode_sensitive_features,
)
from fairtask._stored import StoredSamples
from fairtask._validation import check_sample_weight, named_in_errors, read_weights

__all__ = ["Expected", "Reader"]


class Expected(NamedTuple):
    """Labels and groups that a fitted network knows."""

    tasks: Tasks
    attributes: SensitiveAttributes


@dataclass(frozen=True)
class Reader:
    """Checks the samples of one training and encodes their labels, groups and weights.

    Parameters
    ----------
    estimator : BaseEstimator
        Holds the names of the features, and gets them from the first samples.
    modality : Modality
        Checks the samples themselves.
    intersectional : bool
        Whether the attributes are combined into one.
    class_weight : dict, list, "balanced" or None
        Weights of the classes, of each task.
    weighs_groups : bool
        Whether the weights of the samples count in the fairness losses.
    """

    estimator: BaseEstimator
    modality: Modality
    intersectional: bool
    class_weight: Any
    weighs_groups: bool

    def training_samples(
        self,
        X: Any,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any,
        *,
        known: Expected | None,
        **of_stream: Any,
    ) -> tuple[Samples | StoredSamples, Expected]:
        """Check and encode training samples; `known` labels and groups stay."""
        table = self.modality.open(X, "X")
        if table is None:
            with named_in_errors("X"):
                X = self.modality.validate(X, self.estimator, reset=known is None)
            aside = y, sensitive_features, sample_weight
            return self._encode(X, *aside, known=known, **of_stream)
        columns = NamedColumns.of(
            table,
            y,
            sensitive_features,
            sample_weight,
            features=None if known is None else self._feature_names(),
        )
        samples, tasks, attributes = read_samples(
            table,
            columns,
            partial(self.modality.validate, estimator=self.estimator),
            known=known,
            intersectional=self.intersectional,
            class_weight=self.class_weight,
            weighs_groups=self.weighs_groups,
            **of_stream,
        )
        return samples, Expected(tasks, attributes)

    def validation_samples(
        self, X: Any, y: Any, sensitive_features: Any, expected: Expected
    ) -> Samples | StoredSamples:
        """Check validation samples and encode them like the training samples."""
        if X is None or y is None:
            missing = "X_val" if X is None else "y_val"
            raise ValueError(
                f"`X_val` and `y_val` belong together; `{missing}` is None."
            )
        check_same_rows(
            {"X_val": X, "y_val": y, "sensitive_features_val": sensitive_features}
        )
        table = self.modality.open(X, "X_val")
        if table is not None:
            columns = NamedColumns.of(
                table,
                y,
                sensitive_features,
                None,
                features=self._feature_names(),
                suffix="_val",
            )
            with named_in_errors("X_val"):
                return read_samples(
                    table,
                    columns,
                    partial(self.modality.validate, estimator=self.estimator),
                    known=expected,
                    intersectional=self.intersectional,
                    unseen="unknown",
                )[0]
        with named_in_errors("X_val"):
            X = self.modality.validate(X, self.estimator, reset=False)
        n_samples = n_samples_of(X)
        y_codes, _ = encode_labels(
            y, n_samples=n_samples, known=expected.tasks, argument="y_val"
        )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=self.intersectional,
            known=expected.attributes,
            unseen="unknown",
            argument="sensitive_features_val",
        )
        samples = Samples(X, y_codes, sensitive.codes)
        with named_in_errors("X_val"):
            rows = self.modality.readable(X)
            return samples if rows is None else samples.take(rows)

    def _encode(
        self,
        X: Any,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any,
        *,
        known: Expected | None,
        classes: Any = None,
        groups: Any = None,
        is_stream: bool = False,
        all_readable: bool = False,
    ) -> tuple[Samples, Expected]:
        """Encode labels, groups and weights of samples that have been validated."""
        n_samples = n_samples_of(X)
        y_codes, tasks = encode_labels(
            y,
            n_samples=n_samples,
            classes=classes,
            known=None if known is None else known.tasks,
        )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=self.intersectional,
            groups=groups,
            known=None if known is None else known.attributes,
        )
        weight = check_sample_weight(sample_weight, n_samples)
        # One part of a stream does not determine the mean weight over all parts.
        task_weight = task_weights(
            self.class_weight, weight, y_codes, tasks, normalize=not is_stream
        )
        # Reading takes long: wrong arguments have been found by now.
        rows = None if all_readable else self.modality.readable(X)
        if rows is not None:
            # Classes, groups and the mean weight are those of the remaining samples.
            if sensitive_features is not None:
                sensitive_features = attribute_table(sensitive_features).iloc[rows]
            if sample_weight is not None:
                sample_weight = read_weights(sample_weight, n_samples)[rows]
            return self._encode(
                of_each_part(lambda part: part[rows], X),
                _safe_indexing(as_pandas(y, "y"), rows),
                sensitive_features,
                sample_weight,
                known=known,
                classes=classes,
                groups=groups,
                is_stream=is_stream,
                all_readable=True,
            )
        if task_weight is not None and known is None and not is_stream:
            totals = [
                np.bincount(y_codes[:, k], task_weight[:, k], minlength=n)
                for k, n in enumerate(tasks.n_classes)
            ]
            check_class_totals(totals, tasks)
        group_weight = weight if self.weighs_groups else None
        samples = Samples(X, y_codes, sensitive.codes, task_weight, group_weight)
        return samples, Expected(tasks, sensitive.attributes)

    def _feature_names(self) -> Any:
        return getattr(self.estimator, "feature_names_in_", None)
