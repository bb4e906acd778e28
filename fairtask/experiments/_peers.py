"""fairlearn's methods, as the protocol fits them."""

import warnings
from itertools import product
from typing import Any, Self

import numpy as np
import pandas as pd
import torch
from fairlearn.adversarial import AdversarialFairnessClassifier
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import ExponentiatedGradient
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.metrics import accuracy_score

from fairtask._random import everything_seeded

__all__ = ["Reduction", "SeededAdversarial", "ThresholdsPerGroup"]

FEWEST = 10
"""Smallest number of positives and of negatives for thresholds of a group's own."""


def _combined(groups: pd.DataFrame) -> pd.Series:
    """Return the combination of all attributes, as text."""
    return groups.fillna("unknown").agg(" / ".join, axis=1)


class Reduction(ExponentiatedGradient):
    """fairlearn's `ExponentiatedGradient`, for a data frame of groups."""

    def fit(self, X: np.ndarray, y: np.ndarray, *, sensitive_features: Any) -> Self:
        """Fit to the combination of all attributes."""
        super().fit(X, y, sensitive_features=_combined(sensitive_features).to_numpy())
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Probability of predicting the positive class, of shape (n_samples,)."""
        return self._pmf_predict(X)[:, 1]


class TorchSeed(np.random.RandomState):
    """Random state that gives fairlearn a seed for torch.

    fairlearn seeds torch with a number in [0, 1), which torch cuts to 0.
    """

    def random(self, *args: Any) -> Any:
        """Return a whole number."""
        return self.randint(2**31)


class SeededAdversarial(ClassifierMixin, BaseEstimator):
    """fairlearn's adversarial debiasing, seeded, for several attributes.

    Its adversary takes one attribute: the combination of all. The scores are the
    outputs of its predictor before they are cut. Whether it trains or diverges depends
    on the data, the learning rate and the size of the batches. Of all pairs of
    `learning_rates` and `batch_sizes` the one with the greatest accuracy on the
    validation part is taken. AUC would choose one that ranks well and predicts the same
    class for all.
    """

    def __init__(
        self,
        *,
        learning_rates: tuple[float, ...] = (1e-3, 1e-4),
        batch_sizes: tuple[int, ...] = (128, 512),
        epochs: int = 50,
        alpha: float = 0.3,
        random_state: int = 0,
    ) -> None:
        self.learning_rates = learning_rates
        self.batch_sizes = batch_sizes
        self.epochs = epochs
        self.alpha = alpha
        self.random_state = random_state

    def fit(
        self,
        X: np.ndarray,
        y: np.ndarray,
        *,
        sensitive_features: Any,
        X_val: np.ndarray,
        y_val: np.ndarray,
    ) -> Self:
        """Fit each pair; keep the best in `learning_rate_`, `batch_size_`, `model_`."""
        self.classes_ = np.unique(y)
        groups = _combined(sensitive_features).to_numpy()
        best = -np.inf
        failures = []
        for pair in product(self.learning_rates, self.batch_sizes):
            try:
                model = self._fit_once(*pair, X, y, groups)
                score = accuracy_score(y_val, _labels(model, X_val))
            except (RuntimeError, ValueError) as error:  # it has diverged
                failures.append(f"learning_rate, batch_size = {pair}: {error}")
                continue
            if score > best:
                best, self.model_ = score, model
                self.learning_rate_, self.batch_size_ = pair
        if best == -np.inf:
            raise RuntimeError("; ".join(failures))
        for failure in failures:
            warnings.warn(failure, RuntimeWarning, stacklevel=2)
        return self

    def _fit_once(
        self, learning_rate: float, batch_size: int, X: Any, y: Any, groups: Any
    ) -> AdversarialFairnessClassifier:
        model = AdversarialFairnessClassifier(
            backend="torch",
            predictor_model=[128, "relu", 64, "relu"],
            adversary_model=[],
            constraints="equalized_odds",
            epochs=self.epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            alpha=self.alpha,
            shuffle=True,
            random_state=TorchSeed(self.random_state),
        )
        with everything_seeded(self.random_state):
            return model.fit(X, y, sensitive_features=groups)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Labels, of shape (n_samples,)."""
        return _labels(self.model_, X)

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Output of the predictor, of shape (n_samples,)."""
        with torch.no_grad():
            return np.asarray(self.model_._raw_predict(X)).ravel()


def _labels(model: AdversarialFairnessClassifier, X: np.ndarray) -> np.ndarray:
    return np.asarray(model.predict(X)).astype(int).ravel()


class ThresholdsPerGroup(ClassifierMixin, BaseEstimator):
    """fairlearn's `ThresholdOptimizer`, for several attributes and small groups.

    It needs positives and negatives of each group in training, and knows no other group
    at predict. Combinations of the attributes with fewer than 10 of either are taken as
    one group. If that is too small itself, and for groups that training has not seen,
    the largest group stands in. `estimator` is an unconstrained classifier.
    """

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator

    def fit(self, X: np.ndarray, y: np.ndarray, *, sensitive_features: Any) -> Self:
        """Fit the estimator and the thresholds to the same samples."""
        self.classes_ = np.unique(y)
        pooled = self._learn_pools(y, sensitive_features)
        self.model_ = ThresholdOptimizer(
            estimator=self.estimator,
            constraints="equalized_odds",
            predict_method="predict_proba",
        )
        self.model_.fit(X, y, sensitive_features=pooled)
        return self

    def predict(
        self, X: np.ndarray, *, sensitive_features: Any, random_state: int
    ) -> np.ndarray:
        """Draw labels, of shape (n_samples,)."""
        groups = self._pool(sensitive_features)
        return self.model_.predict(
            X, sensitive_features=groups, random_state=random_state
        )

    def decision_function(
        self, X: np.ndarray, *, sensitive_features: Any
    ) -> np.ndarray:
        """Probability of predicting the positive class, of shape (n_samples,)."""
        groups = self._pool(sensitive_features)
        return self.model_._pmf_predict(X, sensitive_features=groups)[:, 1]

    def _learn_pools(self, y: np.ndarray, sensitive_features: Any) -> np.ndarray:
        """Return the groups, with small ones as one."""
        groups = _combined(sensitive_features)
        sizes = pd.crosstab(groups, y).min(axis=1)
        rare = groups.isin(sizes.index[sizes < FEWEST])
        pooled = groups.mask(rare, "other")
        self.largest_ = groups.mode()[0]
        if rare.any() and np.bincount(y[rare], minlength=2).min() < FEWEST:
            pooled = groups.mask(rare, self.largest_)
        self.pooled_ = dict(zip(groups, pooled, strict=True))
        return pooled.to_numpy()

    def _pool(self, sensitive_features: pd.DataFrame) -> np.ndarray:
        groups = _combined(sensitive_features)
        return groups.map(self.pooled_).fillna(self.largest_).to_numpy()
