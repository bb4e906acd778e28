"""Pipelines, searches and meta-estimators, with metadata routing on and off.

In most tests each sample is a group of its own, so that a cut of the sensitive features
that is not that of the samples shows in `groups_`.
"""

from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import sklearn
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.metrics import make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
    cross_val_predict,
    cross_validate,
)
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from fairtask.baselines import GroupSpecificClassifier
from fairtask.metrics import equalized_odds_difference
from tests._inputs import make_classifier, make_samples

X, y, z = make_samples(48)
IDS = np.arange(48)
NAME = "auxiliaryfairnessclassifier"

with_routing = pytest.mark.parametrize("routing", [True, False], ids=["on", "off"])


@pytest.fixture
def routing_context(routing):
    with sklearn.config_context(enable_metadata_routing=routing):
        yield


def table():
    frame = pd.DataFrame(X, columns=list("abcde"))
    # Holds the sample's number, for a check inside the pipeline.
    frame["id"] = IDS
    frame["sex"] = pd.Categorical(np.where(z, "m", "f"))
    return frame


def classifier(**kwargs):
    # One batch in which every sample is compared with every other one.
    return make_classifier(
        **{"max_epochs": 1, "parity": "overall", "batch_size": 48, **kwargs}
    )


def pipeline(**kwargs):
    encode = make_column_transformer(
        (OneHotEncoder(), make_column_selector(dtype_include="category")),
        (StandardScaler(), list("abcde")),
    )
    return make_pipeline(encode, classifier(**kwargs))


def named(values, routing, prefix=NAME):
    """Sensitive features under the name by which they are passed."""
    key = "sensitive_features" if routing else f"{prefix}__sensitive_features"
    return {key: values}


@with_routing
@pytest.mark.usefixtures("routing_context")
class TestPipeline:
    def test_cross_validate(self, routing):
        result = cross_validate(
            pipeline(),
            table(),
            y,
            cv=KFold(3, shuffle=True, random_state=0),
            params=named(IDS, routing),
            return_estimator=True,
            return_indices=True,
            error_score="raise",
        )
        for fitted, train in zip(
            result["estimator"], result["indices"]["train"], strict=True
        ):
            assert fitted[-1].groups_[0].tolist() == sorted(train)

    def test_grid_search(self, routing):
        seen = []

        def refit(results):
            return int(np.argmin(results["param_" + NAME + "__lam"].astype(float)))

        class Recorder(type(classifier())):
            def fit(self, X, y, *, sensitive_features=None):
                # The first column of what the pipeline passes on is "id".
                seen.append((X[:, 0].astype(int), np.asarray(sensitive_features)))
                return super().fit(X, y, sensitive_features=sensitive_features)

        recorder = Recorder(**classifier().get_params())
        search = GridSearchCV(
            Pipeline(
                [
                    (
                        "encode",
                        make_column_transformer(
                            ("passthrough", ["id"]), (StandardScaler(), list("abcde"))
                        ),
                    ),
                    (NAME, recorder),
                ]
            ),
            {f"{NAME}__lam": [0.3, 0.6, 1.0]},
            cv=KFold(3, shuffle=True, random_state=0),
            refit=refit,
            error_score="raise",
        )
        search.fit(table(), y, **named(IDS, routing))
        assert search.best_params_ == {f"{NAME}__lam": 0.3}
        assert len(seen) == 3 * 3 + 1
        for rows, groups in seen:
            assert np.array_equal(rows, groups)
        assert len(seen[-1][0]) == 48

    def test_randomized_search(self, routing):
        search = RandomizedSearchCV(
            pipeline(),
            {f"{NAME}__lam": np.linspace(0.1, 1)},
            n_iter=2,
            cv=2,
            random_state=0,
            error_score="raise",
        )
        search.fit(table(), y, **named(IDS, routing))
        assert search.best_estimator_[-1].groups_[0].tolist() == IDS.tolist()

    def test_cross_val_predict(self, routing):
        proba = cross_val_predict(
            pipeline(),
            table(),
            y,
            cv=3,
            method="predict_proba",
            params=named(z, routing),
        )
        assert proba.shape == (48, 2)

    def test_classifier_as_a_transformer(self, routing):
        chain = make_pipeline(classifier(), StandardScaler())
        h = chain.fit_transform(X, y, **named(IDS, routing))
        assert h.shape == (48, 16)
        assert chain[0].groups_[0].tolist() == IDS.tolist()


def test_scorer_gets_the_sensitive_features_of_the_test_part():
    seen = []

    def record(y_true, y_pred, *, sensitive_features):
        seen.append((y_true, sensitive_features))
        return equalized_odds_difference(
            y_true, y_pred, sensitive_features=sensitive_features % 2
        )

    with sklearn.config_context(enable_metadata_routing=True):
        scorer = make_scorer(record).set_score_request(sensitive_features=True)
        result = cross_validate(
            classifier(),
            X,
            y,
            cv=KFold(3),
            params={"sensitive_features": IDS},
            scoring={"eod": scorer},
            return_indices=True,
            error_score="raise",
        )
    for (y_true, groups), test in zip(seen, result["indices"]["test"], strict=True):
        assert np.array_equal(groups, test)
        assert np.array_equal(y_true, y[test])


def is_enabled():
    return sklearn.config_context(enable_metadata_routing=True)


class TestMetaEstimators:
    @pytest.mark.parametrize("context", [is_enabled, nullcontext], ids=["on", "off"])
    def test_calibrated(self, context):
        with context():
            model = CalibratedClassifierCV(classifier(), cv=KFold(3), ensemble=True)
            model.fit(X, y, sensitive_features=IDS)
        folds = [train for train, _ in KFold(3).split(X)]
        for fitted, train in zip(model.calibrated_classifiers_, folds, strict=True):
            assert fitted.estimator.groups_[0].tolist() == train.tolist()

    def test_tuned_threshold(self):
        with is_enabled():  # without it this one takes nothing but X and y
            model = TunedThresholdClassifierCV(classifier(), cv=3, random_state=0)
            model.fit(X, y, sensitive_features=IDS)
        assert model.estimator_.groups_[0].tolist() == IDS.tolist()
        assert model.predict(X).shape == (48,)

    def test_bagging(self):
        # Only metadata routing passes anything but sample weights to the members.
        with is_enabled():
            model = BaggingClassifier(
                classifier().set_fit_request(sample_weight=False),
                n_estimators=3,
                random_state=0,
            )
            model.fit(X, y, sensitive_features=IDS)
        for fitted, rows in zip(
            model.estimators_, model.estimators_samples_, strict=True
        ):
            assert fitted.groups_[0].tolist() == sorted(set(rows))

    @pytest.mark.parametrize("context", [is_enabled, nullcontext], ids=["on", "off"])
    def test_multi_output(self, context):
        labels = np.column_stack([y, X[:, 1] > 0])
        with context():
            model = MultiOutputClassifier(classifier())
            model.fit(X, labels, sensitive_features=IDS)
        for fitted in model.estimators_:
            assert fitted.groups_[0].tolist() == IDS.tolist()
        assert model.predict(X).shape == (48, 2)

    def test_voting(self):
        with is_enabled():
            model = VotingClassifier(
                [("a", classifier()), ("b", classifier(lam=1))], voting="soft"
            ).fit(X, y, sensitive_features=IDS)
        assert model.estimators_[0].groups_[0].tolist() == IDS.tolist()

    def test_meta_estimators_of_a_pipeline(self):
        with is_enabled():
            model = CalibratedClassifierCV(
                GridSearchCV(pipeline(), {f"{NAME}__lam": [0.3, 1.0]}, cv=2),
                cv=KFold(2),
            ).fit(table(), y, sensitive_features=IDS)
        for fitted, (train, _) in zip(
            model.calibrated_classifiers_, KFold(2).split(X), strict=True
        ):
            groups = fitted.estimator.best_estimator_[-1].groups_[0]
            assert groups.tolist() == train.tolist()

    def test_groups_reach_the_predictions_of_a_baseline_that_takes_them(self):
        with is_enabled():
            model = make_pipeline(
                StandardScaler(), GroupSpecificClassifier(max_epochs=1)
            )
            model.fit(X, y, sensitive_features=z)
            given = model.predict_proba(X, sensitive_features=z)
        assert not np.array_equal(given, model.predict_proba(X))


class TestScikitLearnInterface:
    def test_html_repr_names_the_parameters(self):
        html = classifier(lam=0.35)._repr_html_()
        assert "AuxiliaryFairnessClassifier" in html
        assert "0.35" in html

    @pytest.mark.parametrize("output", ["pandas", "polars"])
    def test_set_output(self, output):
        model = classifier().set_output(transform=output)
        h = model.fit(X, y, sensitive_features=z).transform(X)
        assert type(h).__module__.startswith(output)
        assert list(h.columns) == model.get_feature_names_out().tolist()

    def test_tags(self):
        tags = classifier().__sklearn_tags__()
        assert tags.input_tags.sparse
        assert tags.target_tags.multi_output
        assert not tags.non_deterministic
        assert classifier(random_state=None).__sklearn_tags__().non_deterministic

    def test_clone_keeps_every_parameter(self):
        model = classifier(lam=0.35, callbacks=[], class_weight={0: 1})
        assert clone(model).get_params() == model.get_params()
