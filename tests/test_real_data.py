"""What is claimed of the defaults, on Adult."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.metrics import equalized_odds_difference

FOLDER = Path(os.environ.get("FAIRTASK_DATA", ""), "adult")
HAS_ADULT = all((FOLDER / part).is_file() for part in ("adult.data", "adult.test"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(
        not HAS_ADULT, reason="FAIRTASK_DATA names no folder with both parts of Adult"
    ),
]


@pytest.fixture(scope="module")
def adult():
    return fetch_adult()


def fit_and_judge(adult, seed, **kwargs):
    """AUC and equalized-odds difference on the test part of a hold-out."""
    encode = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    X, X_test, y, y_test, z, z_test = train_test_split(
        adult.data,
        adult.target,
        adult.sensitive_features["sex"],
        test_size=0.2,
        stratify=adult.target,
        random_state=seed,
    )
    classifier = AuxiliaryFairnessClassifier(random_state=seed, **kwargs)
    classifier.fit(encode.fit_transform(X), y, sensitive_features=z)
    X_test = encode.transform(X_test)
    return np.array(
        [
            roc_auc_score(y_test, classifier.predict_proba(X_test)[:, 1]),
            equalized_odds_difference(
                y_test, classifier.predict(X_test), sensitive_features=z_test
            ),
        ]
    )


def test_penalty_lowers_the_difference_at_little_cost(adult):
    auc_single, eod_single = np.mean(
        [fit_and_judge(adult, seed, lam=1) for seed in range(2)], axis=0
    )
    auc, eod = np.mean([fit_and_judge(adult, seed) for seed in range(2)], axis=0)
    assert auc_single > 0.905
    assert auc > auc_single - 0.005
    # Measured on five and ten hold-outs: 0.57 and 0.62.
    assert eod < 0.75 * eod_single


def test_collapse_of_the_literal_head_is_seen(adult):
    with pytest.warns(CollapsedHeadWarning, match="'sex' has collapsed"):
        fit_and_judge(adult, 0, fairness_head="literal", fairness_loss="glf")
