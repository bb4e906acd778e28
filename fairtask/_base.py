"""What every estimator offers: fit, predict, transform, save."""

from abc import ABCMeta
from collections.abc import Callable
from functools import wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.metrics import accuracy_score
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from fairtask import _persistence
from fairtask._callbacks import LEARNING_RATES
from fairtask._labels import label_columns
from fairtask._steps import TrainingSteps
from fairtask._training import EPOCH_SCORES, OPTIMIZERS
from fairtask.losses import FAIRNESS_LOSSES, GROUP_LOSSES, PARITIES, FairnessLoss
from fairtask.modules import FAIRNESS_HEADS

__all__ = ["BaseAuxiliaryFairnessClassifier"]


def _unchanged_on_error(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Leave what was fitted as it was when a training fails."""

    @wraps(fit)
    def wrapper(self: BaseEstimator, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper


class BaseAuxiliaryFairnessClassifier(
    TrainingSteps,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Fit a trunk, task heads and fairness heads; predict with the task heads."""

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        "fairness_loss": [StrOptions(set(FAIRNESS_LOSSES)), callable, FairnessLoss],
        "parity": [StrOptions(set(PARITIES))],
        "group_loss": [StrOptions(set(GROUP_LOSSES))],
        "positive_classes": ["array-like", None],
        "fairness_head": [StrOptions(set(FAIRNESS_HEADS))],
        "lam": [Interval(Real, 0, 1, closed="both")],
        "group_momentum": [Interval(Real, 0, 1, closed="left"), StrOptions({"auto"})],
        "intersectional": ["boolean"],
        "aggregator": [HasMethods(["forward"]), None],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "weighted_losses": [StrOptions({"all", "task"})],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "lr_schedule": [StrOptions({"constant", *LEARNING_RATES})],
        "max_grad_norm": [Interval(Real, 0, None, closed="neither"), None],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "stratify_batches": ["boolean"],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "epoch_scoring": [StrOptions(set(EPOCH_SCORES)), callable],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
        "progress_bar": ["boolean"],
    }

    # Pipelines and searches route it without a call of `set_fit_request`.
    __metadata_request__fit = {"sensitive_features": True}  # noqa: RUF012
    __metadata_request__partial_fit = {"sensitive_features": True}  # noqa: RUF012

    @_fit_context(prefer_skip_nested_validation=True)
    @_unchanged_on_error
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sensitive_features_val: Any = None,
    ) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training samples: of a table, rows of shape (n_samples, n_features).
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Class labels, a column per task.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes), default=None
            Sensitive attributes, one column each; names are kept from a DataFrame or
            Series, and rows are matched to those of `X` by position. They are used in
            training only. A sample whose value is None or NaN counts for the task
            alone.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, at least 0. ``weighted_losses`` says where it counts.
        X_val, y_val : array-like, default=None
            Validation samples and their labels. The terms of the objective on them are
            recorded in ``history_``, without weights, and with ``early_stopping`` they
            take the place of a part of `X`.
        sensitive_features_val : array-like, default=None
            Sensitive attributes of the validation samples. A group that does not occur
            in `sensitive_features` counts as unknown.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument is not as described, or the training diverged.

        Warns
        -----
        NothingPenalizedWarning
            If ``lam < 1`` and there are no two groups to compare.
        CollapsedHeadWarning
            If a fairness head has become constant.
        ConvergenceWarning
            If a task loss is more than twice that of a guess.
        """
        continues = self.warm_start and hasattr(self, "net_")
        samples = self._encode(
            X,
            y,
            sensitive_features,
            sample_weight,
            known=self._known if continues else None,
        )
        rng = check_random_state(self.random_state)
        # A seed for each purpose: fairness heads do not move the random numbers of
        # trunk, task head and batches, so that `lam=1` is single-task learning to the
        # last bit.
        seeds = rng.randint(2**31 - 1, size=3).tolist()
        validation = None
        if X_val is not None or y_val is not None:
            validation = self._encode_validation(
                X_val, y_val, sensitive_features_val, known=samples
            )
        elif sensitive_features_val is not None:
            raise ValueError("`sensitive_features_val` needs `X_val` and `y_val`.")
        elif self.early_stopping:
            samples, validation = samples.hold_out(self.validation_fraction, rng)
        return self._train(
            samples,
            seeds,
            validation=validation,
            continues=continues,
            max_epochs=self.max_epochs,
            is_stream=False,
        )

    @_fit_context(prefer_skip_nested_validation=True)
    @_unchanged_on_error
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        *,
        sensitive_features: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Go over a part of the samples once, from the weights there are.

        The learning rate is ``lr`` throughout; ``max_epochs``, ``lr_schedule`` and
        ``early_stopping`` belong to `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples of this part.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Class labels.
        classes : array-like, or list of array-like (several tasks), default=None
            All classes, for a first part that lacks some. None: those in `y`.
        sensitive_features : array-like, default=None
            Sensitive attributes, see `fit`.
        groups : dict of str to array-like, or list of array-like, default=None
            All groups of each attribute, for a first part that lacks some. None: those
            in `sensitive_features`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, relative to the mean of this part.

        Returns
        -------
        self : object
            The estimator, a step further.

        Raises
        ------
        ValueError
            If an argument is not as described, or holds a class or a group that the
            first part did not announce.
        """
        if self.class_weight is not None and "balanced" in np.ravel(
            np.array(self.class_weight, dtype=object)
        ):
            raise ValueError(
                "`class_weight='balanced'` cannot be used with `partial_fit`, which "
                "sees a part of the samples; pass a dict of weights."
            )
        continues = hasattr(self, "net_")
        samples = self._encode(
            X,
            y,
            sensitive_features,
            sample_weight,
            known=self._known if continues else None,
            classes=classes,
            groups=groups,
            is_stream=True,
        )
        seeds = check_random_state(self.random_state).randint(2**31 - 1, size=3)
        return self._train(
            samples,
            seeds.tolist(),
            validation=None,
            continues=continues,
            max_epochs=1,
            is_stream=True,
        )

    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, of the type seen in `fit`.
        """
        return self._labels_of(self._probabilities(self._validate_given(X)))

    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of these
            In the order of ``classes_``; for several tasks a list with an array each.
        """
        probabilities = self._probabilities(self._validate_given(X))
        return probabilities if self._known.labels.is_multioutput else probabilities[0]

    def transform(self, X: Any) -> np.ndarray:
        """Compute the representation that the heads share.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        h : ndarray of shape (n_samples, n_features_out), float32
            Output of the trunk.
        """
        dataset = self._make_dataset(self._validate_given(X))
        (h,) = self.net_.evaluate(dataset, lambda network, X, _: [network.trunk(X)])
        return h.numpy()

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; of several tasks, the share with all of them right.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            In [0, 1].
        """
        return self._accuracy(self.predict(X), y, sample_weight)

    def _accuracy(self, y_pred: np.ndarray, y: Any, sample_weight: Any) -> float:
        if y_pred.ndim == 1:
            return accuracy_score(y, y_pred, sample_weight=sample_weight)
        columns, _ = label_columns(y)
        if len(columns) != y_pred.shape[1]:
            raise ValueError(
                f"`y` must have {y_pred.shape[1]} columns, one per task; got "
                f"{len(columns)}."
            )
        check_consistent_length(y_pred, columns[0], sample_weight)
        is_right = np.all(
            [np.equal(y_pred[:, k], column) for k, column in enumerate(columns)], axis=0
        )
        return float(np.average(is_right, weights=sample_weight))

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a file that holds no code.

        The file is in the safetensors format: weights, and as JSON the parameters and
        what was learnt about labels and groups. The state of the optimizer is not in
        it: a `partial_fit` after `load` starts a new one, after a pickle it does not.

        Parameters
        ----------
        path : str or Path
            File to write.

        Raises
        ------
        ValueError
            If a parameter is an object, such as a callback, which would need code.
        """
        check_is_fitted(self)
        _persistence.save(self, path)

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | torch.device | None = None
    ) -> Self:
        """Read an estimator that `save` wrote.

        Nothing in the file is executed, and nothing in it is ignored.

        Parameters
        ----------
        path : str or Path
            File to read.
        device : str or torch.device, default=None
            Where the estimator goes, in place of its parameter ``device``.

        Returns
        -------
        estimator : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the file is of another class or format, or has content that is unknown.
        """
        return _persistence.load(cls, path, device=device)

    @property
    def history_(self) -> pd.DataFrame:
        """Mean of each term of the objective: a row per epoch, a column per term.

        A fairness loss is 0 where no two groups could be compared.
        """
        check_is_fitted(self)
        return self.net_.history_table()

    @property
    def group_history_(self) -> pd.DataFrame:
        """Mean task loss of each class and group: a row per epoch, a column per cell.

        The columns have the levels ``part`` ("train" or, with validation data,
        "valid"), ``attribute``, ``task`` (where there are several), ``class`` and
        ``group``. All attributes are in it, whether or not they are penalised. The
        loss is the cross-entropy of the task head, weighted like the fairness losses;
        it is NaN where a cell has no samples. A sample of unknown group is in none.
        """
        check_is_fitted(self)
        return self.net_.group_table(self._known.cells())

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the network computes in float32
        tags.non_deterministic = self.random_state is None
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
