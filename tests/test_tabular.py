import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from torch.testing import assert_close

from fairtask.datasets import make_biased_classification
from fairtask.exceptions import CollapsedHeadWarning, NothingPenalizedWarning
from fairtask.losses import (
    FAIRNESS_LOSSES,
    PARITIES,
    BoundedGroupLoss,
    GroupLossDivergence,
    GroupLossPenalty,
    RatePenalty,
)
from fairtask.metrics import equalized_odds_difference
from fairtask.modules import FAIRNESS_HEADS
from tests._inputs import make_classifier, make_samples, weights


class TestFit:
    def test_learns_the_task(self):
        X, y, z = make_samples(2000)
        classifier = make_classifier(max_epochs=20).fit(X, y, sensitive_features=z)
        assert classifier.score(X, y) > 0.85

    def test_reduces_the_difference_between_groups(self):
        X, y, z = make_biased_classification(4000, random_state=0)
        eod = {}
        for lam in (1.0, 0.05):
            classifier = make_classifier(lam=lam, max_epochs=20)
            y_pred = classifier.fit(X, y, sensitive_features=z).predict(X)
            eod[lam] = equalized_odds_difference(y, y_pred, sensitive_features=z)
        assert eod[1.0] > 0.1
        assert eod[0.05] < 0.5 * eod[1.0]

    @pytest.mark.parametrize("fairness_loss", FAIRNESS_LOSSES)
    @pytest.mark.parametrize("fairness_head", FAIRNESS_HEADS)
    @pytest.mark.parametrize("parity", PARITIES)
    def test_every_combination_trains(self, fairness_loss, fairness_head, parity):
        if issubclass(FAIRNESS_LOSSES[fairness_loss], RatePenalty):
            parity = "equalized_odds"  # the default: rates are a parity of their own
        X, y, z = make_samples(120)
        classifier = make_classifier(
            fairness_loss=fairness_loss,
            fairness_head=fairness_head,
            parity=parity,
            max_epochs=2,
        ).fit(X, y, sensitive_features=z)
        assert np.isfinite(classifier.history_.to_numpy()).all()
        assert (
            not classifier.history_["train_fairness_loss_sensitive_feature"].eq(0).any()
        )

    def test_several_attributes_of_several_groups_with_unknown_values(self):
        X, y, z = make_samples(300)
        table = pd.DataFrame(
            {
                "sex": np.where(z, "m", "f"),
                "race": np.resize(["a", "b", "c", None], 300),
            }
        )
        table.loc[::7, "sex"] = None
        classifier = make_classifier().fit(X, y, sensitive_features=table)
        assert classifier.sensitive_feature_names_ == ["sex", "race"]
        assert [list(groups) for groups in classifier.groups_] == [
            ["f", "m"],
            ["a", "b", "c"],
        ]
        terms = ["train_fairness_loss_sex", "train_fairness_loss_race"]
        assert (classifier.history_[terms] > 0).all(axis=None)

    def test_more_than_two_classes_and_string_labels(self):
        X, y, z = make_samples(600)
        labels = np.array(["low", "mid", "high"])[y + (X[:, 1] > 1)]
        classifier = make_classifier(max_epochs=20).fit(X, labels, sensitive_features=z)
        assert classifier.classes_.tolist() == ["high", "low", "mid"]
        assert classifier.predict_proba(X).shape == (600, 3)
        assert classifier.score(X, labels) > 0.8

    def test_loss_of_the_users_own(self):
        class SquaredGap(GroupLossPenalty):
            def penalty(self, means, present):
                return (means[..., 0] - means[..., 1]).square()

        X, y, z = make_samples(200)
        classifier = make_classifier(fairness_loss=SquaredGap)
        classifier.fit(X, y, sensitive_features=z)
        losses = classifier.net_.criterion_.fairness_losses
        assert isinstance(losses[0][0], SquaredGap)

    def test_loss_with_a_setting_of_its_own(self):
        X, y, z = make_samples(200)
        classifier = make_classifier(fairness_loss=partial(BoundedGroupLoss, bound=9))
        classifier.fit(X, y, sensitive_features=z)
        column = classifier.history_["train_fairness_loss_sensitive_feature"]
        assert (column == 0).all()  # no group loses as much

    def test_settings_of_a_partial_win(self):
        X, y, z = make_samples(200)
        classifier = make_classifier(
            fairness_loss=partial(BoundedGroupLoss, parity="overall")
        ).fit(X, y, sensitive_features=z)
        assert classifier.net_.criterion_.fairness_losses[0][0].parity == "overall"
        classifier.set_params(parity="equal_opportunity")
        with pytest.raises(ValueError, match="does not take `parity="):
            classifier.fit(X, y, sensitive_features=z)

    def test_failed_fit_leaves_what_was_fitted(self):
        X, y, z = make_samples(200)
        classifier = make_classifier().fit(X, y, sensitive_features=z)
        with pytest.raises(ValueError, match="diverged"):
            classifier.set_params(lr=1e30).fit(X, y.astype(str), sensitive_features=z)
        assert classifier.predict(X).dtype == y.dtype
        with pytest.raises(ValueError, match="at least two classes"):
            classifier.set_params(lr=0.01).fit(X[:, :2], np.zeros(200))
        assert classifier.predict(X).dtype == y.dtype

    def test_short_training_keeps_the_learning_rate(self):
        X, y, z = make_samples(500)
        fit = make_classifier(batch_size=500, max_epochs=3, lr=0.1).fit
        loss = fit(X, y, sensitive_features=z).history_["train_task_loss"]
        assert loss.iloc[-1] < 0.8 * loss.iloc[0]

    def test_second_fit_starts_anew(self):
        X, y, z = make_samples(200)
        once = make_classifier().fit(X, y, sensitive_features=z)
        twice = clone(once).fit(X[:50], y[:50], sensitive_features=z[:50])
        twice.fit(X, y, sensitive_features=z)
        assert_close(twice.net_.module_.state_dict(), once.net_.module_.state_dict())
        assert_close(
            twice.net_.criterion_.state_dict(), once.net_.criterion_.state_dict()
        )

    @pytest.mark.parametrize("optimizer", ["adamw", "sgd", torch.optim.Adagrad])
    @pytest.mark.parametrize("lr_schedule", ["one_cycle", "constant"])
    def test_optimizers_and_schedules(self, optimizer, lr_schedule):
        X, y, z = make_samples(500)
        classifier = make_classifier(
            optimizer=optimizer, lr_schedule=lr_schedule, lr=0.05, max_epochs=20
        )
        classifier.fit(X, y, sensitive_features=z)
        assert classifier.score(X, y) > 0.7 > max(y.mean(), 1 - y.mean()) + 0.1

    def test_history_has_a_row_per_epoch(self):
        X, y, z = make_samples(100)
        history = make_classifier(max_epochs=3).fit(X, y, sensitive_features=z).history_
        assert history.index.tolist() == [1, 2, 3]
        assert set(history) >= {
            "train_loss",
            "train_task_loss",
            "train_fairness_loss_sensitive_feature",
        }

    def test_verbose_prints_the_terms(self, capsys):
        X, y, z = make_samples(100)
        make_classifier(verbose=2, max_epochs=1).fit(X, y, sensitive_features=z)
        assert "train_fairness_loss_sensitive_feature" in capsys.readouterr().out
        make_classifier(max_epochs=1).fit(X, y, sensitive_features=z)
        assert not capsys.readouterr().out


class TestCallbacks:
    X, y, z = make_samples(300)

    def fit(self, *callbacks, **kwargs):
        classifier = make_classifier(callbacks=list(callbacks), **kwargs)
        return classifier.fit(self.X, self.y, sensitive_features=self.z)

    def test_stop_early(self):
        stop = EarlyStopping(
            "train_loss", patience=2, threshold=10, threshold_mode="abs"
        )
        classifier = self.fit(stop, max_epochs=20)
        assert len(classifier.history_) < 20
        assert stop.misses_ == 0  # the training had a copy

    def test_scoring(self):
        def roc_auc(net, X, y):
            return roc_auc_score(self.y, net.predict_proba(X)[:, 1])

        scoring = EpochScoring(roc_auc, on_train=True, use_caching=False, name="auc")
        assert self.fit(scoring).history_["auc"].iloc[-1] > 0.7

    def test_user_interrupts(self):
        class Interrupt(Callback):
            def on_batch_end(self, net, **kwargs):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            self.fit(Interrupt())


class TestSingleTask:
    """`lam=1` is single-task learning to the last bit."""

    X, y, z = make_samples(300)

    def test_equals_training_without_sensitive_features(self):
        with_z = make_classifier(lam=1).fit(self.X, self.y, sensitive_features=self.z)
        without = make_classifier(lam=1).fit(self.X, self.y)
        assert weights(with_z).keys() == weights(without).keys()
        for name, weight in weights(with_z).items():
            assert torch.equal(weight, weights(without)[name]), name

    @pytest.mark.parametrize("lr_schedule", ["constant", "one_cycle"])
    def test_equals_a_loop_written_by_hand(self, lr_schedule):
        classifier = make_classifier(lam=1, dropout=0.2, lr_schedule=lr_schedule)
        classifier.fit(self.X, self.y, sensitive_features=self.z)

        seeds = np.random.RandomState(0).randint(2**31 - 1, size=3)
        torch.manual_seed(int(seeds[0]))
        model = torch.nn.Sequential(
            torch.nn.Linear(5, 16),
            torch.nn.ReLU(),
            torch.nn.Dropout(0.2),
            torch.nn.Linear(16, 2),
        )
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01, weight_decay=1.0)
        schedule = None
        if lr_schedule == "one_cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=0.01, total_steps=25, cycle_momentum=False
            )
        X, y = torch.tensor(self.X), torch.tensor(self.y)
        torch.manual_seed(int(seeds[2]))
        for _ in range(5):
            for indices in torch.randperm(300).split(64):
                optimizer.zero_grad()
                logits = model(X[indices])
                torch.nn.functional.cross_entropy(logits, y[indices]).backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()

        for got, expected in zip(
            weights(classifier).values(), model.state_dict().values(), strict=True
        ):
            assert torch.equal(got, expected)

    @pytest.mark.parametrize("fairness_head", FAIRNESS_HEADS)
    def test_heads_leave_the_random_numbers_of_the_task_alone(self, fairness_head):
        # A weight of nearly 1: any difference comes from the random numbers.
        single = make_classifier(lam=1).fit(self.X, self.y)
        almost = make_classifier(lam=1 - 1e-9, fairness_head=fairness_head)
        almost.fit(self.X, self.y, sensitive_features=self.z)
        assert_close(weights(almost), weights(single))


class TestReproducibility:
    X, y, z = make_samples(200)

    def fit(self, **kwargs):
        return make_classifier(**kwargs).fit(self.X, self.y, sensitive_features=self.z)

    def test_same_seed_same_bits(self):
        first, second = self.fit().net_.module_, self.fit().net_.module_
        for name, weight in first.state_dict().items():
            assert torch.equal(weight, second.state_dict()[name]), name

    @pytest.mark.parametrize("part", ["task", "fairness"])
    def test_another_seed_other_weights(self, part):
        first, second = self.fit(), self.fit(random_state=1)
        for name, weight in weights(first, part).items():
            assert not torch.equal(weight, weights(second, part)[name]), name

    def test_global_random_states_are_left_as_they_were(self):
        torch_state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1]  # noqa: NPY002 (that is the point)
        self.fit()
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002

    def test_generators_of_other_devices_are_not_touched(self, monkeypatch):
        def fail(*args):
            raise AssertionError("seeded every CUDA device")

        monkeypatch.setattr(torch.cuda, "manual_seed_all", fail)
        self.fit()

    def test_threads_do_not_mix_their_random_numbers(self):
        expected = self.fit().predict_proba(self.X)
        with ThreadPoolExecutor(4) as pool:
            fitted = pool.map(lambda _: self.fit(), range(4))
        for classifier in fitted:
            assert np.array_equal(classifier.predict_proba(self.X), expected)

    def test_pickle_can_be_loaded_on_another_device(self):
        # skorch maps the tensors of its `__cuda_dependent_attributes__` only.
        def tensors(value, seen):
            if id(value) in seen:
                return False
            seen.add(id(value))
            if isinstance(value, torch.Tensor):
                return True
            children = value.values() if isinstance(value, dict) else ()
            if isinstance(value, list | tuple):
                children = value
            elif hasattr(value, "__dict__"):
                children = vars(value).values()
            return any(tensors(child, seen) for child in children)

        state = self.fit().net_.__getstate__()
        assert state.pop("__cuda_dependent_attributes__")
        assert not tensors(state, set())

    def test_pickle(self):
        classifier = self.fit()
        restored = pickle.loads(pickle.dumps(classifier))
        assert np.array_equal(
            restored.predict_proba(self.X), classifier.predict_proba(self.X)
        )
        assert_close(
            restored.net_.criterion_.state_dict(),
            classifier.net_.criterion_.state_dict(),
        )

    def test_pickle_holds_no_samples(self):
        size = {}
        for n in (200, 20_000):
            X, y, z = make_samples(n)
            classifier = make_classifier(batch_size=20_000, max_epochs=1)
            size[n] = len(pickle.dumps(classifier.fit(X, y, sensitive_features=z)))
        assert size[20_000] < size[200] + 1000


class TestPredict:
    X, y, z = make_samples(200)

    @pytest.fixture(scope="class")
    @classmethod
    def classifier(cls):
        return make_classifier().fit(cls.X, cls.y, sensitive_features=cls.z)

    def test_needs_no_sensitive_features_and_no_randomness(self, classifier):
        first, second = (classifier.predict_proba(self.X) for _ in range(2))
        assert np.array_equal(first, second)

    def test_is_the_task_head_on_the_representation(self, classifier):
        h = torch.tensor(classifier.transform(self.X))
        with torch.no_grad():
            logits = classifier.net_.module_.task_heads[0](h).double()
        assert_close(
            torch.tensor(classifier.predict_proba(self.X)), logits.softmax(dim=1)
        )

    def test_transform_has_a_column_per_unit(self, classifier):
        assert classifier.transform(self.X).shape == (200, 16)
        names = classifier.get_feature_names_out()
        assert names[0] == "auxiliaryfairnessclassifier0"
        assert len(names) == 16

    def test_set_output(self):
        classifier = make_classifier().set_output(transform="pandas")
        table = classifier.fit(self.X, self.y, sensitive_features=self.z).transform(
            self.X
        )
        assert table.columns[0] == "auxiliaryfairnessclassifier0"

    def test_fit_transform_passes_the_sensitive_features(self):
        h = make_classifier().fit_transform(self.X, self.y, sensitive_features=self.z)
        expected = make_classifier().fit(self.X, self.y, sensitive_features=self.z)
        assert np.array_equal(h, expected.transform(self.X))

    def test_batches_make_no_difference(self, classifier):
        many = np.tile(self.X, (90, 1))  # more than one batch of predictions
        assert len(many) > 16_384
        np.testing.assert_allclose(
            classifier.predict_proba(many)[-200:],
            classifier.predict_proba(self.X),
            rtol=1e-5,
        )

    def test_renamed_column(self):
        table = pd.DataFrame(self.X, columns=list("abcde"))
        classifier = make_classifier().fit(table, self.y, sensitive_features=self.z)
        with pytest.raises(ValueError, match="feature names should match"):
            classifier.predict(table.rename(columns={"a": "x"}))


class TestWarnings:
    X, y, z = make_samples(500)

    def test_no_sensitive_features(self):
        with pytest.warns(
            NothingPenalizedWarning, match="got no `sensitive_features`"
        ) as record:
            make_classifier().fit(self.X, self.y)
        assert record[0].filename == __file__

    def test_without_sensitive_features_the_task_has_its_full_weight(self):
        with pytest.warns(NothingPenalizedWarning):
            unweighted = make_classifier(lam=0.1).fit(self.X, self.y)
        single = make_classifier(lam=1).fit(self.X, self.y)
        assert_close(weights(unweighted), weights(single))

    @pytest.mark.parametrize("column", [["a"] * 500, [None] * 500])
    def test_attribute_with_fewer_than_two_groups(self, column):
        table = pd.DataFrame({"sex": self.z, "race": column})
        with pytest.warns(
            NothingPenalizedWarning, match="'race' has no two known groups"
        ):
            classifier = make_classifier().fit(self.X, self.y, sensitive_features=table)
        terms = [name for name in classifier.history_ if "fairness" in name]
        assert terms == ["train_fairness_loss_sex"]
        assert len(classifier.groups_) == 2

    def test_groups_that_never_meet_in_a_class(self):
        with pytest.warns(NothingPenalizedWarning, match="no two known groups"):
            make_classifier(parity="equal_opportunity").fit(
                self.X, self.y, sensitive_features=np.where(self.y == 1, "a", self.z)
            )

    def test_features_far_too_large(self):
        with pytest.warns(ConvergenceWarning, match=r"task loss is .* Standardise `X`"):
            make_classifier(lam=1).fit(self.X * 1e30, self.y)

    def test_collapsed_head(self):
        classifier = make_classifier(
            fairness_head="literal", fairness_loss="glf", lam=0.2, max_epochs=100
        )
        with pytest.warns(
            CollapsedHeadWarning, match="'sensitive_feature' has collapsed"
        ):
            classifier.fit(self.X, self.y, sensitive_features=self.z)

    @pytest.mark.parametrize("fairness_head", ["probe", "task", "anchored"])
    def test_a_head_that_knows_the_task_does_not_collapse(self, fairness_head):
        classifier = make_classifier(
            fairness_head=fairness_head, fairness_loss="glf", max_epochs=30
        )
        classifier.fit(self.X, self.y, sensitive_features=self.z)  # warnings are errors


class TestBadInput:
    X, y, z = make_samples(50)

    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"lam": 1.5}, r"'lam' parameter .* range \[0.0, 1.0\]. Got 1.5"),
            (
                {"fairness_loss": "glp"},
                "'fairness_loss' .* among {.*'gld'.*}.* 'glp'",
            ),
            (
                {"fairness_loss": lambda *_, **__: None},
                "`fairness_loss` must be one of .*lambda",
            ),
            ({"parity": "odds"}, "'parity' .*'equalized_odds'.* 'odds'"),
            ({"fairness_head": "own"}, "'fairness_head' .*'probe'.* 'own'"),
            ({"group_momentum": 1.0}, r"'group_momentum' .*\[0.0, 1.0\)"),
            ({"hidden_layer_sizes": (8, 0)}, r"`hidden_layer_sizes` .* got \[8, 0\]"),
            ({"hidden_layer_sizes": ()}, "`hidden_layer_sizes` must hold a layer when"),
            (
                {"callbacks": ["stop"]},
                "`callbacks` must hold skorch callbacks.* 'stop'",
            ),
            (
                {"fairness_loss": "dpl", "parity": "overall"},
                "`fairness_loss='dpl'` does not take `parity='overall'`",
            ),
            (
                {"fairness_loss": GroupLossDivergence(), "group_momentum": 0.5},
                "does not take `group_momentum=0.5`.* An instance or a callable has",
            ),
            ({"positive_classes": [1]}, "`positive_classes` goes with parity="),
            (
                {"parity": "equal_opportunity", "positive_classes": 1},
                "positive_classes",
            ),
            (
                {"optimizer": torch.optim.Rprop, "weight_decay": 0.1},
                "`optimizer` cannot be made with these settings",
            ),
            ({"fairness_loss": dict}, "`fairness_loss` must be one of .*'dict'"),
            (
                {"callbacks": [LRScheduler("StepLR", step_size=1)]},
                "`callbacks` has a schedule .*'one_cycle'.* 'constant'",
            ),
            ({"hidden_layer_sizes": 8}, "'hidden_layer_sizes' .* array-like. Got 8"),
            ({"optimizer": "adam"}, "'optimizer' .*'adamw'.* 'adam'"),
            ({"device": "gpu"}, "`device` .* 'gpu'"),
            ({"lr": 0}, "'lr' parameter"),
        ],
    )
    def test_parameters(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            make_classifier(**kwargs).fit(self.X, self.y, sensitive_features=self.z)

    def test_length_of_sensitive_features(self):
        with pytest.raises(
            ValueError, match=r"`sensitive_features` .*expected 50, found 49"
        ):
            make_classifier().fit(self.X, self.y, sensitive_features=self.z[:-1])

    def test_single_class(self):
        with pytest.raises(ValueError, match="`y` must have at least two classes"):
            make_classifier().fit(self.X, np.ones(50), sensitive_features=self.z)

    def test_nan_in_samples(self):
        X = self.X.copy()
        X[3, 1] = np.nan
        with pytest.raises(ValueError, match="Input X contains NaN"):
            make_classifier().fit(X, self.y, sensitive_features=self.z)

    def test_training_that_diverges(self):
        with pytest.raises(ValueError, match=r"training diverged.* lower `lr`"):
            make_classifier(lr=1e30).fit(self.X, self.y, sensitive_features=self.z)

    def test_strings_in_samples(self):
        with pytest.raises(ValueError, match=r"`X` must hold numbers.*could not"):
            make_classifier().fit([["a"], ["b"]], [0, 1], sensitive_features=[0, 1])


class TestRouting:
    """The sensitive features are cut to the training part of each fold."""

    X, y, z = make_samples(60)
    # Each sample is a group of its own: a wrong cut shows in `groups_`.
    ids = np.arange(60)

    def make_search(self, **kwargs):
        return GridSearchCV(
            make_pipeline(StandardScaler(), make_classifier(max_epochs=1, **kwargs)),
            {"auxiliaryfairnessclassifier__lam": [0.3, 1.0]},
            error_score="raise",
        )

    def test_cross_validation_cuts_the_sensitive_features(self):
        with sklearn.config_context(enable_metadata_routing=True):
            result = cross_validate(
                make_pipeline(StandardScaler(), make_classifier(parity="overall")),
                self.X,
                self.y,
                cv=KFold(3),
                params={"sensitive_features": self.ids},
                return_estimator=True,
                return_indices=True,
                error_score="raise",
            )
        for pipeline, train in zip(
            result["estimator"], result["indices"]["train"], strict=True
        ):
            assert pipeline[-1].groups_[0].tolist() == train.tolist()

    def test_search_with_routing(self):
        with sklearn.config_context(enable_metadata_routing=True):
            search = self.make_search().fit(self.X, self.y, sensitive_features=self.z)
        assert search.best_estimator_[-1].groups_[0].tolist() == [0, 1]

    def test_search_without_routing(self):
        search = self.make_search().fit(
            self.X, self.y, auxiliaryfairnessclassifier__sensitive_features=self.z
        )
        assert search.best_estimator_[-1].groups_[0].tolist() == [0, 1]

    def test_column_transformer_takes_what_pandas_gives(self):
        table = pd.DataFrame(self.X, columns=list("abcde"))
        table["sex"] = pd.Categorical(np.where(self.z, "m", "f"))
        encode = make_column_transformer(
            (StandardScaler(), list("abcde")), (OneHotEncoder(), ["sex"])
        )
        pipeline = make_pipeline(encode, make_classifier())
        pipeline.fit(
            table, self.y, auxiliaryfairnessclassifier__sensitive_features=table["sex"]
        )
        assert pipeline[-1].sensitive_feature_names_ == ["sex"]
        assert pipeline.predict(table).shape == (60,)
