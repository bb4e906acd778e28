"""Pipelines, searches and meta-estimators, with metadata routing on and off.

In most tests each sample is a group of its own, so that a cut of the sensitive features
that is not that of the samples shows in `groups_`.
"""

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
from tests._inputs import NOT_LEARNT, make_classifier, make_samples

# The networks take a single step.
pytestmark = pytest.mark.filterwarnings(NOT_LEARNT)

X, y, z = make_samples(48)
IDS = np.arange(48)
NAME = "auxiliaryfairnessclassifier"
# "id" is the sample's number, for a check inside the pipeline.
TABLE = pd.DataFrame(X, columns=list("abcde")).assign(
    id=IDS, sex=pd.Categorical(np.where(z, "m", "f"))
)


@pytest.fixture(params=[True, False], ids=["on", "off"])
def routing(request):
    with sklearn.config_context(enable_metadata_routing=request.param):
        yield request.param


@pytest.fixture
def only_with_routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


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


def named(values, routing):
    """Sensitive features under the name by which they are passed."""
    key = "sensitive_features" if routing else f"{NAME}__sensitive_features"
    return {key: values}


def groups_of(fitted):
    return fitted.groups_[0].tolist()


class TestPipeline:
    def test_columns_keep_their_names(self, routing):
        model = pipeline().fit(TABLE, y, **named(TABLE["sex"], routing))
        assert model[-1].sensitive_feature_names_ == ["sex"]
        assert groups_of(model[-1]) == ["f", "m"]
        assert model.predict(TABLE).shape == (48,)

    def test_cross_validate(self, routing):
        result = cross_validate(
            pipeline(),
            TABLE,
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
            assert groups_of(fitted[-1]) == sorted(train)

    def test_grid_search(self, routing):
        seen = []

        class Recorder(type(classifier())):
            def fit(self, X, y, *, sensitive_features=None):
                seen.append((X[:, 0].astype(int), np.asarray(sensitive_features)))
                return super().fit(X, y, sensitive_features=sensitive_features)

        def smallest_lam(results):
            return int(np.argmin(results[f"param_{NAME}__lam"].astype(float)))

        encode = make_column_transformer(
            ("passthrough", ["id"]), (StandardScaler(), list("abcde"))
        )
        recorder = Recorder(**classifier().get_params())
        search = GridSearchCV(
            Pipeline([("encode", encode), (NAME, recorder)]),
            {f"{NAME}__lam": [0.3, 0.6, 1.0]},
            cv=KFold(3, shuffle=True, random_state=0),
            refit=smallest_lam,
            error_score="raise",
        )
        search.fit(TABLE, y, **named(IDS, routing))
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
        search.fit(TABLE, y, **named(IDS, routing))
        assert groups_of(search.best_estimator_[-1]) == IDS.tolist()

    def test_cross_val_predict(self, routing):
        proba = cross_val_predict(
            pipeline(), TABLE, y, cv=3, method="predict_proba", params=named(z, routing)
        )
        assert proba.shape == (48, 2)

    def test_classifier_as_a_transformer(self, routing):
        chain = make_pipeline(classifier(), StandardScaler())
        assert chain.fit_transform(X, y, **named(IDS, routing)).shape == (48, 16)
        assert groups_of(chain[0]) == IDS.tolist()


@pytest.mark.usefixtures("only_with_routing")
def test_scorer_gets_the_sensitive_features_of_the_test_part():
    seen = []

    def record(y_true, y_pred, *, sensitive_features):
        seen.append((y_true, sensitive_features))
        return equalized_odds_difference(
            y_true, y_pred, sensitive_features=sensitive_features % 2
        )

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


class TestMetaEstimators:
    def test_calibrated(self, routing):
        model = CalibratedClassifierCV(classifier(), cv=KFold(3), ensemble=True)
        model.fit(X, y, sensitive_features=IDS)
        folds = [train.tolist() for train, _ in KFold(3).split(X)]
        fitted = [member.estimator for member in model.calibrated_classifiers_]
        assert [groups_of(estimator) for estimator in fitted] == folds

    def test_multi_output(self, routing):
        labels = np.column_stack([y, X[:, 1] > 0])
        model = MultiOutputClassifier(classifier())
        model.fit(X, labels, sensitive_features=IDS)
        assert [groups_of(fitted) for fitted in model.estimators_] == [IDS.tolist()] * 2
        assert model.predict(X).shape == (48, 2)


@pytest.mark.usefixtures("only_with_routing")
class TestMetaEstimatorsThatNeedRouting:
    """Without it they pass on nothing, or sample weights alone."""

    def test_tuned_threshold(self):
        model = TunedThresholdClassifierCV(classifier(), cv=3, random_state=0)
        model.fit(X, y, sensitive_features=IDS)
        assert groups_of(model.estimator_) == IDS.tolist()
        assert model.predict(X).shape == (48,)

    def test_bagging(self):
        model = BaggingClassifier(
            classifier().set_fit_request(sample_weight=False),
            n_estimators=3,
            random_state=0,
        )
        model.fit(X, y, sensitive_features=IDS)
        for fitted, rows in zip(
            model.estimators_, model.estimators_samples_, strict=True
        ):
            assert groups_of(fitted) == sorted(set(rows))

    def test_voting(self):
        model = VotingClassifier(
            [("a", classifier()), ("b", classifier(lam=1))], voting="soft"
        ).fit(X, y, sensitive_features=IDS)
        assert groups_of(model.estimators_[0]) == IDS.tolist()

    def test_several_around_a_pipeline(self):
        search = GridSearchCV(pipeline(), {f"{NAME}__lam": [0.3, 1.0]}, cv=2)
        model = CalibratedClassifierCV(search, cv=KFold(2))
        model.fit(TABLE, y, sensitive_features=IDS)
        for fitted, (train, _) in zip(
            model.calibrated_classifiers_, KFold(2).split(X), strict=True
        ):
            best = fitted.estimator.best_estimator_
            assert groups_of(best[-1]) == train.tolist()

    def test_groups_reach_the_predictions_of_a_baseline_that_takes_them(self):
        model = make_pipeline(StandardScaler(), GroupSpecificClassifier(max_epochs=1))
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
