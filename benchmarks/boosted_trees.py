r"""error-parity (Cruz and Hardt, 2024) over boosted trees, for `quality.py`.

It chooses thresholds for each group from the scores of a finished model, and uses the
groups at predict. Version 0.3 asks for numpy below 2, and works with later ones:

    pip install cvxpy ecos
    pip install --no-deps error-parity

It fails where a group has one class only, as on the validation part of COMPAS, race.
Small groups are therefore taken together, as for fairlearn's thresholds.

    python benchmarks/quality.py --methods-file benchmarks/boosted_trees.py \
        --methods single-task,fairtask,boosting,exponentiated-gradient-boosting,\
error-parity,error-parity-validation
"""

import numpy as np
import pandas as pd
from error_parity import RelaxedThresholdOptimizer
from sklearn.base import clone

from fairtask._random import everything_seeded
from fairtask.experiments import Method
from fairtask.experiments._methods import RANDOMISED, _boosting
from fairtask.experiments._peers import ThresholdsPerGroup

DRAWS = 1000
"""Number of draws whose mean is the probability of the positive class."""


class ErrorParity(ThresholdsPerGroup):
    """Thresholds under which the groups' rates differ by `tolerance` at most.

    They are fitted to the training part, as the estimator is, or to the validation
    part.
    """

    def __init__(self, estimator, validation=False, tolerance=0.02, seed=0):
        super().__init__(estimator)
        self.validation = validation
        self.tolerance = tolerance
        self.seed = seed

    def fit(self, X, y, *, sensitive_features, X_val, y_val, sensitive_features_val):
        """Fit the estimator, and then the thresholds."""
        self.classes_ = np.unique(y)
        self.estimator_ = clone(self.estimator).fit(X, y)
        if self.validation:
            X, y, sensitive_features = X_val, y_val, sensitive_features_val
        pooled = self._learn_pools(y, sensitive_features)
        self.groups_, codes = np.unique(pooled, return_inverse=True)
        # The thresholds get the scores in place of the features.
        self.model_ = RelaxedThresholdOptimizer(
            predictor=np.asarray, tolerance=self.tolerance, seed=self.seed
        )
        self.model_.fit(self._scores(X), y, group=codes)
        return self

    def predict(self, X, *, sensitive_features, random_state):
        """Draw labels, of shape (n_samples,)."""
        return self._draws(X, sensitive_features, random_state, 1)

    def decision_function(self, X, *, sensitive_features, random_state):
        """Probability of predicting the positive class, of shape (n_samples,)."""
        return self._draws(X, sensitive_features, random_state, DRAWS)

    def _draws(self, X, sensitive_features, random_state, n_draws):
        """Return the mean of draws."""
        scores = self._scores(X)
        codes = pd.Index(self.groups_).get_indexer(self._pool(sensitive_features))
        with everything_seeded(random_state):  # some draws use numpy's global state
            draws = (self.model_.predict(scores, group=codes) for _ in range(n_draws))
            return sum(draws) / n_draws

    def _scores(self, X):
        return self.estimator_.predict_proba(X)[:, 1]


def error_parity(name, part):
    def make(setting):
        return ErrorParity(_boosting(setting), part == "validation", seed=setting.seed)

    note = f"Boosted trees; thresholds from the {part} part, tolerance .02. "
    return Method(
        name,
        make,
        "Peers (error-parity)",
        "equalized odds",
        note=note + RANDOMISED,
        groups_at_predict=True,
    )


METHODS = [
    error_parity("error-parity", "training"),
    error_parity("error-parity-validation", "validation"),
]
