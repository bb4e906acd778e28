"""What is claimed of the defaults, on Adult."""

import os
from pathlib import Path

import pytest
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask import AuxiliaryFairnessClassifier
from fairtask.datasets import fetch_adult
from fairtask.exceptions import CollapsedHeadWarning
from fairtask.metrics import equalized_odds_difference

HAS_ADULT = Path(os.environ.get("FAIRTASK_DATA", ""), "adult", "adult.data").is_file()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_data,
    pytest.mark.skipif(
        not HAS_ADULT, reason="FAIRTASK_DATA names no folder with adult/adult.data"
    ),
]


@pytest.fixture(scope="module")
def adult():
    """X, y and z of the training part, then of the test part."""
    data = fetch_adult()
    encode = make_column_transformer(
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            make_column_selector(dtype_include="category"),
        ),
        (StandardScaler(), make_column_selector(dtype_include="number")),
    )
    X_train, X_test, y_train, y_test, z_train, z_test = train_test_split(
        data.data,
        data.target,
        data.sensitive_features["sex"],
        test_size=0.2,
        stratify=data.target,
        random_state=0,
    )
    return (
        (encode.fit_transform(X_train), y_train, z_train),
        (encode.transform(X_test), y_test, z_test),
    )


def fit_and_judge(adult, **kwargs):
    (X, y, z), (X_test, y_test, z_test) = adult
    classifier = AuxiliaryFairnessClassifier(random_state=0, max_epochs=20, **kwargs)
    classifier.fit(X, y, sensitive_features=z)
    return (
        roc_auc_score(y_test, classifier.predict_proba(X_test)[:, 1]),
        equalized_odds_difference(
            y_test, classifier.predict(X_test), sensitive_features=z_test
        ),
    )


def test_penalty_lowers_the_difference_at_little_cost(adult):
    auc_single, eod_single = fit_and_judge(adult, lam=1)
    auc, eod = fit_and_judge(adult)
    assert auc_single > 0.905
    assert auc > auc_single - 0.005
    assert eod < 0.8 * eod_single


def test_collapse_of_the_literal_head_is_seen(adult):
    with pytest.warns(CollapsedHeadWarning, match="'sex' has collapsed"):
        fit_and_judge(adult, fairness_head="literal", fairness_loss="glf")
