"""Experiments: the protocol, what is kept of a run, going on, and the command line."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from fairtask.experiments import Method, Setting
from fairtask.experiments._cases import DataSource, check_size
from fairtask.experiments._command_line import _names, main
from fairtask.experiments._methods import BUILT_IN, find_methods
from fairtask.experiments._peers import SeededAdversarial, ThresholdsPerGroup
from fairtask.experiments._protocol import fit_and_predict, make_parts
from fairtask.experiments._recipes import recipe
from fairtask.experiments._runner import _clock, _time_left
from fairtask.experiments._store import Experiment, Run, Store

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

SYNTHETIC = DataSource.of("synthetic", quick=True)

METHODS_FILE = """
from sklearn.linear_model import LogisticRegression
from fairtask.experiments import Method

class Broken(LogisticRegression):
    def fit(self, X, y):
        raise RuntimeError("no luck")

class Counted(LogisticRegression):
    def fit(self, X, y):
        with open({log!r}, "a") as file:
            file.write("x")
        return super().fit(X, y)

METHODS = [
    Method("logistic", lambda setting: Counted(C=setting.lam or 1.0), has_lam=True),
    Method("broken", lambda setting: Broken(), note="It never works."),
]
"""


@pytest.fixture
def methods_file(tmp_path):
    path = tmp_path / "methods.py"
    path.write_text(METHODS_FILE.format(log=str(tmp_path / "fits")))
    return path


def command(tmp_path, name, *more, methods="logistic,broken", methods_file=None):
    files = ["--methods-file", str(methods_file)] if methods_file else []
    return main(
        [
            *(name, "--dataset", "synthetic", "--quick", "--quiet", "--jobs", "1"),
            *("--output", str(tmp_path / "results"), "--methods", methods),
            *(*files, *more),
        ]
    )


def store_of(tmp_path, name="synthetic_group_paper_quick"):
    return Store(tmp_path / "results" / name)


class TestSource:
    def test_gender_is_another_name_of_sex(self):
        assert DataSource.of("adult", ["race", "gender"]).attributes == ("race", "sex")

    @pytest.mark.parametrize(
        ("dataset", "attributes", "options", "message"),
        [
            ("german", None, {}, "`dataset` must be one of adult, bank"),
            ("adult", ["age"], {}, "must be among race, sex, each once; got age"),
            ("adult", ["sex", "gender"], {}, "each once; got sex, sex"),
            ("adult", [], {}, "`attributes` must name one at least"),
            ("adult", None, {"target": "y"}, "`target` is for CSV files"),
            ("mine.csv", ["z"], {}, "`target` and `sensitive` must name"),
            ("mine.csv", None, {"target": "y"}, "`target` and `sensitive` must name"),
            ("mine.csv", ["z", "z"], {"target": "y"}, "each column once; got z, z, y"),
            ("mine.csv", ["y"], {"target": "y"}, "each column once; got y, y"),
        ],
    )
    def test_what_makes_no_sense(self, dataset, attributes, options, message):
        with pytest.raises(ValueError, match=message):
            DataSource.of(dataset, attributes, **options)

    def table(self):
        return pd.DataFrame(
            {
                "size": [1.0, np.nan, 3.0, 4.0],
                "colour": ["red", "blue", None, "red"],
                "group": ["a", "b", None, "a"],
                "good": ["yes", "no", "no", "yes"],
            }
        )

    def load(self, tmp_path, table, **options):
        path = tmp_path / "mine.csv"
        table.to_csv(path, index=False)
        options = {"target": "good"} | options
        return DataSource.of(str(path), ["group"], **options).load()

    def test_csv(self, tmp_path):
        case = self.load(tmp_path, self.table())
        assert case.y.tolist() == [1, 0, 0, 1]
        assert case.classes == ["no", "yes"]
        assert case.groups["group"].tolist() == ["a", "b", None, "a"]
        assert list(case.X) == ["size", "colour", "group"]
        assert case.X["colour"].dtype == "category"

    def test_positive_class_of_a_csv(self, tmp_path):
        case = self.load(tmp_path, self.table(), positive="no")
        assert case.y.tolist() == [0, 1, 1, 0]
        assert case.classes == ["yes", "no"]

    def test_sensitive_columns_can_be_left_out_of_the_features(self, tmp_path):
        case = self.load(tmp_path, self.table(), drop_sensitive=True)
        assert list(case.X) == ["size", "colour"]
        assert list(case.groups) == ["group"]

    @pytest.mark.parametrize(
        ("change", "options", "message"),
        [
            ({}, {"target": "bad"}, "expected the columns bad, group; found no bad"),
            ({}, {"positive": "maybe"}, "labels in `good`, no or yes; got 'maybe'"),
            ({"good": ["a", "b", "c", "a"]}, {}, "expected two labels in `good`.*3"),
            ({"good": ["a", None, "b", "a"]}, {}, "found 1 rows without one in `good`"),
            ({"group": ["a"] * 4}, {}, "expected 2 to 50 groups in `group`, found 1"),
            ({"size": [1, np.inf, 2, 3]}, {}, "found infinity in size"),
            ({"size": [None] * 4}, {}, "found none in size"),
            ({"good": [None, "None", "b", "b"]}, {}, "found 1 rows without one"),
        ],
    )
    def test_a_csv_that_does_not_fit(self, tmp_path, change, options, message):
        with pytest.raises(ValueError, match=message):
            self.load(tmp_path, self.table().assign(**change), **options)

    def test_groups_are_called_as_they_are_written(self, tmp_path):
        table = self.table().assign(group=["None", "1", None, "1"])
        case = self.load(tmp_path, table)
        assert case.groups["group"].tolist() == ["None", "1", None, "1"]

    @pytest.mark.parametrize(
        ("labels", "positive", "classes", "y"),
        [
            (
                ["true", "false", "false", "true"],
                "true",
                ["false", "true"],
                [1, 0, 0, 1],
            ),
            (["01", "02", "01", "02"], "01", ["02", "01"], [1, 0, 1, 0]),
            (["9", "10", "9", "9"], None, ["9", "10"], [0, 1, 0, 0]),
            (["None", "Fraud", "None", "Fraud"], None, ["Fraud", "None"], [1, 0, 1, 0]),
        ],
    )
    def test_labels_are_called_as_they_are_written(
        self, tmp_path, labels, positive, classes, y
    ):
        table = self.table().assign(good=labels)
        case = self.load(tmp_path, table, positive=positive)
        assert case.classes == classes
        assert case.y.tolist() == y

    def test_what_names_a_sample_is_refused(self, tmp_path):
        table = pd.concat([self.table()] * 30, ignore_index=True)
        table["id"] = [f"c{i}" for i in range(120)]
        with pytest.raises(ValueError, match=r"at most 50 categories.* id \(120\)"):
            self.load(tmp_path, table)

    @pytest.mark.parametrize(
        "content", [b"", b"a,b\n", b"a,b\n1,2,3,4\n", b"\xff\xfe\x00"]
    )
    def test_a_file_that_is_no_csv_is_named(self, tmp_path, content):
        path = tmp_path / "mine.csv"
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"mine.csv: expected "):
            DataSource.of(str(path), ["a"], target="b").load()

    def test_images_have_no_sensitive_columns(self):
        with pytest.raises(ValueError, match="`drop_sensitive` is for tables"):
            DataSource.of("fairface", drop_sensitive=True)


class TestProtocol:
    def test_parts_are_a_stratified_partition(self):
        case = DataSource.of("synthetic").load()
        parts = make_parts(case, 0)
        rows = {name: part.groups.index for name, part in parts.items()}
        assert {name: len(r) for name, r in rows.items()} == {
            "train": 1200, "validation": 400, "test": 400,
        }  # fmt: skip
        assert sorted(np.concatenate(list(rows.values()))) == list(range(2000))
        for part in parts.values():
            assert part.y.mean() == pytest.approx(case.y.mean(), abs=0.003)
        again, other = make_parts(case, 0), make_parts(case, 1)
        np.testing.assert_array_equal(parts["test"].X, again["test"].X)
        assert set(other["test"].groups.index) != set(rows["test"])

    def test_tables_are_encoded_by_the_training_part(self, tmp_path):
        rng = np.random.default_rng(0)
        table = pd.DataFrame(
            {
                "x": rng.normal(5, 3, 100),
                "kind": rng.choice(["u", "v"], 100),
                "z": np.tile(["a", "b"], 50),
                "y": np.repeat([0, 1], 50),
            }
        )
        table.loc[::7, "x"] = np.nan
        table.to_csv(tmp_path / "t.csv", index=False)
        source = DataSource.of(str(tmp_path / "t.csv"), ["z"], target="y")
        parts = make_parts(source.load(), 0)
        # kind and z: 2 columns each; x, and whether it was missing
        assert parts["train"].X.shape == (60, 6)
        assert parts["train"].X.dtype == np.float32
        np.testing.assert_allclose(parts["train"].X[:, 4].mean(), 0, atol=1e-6)
        np.testing.assert_allclose(parts["train"].X[:, 4].std(), 1, atol=1e-6)
        assert abs(parts["test"].X[:, 4].mean()) > 1e-3

    def test_what_is_kept_of_a_run(self):
        parts = make_parts(SYNTHETIC.load(), 3)
        model = LogisticRegression()
        predictions = fit_and_predict(model, parts, seed=3)
        table = predictions.table
        assert list(table) == [
            "row", "y_true", "y_pred", "score", "group:group", "part",
        ]  # fmt: skip
        test = table[table["part"] == "test"]
        assert test["row"].tolist() == parts["test"].groups.index.tolist()
        assert test["y_true"].tolist() == parts["test"].y.tolist()
        np.testing.assert_array_equal(test["y_pred"], model.predict(parts["test"].X))
        np.testing.assert_array_equal(
            test["score"], model.predict_proba(parts["test"].X)[:, 1]
        )
        assert predictions.warnings == []

    def test_only_what_a_method_names_is_passed(self):
        seen = {}

        class Watching(LogisticRegression):
            def fit(self, X, y, *, sensitive_features, X_val):
                seen["fit"] = (sensitive_features, X_val)
                return super().fit(X, y)

            def predict(self, X, *, random_state):
                seen["predict"] = random_state
                return super().predict(X)

        parts = make_parts(SYNTHETIC.load(), 0)
        fit_and_predict(Watching(), parts, seed=7)
        pd.testing.assert_frame_equal(seen["fit"][0], parts["train"].groups)
        np.testing.assert_array_equal(seen["fit"][1], parts["validation"].X)
        assert seen["predict"] == 7

    @pytest.mark.parametrize("name", ["group-specific", "fairtask"])
    def test_groups_that_the_training_part_lacks_are_unknown_there(self, name):
        parts = make_parts(SYNTHETIC.load(), 0)
        for part in ("validation", "test"):
            parts[part].groups.iloc[0] = "c"
        setting = Setting("paper", "synthetic", ("group",), "table", 0, quick=True)
        model = find_methods()[name].make(setting)
        table = fit_and_predict(model, parts, seed=0).table
        assert (table["group:group"] == "c").sum() == 2

    def test_groups_are_used_at_predict_by_those_that_say_so(self, tmp_path):
        saw = {}

        class Watching(LogisticRegression):
            def predict(self, X, *, sensitive_features=None):
                saw["groups"] = sensitive_features is not None
                return super().predict(X)

        parts = make_parts(SYNTHETIC.load(), 0)
        for asked in (False, True):
            fit_and_predict(Watching(), parts, seed=0, groups_at_predict=asked)
            assert saw["groups"] == asked
        assert [m.name for m in BUILT_IN if m.groups_at_predict] == [
            "threshold-optimizer"
        ]

    def test_scores_that_are_no_numbers_are_an_error(self):
        class Broken(LogisticRegression):
            def predict_proba(self, X):
                return np.full((len(X), 2), np.nan)

        with pytest.raises(ValueError, match="expected finite scores"):
            fit_and_predict(Broken(), make_parts(SYNTHETIC.load(), 0), seed=0)

    @pytest.mark.parametrize(
        ("name", "output", "message"),
        [
            (
                "predict",
                np.zeros(299),
                r"of shape \(300,\), found \(299,\)",
            ),
            ("predict", np.zeros((300, 2)), r"predictions of shape .* \(300, 2\)"),
            ("predict_proba", np.zeros((300, 3)), r"`predict_proba` of .* \(300, 3\)"),
            ("predict_proba", np.float64(0), r"`predict_proba` of shape .* found \(\)"),
        ],
    )
    def test_outputs_of_another_shape_are_an_error(self, name, output, message):
        class Broken(LogisticRegression):
            pass

        setattr(Broken, name, lambda self, X: output)
        with pytest.raises(ValueError, match=message):
            fit_and_predict(Broken(), make_parts(SYNTHETIC.load(), 0), seed=0)

    def test_predictions_that_are_no_labels_are_an_error(self):
        class Broken(LogisticRegression):
            def predict(self, X):
                return ["yes"] * len(X)

        with pytest.raises(
            ValueError, match=r"predictions of 0 and 1, found \['yes'\]"
        ):
            fit_and_predict(Broken(), make_parts(SYNTHETIC.load(), 0), seed=0)


class TestMethods:
    def test_the_ten_rows_of_the_paper_come_first(self):
        names = [method.name for method in BUILT_IN[:10]]
        assert names == [
            "single-task",
            *(f"regularised-{loss}" for loss in ("bgl", "dpl", "fprl", "tprl")),
            *("adversarial", "group-specific"),
            *(f"auxiliary-{loss}" for loss in ("bgl", "gld", "glf")),
        ]

    def setting(self, **changes):
        values = {
            "preset": "paper",
            "dataset": "adult",
            "attributes": ("race",),
            "kind": "table",
            "seed": 4,
        }
        return Setting(**values | changes)

    def test_recipe_of_the_paper(self):
        model = find_methods()["auxiliary-glf"].make(self.setting())
        expected = {
            "fairness_loss": "glf", "fairness_head": "literal", "parity": "overall",
            "group_momentum": 0.0, "lam": 0.5, "optimizer": "sgd", "lr": 5e-4,
            "dropout": 0.4, "weight_decay": 5e-4, "batch_size": 512, "max_epochs": 50,
            "lr_schedule": "constant", "early_stopping": True, "n_iter_no_change": None,
            "epoch_scoring": "roc_auc", "random_state": 4,
        }  # fmt: skip
        assert model.get_params().items() >= expected.items()

    def test_ours_keeps_its_recipe_under_both_presets(self):
        models = [
            find_methods()["fairtask"].make(self.setting(preset=preset))
            for preset in ("paper", "tuned")
        ]
        assert repr(models[0]) == repr(models[1])
        defaults = type(models[0])(random_state=4, device="cpu")
        assert repr(models[0]) == repr(defaults)

    def test_lam_and_parameters_come_before_the_recipe(self):
        parameters = {"max_epochs": 2, "fairness_loss": "glf"}
        setting = self.setting(lam=0.7, parameters=parameters)
        model = find_methods()["regularised-bgl"].make(setting)
        assert (model.lam, model.max_epochs) == (0.7, 2)
        assert model.fairness_loss == "bgl"  # what the row is about stays

    def test_what_has_a_lam_follows_it(self):
        for method in BUILT_IN:
            if method.has_lam:
                assert method.make(self.setting(lam=0.7)).lam == 0.7

    @pytest.mark.parametrize("kind", ["table", "image"])
    @pytest.mark.parametrize("preset", ["paper", "tuned"])
    def test_networks_accept_every_recipe(self, preset, kind):
        for method in BUILT_IN:
            if kind in method.kinds and method.family[:5] != "Peers":
                # Frozen backbones come with weights that are downloaded.
                setting = self.setting(
                    preset=preset,
                    kind=kind,
                    parameters={"freeze": 0} if kind == "image" else {},
                )
                method.make(setting)._validate_params()

    def test_rates_without_a_source_are_told_apart(self):
        assert recipe("paper", "mine", ("z",), "table", quick=False)["lr"] == 1e-2
        assert recipe("paper", "adult", ("race", "sex"), "table", quick=False)[
            "dropout"
        ] == pytest.approx(0.2)
        assert recipe("paper", "bank", ("age",), "table", quick=True)["max_epochs"] == 3

    def test_a_file_adds_methods(self, methods_file):
        methods = find_methods([methods_file])
        assert len(methods) == len(BUILT_IN) + 2
        assert methods["broken"].note == "It never works."

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("def (", "m.py: SyntaxError: "),
            ("x = 1", "expected a list of fairtask.experiments.Method"),
            ("METHODS = ['logistic']", "expected a list of fairtask.experiments.Meth"),
            (
                "from fairtask.experiments import Method\n"
                "METHODS = [Method('boosting', lambda setting: None)]",
                "there is a method 'boosting' already",
            ),
        ],
    )
    def test_files_that_add_none(self, tmp_path, content, message):
        (tmp_path / "m.py").write_text(content)
        with pytest.raises(ValueError, match=message):
            find_methods([tmp_path / "m.py"])

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(ValueError, match="`methods_file` must be a file"):
            find_methods([tmp_path / "m.py"])

    def test_an_entry_point_adds_methods(self, monkeypatch):
        method = Method("theirs", lambda setting: LogisticRegression())

        class EntryPoint:
            value = "their.module:method"

            def load(self):
                return method

        monkeypatch.setattr(
            "importlib.metadata.entry_points", lambda group: [EntryPoint()]
        )
        assert find_methods()["theirs"] is method


class TestPeers:
    def data(self, n=300):
        rng = np.random.default_rng(0)
        groups = pd.DataFrame(
            {
                "a": rng.choice(["u", "v"], n),
                "b": rng.choice(["s", "t"], n, p=[0.97, 0.03]),
            }
        ).astype(object)
        X = rng.normal(size=(n, 4))
        y = (X[:, 0] + rng.normal(size=n) > 0).astype(int)
        return X, y, groups

    @pytest.mark.filterwarnings("ignore")
    def test_small_and_unseen_groups_get_thresholds(self):
        X, y, groups = self.data()
        model = ThresholdsPerGroup(LogisticRegression())
        model.fit(X, y, sensitive_features=groups)
        assert set(model.pooled_.values()) <= {"u / s", "v / s"}
        groups.iloc[0] = [None, "never"]
        kwargs = {"sensitive_features": groups, "random_state": 0}
        assert set(model.predict(X, **kwargs)) == {0, 1}
        scores = model.decision_function(X, sensitive_features=groups)
        assert roc_auc_score(y, scores) > 0.6

    @pytest.mark.filterwarnings("ignore")
    def test_the_adversary_is_seeded_and_leaves_the_global_state(self):
        X, y, groups = self.data()
        state = torch.get_rng_state()
        scores = [
            SeededAdversarial(epochs=2, random_state=seed)
            .fit(X, y, sensitive_features=groups, X_val=X, y_val=y)
            .decision_function(X)
            for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(scores[0], scores[1])
        assert np.abs(scores[0] - scores[2]).max() > 1e-3
        assert torch.equal(state, torch.get_rng_state())

    @pytest.mark.filterwarnings("ignore")
    def test_the_adversary_takes_what_trains(self, monkeypatch):
        X, y, groups = self.data()
        model = SeededAdversarial(learning_rates=(1e-2, 1e-9), batch_sizes=(32,))
        model.epochs = 10
        given = {"sensitive_features": groups, "X_val": X, "y_val": y}
        assert model.fit(X, y, **given).learning_rate_ == 1e-2
        fit_once = SeededAdversarial._fit_once

        def diverging(self, learning_rate, *args):
            if learning_rate == 1e-2:
                raise RuntimeError("not between 0 and 1")
            return fit_once(self, learning_rate, *args)

        monkeypatch.setattr(SeededAdversarial, "_fit_once", diverging)
        with pytest.warns(RuntimeWarning, match=r"\(0.01, 32\): not between 0 and 1"):
            assert model.fit(X, y, **given).learning_rate_ == 1e-9
        model.learning_rates = (1e-2,)
        with pytest.raises(RuntimeError, match=r"\(0.01, 32\): not between 0 and 1"):
            model.fit(X, y, **given)


class TestStore:
    run = Run("logistic", 2, 0.5)

    def test_what_is_saved_is_read(self, tmp_path):
        store = Store(tmp_path)
        experiment = Experiment(SYNTHETIC, "paper", {"max_epochs": 2})
        store.open(experiment)
        assert store.experiment() == experiment
        table = pd.DataFrame({"score": [0.1, 0.2], "group:z": ["a", None]})
        store.save_error(self.run, {"error": "no"})
        assert store.has_failed(self.run)
        store.save(self.run, table, {"seed": 2})
        [(run, details, found)] = store.runs()
        assert run == self.run
        assert details["seed"] == 2
        pd.testing.assert_frame_equal(found, table, check_dtype=False)
        assert store.has_succeeded(self.run)
        assert not store.has_failed(self.run)

    def test_a_part_of_a_file_is_no_run(self, tmp_path):
        store = Store(tmp_path)
        store.save(self.run, pd.DataFrame({"score": [0.5]}), {})
        path = (tmp_path / self.run.path).with_suffix(".parquet")
        path.rename(path.with_name(f"{path.name}.1.part"))
        assert not store.has_succeeded(self.run)
        assert list(store.runs()) == []

    def test_another_experiment_is_refused(self, tmp_path):
        store = Store(tmp_path)
        store.open(Experiment(SYNTHETIC, "paper", {}))
        store.open(Experiment(SYNTHETIC, "paper", {}))
        with pytest.raises(ValueError, match=r"another experiment.*parameters"):
            store.open(Experiment(SYNTHETIC, "paper", {"max_epochs": 2}))


class TestCommandLine:
    def test_a_failure_is_recorded_and_the_others_go_on(self, tmp_path, methods_file):
        code = command(tmp_path, "run", methods_file=methods_file)
        assert code == 1
        store = store_of(tmp_path)
        assert {run.method for run, _, _ in store.runs()} == {"logistic", "single-task"}
        errors = store.errors()
        assert [(run.method, run.repeat) for run, _ in errors] == [
            ("broken", 0), ("broken", 1),
        ]  # fmt: skip
        assert errors[0][1]["error"] == "RuntimeError: no luck"
        assert "in fit" in errors[0][1]["traceback"]
        assert {"seed", "versions", "settings", "experiment"} <= set(errors[0][1])

    def test_nothing_is_repeated(self, tmp_path, methods_file, capsys):
        arguments = {"methods_file": methods_file}
        command(tmp_path, "run", methods="logistic", **arguments)
        assert (tmp_path / "fits").read_text() == "xx"
        assert command(tmp_path, "run", "--repeats", "3", **arguments) == 1
        assert (tmp_path / "fits").read_text() == "xxx"
        # It says so as long as one is missing, but does not repeat it.
        assert command(tmp_path, "run", "--repeats", "3", **arguments) == 1
        assert (tmp_path / "fits").read_text() == "xxx"
        assert command(tmp_path, "run", "--retry-failed", **arguments) == 1

    def test_a_method_that_has_changed_is_not_mixed(
        self, tmp_path, methods_file, capsys
    ):
        arguments = {"methods": "logistic", "methods_file": methods_file}
        assert command(tmp_path, "run", **arguments) == 0
        text = methods_file.read_text()
        methods_file.write_text(text.replace("or 1.0", "or 2.0"))
        os.utime(methods_file)
        assert command(tmp_path, "run", **arguments) == 2
        error = capsys.readouterr().err
        assert "{'C': '1.0, now 2.0'}" in error
        assert str(Path("runs", "logistic")) in error

    def test_a_method_of_any_class_that_has_changed_is_not_mixed(
        self, tmp_path, capsys
    ):
        path = tmp_path / "plain.py"
        text = (
            "from fairtask.experiments import Method\n"
            "class Plain:\n"
            "    def __init__(self, c): self.c = c\n"
            "    def fit(self, X, y): pass\n"
            "    def predict(self, X): return [self.c] * len(X)\n"
            "METHODS = [Method('plain', lambda setting: Plain(1))]"
        )
        arguments = {"methods": "plain", "methods_file": path}
        path.write_text(text)
        assert command(tmp_path, "run", **arguments) == 0
        path.write_text(text.replace("Plain(1)", "Plain(0)"))
        assert command(tmp_path, "run", **arguments) == 2
        assert "{'c': '1, now 0'}" in capsys.readouterr().err

    def test_a_method_that_works_in_place_harms_no_other(self, tmp_path):
        path = tmp_path / "inplace.py"
        path.write_text(
            "from sklearn.linear_model import LogisticRegression\n"
            "from fairtask.experiments import Method\n"
            "class InPlace(LogisticRegression):\n"
            "    def fit(self, X, y):\n"
            "        X *= 0\n"
            "        return super().fit(X, y)\n"
            "METHODS = [Method('inplace', lambda setting: InPlace()),\n"
            "           Method('plain', lambda setting: LogisticRegression())]"
        )
        scores = []
        for methods in ("plain", "inplace,plain"):
            command(tmp_path / methods, "run", methods=methods, methods_file=path)
            scores += [
                table["score"]
                for run, _, table in store_of(tmp_path / methods).runs()
                if run == Run("plain", 0)
            ]
        pd.testing.assert_series_equal(*scores)

    def test_a_csv_that_has_changed_is_not_mixed(self, tmp_path, capsys):
        table = pd.DataFrame(
            {"x": range(150), "z": ["a", "b"] * 75, "y": [0, 1, 1] * 50}
        )
        arguments = [
            *("run", "--dataset", str(tmp_path / "t.csv"), "--target", "y"),
            *("--sensitive", "z", "--methods", "boosting", "--quick", "--quiet"),
            *("--repeats", "1", "--jobs", "1", "--output", str(tmp_path / "results")),
        ]
        table.to_csv(tmp_path / "t.csv", index=False)
        assert main(arguments) == 0
        assert main(arguments) == 0
        table.assign(y=1 - table["y"]).to_csv(tmp_path / "t.csv", index=False)
        assert main(arguments) == 2
        assert "digest" in capsys.readouterr().err
        # In another folder, and in the same process, it is read anew.
        assert main([*arguments[:-1], str(tmp_path / "others")]) == 0
        labels = [
            table["y_true"].sum()
            for folder in ("results", "others")
            for run, _, table in Store(tmp_path / folder / "t.csv_z_paper_quick").runs()
            if run.method == "boosting"
        ]
        assert labels == [40, 20]

    def test_a_method_that_exits_is_a_failure(self, tmp_path):
        path = tmp_path / "exits.py"
        path.write_text(
            "import sys\nfrom fairtask.experiments import Method\n"
            "METHODS = [Method('exits', lambda setting: sys.exit(3))]"
        )
        # The estimator is made in the run, not before.
        assert command(tmp_path, "run", methods="exits", methods_file=path) == 1
        assert store_of(tmp_path).errors()[0][1]["error"] == "SystemExit: 3"

    def test_details_of_a_run(self, tmp_path, methods_file):
        command(tmp_path, "run", methods_file=methods_file)
        details = next(
            d for run, d, _ in store_of(tmp_path).runs() if run.method == "single-task"
        )
        assert details["settings"]["lam"] == "1.0"
        assert details["settings"]["class"] == (
            "fairtask.tabular.AuxiliaryFairnessClassifier"
        )
        assert details["seed"] == 0
        assert details["fit_seconds"] > 0
        assert details["versions"]["torch"] == version("torch")
        assert details["experiment"]["source"]["dataset"] == "synthetic"

    @pytest.mark.slow
    @needs_signals
    def test_a_process_that_dies_is_a_failure(self, tmp_path, capsys):
        path = tmp_path / "dies.py"
        path.write_text(
            "import os, signal\nfrom fairtask.experiments import Method\n"
            "METHODS = [Method('dies', lambda s: os.kill(os.getpid(), signal.SIGKILL))]"
        )
        arguments = ("run", "--repeats", "1", "--jobs", "2", "--methods-file", path)
        assert command(tmp_path, *map(str, arguments), methods="dies,boosting") == 1
        store = store_of(tmp_path)
        assert [run for run, _, _ in store.runs()] == [
            Run("boosting", 0), Run("single-task", 0),
        ]  # fmt: skip
        [(run, details)] = store.errors()
        assert run == Run("dies", 0)
        assert "its process died: exit codes" in details["error"]
        assert "SIGKILL" in details["error"]
        assert details["seed"] == 0

    @pytest.mark.slow
    @needs_signals
    def test_ctrl_c_is_told_in_a_line(self, tmp_path):
        path = tmp_path / "sleeps.py"
        path.write_text(
            "import pathlib, time\nfrom fairtask.experiments import Method\n"
            "def sleep(setting):\n"
            f"    pathlib.Path({str(tmp_path)!r}, f'{{setting.seed}}.begun').touch()\n"
            "    time.sleep(60)\n"
            "METHODS = [Method('sleeps', sleep)]"
        )
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fairtask.experiments", "run", "--quick"),
                *("--dataset", "synthetic", "--methods", "sleeps", "--jobs", "2"),
                *("--methods-file", str(path), "--output", str(tmp_path / "results")),
                "--quiet",
            ],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while len(list(tmp_path.glob("*.begun"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(list(tmp_path.glob("*.begun"))) == 2
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        try:
            _, error = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 130
        assert error == "interrupted; the same command goes on from here\n"

    def test_a_parameter_that_makes_a_method_what_it_is_is_refused(
        self, tmp_path, capsys
    ):
        assert command(tmp_path, "run", "--set", "parity=overall") == 2
        assert "got parity. For those that make a method" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()  # the folder is not bound by it

    def test_a_value_that_is_wrong_is_refused(self, tmp_path, capsys):
        assert command(tmp_path, "run", "--set", "lr=-1", methods="single-task") == 2
        assert "The 'lr' parameter" in capsys.readouterr().err
        assert not (tmp_path / "results").exists()

    def test_a_damaged_run_is_made_again(self, tmp_path):
        command(tmp_path, "run", methods="boosting")
        store = store_of(tmp_path)
        path = (store.folder / Run("boosting", 1).path).with_suffix(".parquet")
        whole = path.read_bytes()
        path.write_bytes(whole[:-50])
        assert store.unread(run for run, _, _ in store.runs()) == [path]
        assert command(tmp_path, "run", methods="boosting") == 0
        assert store.unread(run for run, _, _ in store.runs()) == []

    def test_columns_with_commas_are_quoted(self):
        assert _names('race , "a, b" ,sex') == ["race", "a, b", "sex"]
        assert _names('" lead"') == [" lead"]
        assert _names("") == []

    def test_quick_keeps_the_shares_of_the_labels(self, tmp_path):
        y = np.repeat([0, 1], [3900, 100])
        table = pd.DataFrame({"x": range(4000), "z": ["a", "b"] * 2000, "y": y})
        table.to_csv(tmp_path / "t.csv", index=False)
        source = DataSource.of(str(tmp_path / "t.csv"), ["z"], target="y", quick=True)
        check_size(source)
        assert np.bincount(source.load().y).tolist() == [1462, 38]

    def test_too_few_samples_of_a_label_are_refused(self, tmp_path, capsys):
        table = pd.DataFrame(
            {"x": range(60), "z": ["a", "b"] * 30, "y": [0, 1, 1] * 20}
        )
        table.to_csv(tmp_path / "t.csv", index=False)
        code = main(
            [
                *("run", "--dataset", str(tmp_path / "t.csv"), "--target", "y"),
                *("--sensitive", "z", "--output", str(tmp_path / "results")),
            ]
        )
        assert code == 2
        assert "found 20 of 0 and 40 of 1" in capsys.readouterr().err

    def test_ablate_varies_what_has_a_lam(self, tmp_path, methods_file):
        arguments = ("ablate", "--repeats", "1", "--lams", "0.2", "0.8")
        command(
            tmp_path, *arguments, methods="logistic,boosting", methods_file=methods_file
        )
        runs = {(run.method, run.lam) for run, _, _ in store_of(tmp_path).runs()}
        assert runs == {
            ("single-task", None), ("boosting", None),
            ("logistic", 0.2), ("logistic", 0.8),
        }  # fmt: skip
        # With what `run` makes, in the same folder.
        assert (
            command(tmp_path, "run", methods="logistic", methods_file=methods_file) == 0
        )
        assert store_of(tmp_path).pending() == []
        assert len(list(store_of(tmp_path).runs())) == 7

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["run", "--dataset", "german"], "`dataset` must be one of"),
            (["run", "--dataset", "synthetic", "--repeats", "0"], "`repeats` must be"),
            (["run", "--dataset", "synthetic", "--methods", "magic"], "got magic"),
            (["run", "--dataset", "synthetic", "--set", "lr"], "NAME=VALUE; got 'lr'"),
            (["run", "--dataset", "synthetic", "--set", "magic=1"], "got magic"),
            (["run", "--dataset", "synthetic", "--set", "lam=1"], "got lam"),
            (
                ["run", "--dataset", "synthetic", "--set", "lr=1", "lr=2"],
                "each parameter once; got lr=1 lr=2",
            ),
            (["run", "--dataset", "synthetic", "--jobs", "0"], "`jobs` must be at"),
            (["run", "--dataset", "synthetic", "--methods", ","], "must name one"),
            (["run", "--dataset", "synthetic", "--weights", "w"], "is for images"),
            (["ablate", "--dataset", "synthetic", "--lams", "2"], "`lams` must be in"),
            (
                ["ablate", "--dataset", "synthetic", "--methods", "boosting"],
                "`methods` must name one that has a lam",
            ),
            (["report", "nowhere"], "expected experiments in nowhere, found none"),
            (
                ["run", "--dataset", "no.csv", "--target", "y", "--sensitive", "z"],
                "No such file or directory",
            ),
        ],
    )
    def test_what_makes_no_sense_is_told_in_a_line(
        self, arguments, message, capsys, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1

    def test_methods_are_listed(self, capsys, methods_file):
        assert main(["methods", "--methods-file", str(methods_file)]) == 0
        listed = capsys.readouterr().out
        assert all(method.name in listed for method in BUILT_IN)
        assert "broken" in listed

    def test_progress_tells_the_time_left(self):
        assert _time_left(["a", "b", "c"], {"a": [1.0, 3.0], "b": [8.0]}) == 2 + 8 + 4
        assert _clock(3725.4) == "1:02:05"

    def test_parameters_are_passed_to_the_networks(self, tmp_path):
        command(
            tmp_path, "run", "--repeats", "1", "--set", "hidden_layer_sizes=(4,)",
            methods="single-task",
        )  # fmt: skip
        [(_, details, _)] = store_of(tmp_path).runs()
        assert details["settings"]["hidden_layer_sizes"] == "(4,)"


@pytest.mark.slow
class TestWholly:
    @needs_signals
    def test_killed_and_started_again(self, tmp_path):
        arguments = [
            *(sys.executable, "-m", "fairtask.experiments", "run", "--quick"),
            *("--dataset", "synthetic", "--repeats", "1"),
        ]

        def run(folder):
            return [*arguments, "--output", str(tmp_path / folder)]

        def n_done():
            return len(list((tmp_path / "killed").rglob("*.parquet")))

        process = subprocess.Popen(
            run("killed"), start_new_session=True, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 120
        while n_done() < 5 and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
        assert 5 <= len(kept) < len(BUILT_IN)
        for folder in ("killed", "whole"):
            subprocess.run(run(folder), check=True, stderr=subprocess.DEVNULL)
            assert main(["report", str(tmp_path / folder)]) == 0
        store = Store(tmp_path / "killed" / "synthetic_group_paper_quick")
        assert {run.method for run, _, _ in store.runs()} == {
            method.name for method in BUILT_IN
        }
        assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
        reports = [tmp_path / folder / "report" for folder in ("killed", "whole")]
        names = [
            sorted(p.name for p in report.iterdir() if "times" not in p.name)
            for report in reports
        ]
        assert names[0] == names[1]
        assert len(names[0]) == 7
        for name in names[0]:
            assert (reports[0] / name).read_bytes() == (reports[1] / name).read_bytes()

    def test_images(self, tmp_path, monkeypatch):
        rng = np.random.default_rng(0)
        n = 120
        labels = pd.DataFrame(
            {
                "file": [f"images/{i}.jpg" for i in range(n)],
                "split": "train",
                "age": np.tile(["20-29", "40-49"], n // 2),
                "gender": rng.choice(["Female", "Male"], n),
                "race": rng.choice(["White", "Black"], n),
            }
        )
        folder = tmp_path / "data" / "fairface"
        (folder / "images").mkdir(parents=True)
        labels.to_csv(folder / "labels.csv", index=False)
        for name, age in zip(labels["file"], labels["age"], strict=True):
            pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels + 100 * (age == "40-49")).save(folder / name)
        monkeypatch.setenv("FAIRTASK_DATA", str(tmp_path / "data"))
        network = timm.create_model("test_resnet", num_classes=0)
        weights = tmp_path / "weights.safetensors"
        save_file(network.state_dict(), weights)
        code = main(
            [
                *("run", "--dataset", "fairface", "--preset", "tuned", "--quick"),
                *("--repeats", "1", "--quiet", "--jobs", "1"),
                *("--methods", "fairtask,adversarial", "--weights", str(weights)),
                *("--set", "backbone=test_resnet", "image_size=32"),
                *("--output", str(tmp_path / "results")),
            ]
        )
        assert code == 0
        assert main(["report", str(tmp_path / "results")]) == 0
        table = pd.read_csv(
            tmp_path / "results" / "report" / "fairface_race+gender_tuned_quick.csv",
            index_col="method",
        )
        assert list(table.index) == ["single-task", "adversarial", "fairtask"]
        assert "gender GACCD mean" in table
        assert "gender GAUCD mean" not in table

    def test_the_number_of_processes_changes_nothing(self, tmp_path):
        tables = []
        for jobs in ("1", "2"):
            output = tmp_path / jobs
            main(
                [
                    *("run", "--dataset", "synthetic", "--quick", "--quiet"),
                    *("--methods", "fairtask,boosting", "--jobs", jobs),
                    *("--output", str(output)),
                ]
            )
            runs = Store(output / "synthetic_group_paper_quick").runs()
            tables.append({run: table for run, _, table in runs})
        assert tables[0].keys() == tables[1].keys()
        for run, table in tables[0].items():
            pd.testing.assert_frame_equal(table, tables[1][run])


def test_errors_are_json(tmp_path):
    run = Run("m", 0)
    Store(tmp_path).save_error(run, {"error": "é"})
    path = (tmp_path / run.path).with_suffix(".error.json")
    assert json.loads(path.read_text(encoding="utf-8"))["error"] == "é"
