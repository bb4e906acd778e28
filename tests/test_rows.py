"""Rows that belong together, in estimators, metrics and scorers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fairtask._frames import check_same_rows
from fairtask.baselines import GroupSpecificClassifier
from fairtask.bounds import certified_difference
from fairtask.metrics import fairness_report, make_fairness_scorer
from tests._inputs import NOT_LEARNT, make_classifier, make_samples

pytestmark = pytest.mark.filterwarnings(NOT_LEARNT)

FIRST = pd.Series([1, 2, 3], index=["a", "b", "c"])
SHUFFLED = FIRST.loc[["b", "a", "c"]]


@pytest.mark.parametrize(
    "other",
    [
        FIRST,
        FIRST.copy(),
        FIRST.to_frame(),
        FIRST.to_numpy(),
        FIRST.tolist(),
        pl.Series([1, 2, 3]),
        None,
        {"x": FIRST, "y": FIRST.to_numpy()},
        [FIRST, FIRST],
        SHUFFLED.iloc[:2],  # its length is another error
    ],
)
def test_same_rows(other):
    check_same_rows({"X": FIRST, "y": other})


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (
            {"X": FIRST, "y": SHUFFLED},
            r"`X` and `y` .* same labels in another order.* `y = y.loc\[X.index\]`",
        ),
        (
            {"X": FIRST.to_frame(), "y": FIRST.reset_index(drop=True)},
            r"indices differ. Only `y` has 0, 1, 2. .* `y.to_numpy\(\)`",
        ),
        ({"X": FIRST, "z": {"sex": SHUFFLED}}, r"`X` and `z\['sex'\]` must"),
        ({"z": {"sex": FIRST, "age": SHUFFLED}}, r"`z\['sex'\]` and `z\['age'\]`"),
        ({"X": [[1]] * 3, "z": [FIRST, SHUFFLED]}, r"`z\[0\]` and `z\[1\]` must"),
        (
            {"a": FIRST.set_axis([1, 1, 2]), "b": FIRST.set_axis([1, 2, 1])},
            "another order.*give each row a label of its own",
        ),
        (
            {"a": FIRST.set_axis([1, 1, 2]), "b": FIRST.set_axis([1, 2, 2])},
            "labels of their indices differ. Select",
        ),
        ({"a": FIRST.set_axis([0, 1, 2]), "b": FIRST.set_axis(list("012"))}, "differ"),
    ],
)
def test_other_rows(inputs, message):
    with pytest.raises(ValueError, match=message):
        check_same_rows(inputs)


def test_repeated_labels_in_one_order():
    repeated = FIRST.set_axis([1, 1, 2])
    check_same_rows({"X": repeated, "y": repeated.copy()})


X, y, z = make_samples(n_samples=60)
INDEX = np.random.default_rng(0).permutation(60)
FRAME = pd.DataFrame(X, index=INDEX).rename(columns=str)
LABELS = pd.Series(y, index=INDEX, name="y")
GROUPS = pd.Series(z, index=INDEX, name="z")
WEIGHTS = pd.Series(np.ones(60), index=INDEX)
ARGUMENTS = {"y": LABELS, "sensitive_features": GROUPS, "sample_weight": WEIGHTS}


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_training(method, name):
    clf = make_classifier(max_epochs=1, early_stopping=method == "fit")
    getattr(clf, method)(FRAME, **ARGUMENTS)
    wrong = {**ARGUMENTS, name: ARGUMENTS[name].sort_index()}
    with pytest.raises(ValueError, match=f"`X` and `{name}` must hold their rows in"):
        getattr(clf, method)(FRAME, **wrong)
    by_position = {name: series.to_numpy() for name, series in wrong.items()}
    getattr(make_classifier(max_epochs=1), method)(X, **by_position)


@pytest.mark.parametrize("name", ["y_val", "sensitive_features_val"])
def test_validation(name):
    validation = {
        "X_val": FRAME.reset_index(drop=True),  # its rows are others than those of `X`
        "y_val": LABELS.reset_index(drop=True),
        "sensitive_features_val": GROUPS.reset_index(drop=True),
    }
    clf = make_classifier(max_epochs=1).fit(FRAME, **ARGUMENTS, **validation)
    validation[name] = validation[name].set_axis(INDEX)
    with pytest.raises(ValueError, match=f"`X_val` and `{name}` must hold their rows"):
        clf.fit(FRAME, **ARGUMENTS, **validation)


def test_predictions_and_scores():
    clf = GroupSpecificClassifier(max_epochs=1, hidden_layer_sizes=(4,), device="cpu")
    clf.fit(FRAME, **ARGUMENTS)
    clf.score(FRAME, LABELS, sensitive_features=GROUPS)
    for call in (
        lambda: clf.predict(FRAME, sensitive_features=GROUPS.sort_index()),
        lambda: clf.score(FRAME, LABELS, sensitive_features=GROUPS.sort_index()),
        lambda: clf.score(FRAME, LABELS.sort_index()),
        lambda: clf.score(FRAME, LABELS, WEIGHTS.sort_index()),
    ):
        with pytest.raises(ValueError, match=r"`X` and .* in another order"):
            call()


def test_reports_and_bounds():
    y_pred = LABELS.rename("y_pred")
    fairness_report(LABELS, y_pred, sensitive_features={"z": GROUPS}, n_resamples=0)
    with pytest.raises(ValueError, match=r"`y_true` and `sensitive_features\['z'\]`"):
        fairness_report(
            LABELS, y_pred, sensitive_features={"z": GROUPS.sort_index()}, n_resamples=0
        )
    with pytest.raises(ValueError, match="`losses` and `strata` must hold their rows"):
        certified_difference(
            WEIGHTS, sensitive_features=GROUPS, strata=LABELS.sort_index()
        )


def test_scorers():
    scorer = make_fairness_scorer("equalized_odds_difference")
    model = LogisticRegression().fit(FRAME, LABELS)
    scorer(model, FRAME, LABELS, sensitive_features=GROUPS)
    for labels, groups in (
        (LABELS.sort_index(), GROUPS),
        (LABELS, GROUPS.sort_index()),
    ):
        with pytest.raises(ValueError, match=r"`X` and .* in another order"):
            scorer(model, FRAME, labels, sensitive_features=groups)
        with pytest.raises(ValueError, match="in another order"):
            scorer(model, X, labels, sensitive_features=groups)


def test_tools_of_scikit_learn_keep_rows_together():
    train, test, y_train, y_test, z_train, _ = train_test_split(
        FRAME, LABELS, GROUPS, random_state=0
    )
    clf = make_classifier(max_epochs=1)
    pipeline = make_pipeline(StandardScaler().set_output(transform="pandas"), clf)
    parameter = "auxiliaryfairnessclassifier__sensitive_features"
    pipeline.fit(train, y_train, **{parameter: z_train})
    pipeline.score(test, y_test)
    scores = cross_val_score(
        pipeline, FRAME, LABELS, cv=2, params={parameter: GROUPS}, error_score="raise"
    )
    assert len(scores) == 2
