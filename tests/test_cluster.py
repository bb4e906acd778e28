"""Searches and bootstraps on a dask cluster, through joblib."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from joblib import Parallel, delayed, parallel_config
from sklearn.ensemble import BaggingClassifier
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV
from fairtask.metrics import bootstrap, make_fairness_scorer, make_fairness_scoring
from tests._inputs import NOT_LEARNT, make_samples

distributed = pytest.importorskip("distributed")

X, y, z = make_samples(400)
X_AND_GROUP = np.column_stack([X, z])
N_FOLDS = 2
CV = KFold(N_FOLDS, shuffle=True, random_state=0)
LAMS = [0.3, 0.6, 1.0]
EOD = "equalized_odds_difference"
PARITY = "demographic_parity_difference"
SETTINGS = {
    "hidden_layer_sizes": (16,),
    "batch_size": 32,
    "lr": 0.02,
    "max_epochs": 2,
    "device": "cpu",
    "random_state": 0,
}


class KnowsItsGroups(AuxiliaryFairnessClassifier):
    """Fits only in a worker, with the groups of the last column, which it predicts.

    The difference in selection rates is 1 with the groups of the same samples, and less
    with others.
    """

    def fit(self, X, y, *, sensitive_features=None, sample_weight=None):
        distributed.get_worker()  # an error in other threads
        np.testing.assert_array_equal(
            np.ravel(sensitive_features), np.asarray(X)[:, -1]
        )
        super().fit(
            X, y, sensitive_features=sensitive_features, sample_weight=sample_weight
        )
        return self

    def predict(self, X):
        return np.asarray(X)[:, -1].astype(int)

    def predict_proba(self, X):
        return np.eye(2)[self.predict(X)]


class CountedArray(np.ndarray):
    """An array that counts how often it is pickled, whole or in part."""

    n_times = 0

    def __reduce_ex__(self, protocol):
        CountedArray.n_times += 1
        return super().__reduce_ex__(protocol)


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and a worker in threads of this process, which start at once.

    The worker has two threads, because joblib does not use a cluster with one. Their
    tasks take turns: threads share the filters of warnings, and would change them for
    each other.
    """
    with (
        distributed.LocalCluster(
            n_workers=1,
            threads_per_worker=2,
            resources={"turn": 1},
            processes=False,
            dashboard_address=":0",  # any port that is free
        ) as workers,
        distributed.Client(workers),
    ):
        yield


@pytest.fixture
def on_cluster(cluster):
    with parallel_config(backend="dask", resources={"turn": 1}):
        yield


@pytest.fixture
def routing():
    with sklearn.config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("on_cluster")
@pytest.mark.filterwarnings(NOT_LEARNT)
class TestOnACluster:
    @pytest.mark.usefixtures("routing")
    def test_routed_groups_are_those_of_the_samples(self):
        search = GridSearchCV(
            KnowsItsGroups(**SETTINGS),
            {"lam": LAMS[:2]},
            scoring=make_fairness_scoring([PARITY]),
            refit=False,
            cv=CV,
            error_score="raise",
        ).fit(X_AND_GROUP, y, sensitive_features=z)
        assert search.cv_results_[f"mean_test_{PARITY}"].tolist() == [-1, -1]

    def test_bound_groups_are_those_of_the_samples(self):
        index = np.random.default_rng(0).permutation(len(X)) + 1000
        samples = pd.DataFrame(X_AND_GROUP, index=index)
        groups = pd.Series(z, index=index, name="sex")
        scores = cross_val_score(
            KnowsItsGroups(**SETTINGS),
            samples,
            y,
            scoring=make_fairness_scorer(
                PARITY, sensitive_features=groups.sample(frac=1, random_state=0)
            ),
            params={"sensitive_features": groups},
            cv=CV,
            error_score="raise",
        )
        assert scores.tolist() == [-1] * N_FOLDS

    @pytest.mark.usefixtures("routing")
    def test_bagging(self):
        bagging = BaggingClassifier(KnowsItsGroups(**SETTINGS), 2, random_state=0)
        bagging.fit(X_AND_GROUP, y, sensitive_features=z)
        np.testing.assert_array_equal(bagging.predict(X_AND_GROUP), z)

    @pytest.mark.usefixtures("routing")
    def test_both_searches_have_the_same_scores(self):
        scoring = make_fairness_scoring(["roc_auc", EOD])
        one_by_one = GridSearchCV(
            AuxiliaryFairnessClassifier(**SETTINGS),
            {"lam": LAMS},
            scoring=scoring,
            refit=False,
            cv=CV,
            error_score="raise",
        ).fit(X, y, sensitive_features=z)
        at_once = AuxiliaryFairnessClassifierCV(lams=LAMS, cv=CV, **SETTINGS)
        at_once.fit(X, y, sensitive_features=z)
        for k in range(N_FOLDS):
            for name in scoring:
                key = f"split{k}_test_{name}"
                expected = one_by_one.cv_results_[key]
                np.testing.assert_allclose(
                    at_once.cv_results_[key], expected, atol=1e-6
                )

    def test_samples_are_not_pickled_for_each_fold(self):
        CountedArray.n_times = 0
        search = AuxiliaryFairnessClassifierCV(lams=LAMS, cv=CV, **SETTINGS)
        search.fit(X.view(CountedArray), y, sensitive_features=z)
        assert CountedArray.n_times <= 1

    def test_bootstraps_of_several_models(self):
        predictions = [(X[:, 0] > limit).astype(int) for limit in (0, 0.5)]

        def intervals(**settings):
            return Parallel(**settings)(
                delayed(bootstrap)(EOD, y, p, sensitive_features=z, random_state=0)
                for p in predictions
            )

        alone = intervals(n_jobs=1, backend="sequential")
        for result, expected in zip(intervals(), alone, strict=True):
            np.testing.assert_array_equal(result.distribution, expected.distribution)
        assert alone[0].value != alone[1].value
