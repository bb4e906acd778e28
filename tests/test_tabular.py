"""The classifier for tables: learning and input checks."""

import io
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import roc_auc_score
from skorch.callbacks import Callback, EarlyStopping, EpochScoring, LRScheduler
from torch import nn
from torch.testing import assert_close

from fairtask import AuxiliaryFairnessClassifier
from fairtask._diagnosis import _warn_if_not_learnt
from fairtask._labels import Tasks
from fairtask._training import resolve_max_epochs
from fairtask.baselines import GroupSpecificClassifier
from fairtask.datasets import make_biased_classification
from fairtask.exceptions import CollapsedHeadWarning, NothingPenalizedWarning
from fairtask.losses import (
    FAIRNESS_LOSSES,
    PARITIES,
    BoundedGroupLoss,
    GroupLossDivergence,
    GroupLossFairness,
    GroupLossPenalty,
)
from fairtask.metrics import equalized_odds_difference
from fairtask.modules import FAIRNESS_HEADS, Dropout
from tests._inputs import (
    NOT_LEARNT,
    assert_same_bits,
    make_classifier,
    make_samples,
    weights,
)

X, y, z = make_samples(300)
FAIRNESS_LOSS = "train_fairness_loss_sensitive_feature"

each_fairness_head = pytest.mark.parametrize("fairness_head", FAIRNESS_HEADS)


def fit(**kwargs):
    return make_classifier(**kwargs).fit(X, y, sensitive_features=z)


def first_loss(classifier):
    return classifier.net_.criterion_.fairness_losses[0][0]


class TestFit:
    @pytest.mark.parametrize("optimizer", ["adamw", "sgd", torch.optim.Adagrad])
    @pytest.mark.parametrize("lr_schedule", ["one_cycle", "constant"])
    def test_learns_the_task(self, optimizer, lr_schedule):
        classifier = fit(
            optimizer=optimizer, lr_schedule=lr_schedule, lr=0.05, max_epochs=8
        )
        assert classifier.score(X, y) > 0.82 > max(y.mean(), 1 - y.mean()) + 0.2

    def test_reduces_the_difference_between_groups(self):
        X, y, z = make_biased_classification(2000, random_state=0)
        eod = {}
        for lam in (1.0, 0.2):
            classifier = make_classifier(
                lam=lam, max_epochs=8, representation_weight=0.0
            )
            y_pred = classifier.fit(X, y, sensitive_features=z).predict(X)
            eod[lam] = equalized_odds_difference(y, y_pred, sensitive_features=z)
        assert eod[1.0] > 0.1
        assert eod[0.2] < 0.5 * eod[1.0]

    @pytest.mark.parametrize(
        ("fairness_loss", "parity"),
        [
            (name, parity)
            for name, loss in FAIRNESS_LOSSES.items()
            for parity in PARITIES
            # Rates are a parity of their own, and take the default.
            if parity == "equalized_odds" or "parity" in loss.settings
        ],
    )
    @each_fairness_head
    def test_every_combination_trains(self, fairness_loss, fairness_head, parity):
        classifier = make_classifier(
            fairness_loss=fairness_loss,
            fairness_head=fairness_head,
            parity=parity,
            max_epochs=2,
        ).fit(X[:120], y[:120], sensitive_features=z[:120])
        assert np.isfinite(classifier.history_.to_numpy()).all()
        assert not classifier.history_[FAIRNESS_LOSS].eq(0).any()

    def test_several_attributes_of_several_groups_with_unknown_values(self):
        sex, race = np.where(z, "m", "f"), np.resize(["a", "b", "c", None], 300)
        table = pd.DataFrame({"sex": sex, "race": race})
        table.loc[::7, "sex"] = None
        classifier = make_classifier().fit(X, y, sensitive_features=table)
        assert classifier.sensitive_feature_names_ == ["sex", "race"]
        groups = [groups.tolist() for groups in classifier.groups_]
        assert groups == [["f", "m"], ["a", "b", "c"]]
        terms = ["train_fairness_loss_sex", "train_fairness_loss_race"]
        assert (classifier.history_[terms] > 0).all(axis=None)

    def test_attribute_with_the_name_of_a_mark(self, tmp_path):
        # skorch marks the best epochs of a column "x" in a column "x_best".
        groups = pd.DataFrame({"x": z, "x_best": z[::-1]})
        classifier = make_classifier().fit(X, y, sensitive_features=groups)
        assert classifier.history_["train_fairness_loss_x_best"].gt(0).all()
        classifier.save(tmp_path / "model")
        loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
        pd.testing.assert_frame_equal(loaded.history_, classifier.history_)

    def test_more_than_two_classes_and_string_labels(self):
        labels = np.array(["low", "mid", "high"])[y + (X[:, 1] > 1)]
        classifier = make_classifier(max_epochs=20, lr=0.03)
        classifier.fit(X, labels, sensitive_features=z)
        assert classifier.classes_.tolist() == ["high", "low", "mid"]
        assert classifier.predict_proba(X).shape == (300, 3)
        assert classifier.score(X, labels) > 0.8

    def test_failed_fit_leaves_what_was_fitted(self):
        classifier = fit()
        with pytest.raises(ValueError, match="diverged"):
            classifier.set_params(lr=1e30).fit(X, y.astype(str), sensitive_features=z)
        with pytest.raises(ValueError, match="at least two classes"):
            classifier.set_params(lr=0.01).fit(X[:, :2], np.zeros(300))
        assert classifier.predict(X).dtype == y.dtype

    def test_short_training_keeps_the_learning_rate(self):
        loss = fit(batch_size=500, max_epochs=3, lr=0.1).history_["train_task_loss"]
        assert loss.iloc[-1] < 0.8 * loss.iloc[0]

    def test_second_fit_starts_anew(self):
        twice = make_classifier().fit(X[:50], y[:50], sensitive_features=z[:50])
        twice.fit(X, y, sensitive_features=z)
        for part in ("module_", "criterion_"):
            states = (getattr(c.net_, part).state_dict() for c in (twice, fit()))
            assert_close(*states)

    def test_history_has_a_row_per_epoch(self):
        history = fit(max_epochs=3).history_
        assert history.index.tolist() == [1, 2, 3]
        assert set(history) >= {"train_loss", "train_task_loss", FAIRNESS_LOSS}

    @pytest.mark.parametrize("verbose", [0, 1, 2])
    def test_verbose(self, capsys, verbose):
        fit(verbose=verbose, max_epochs=2)
        out, err = capsys.readouterr()
        assert (FAIRNESS_LOSS in out) == bool(out) == (verbose == 2)
        assert ("2/2" in err) == ("task_loss=" in err) == bool(err) == (verbose == 1)


class TestFairnessLossOfTheUser:
    def test_class(self):
        class SquaredGap(GroupLossPenalty):
            def penalty(self, means, present):
                return (means[..., 0] - means[..., 1]).square()

        assert isinstance(first_loss(fit(fairness_loss=SquaredGap)), SquaredGap)

    def test_partial(self):
        make_loss = partial(BoundedGroupLoss, bound=9, parity="overall")
        classifier = fit(fairness_loss=make_loss, representation_weight=0.0)
        assert (classifier.history_[FAIRNESS_LOSS] == 0).all()  # below the bound
        assert first_loss(classifier).parity == "overall"
        with pytest.raises(ValueError, match="does not take `parity="):
            fit(fairness_loss=make_loss, parity="equal_opportunity")

    def test_instance_is_copied_with_its_own_settings(self):
        template = BoundedGroupLoss(bound=0.3, group_momentum=0.5, parity="overall")
        classifier = make_classifier(fairness_loss=template)
        table = pd.DataFrame({"sex": z, "age": np.resize([0, 1, 2], 300)})
        classifier.fit(X, y, sensitive_features=table)
        losses = classifier.net_.criterion_.fairness_losses
        assert [loss.n_groups for (loss,) in losses] == [2, 3]
        assert {(loss.bound, loss.group_momentum) for (loss,) in losses} == {(0.3, 0.5)}
        assert not template.seen.any()

    def test_instance_equals_the_name(self):
        by_instance = fit(fairness_loss=GroupLossFairness())
        assert_close(weights(by_instance), weights(fit(fairness_loss="glf")))


class TestCallbacks:
    def test_stop_early(self):
        stop = EarlyStopping(
            "train_loss", patience=2, threshold=10, threshold_mode="abs"
        )
        assert len(fit(callbacks=[stop], max_epochs=20).history_) < 20
        assert stop.misses_ == 0  # the training had a copy

    def test_scoring(self):
        def roc_auc(net, X, _):
            return roc_auc_score(y, net.predict_proba(X)[:, 1])

        scoring = EpochScoring(roc_auc, on_train=True, use_caching=False, name="auc")
        assert fit(callbacks=[scoring]).history_["auc"].iloc[-1] > 0.7

    def test_user_interrupts(self):
        class Interrupt(Callback):
            def on_batch_end(self, net, **kwargs):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fit(callbacks=[Interrupt()])


class TestSingleTask:
    """`lam=1` is single-task learning to the last bit."""

    def test_equals_training_without_sensitive_features(self):
        without = make_classifier(lam=1).fit(X, y)
        assert_same_bits(weights(fit(lam=1)), weights(without))

    @pytest.mark.parametrize("lr_schedule", ["constant", "one_cycle"])
    def test_equals_a_loop_written_by_hand(self, lr_schedule):
        classifier = fit(lam=1, dropout=0.2, lr_schedule=lr_schedule)

        seeds = np.random.RandomState(0).randint(2**31 - 1, size=3)
        torch.manual_seed(int(seeds[0]))
        model = nn.Sequential(
            nn.Linear(5, 16), nn.ReLU(), Dropout(0.2), nn.Linear(16, 2)
        )
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=0.01, weight_decay=1.0, fused=True
        )
        schedule = None
        if lr_schedule == "one_cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=0.01, total_steps=25, cycle_momentum=False
            )
        samples, labels = torch.tensor(X), torch.tensor(y)
        torch.manual_seed(int(seeds[2]))
        for _ in range(5):
            for indices in torch.randperm(300).split(64):
                optimizer.zero_grad()
                logits = model(samples[indices])
                nn.functional.cross_entropy(logits, labels[indices]).backward()
                optimizer.step()
                if schedule is not None:
                    schedule.step()

        got, expected = weights(classifier).values(), model.state_dict().values()
        assert_same_bits(list(got), list(expected))

    @each_fairness_head
    def test_heads_leave_the_random_numbers_of_the_task_alone(self, fairness_head):
        # A weight of nearly 1: any difference comes from the random numbers.
        almost = fit(lam=1 - 1e-9, fairness_head=fairness_head)
        assert_close(weights(almost), weights(fit(lam=1)))


class TestReproducibility:
    def test_same_seed_same_bits(self):
        for part in ("task", "fairness"):
            assert_same_bits(weights(fit(), part), weights(fit(), part))

    @pytest.mark.parametrize("part", ["task", "fairness"])
    def test_another_seed_other_weights(self, part):
        second = weights(fit(random_state=1), part)
        for name, weight in weights(fit(), part).items():
            assert not torch.equal(weight, second[name]), name

    def test_global_random_states_are_left_as_they_were(self, monkeypatch):
        def fail(*args):
            raise AssertionError("seeded every CUDA device")

        monkeypatch.setattr(torch.cuda, "manual_seed_all", fail)
        torch_state = torch.get_rng_state()
        numpy_state = np.random.get_state()[1]  # noqa: NPY002 (that is the point)
        fit()
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002

    def test_threads_train_at_the_same_time_with_random_numbers_of_their_own(self):
        # Each training waits for the other after every epoch.
        barrier = threading.Barrier(2, timeout=30)

        class Meet(Callback):
            def __deepcopy__(self, memo):
                return self

            def on_epoch_end(self, net, **kwargs):
                barrier.wait()

        def train(seed):
            return fit(random_state=seed, dropout=0.5, callbacks=[Meet()])

        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(train, (0, 1)))
        for seed, classifier in enumerate(together):
            alone = fit(random_state=seed, dropout=0.5)
            for part in ("task", "fairness"):
                assert_same_bits(weights(classifier, part), weights(alone, part))


class TestPickle:
    def test_can_be_loaded_on_another_device(self):
        # skorch maps the tensors of its `__cuda_dependent_attributes__` only.
        class WithoutTensors(pickle.Pickler):
            def reducer_override(self, value):
                assert not isinstance(value, torch.Tensor)
                return NotImplemented

        state = fit().net_.__getstate__()
        assert state.pop("__cuda_dependent_attributes__")
        WithoutTensors(io.BytesIO()).dump(state)
        with pytest.raises(AssertionError):
            WithoutTensors(io.BytesIO()).dump({**state, "more": [torch.ones(1)]})

    def test_predicts_the_same(self):
        classifier = fit()
        restored = pickle.loads(pickle.dumps(classifier))
        assert np.array_equal(restored.predict_proba(X), classifier.predict_proba(X))
        assert_close(
            restored.net_.criterion_.state_dict(),
            classifier.net_.criterion_.state_dict(),
        )

    @pytest.mark.filterwarnings(NOT_LEARNT)
    def test_holds_no_samples(self):
        sizes = []
        for n in (200, 20_000):
            X, y, z = make_samples(n)
            classifier = make_classifier(batch_size=20_000, max_epochs=1)
            sizes.append(len(pickle.dumps(classifier.fit(X, y, sensitive_features=z))))
        assert sizes[1] < sizes[0] + 1000


class TestPredict:
    @pytest.fixture(scope="class")
    @classmethod
    def classifier(cls):
        return fit()

    def test_needs_no_sensitive_features_and_no_randomness(self, classifier):
        first, second = (classifier.predict_proba(X) for _ in range(2))
        assert np.array_equal(first, second)

    def test_is_the_task_head_on_the_representation(self, classifier):
        h = torch.tensor(classifier.transform(X))
        with torch.no_grad():
            logits = classifier.net_.module_.task_heads[0](h).double()
        proba = torch.tensor(classifier.predict_proba(X))
        assert_close(proba, logits.softmax(dim=1))

    @pytest.mark.parametrize("n_tasks", [1, 2])
    def test_forward_of_the_net_returns_the_logits(self, n_tasks):
        labels = np.column_stack([y, X[:, 1] > 0])[:, :n_tasks].squeeze()
        classifier = make_classifier().fit(X, labels, sensitive_features=z)
        logits = classifier.net_.forward(X)
        with torch.no_grad():
            expected = classifier.net_.module_.eval()(torch.tensor(X)).task
        assert_close(list(logits) if n_tasks > 1 else [logits], expected)

    def test_transform_has_a_column_per_unit(self, classifier):
        assert classifier.transform(X).shape == (300, 16)
        names = classifier.get_feature_names_out()
        assert names[0] == "auxiliaryfairnessclassifier0"
        assert len(names) == 16

    def test_fit_transform_passes_the_sensitive_features(self, classifier):
        h = make_classifier().fit_transform(X, y, sensitive_features=z)
        assert np.array_equal(h, classifier.transform(X))

    def test_batches_make_no_difference(self, classifier):
        many = np.tile(X, (60, 1))  # more than one batch of predictions
        assert len(many) > 16_384
        np.testing.assert_allclose(
            classifier.predict_proba(many)[-300:],
            classifier.predict_proba(X),
            rtol=1e-5,
        )

    @pytest.mark.parametrize("method", ["predict", "predict_proba", "transform"])
    def test_before_fit(self, method):
        with pytest.raises(NotFittedError):
            getattr(make_classifier(), method)(X)

    def test_renamed_column(self):
        table = pd.DataFrame(X, columns=list("abcde"))
        classifier = make_classifier().fit(table, y, sensitive_features=z)
        renamed = table.rename(columns={"a": "x"})
        message = r"(?s)`X`: .*feature names should match.* x\n.* a\n"
        with pytest.raises(ValueError, match=message):
            classifier.predict(renamed)
        with pytest.raises(ValueError, match=message):
            classifier.score(renamed, y)
        with pytest.raises(ValueError, match=message.replace("X", "X_val")):
            make_classifier().fit(table, y, X_val=renamed, y_val=y)


@pytest.mark.parametrize("groups", [z, np.where(z, "a", "b")])
def test_columns_with_numbers_as_names_in_another_order(groups, tmp_path):
    table = pd.DataFrame(X).assign(group=groups).rename(columns={"group": 7})
    classifier = make_classifier(warm_start=True).fit(table, y, sensitive_features=z)
    classifier.save(tmp_path / "model")
    loaded = AuxiliaryFairnessClassifier.load(tmp_path / "model")
    for fitted in (classifier, loaded):
        fitted.predict(table)
        with pytest.raises(ValueError, match=r"`X` .* same order as in `fit`, \[0, 1"):
            fitted.predict(table[table.columns[::-1]])
    with pytest.raises(ValueError, match="`X` must have its columns in the same"):
        classifier.fit(table[table.columns[::-1]], y, sensitive_features=z)


class TestSubclass:
    class Narrow(AuxiliaryFairnessClassifier):
        """A constructor with a parameter in place of all."""

        def __init__(self, lam=0.3):
            super().__init__(lam=lam, max_epochs=1, device="cpu", random_state=0)

    def test_is_fitted_cloned_and_saved(self, tmp_path):
        classifier = self.Narrow(lam=0.7)
        assert classifier.get_params() == {"lam": 0.7}
        copy = clone(classifier).fit(X, y, sensitive_features=z)
        assert copy.lam == 0.7
        expected = AuxiliaryFairnessClassifier(
            lam=0.7, max_epochs=1, device="cpu", random_state=0
        ).fit(X, y, sensitive_features=z)
        assert_same_bits(weights(copy), weights(expected))
        copy.save(tmp_path / "model")
        loaded = self.Narrow.load(tmp_path / "model")
        assert np.array_equal(loaded.predict_proba(X), copy.predict_proba(X))
        copy.partial_fit(X, y, sensitive_features=z)
        assert len(copy.history_) == 2


class TestWarnings:
    def test_no_sensitive_features(self):
        with pytest.warns(
            NothingPenalizedWarning, match="got no `sensitive_features`"
        ) as record:
            unweighted = make_classifier(lam=0.1).fit(X, y)
        assert record[0].filename == __file__
        # The task has its full weight.
        assert_close(weights(unweighted), weights(fit(lam=1)))

    @pytest.mark.parametrize("group", ["a", None])
    def test_attribute_with_fewer_than_two_groups(self, group):
        table = pd.DataFrame({"sex": z, "race": [group] * 300})
        with pytest.warns(
            NothingPenalizedWarning, match="'race' has no two known groups"
        ):
            classifier = make_classifier().fit(X, y, sensitive_features=table)
        terms = [name for name in classifier.history_ if "fairness" in name]
        assert terms == ["train_fairness_loss_sex"]
        assert len(classifier.groups_) == 2

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            (
                np.where(y == 1, "a", z),
                r"has the groups \['0', '1', 'a'\], but no class",
            ),
            (y, r"has the groups \[0, 1\], but no class .* as if .* made from `y`"),
            ([None] * 300, r"no two known groups to compare; its groups are \[\]"),
        ],
        ids=["never meet in a class", "copy of the labels", "unknown"],
    )
    def test_no_groups_to_compare(self, groups, message):
        with pytest.warns(NothingPenalizedWarning, match=message):
            make_classifier(parity="equal_opportunity").fit(
                X, y, sensitive_features=groups
            )

    def test_features_far_too_large(self):
        with pytest.warns(ConvergenceWarning, match="to nothing .* Standardise `X`"):
            make_classifier(lam=1).fit(X * 1e30, y)

    @pytest.mark.parametrize("class_weight", [None, "balanced"])
    @pytest.mark.parametrize("labels", [y, y * (X[:, 2] > 0), X[:, 2] > 1.9])
    def test_one_class_for_everybody(self, labels, class_weight):
        classifier = make_classifier(lam=1, class_weight=class_weight)
        with pytest.warns(ConvergenceWarning, match="for 100 % of the training"):
            classifier.fit(np.zeros_like(X), labels)
        # The first parts of a stream have learnt little, and do not warn.
        make_classifier(lam=1).partial_fit(np.zeros_like(X), labels)

    def test_a_class_without_weight_is_not_missed(self):
        # Warnings are errors.
        classifier = make_classifier(lam=1, class_weight={0: 1e4, 1: 1e-4})
        assert not classifier.fit(X, y).predict(X).any()

    def test_without_weight_the_task_is_not_learnt(self):
        with pytest.warns(ConvergenceWarning, match="or penalise less"):
            fit(lam=0, weight_decay=0)

    def test_a_rare_class_may_never_be_predicted(self):
        # Warnings are errors.
        rng = np.random.default_rng(0)
        samples = rng.normal(size=(3000, 5))
        score = samples[:, 0] + rng.logistic(size=3000)
        labels = score > np.quantile(score, 0.97)
        classifier = make_classifier(lam=1).fit(samples, labels)
        assert classifier.predict(samples).mean() < 0.002
        assert roc_auc_score(labels, classifier.predict_proba(samples)[:, 1]) > 0.7

    @pytest.mark.parametrize(
        ("weight", "loss"),
        [
            # Of the shares 1/4 and 3/4: ln 4 - 3/4 ln 3.
            ([1, 1, 1, 1], "Their log loss is 0.5623, that .* 0.5623"),
            # The shares are 1/2: half of ln 4 + ln 4/3, and ln 2.
            ([1, 1, 1, 3], "Their log loss is 0.837, that .* 0.6931"),
        ],
    )
    def test_of_several_tasks_that_is_named_which_is_not_learnt(self, weight, loss):
        tasks = Tasks([np.array(["no", "yes"]), np.array(["no", "yes"])], ["a", "b"])
        codes = torch.tensor([0, 0, 0, 1])
        learnt = torch.where(codes[:, None] == torch.arange(2), 0.9, 0.1)
        shares = torch.tensor([[0.75, 0.25]]).repeat(4, 1)
        target = {
            "y": codes[:, None].repeat(1, 2),
            "task_weight": torch.tensor(weight)[:, None].repeat(1, 2).float(),
        }
        with pytest.warns(ConvergenceWarning) as record:
            _warn_if_not_learnt([learnt.log(), shares.log()], target, tasks, "Mend it.")
        assert len(record) == 1
        pattern = f"task 'b': it predicts 'no' for 100 % .*{loss}.* Mend it."
        assert re.search(pattern, str(record[0].message))

    @pytest.mark.parametrize("n_tasks", [1, 2])
    def test_collapsed_head(self, n_tasks):
        labels = np.column_stack([y, np.digitize(X[:, 1], [-0.5, 0.5])])
        classifier = make_classifier(
            fairness_head="literal", fairness_loss="glf", max_epochs=60, lr=0.02
        )
        with pytest.warns(CollapsedHeadWarning, match="'sensitive_feature' has coll"):
            classifier.fit(X, labels[:, :n_tasks].squeeze(), sensitive_features=z)

    @pytest.mark.slow
    @pytest.mark.parametrize("fairness_head", ["probe", "task", "anchored"])
    def test_a_head_that_knows_the_task_does_not_collapse(self, fairness_head):
        # Warnings are errors.
        fit(fairness_head=fairness_head, fairness_loss="glf", max_epochs=30)


class TestBadInput:
    @pytest.mark.parametrize(
        ("kwargs", "message"),
        [
            ({"lam": 1.5}, r"'lam' parameter .* range \[0.0, 1.0\]. Got 1.5"),
            ({"lr": 0}, "'lr' parameter"),
            ({"parity": "odds"}, "'parity' .*'equalized_odds'.* 'odds'"),
            ({"parity": "demographic_parity"}, "'parity' .* `fairness_loss='dpl'`"),
            ({"optimizer": lambda *_, **__: None}, "`optimizer` must be a subclass"),
            ({"fairness_head": "own"}, "'fairness_head' .*'probe'.* 'own'"),
            ({"group_momentum": 1.0}, r"'group_momentum' .*\[0.0, 1.0\)"),
            ({"optimizer": "adam"}, "'optimizer' .*'adamw'.* 'adam'"),
            (
                {"optimizer": torch.optim.Rprop, "weight_decay": 0.1},
                "`optimizer` cannot be made with these settings",
            ),
            ({"device": "gpu"}, "`device` .* 'gpu'"),
            ({"hidden_layer_sizes": 8}, "'hidden_layer_sizes' .* array-like. Got 8"),
            ({"hidden_layer_sizes": (8, 0)}, r"`hidden_layer_sizes` .* got \[8, 0\]"),
            ({"hidden_layer_sizes": ()}, "`hidden_layer_sizes` must hold a layer"),
            ({"fairness_loss": "glp"}, "'fairness_loss' .* among {.*'gld'.*}.* 'glp'"),
            (
                {"fairness_loss": lambda *_, **__: None},
                "`fairness_loss` must be one of .*lambda",
            ),
            ({"fairness_loss": dict}, "`fairness_loss` must be one of .*'dict'"),
            (
                {"fairness_loss": "dpl", "parity": "overall"},
                "`fairness_loss='dpl'` does not take `parity='overall'`",
            ),
            (
                {"fairness_loss": GroupLossDivergence(), "group_momentum": 0.5},
                "does not take `group_momentum=0.5`.* settings of its own",
            ),
            ({"positive_classes": [1]}, "`positive_classes` goes with parity="),
            (
                {"parity": "equal_opportunity", "positive_classes": 1},
                "positive_classes",
            ),
            (
                {"callbacks": ["stop"]},
                "`callbacks` must hold skorch callbacks.* 'stop'",
            ),
            (
                {"callbacks": [LRScheduler("StepLR", step_size=1)]},
                "`callbacks` has a schedule .*'one_cycle'.* 'constant'",
            ),
            (
                {"callbacks": [("learning_rate", Callback())]},
                "`callbacks` must have distinct names.* got 'learning_rate'",
            ),
            (
                {"callbacks": [type("print_log", (Callback,), {})()]},
                "`callbacks` must have distinct names.* got 'print_log'",
            ),
            (
                {"callbacks": [("mine", Callback()), ("mine", Callback())]},
                "`callbacks` must have distinct names.* got 'mine'",
            ),
            (
                {"callbacks": [("Callback", Callback()), Callback()]},
                "`callbacks` must have distinct names.* got 'Callback'",
            ),
        ],
    )
    def test_parameters(self, kwargs, message):
        with pytest.raises(ValueError, match=message):
            fit(**kwargs)

    @pytest.mark.parametrize(
        ("X", "y", "z", "message"),
        [
            (X, y, z[1:], r"`sensitive_features` .*expected 300, found 299"),
            (X, np.ones(300), z, "`y` must have at least two classes"),
            (
                X,
                pd.DataFrame({"a": y, "b": y}).set_axis(["a", "a"], axis=1),
                z,
                r"`y` must have distinct names; found several of \['a'\]",
            ),
            (
                np.where(X[3, 1] == X, np.inf, X),
                y,
                z,
                "`X` column 1 must hold finite numbers",
            ),
            (
                pd.DataFrame({"a": [1e39] * 300}),
                y,
                z,
                "`X` column 'a' .* float32",
            ),
            (
                pd.DataFrame(X[:, :2], columns=["a", "a"]),
                y,
                z,
                "`X` must have distinct",
            ),
            ({"a": X[:, 0]}, y, z, "`X` must be a list, an array, a table"),
            (X, {0, 1}, z, "`y` must be a list"),
            (X, [], z, "`y`: Found array with 0 sample"),
            (X, ["y"], z, "`y` .* found 1. If these are names of columns"),
            ([["a"], ["b"]], [0, 1], [0, 1], r"`X` must hold numbers.*could not"),
        ],
    )
    def test_samples(self, X, y, z, message):
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(X, y, sensitive_features=z)

    def test_groups_by_position(self):
        with pytest.raises(TypeError, match=r"`X`, `y` by position.* `sensitive_f"):
            make_classifier().fit(X, y, z)
        with pytest.raises(ValueError, match=r"`classes` .* `sensitive_features="):
            make_classifier().partial_fit(X, y, z)

    @pytest.mark.parametrize(
        ("method", "data"),
        [
            ("predict", (X,)),
            ("predict_proba", (X,)),
            ("decision_function", (X,)),
            ("transform", (X,)),
            ("score", (X, y, None)),
        ],
    )
    def test_groups_are_not_needed_after_fit(self, method, data):
        predict = getattr(AuxiliaryFairnessClassifier(), method)
        message = f"`AuxiliaryFairnessClassifier.{method}` takes `X`.* and no groups"
        with pytest.raises(TypeError, match=message):
            predict(*data, sensitive_features=z)
        with pytest.raises(TypeError, match=message):
            predict(*data, z)

    @pytest.mark.parametrize(
        ("weight", "message"),
        [
            ("w", "`sample_weight` must be a list.* Pass the column"),
            (True, "`sample_weight` must be a list"),
            (np.inf, "`sample_weight` must be finite"),
            (1e308, "`sample_weight` must hold numbers of at most 3.4e.* found 1e"),
            (["1"] * 300, "`sample_weight` must hold numbers"),
            (np.ones(9), "`sample_weight` must have one row per sample.* found 9"),
        ],
    )
    def test_sample_weight(self, weight, message):
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(X, y, sensitive_features=z, sample_weight=weight)

    def test_training_that_diverges(self):
        with pytest.raises(ValueError, match=r"training diverged.*lower `lr`"):
            fit(lr=1e30)


class TestDecisionFunction:
    def test_log_odds(self):
        classifier = fit()
        odds = classifier.decision_function(X)
        expected = np.log(np.divide(*classifier.predict_proba(X).T[::-1]))
        np.testing.assert_allclose(odds, expected, rtol=1e-3, atol=1e-5)
        assert np.array_equal(odds > 0, classifier.predict(X) == 1)

    def test_of_a_baseline_that_knows_the_groups(self):
        classifier = GroupSpecificClassifier(max_epochs=5, random_state=0)
        classifier.fit(X, y, sensitive_features=z)
        for groups in (None, z):
            odds = classifier.decision_function(X, sensitive_features=groups)
            labels = classifier.predict(X, sensitive_features=groups)
            assert np.array_equal(odds > 0, labels == 1)

    @pytest.mark.filterwarnings(NOT_LEARNT)
    @pytest.mark.parametrize("labels", [np.arange(300) % 3, np.column_stack([y, y])])
    def test_is_for_one_binary_task(self, labels):
        classifier = make_classifier(lam=1, max_epochs=1).fit(X[:300], labels[:300])
        assert not hasattr(classifier, "decision_function")


def test_n_iter():
    classifier = fit(max_epochs=3)
    assert classifier.n_iter_ == 3
    assert classifier.partial_fit(X, y, sensitive_features=z).n_iter_ == 4
    assert not hasattr(make_classifier(), "n_iter_")


@pytest.mark.filterwarnings(NOT_LEARNT)
def test_score_checks_the_names_of_tasks():
    tasks = pd.DataFrame({"a": y, "b": 1 - y})
    classifier = make_classifier(lam=1, max_epochs=1).fit(X, tasks)
    expected = classifier.score(X, tasks.to_numpy())
    assert classifier.score(X, tasks) == expected
    with pytest.raises(ValueError, match=r"columns \['a', 'b'\], as before; got \['b'"):
        classifier.score(X, tasks[["b", "a"]])


@pytest.mark.parametrize(
    ("n_samples", "n_epochs"), [(300, 15), (15_999, 15), (25_000, 25), (10**6, 30)]
)
def test_epochs_by_the_number_of_samples(n_samples, n_epochs):
    assert resolve_max_epochs("auto", n_samples) == n_epochs
    assert resolve_max_epochs(7, n_samples) == 7
