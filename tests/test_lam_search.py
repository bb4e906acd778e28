"""Choosing `lam` by cross-validation, with all values trained at once."""

import numpy as np
import pandas as pd
import pytest
import torch
from joblib import parallel_config
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from torch import nn

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessClassifierCV
from fairtask._stack import ModuleStack
from fairtask.baselines import RegularizedClassifierCV
from fairtask.datasets import make_biased_classification
from fairtask.exceptions import BudgetNotMetWarning
from fairtask.metrics import make_fairness_scoring
from fairtask.model_selection import best_under_budget
from tests._inputs import NOT_LEARNT, assert_same_bits, weights

LAMS = [0.0, 0.3, 1.0]

# Without kinks: a rounding error cannot decide whether a unit is on.
SMOOTH = {
    "hidden_layer_sizes": (16,),
    "activation": "tanh",
    "batch_size": 64,
    "max_epochs": 4,
    "lr": 0.01,
    "device": "cpu",
    "random_state": 0,
}

N = 300
X, y, z = make_biased_classification(N, random_state=0)


def make_search(**kwargs):
    return AuxiliaryFairnessClassifierCV(**{**SMOOTH, "lams": LAMS, "cv": 2, **kwargs})


def fit_all(search, lams=LAMS, labels=y, groups=z):
    data = {"X": X, "y": labels, "sensitive_features": groups}
    return search._fit_all(lams, data)


@pytest.fixture(scope="module")
def trained_together():
    """The models of one search."""
    return fit_all(make_search())


class Shifted(nn.Module):
    """A module with a constant that is not saved, and a count that is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(3.0))
        self.register_buffer("shift", torch.ones(3), persistent=False)
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x, scale=1.0):
        self.count += x.sum()
        return scale * (x * self.weight + self.shift)


class TestModuleStack:
    def test_copies_have_weights_and_buffers_of_their_own(self):
        stack = ModuleStack(Shifted(), 2, in_dims=(None,), shares_constants=True)
        assert stack.module.shift.shape == (3,)
        with torch.no_grad():
            stack.module.weight[1] = 5
        result = stack(torch.ones(3), scale=2.0)
        assert result.tolist() == [[2, 4, 6], [12, 12, 12]]
        assert stack.module.count.tolist() == [3, 3]
        assert [stack.copy(i).weight.tolist() for i in (0, 1)] == [[0, 1, 2], [5] * 3]

    def test_gradients_are_those_of_each_copy(self):
        stack = ModuleStack(Shifted(), 2, in_dims=(0,))
        x = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
        stack(x).sum().backward()
        assert torch.equal(stack.module.weight.grad, x)

    def test_shared_weights_stay_shared(self):
        module = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
        module[1].weight = module[0].weight
        stack = ModuleStack(module, 2, in_dims=(None,))
        assert len(list(stack.parameters())) == 1
        x = torch.ones(1, 3)
        expected = module[0].weight[0] @ module[0].weight[0] @ x[0]
        assert torch.allclose(stack(x)[0, 0], expected)
        alone = stack.copy(1)
        assert alone[0].weight is alone[1].weight


@pytest.mark.filterwarnings(NOT_LEARNT)
class TestTrainedTogether:
    @pytest.mark.parametrize(
        "settings",
        [
            {},
            {"numeric_encoding": None, "dropout": 0.0, "optimizer": "sgd"},
            {"fairness_loss": "glf", "fairness_head": "anchored", "lr": 0.002},
            {"fairness_head": "task", "representation_weight": 0.0},
            {"fairness_head": None, "lr_schedule": "constant"},
            {"erase": True},
            {"early_stopping": True, "n_iter_no_change": 1, "max_epochs": 12},
            {"class_weight": "balanced", "weighted_losses": "task"},
        ],
        ids=str,
    )
    def test_same_models_as_separate_fits(self, settings):
        search = make_search(**settings)
        for model, lam in zip(fit_all(search), LAMS, strict=True):
            alone = AuxiliaryFairnessClassifier(**{**SMOOTH, **settings}, lam=lam)
            alone.fit(X, y, sensitive_features=z)
            assert model.get_params() == alone.get_params()
            expected, found = alone.predict_proba(X), model.predict_proba(X)
            assert np.abs(found - expected).max() < 1e-3
            names = set(alone.net_.module_.state_dict())
            assert set(model.net_.module_.state_dict()) == names

    def test_several_attributes_and_tasks(self):
        labels = np.column_stack([y, X[:, 0] > 0])
        groups = pd.DataFrame({"a": z, "b": np.arange(N) % 3})
        models = fit_all(make_search(), labels=labels, groups=groups)
        for model, lam in zip(models, LAMS, strict=True):
            alone = AuxiliaryFairnessClassifier(**SMOOTH, lam=lam)
            alone.fit(X, labels, sensitive_features=groups)
            for found, expected in zip(
                model.predict_proba(X), alone.predict_proba(X), strict=True
            ):
                assert np.abs(found - expected).max() < 1e-4

    def test_early_stopping_stops_each_model_by_itself(self):
        # Models that are not best in the same epoch have to be told apart.
        settings = {"early_stopping": True, "n_iter_no_change": 1, "max_epochs": 12}
        epochs = []
        for lam in LAMS[1:]:
            alone = AuxiliaryFairnessClassifier(**SMOOTH | settings, lam=lam)
            alone.fit(X, y, sensitive_features=z)
            epochs.append(alone.net_.kept_epoch_)
        assert epochs[0] != epochs[1]

    @pytest.mark.parametrize("lams_at_once", [1, 2])
    def test_chunks(self, lams_at_once, trained_together):
        in_chunks = fit_all(make_search(lams_at_once=lams_at_once))
        for model, expected in zip(in_chunks, trained_together, strict=True):
            difference = model.predict_proba(X) - expected.predict_proba(X)
            assert np.abs(difference).max() < 1e-4

    @pytest.mark.parametrize(
        "settings",
        [{"optimizer": torch.optim.Adam}, {"callbacks": [("x", "callback")]}],
        ids=["optimizer", "callbacks"],
    )
    def test_settings_that_need_a_network_by_itself(self, settings, monkeypatch):
        monkeypatch.setattr(
            AuxiliaryFairnessClassifier, "fit", lambda self, **data: self.lam
        )
        assert fit_all(make_search(**settings)) == LAMS

    @pytest.mark.parametrize("lams_at_once", [None, 1])
    def test_one_that_diverges_does_not_stop_the_others(
        self, lams_at_once, monkeypatch
    ):
        finish = AuxiliaryFairnessClassifier._finish

        def diverge(self, *args, **kwargs):
            if getattr(self, "lam", None) == 0.3:
                raise ValueError("The training diverged.")
            finish(self, *args, **kwargs)

        monkeypatch.setattr(AuxiliaryFairnessClassifier, "_finish", diverge)
        search = make_search(lams_at_once=lams_at_once)
        with pytest.warns(FitFailedWarning, match=r"`lam=0\.3` has no scores"):
            search.fit(X, y, sensitive_features=z)
        scores = search.cv_results_["mean_test_roc_auc"]
        assert np.isnan(scores).tolist() == [False, True, False]
        assert search.lam_ != 0.3


@pytest.mark.filterwarnings(NOT_LEARNT)
class TestSearch:
    def test_results_are_those_of_a_grid_search(self):
        Xf = pd.DataFrame(X)
        groups = pd.Series(z, name="group")
        scoring = make_fairness_scoring(
            ["roc_auc", "equalized_odds_difference"], sensitive_features=groups
        )
        search = make_search(lams=[0.2, 1.0], budget=0.1)
        search.fit(Xf, y, sensitive_features=groups)
        grid = GridSearchCV(
            AuxiliaryFairnessClassifier(**SMOOTH),
            {"lam": [0.2, 1.0]},
            scoring=scoring,
            cv=2,
            refit=best_under_budget(
                performance="roc_auc",
                disparity="equalized_odds_difference",
                budget=0.1,
            ),
        ).fit(Xf, y, sensitive_features=groups)
        assert list(search.cv_results_) == list(grid.cv_results_)
        for key, expected in grid.cv_results_.items():
            if "_test_" in key and "rank" not in key:
                assert search.cv_results_[key] == pytest.approx(expected, abs=0.01), key
        assert search.cv_results_["params"] == grid.cv_results_["params"]
        assert search.best_index_ == grid.best_index_
        assert search.lam_ == grid.best_params_["lam"]

    def test_is_the_model_of_the_chosen_value(self, tmp_path):
        search = make_search().fit(X, y, sensitive_features=z)
        alone = AuxiliaryFairnessClassifier(**SMOOTH, lam=search.lam_)
        alone.fit(X, y, sensitive_features=z)
        assert_same_bits(weights(search), weights(alone))
        assert np.array_equal(search.predict(X), alone.predict(X))
        assert search.transform(X).shape == (N, 16)
        assert search.history_.equals(search.estimator_.history_)
        search.save(tmp_path / "model")
        for kind in (AuxiliaryFairnessClassifier, type(search)):
            loaded = kind.load(tmp_path / "model")
            assert type(loaded) is AuxiliaryFairnessClassifier
            assert np.array_equal(loaded.predict_proba(X), search.predict_proba(X))

    def test_rows_are_cut_together(self):
        # Every second sample, in an order of its own, with an index of its own.
        rows = np.random.default_rng(0).permutation(N)[::2]
        frame = pd.DataFrame(X[rows], index=rows)
        groups = pd.Series(z[rows], index=rows)
        weight = pd.Series(1.0 + (np.arange(N // 2) % 2), index=rows)
        from_pandas = make_search().fit(
            frame,
            pd.Series(y[rows], rows),
            sensitive_features=groups,
            sample_weight=weight,
        )
        from_arrays = make_search().fit(
            X[rows],
            y[rows],
            sensitive_features={"g": z[rows]},
            sample_weight=weight.to_numpy(),
        )
        assert_same_bits(weights(from_pandas), weights(from_arrays))

    def test_front_and_figure(self):
        lams = [0.3, 0.6, 1.0]
        search = make_search(lams=lams, budget=1.0).fit(X, y, sensitive_features=z)
        assert search.lams_.tolist() == lams
        front = search.front_
        assert front["disparity"].is_monotonic_increasing
        assert front["performance"].is_monotonic_increasing
        assert search.lam_ == front["lam"].iloc[-1]  # the best within such a budget
        display = search.plot_front()
        assert display.points["chosen"].to_numpy().nonzero()[0] == search.best_index_
        labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
        assert f"chosen: lam={search.lam_:g}" in labels

    def test_number_of_values(self):
        lams = make_search(lams=4)._check_lams()
        assert lams == pytest.approx(0.05 * 20 ** (np.arange(4) / 3))

    def test_attributes_of_an_earlier_fit_go(self):
        frame = pd.DataFrame(X).rename(columns=str)
        search = make_search().fit(frame, y, sensitive_features=z)
        assert "feature_names_in_" in vars(search)
        search.fit(X, y, sensitive_features=z)
        assert "feature_names_in_" not in vars(search)

    @pytest.mark.parametrize(("positive", "known"), [(None, "yes"), (["no"], "no")])
    def test_disparity_is_that_of_the_class_that_is_penalised(self, positive, known):
        name = "equal_opportunity_difference"
        settings = {"parity": "equal_opportunity", "disparity": name}
        labels = np.where(y == 1, "yes", "no")
        search = make_search(**settings, positive_classes=positive)
        search.fit(X, labels, sensitive_features=z)
        scoring = make_fairness_scoring(["roc_auc", name], pos_label=known)
        expected = make_search(**settings, positive_classes=positive, scoring=scoring)
        expected.fit(X, labels, sensitive_features=z)
        key = f"mean_test_{name}"
        assert (search.cv_results_[key] == expected.cv_results_[key]).all()

    def test_folds_of_a_generator(self):
        folds = StratifiedKFold(2).split(X, y)
        search = make_search(cv=folds).fit(X, y, sensitive_features=z)
        assert search.n_splits_ == 2

    def test_regularized(self):
        search = RegularizedClassifierCV(**SMOOTH, lams=[0.1, 1.0], cv=2)
        search.fit(X, y, sensitive_features=z)
        assert search.estimator_.lam == search.lam_

    def test_scoring_of_several_tasks(self):
        labels = np.column_stack([y, X[:, 0] > 0])

        def gap(estimator, X, y, sensitive_features):
            assert len(X) == len(y) == len(sensitive_features) == N // 2
            return -estimator.lam

        scoring = {"score": lambda model, X, y: model.score(X, y), "gap": gap}
        search = make_search(
            scoring=scoring, performance="score", disparity="gap", budget=0.3
        )
        search.fit(X, labels, sensitive_features=z)
        assert search.cv_results_["mean_test_gap"].tolist() == [0, -0.3, -1]
        assert search.lam_ == 0.3

    def test_folds_at_the_same_time(self):
        alone = make_search().fit(X, y, sensitive_features=z)
        with parallel_config(backend="threading"):
            together = make_search(n_jobs=2).fit(X, y, sensitive_features=z)
        name = "mean_test_roc_auc"
        assert np.array_equal(alone.cv_results_[name], together.cv_results_[name])


class TestErrors:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"lams": [0.5]}, "`lams` must be a number"),
            ({"lams": [0.5, 0.5]}, "`lams` must be a number"),
            ({"lams": [0.5, 1.5]}, "`lams` must be a number"),
            ({"lams": 1}, "'lams' parameter"),
            ({"budget": -1}, "'budget' parameter"),
            ({"budget": 0.1, "rule": "knee_point"}, "two rules"),
            ({"budget": 0.1, "rule": len}, "`budget` has no use"),
            ({"budget": 5}, "`budget` must be at most 1, the largest 'equalized_odds"),
            ({"rule": globals}, "`rule` must take one argument, `cv_results_`"),
            ({"lams": ["a", "b"]}, "`lams` must be a number"),
            ({"cv": []}, "`cv` must give at least one fold"),
            ({"cv": [(1, 2)]}, "`cv` must give at least one fold"),
            ({"cv": 1000}, "`cv`: Cannot have number of splits n_splits=1000"),
            ({"n_jobs": 0}, "'n_jobs' parameter"),
            ({"performance": "auc"}, "`performance` must be the name of .* 'auc'"),
            (
                {"performance": "neg_mean_poisson_deviance"},
                "`performance=.* predictions",
            ),
            ({"performance": "equalized_odds_difference"}, "must be two scores"),
            ({"disparity": "eod"}, "`disparity` must be one of .* 'eod'"),
            ({"scoring": {"roc_auc": 1}}, "lacks .'roc_auc', 'equalized_odds"),
            ({"disparity": "accuracy"}, "`disparity` must be one of"),
            ({"scoring": {"roc_auc": len}}, "lacks .'equalized_odds_difference'"),
            ({"warm_start": True}, "`warm_start=True`"),
        ],
        ids=str,
    )
    def test_parameters_fail_before_any_training(self, settings, message, monkeypatch):
        monkeypatch.delattr("fairtask._lam_search.score_fold")
        with pytest.raises(ValueError, match=message):
            make_search(**settings).fit(X, y, sensitive_features=z)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"X": pd.DataFrame(X[:, :2], columns=["a", "a"])}, "`X` must have disti"),
            ({"y": y[:9]}, "`y` must have one row per sample: expected 300, found 9"),
            ({"y": np.zeros(N)}, "`y` must have at least two classes"),
            ({"sensitive_features": "g"}, "`sensitive_features` .* Pass the column"),
            ({"sensitive_features": y}, "`disparity=.* labels and groups"),
        ],
    )
    def test_samples_fail_before_any_training(self, arguments, message, monkeypatch):
        monkeypatch.delattr("fairtask._lam_search.score_fold")
        with pytest.raises(ValueError, match=message):
            make_search().fit(**{"X": X, "y": y, "sensitive_features": z} | arguments)

    @pytest.mark.parametrize("position", [None, "a", 3, -1, 0.0])
    def test_rule_that_returns_no_position(self, position):
        search = make_search(lams=[0.5, 0.6, 1.0], rule=lambda results: position)
        with pytest.raises(ValueError, match=r"`rule` must return .* from 0 to 2"):
            search.fit(X, y, sensitive_features=z)

    def test_scores_that_do_not_suit_the_labels(self):
        labels = np.arange(N) % 3
        with pytest.raises(ValueError, match="use 'roc_auc_ovr'"):
            make_search().fit(X, labels, sensitive_features=z)
        with pytest.raises(ValueError, match="`scoring` must have functions"):
            make_search().fit(X, np.c_[y, labels], sensitive_features=z)

    def test_lam_is_no_parameter(self):
        assert "lam" not in make_search().get_params()
        with pytest.raises(TypeError, match="lam"):
            AuxiliaryFairnessClassifierCV(lam=0.5)

    def test_groups_are_needed(self):
        with pytest.raises(ValueError, match="`sensitive_features` must be given"):
            make_search().fit(X, y)

    @pytest.mark.parametrize("groups", [np.zeros(N, dtype=int), [None] * N])
    def test_two_groups_are_needed(self, groups):
        with pytest.raises(ValueError, match="must have two known groups"):
            make_search().fit(X, y, sensitive_features=groups)

    def test_partial_fit(self):
        assert not hasattr(make_search(), "partial_fit")
        with pytest.raises(AttributeError, match="partial_fit"):
            make_search().partial_fit(X, y)

    def test_multipliers_find_the_weight_by_themselves(self):
        search = RegularizedClassifierCV(
            **SMOOTH, lams=[0.1, 1.0], lams_at_once=1, multiplier_lr=1.0
        )
        with pytest.raises(ValueError, match="`multiplier_lr` must be None"):
            search.fit(X, y, sensitive_features=z)

    def test_budget_that_cannot_be_met(self):
        with pytest.warns(BudgetNotMetWarning):
            make_search(lams=[0.5, 1.0], budget=0.0).fit(X, y, sensitive_features=z)

    def test_clone(self):
        search = make_search(budget=0.1)
        assert clone(search).get_params() == search.get_params()
