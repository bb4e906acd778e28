"""Experiments: the protocol, the methods, the files of runs, and the command line."""

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
from fairtask.experiments._cases import DataSource, check_data
from fairtask.experiments._command_line import _names, main
from fairtask.experiments._methods import BUILT_IN, find_methods
from fairtask.experiments._peers import SeededAdversarial, ThresholdsPerGroup
from fairtask.experiments._protocol import fit_and_predict, make_parts
from fairtask.experiments._recipes import recipe
from fairtask.experiments._store import Experiment, Run, Store

needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")

SYNTHETIC = DataSource.of("synthetic", quick=True)
FOLDER = "synthetic_group_paper_quick"

IMPORTS = """\
import os, pathlib, signal, sys, time
from sklearn.linear_model import LogisticRegression
from fairtask.experiments import Method
"""
METHODS = """
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
def write_methods(tmp_path):
    """Write a file of methods; return its path."""

    def write(text=None):
        path = tmp_path / "methods.py"
        path.write_text(IMPORTS + (text or METHODS.format(log=str(tmp_path / "fits"))))
        return path

    return write


@pytest.fixture
def command(tmp_path):
    """Carry out a command on the synthetic data; return its code."""

    def carry_out(name, *more, methods, file=None, jobs=1, output="results"):
        return main(
            [
                *(name, "--dataset", "synthetic", "--quick", "--quiet"),
                *("--jobs", str(jobs), "--output", str(tmp_path / output)),
                *("--methods", methods, *more),
                *(("--methods-file", str(file)) if file else ()),
            ]
        )

    return carry_out


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results" / FOLDER)


@pytest.fixture
def parts():
    return make_parts(SYNTHETIC.load(), 0)


def details_of(store):
    return {run: details for run, details, _ in store.runs()}


def source_of(tmp_path, table, *, group="z", target="y", **options):
    """Write a CSV file; return it as a source."""
    path = tmp_path / "mine.csv"
    table.to_csv(path, index=False)
    return DataSource.of(str(path), [group], target=target, **options)


class TestSource:
    table = pd.DataFrame(
        {
            "size": [1.0, np.nan, 3.0, 4.0],
            "colour": ["red", "blue", None, "red"],
            "group": ["a", "b", None, "a"],
            "good": ["yes", "no", "no", "yes"],
        }
    )

    def load(self, tmp_path, table, **options):
        options = {"group": "group", "target": "good"} | options
        return source_of(tmp_path, table, **options).load()

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
            ("fairface", None, {"drop_sensitive": True}, "`drop_sensitive` is for tab"),
        ],
    )
    def test_arguments_are_checked(self, dataset, attributes, options, message):
        with pytest.raises(ValueError, match=message):
            DataSource.of(dataset, attributes, **options)

    def test_csv(self, tmp_path):
        case = self.load(tmp_path, self.table)
        assert case.y.tolist() == [1, 0, 0, 1]
        assert case.classes == ["no", "yes"]
        assert case.groups["group"].tolist() == ["a", "b", None, "a"]
        assert list(case.X) == ["size", "colour", "group"]
        assert case.X["colour"].dtype == "category"

    def test_sensitive_columns_can_be_left_out_of_the_features(self, tmp_path):
        case = self.load(tmp_path, self.table, drop_sensitive=True)
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
            self.load(tmp_path, self.table.assign(**change), **options)

    def test_groups_are_called_as_they_are_written(self, tmp_path):
        names = ["None", "1", None, "1"]
        case = self.load(tmp_path, self.table.assign(group=names))
        assert case.groups["group"].tolist() == names

    @pytest.mark.parametrize(
        ("labels", "positive", "classes", "y"),
        [
            (["yes", "no", "no", "yes"], "no", ["yes", "no"], [0, 1, 1, 0]),
            (["true", "false"] * 2, "true", ["false", "true"], [1, 0, 1, 0]),
            (["01", "02", "01", "02"], "01", ["02", "01"], [1, 0, 1, 0]),
            (["9", "10", "9", "9"], None, ["9", "10"], [0, 1, 0, 0]),
            (["None", "Fraud", "None", "Fraud"], None, ["Fraud", "None"], [1, 0, 1, 0]),
        ],
    )
    def test_labels_are_called_as_they_are_written(
        self, tmp_path, labels, positive, classes, y
    ):
        table = self.table.drop(columns="size").assign(good=labels)
        case = self.load(tmp_path, table, positive=positive)
        assert case.classes == classes
        assert case.y.tolist() == y

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            # pandas would call the second one "good.1".
            ("size,colour,good,good", "found good more than once"),
            ("size,size,group,good", "found size more than once"),
            (",colour,group,good", r"found none in column 1\. .* numbers rows"),
            ("size, ,group,good", "found none in column 2"),
            # pandas would take the first column for an index.
            ("size,group,good", "found rows with more values"),
        ],
    )
    def test_every_column_has_a_name_of_its_own(self, tmp_path, header, message):
        path = tmp_path / "mine.csv"
        _, _, rows = self.table.to_csv(index=False).partition("\n")
        path.write_text(f"{header}\n{rows}")
        with pytest.raises(ValueError, match=message):
            DataSource.of(str(path), ["group"], target="good").load()

    def test_a_comma_at_the_end_of_rows_moves_nothing(self, tmp_path):
        path = tmp_path / "mine.csv"
        expected = self.load(tmp_path, self.table)
        first, *rows = path.read_text().splitlines()
        path.write_text("\n".join([first, *(f"{row}," for row in rows)]))
        found = DataSource.of(str(path), ["group"], target="good").load()
        pd.testing.assert_frame_equal(found.X, expected.X)

    @pytest.mark.parametrize(
        "values",
        [
            ["yes", "no", "no", "yes"],
            ["no", "yes", "yes", "no"],
            [1, 0, 0, 1],
            ["paid", None, None, "paid"],
            ["2019-01-01", None, None, "2020-03-04"],  # known for one label only
        ],
    )
    def test_the_target_under_another_name_is_refused(self, tmp_path, values):
        message = "found `good` under another name in `other`"
        with pytest.raises(ValueError, match=message):
            self.load(tmp_path, self.table.assign(other=values))

    @pytest.mark.parametrize(
        ("name", "values"),
        [("x", [4, 2, 3, 5]), ("x", [0.0, 1.0, 2.0, 3.0]), ("user_id", [8, 2, 3, 5])],
    )
    def test_numbers_of_samples_are_refused(self, tmp_path, name, values):
        message = f"found a number of its own for each sample in `{name}`"
        with pytest.raises(ValueError, match=message):
            self.load(tmp_path, self.table.assign(**{name: values}))

    def test_whole_numbers_that_may_identify_samples_are_noted(self, tmp_path):
        table = pd.concat([self.table] * 50, ignore_index=True)
        table["income"] = np.arange(200) ** 2
        table["paid"] = np.arange(200) // 2  # a grid is no identifier
        (note,) = check_data(source_of(tmp_path, table, group="group", target="good"))
        assert note.startswith("the values of `income` are whole numbers")

    def test_names_of_samples_are_refused(self, tmp_path):
        table = pd.concat([self.table] * 30, ignore_index=True)
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

    def test_quick_keeps_the_shares_of_the_labels(self, tmp_path):
        y = np.repeat([0, 1], [3900, 100])
        table = pd.DataFrame(
            {"x": np.arange(4000) // 2, "z": ["a", "b"] * 2000, "y": y}
        )
        source = source_of(tmp_path, table, quick=True)
        check_data(source)
        assert np.bincount(source.load().y).tolist() == [1462, 38]


class TestProtocol:
    def test_parts_are_a_stratified_partition(self):
        case = DataSource.of("synthetic").load()
        parts = make_parts(case, 0)
        rows = {name: part.groups.index for name, part in parts.items()}
        sizes = {"train": 1200, "validation": 400, "test": 400}
        assert {name: len(r) for name, r in rows.items()} == sizes
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
        parts = make_parts(source_of(tmp_path, table).load(), 0)
        # kind and z: 2 columns each; x, and whether it was missing
        assert parts["train"].X.shape == (60, 6)
        assert parts["train"].X.dtype == np.float32
        np.testing.assert_allclose(parts["train"].X[:, 4].mean(), 0, atol=1e-6)
        np.testing.assert_allclose(parts["train"].X[:, 4].std(), 1, atol=1e-6)
        assert abs(parts["test"].X[:, 4].mean()) > 1e-3

    def test_predictions_of_a_run(self):
        parts = make_parts(SYNTHETIC.load(), 3)
        model = LogisticRegression()
        table, details = fit_and_predict(model, parts, seed=3)
        columns = ["row", "y_true", "y_pred", "score", "group:group", "part"]
        assert list(table) == columns
        test = table[table["part"] == "test"]
        assert test["row"].tolist() == parts["test"].groups.index.tolist()
        assert test["y_true"].tolist() == parts["test"].y.tolist()
        np.testing.assert_array_equal(test["y_pred"], model.predict(parts["test"].X))
        np.testing.assert_array_equal(
            test["score"], model.predict_proba(parts["test"].X)[:, 1]
        )
        assert details["warnings"] == []

    def test_only_arguments_that_a_method_names_are_passed(self, parts):
        seen = {}

        class Watching(LogisticRegression):
            def fit(self, X, y, *, sensitive_features, X_val):
                seen["fit"] = (sensitive_features, X_val)
                return super().fit(X, y)

            def predict(self, X, *, random_state):
                seen["predict"] = random_state
                return super().predict(X)

        fit_and_predict(Watching(), parts, seed=7)
        pd.testing.assert_frame_equal(seen["fit"][0], parts["train"].groups)
        np.testing.assert_array_equal(seen["fit"][1], parts["validation"].X)
        assert seen["predict"] == 7

    @pytest.mark.parametrize("name", ["group-specific", "fairtask"])
    def test_groups_that_the_training_part_lacks_are_unknown_there(self, name, parts):
        for part in ("validation", "test"):
            parts[part].groups.iloc[0] = "c"
        setting = Setting("paper", "synthetic", ("group",), "table", 0, quick=True)
        model = find_methods()[name].make(setting)
        table, _ = fit_and_predict(model, parts, seed=0)
        assert (table["group:group"] == "c").sum() == 2

    def test_groups_are_used_at_predict_by_those_that_say_so(self, parts):
        saw = {}

        class Watching(LogisticRegression):
            def predict(self, X, *, sensitive_features=None):
                saw["groups"] = sensitive_features is not None
                return super().predict(X)

        for asked in (False, True):
            fit_and_predict(Watching(), parts, seed=0, groups_at_predict=asked)
            assert saw["groups"] == asked
        assert [m.name for m in BUILT_IN if m.groups_at_predict] == [
            "threshold-optimizer"
        ]

    @pytest.mark.parametrize(
        ("name", "output", "message"),
        [
            ("predict", np.zeros(299), r"of shape \(300,\), found \(299,\)"),
            ("predict", np.zeros((300, 2)), r"predictions of shape .* \(300, 2\)"),
            ("predict", ["yes"] * 300, r"predictions of 0 and 1, found \['yes'\]"),
            ("predict_proba", np.zeros((300, 3)), r"`predict_proba` of .* \(300, 3\)"),
            ("predict_proba", np.float64(0), r"`predict_proba` of shape .* found \(\)"),
            ("predict_proba", np.full((300, 2), np.nan), "expected finite scores"),
        ],
    )
    def test_outputs_are_checked(self, name, output, message, parts):
        class Broken(LogisticRegression):
            pass

        setattr(Broken, name, lambda self, X: output)
        with pytest.raises(ValueError, match=message):
            fit_and_predict(Broken(), parts, seed=0)


class TestMethods:
    def setting(self, **changes):
        values = {
            "preset": "paper",
            "dataset": "adult",
            "attributes": ("race",),
            "kind": "table",
            "seed": 4,
        }
        return Setting(**values | changes)

    def test_the_ten_rows_of_the_paper_come_first(self):
        assert [method.name for method in BUILT_IN[:10]] == [
            "single-task",
            *(f"regularised-{loss}" for loss in ("bgl", "dpl", "fprl", "tprl")),
            *("adversarial", "group-specific"),
            *(f"auxiliary-{loss}" for loss in ("bgl", "gld", "glf")),
        ]

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

    @pytest.mark.parametrize("preset", ["paper", "tuned", "defaults"])
    def test_fairtask_has_the_defaults_under_each_preset(self, preset):
        model = find_methods()["fairtask"].make(self.setting(preset=preset))
        assert repr(model) == repr(type(model)(random_state=4, device="cpu"))

    def test_lam_and_parameters_come_before_the_recipe(self):
        parameters = {"max_epochs": 2, "fairness_loss": "glf"}
        setting = self.setting(lam=0.7, parameters=parameters)
        model = find_methods()["regularised-bgl"].make(setting)
        assert (model.lam, model.max_epochs) == (0.7, 2)
        assert model.fairness_loss == "bgl"  # it defines the method

    def test_methods_that_have_a_lam_follow_it(self):
        for method in BUILT_IN:
            if method.has_lam:
                assert method.make(self.setting(lam=0.7)).lam == 0.7

    @pytest.mark.parametrize("kind", ["table", "image"])
    @pytest.mark.parametrize("preset", ["paper", "tuned", "defaults"])
    def test_networks_accept_every_recipe(self, preset, kind):
        # Frozen backbones come with weights that are downloaded.
        parameters = {"freeze": 0} if kind == "image" else {}
        setting = self.setting(preset=preset, kind=kind, parameters=parameters)
        for method in BUILT_IN:
            if kind in method.kinds and method.family[:5] != "Peers":
                method.make(setting)._validate_params()

    @pytest.mark.parametrize(
        ("data", "quick", "name", "value"),
        [
            (("mine", ("z",)), False, "lr", 1e-2),
            (("adult", ("race", "sex")), False, "dropout", 0.2),
            (("bank", ("age",)), True, "max_epochs", 3),
        ],
    )
    def test_recipes_of_tables(self, data, quick, name, value):
        assert recipe("paper", *data, "table", quick=quick)[name] == value

    def test_a_file_adds_methods(self, write_methods):
        methods = find_methods([write_methods()])
        assert len(methods) == len(BUILT_IN) + 2
        assert methods["broken"].note == "It never works."

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("def (", "methods.py: SyntaxError: "),
            ("x = 1", "expected a list of fairtask.experiments.Method"),
            ("METHODS = ['logistic']", "expected a list of fairtask.experiments.Meth"),
            (
                "METHODS = [Method('a/b', None)]",
                "must be a valid folder name; got 'a/b'",
            ),
            ("METHODS = [Method('boosting', None)]", "a method 'boosting' already"),
        ],
    )
    def test_files_that_add_none(self, write_methods, content, message):
        with pytest.raises(ValueError, match=message):
            find_methods([write_methods(content)])

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


@pytest.mark.filterwarnings("ignore")
@pytest.mark.slow
class TestPeers:
    @pytest.fixture
    def data(self):
        rng = np.random.default_rng(0)
        groups = pd.DataFrame(
            {
                "a": rng.choice(["u", "v"], 300),
                "b": rng.choice(["s", "t"], 300, p=[0.97, 0.03]),
            }
        ).astype(object)
        X = rng.normal(size=(300, 4))
        y = (X[:, 0] + rng.normal(size=300) > 0).astype(int)
        return X, y, {"sensitive_features": groups}

    def test_small_and_unseen_groups_get_thresholds(self, data):
        X, y, given = data
        model = ThresholdsPerGroup(LogisticRegression()).fit(X, y, **given)
        assert set(model.pooled_.values()) <= {"u / s", "v / s"}
        given["sensitive_features"].iloc[0] = [None, "never"]
        assert set(model.predict(X, **given, random_state=0)) == {0, 1}
        assert roc_auc_score(y, model.decision_function(X, **given)) > 0.6

    def test_the_adversary_is_seeded_and_leaves_the_global_state(self, data):
        X, y, given = data
        state = torch.get_rng_state()
        scores = [
            SeededAdversarial(epochs=2, random_state=seed)
            .fit(X, y, **given, X_val=X, y_val=y)
            .decision_function(X)
            for seed in (0, 0, 1)
        ]
        np.testing.assert_array_equal(scores[0], scores[1])
        assert np.abs(scores[0] - scores[2]).max() > 1e-3
        assert torch.equal(state, torch.get_rng_state())

    def test_the_adversary_takes_settings_that_train(self, data, monkeypatch):
        X, y, given = data
        given |= {"X_val": X, "y_val": y}
        model = SeededAdversarial(
            learning_rates=(1e-2, 1e-9), batch_sizes=(32,), epochs=10
        )
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

    def test_a_saved_run_is_read(self, store):
        experiment = Experiment(SYNTHETIC, "paper", {"max_epochs": 2})
        store.open(experiment)
        assert store.experiment() == experiment
        table = pd.DataFrame({"score": [0.1, 0.2], "group:z": ["a", None]})
        store.save_error(self.run, {"error": "no"})
        assert store.has_failed(self.run)
        assert store.details(self.run) is None
        store.save(self.run, table, {"seed": 2})
        [(run, details, found)] = store.runs()
        assert run == self.run
        assert details["seed"] == 2
        pd.testing.assert_frame_equal(found, table, check_dtype=False)
        assert store.details(self.run) == details
        assert not store.has_failed(self.run)

    def test_a_part_of_a_file_is_no_run(self, store):
        store.save(self.run, pd.DataFrame({"score": [0.5]}), {})
        path = (store.folder / self.run.path).with_suffix(".parquet")
        path.rename(path.with_name(f"{path.name}.1.part"))
        assert store.details(self.run) is None
        assert list(store.runs()) == []

    def test_another_experiment_is_refused(self, store):
        for _ in range(2):
            store.open(Experiment(SYNTHETIC, "paper", {}))
        with pytest.raises(ValueError, match=r"another experiment.*parameters"):
            store.open(Experiment(SYNTHETIC, "paper", {"max_epochs": 2}))

    def test_a_file_in_the_place_of_another_run_is_damaged(self, store):
        other = Run("logistic", 3, 0.5)
        store.save(self.run, pd.DataFrame({"score": [0.5]}), {})
        store.save_error(self.run, {"error": "no"})
        for suffix in (".parquet", ".error.json"):
            paths = [
                (store.folder / run.path).with_suffix(suffix)
                for run in (self.run, other)
            ]
            paths[1].write_bytes(paths[0].read_bytes())
        store.ask([other])
        assert store.details(other) is None
        assert not store.has_failed(other)
        assert store.pending() == [other]
        assert [run for run, _, _ in store.runs()] == [self.run]
        assert [run for run, _ in store.errors()] == [self.run]
        assert len(store.unread([self.run], [self.run])) == 2

    def test_parts_of_killed_processes_are_deleted(self, store):
        experiment = Experiment(SYNTHETIC, "paper", {})
        store.open(experiment)
        old, new = (store.folder / "runs" / f"{i}.parquet.1.part" for i in range(2))
        for part in (old, new):
            part.parent.mkdir(exist_ok=True)
            part.touch()
        os.utime(old, (0, 0))
        store.open(experiment)
        assert not old.exists()
        assert new.exists()  # another command may be writing it

    def test_nothing_is_left_of_a_write_that_fails(self, store, monkeypatch):
        def fail(file):
            raise OSError("No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            store.save_error(self.run, {"error": "no"})
        assert [path for path in store.folder.rglob("*") if path.is_file()] == []

    def test_errors_are_json(self, store):
        store.save_error(self.run, {"error": "é"})
        path = (store.folder / self.run.path).with_suffix(".error.json")
        assert json.loads(path.read_text(encoding="utf-8"))["error"] == "é"


@pytest.mark.slow
class TestCommandLine:
    def test_a_failure_is_recorded_and_the_others_go_on(
        self, command, store, write_methods
    ):
        assert command("run", methods="logistic,broken", file=write_methods()) == 1
        assert {run.method for run in details_of(store)} == {"logistic", "single-task"}
        errors = store.errors()
        assert [run for run, _ in errors] == [Run("broken", 0), Run("broken", 1)]
        assert errors[0][1]["error"] == "RuntimeError: no luck"
        assert "in fit" in errors[0][1]["traceback"]
        assert {"seed", "versions", "settings", "experiment"} <= set(errors[0][1])

    def test_nothing_is_repeated(self, command, tmp_path, write_methods):
        file = write_methods()
        command("run", methods="logistic", file=file)
        assert (tmp_path / "fits").read_text() == "xx"
        both = {"methods": "logistic,broken", "file": file}
        # It says so as long as one is missing, but does not repeat it.
        for _ in range(2):
            assert command("run", "--repeats", "3", **both) == 1
            assert (tmp_path / "fits").read_text() == "xxx"
        assert command("run", "--retry-failed", **both) == 1

    @pytest.mark.parametrize(
        "error",
        [
            "OSError(28, 'No space left on device')",
            "PermissionError('not allowed')",
            "MemoryError()",
            'RuntimeError("DefaultCPUAllocator: can\'t allocate memory")',
        ],
    )
    def test_an_error_of_the_machine_is_none_of_the_method(
        self, command, store, tmp_path, write_methods, capsys, error
    ):
        file = write_methods(
            "class Unlucky(LogisticRegression):\n"
            "    def fit(self, X, y):\n"
            f"        tries = pathlib.Path({str(tmp_path)!r}, 'tries')\n"
            "        with tries.open('a') as file:\n"
            "            file.write('x')\n"
            "        if len(tries.read_text()) < 4:\n"
            f"            raise {error}\n"
            "        return super().fit(X, y)\n"
            "METHODS = [Method('unlucky', lambda setting: Unlucky())]"
        )
        arguments = {"methods": "unlucky", "file": file}
        # Twice in one command, and again in the next one.
        assert command("run", "--repeats", "1", **arguments) == 1
        assert (tmp_path / "tries").read_text() == "xx"
        assert store.errors() == []
        assert store.pending() == [Run("unlucky", 0)]
        assert "not recorded; the same command" in capsys.readouterr().out
        assert command("run", "--repeats", "1", **arguments) == 0
        assert (tmp_path / "tries").read_text() == "xxxx"
        assert store.pending() == []

    def test_a_result_that_cannot_be_written_is_tried_again(
        self, command, store, monkeypatch
    ):
        def fail(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Store, "save", fail)  # not in the process of the next try
        assert command("run", "--repeats", "1", methods="single-task") == 0
        assert store.errors() == store.pending() == []

    def test_the_first_repeat_is_a_seed(self, command, store):
        command("run", "--first-repeat", "300", methods="single-task")
        assert {run.repeat: d["seed"] for run, d in details_of(store).items()} == {
            300: 300,
            301: 301,
        }

    @pytest.mark.parametrize(
        ("text", "old", "new", "message"),
        [
            (None, "or 1.0", "or 2.0", "{'C': '1.0, now 2.0'}"),
            (
                "class Plain:\n"
                "    def __init__(self, c): self.c = c\n"
                "    def fit(self, X, y): pass\n"
                "    def predict(self, X): return [self.c] * len(X)\n"
                "METHODS = [Method('logistic', lambda setting: Plain(1))]",
                "Plain(1)",
                "Plain(0)",
                "{'c': '1, now 0'}",
            ),
            (None, "Counted(C", "no_such_class(C", "cannot be made now: NameError"),
        ],
    )
    def test_a_method_that_has_changed_is_not_mixed(
        self, command, write_methods, capsys, text, old, new, message
    ):
        file = write_methods(text)
        assert command("run", methods="logistic", file=file) == 0
        file.write_text(file.read_text().replace(old, new))
        assert command("run", methods="logistic", file=file) == 2
        error = capsys.readouterr().err
        assert message in error
        assert "NameError" in message or str(Path("runs", "logistic")) in error

    def test_a_method_that_works_in_place_harms_no_other(
        self, command, tmp_path, write_methods
    ):
        file = write_methods(
            "class InPlace(LogisticRegression):\n"
            "    def fit(self, X, y):\n"
            "        X *= 0\n"
            "        return super().fit(X, y)\n"
            "METHODS = [Method('inplace', lambda setting: InPlace()),\n"
            "           Method('plain', lambda setting: LogisticRegression())]"
        )
        scores = []
        for methods in ("plain", "inplace,plain"):
            command("run", methods=methods, file=file, output=methods)
            scores += [
                table["score"]
                for run, _, table in Store(tmp_path / methods / FOLDER).runs()
                if run == Run("plain", 0)
            ]
        pd.testing.assert_series_equal(*scores)

    def test_a_csv_that_has_changed_is_not_mixed(self, tmp_path, capsys):
        table = pd.DataFrame(
            {"x": np.arange(150) // 2, "z": ["a", "b"] * 75, "y": [0, 1, 1] * 50}
        )
        source = source_of(tmp_path, table)
        arguments = [
            *("run", "--dataset", source.dataset, "--target", "y"),
            *("--sensitive", "z", "--methods", "boosting", "--quick", "--quiet"),
            *("--repeats", "1", "--jobs", "1", "--output", str(tmp_path / "results")),
        ]
        assert main(arguments) == 0
        assert main(arguments) == 0
        source_of(tmp_path, table.assign(y=1 - table["y"]))
        assert main(arguments) == 2
        assert "digest" in capsys.readouterr().err
        # In another folder, and in the same process, it is read anew.
        assert main([*arguments[:-1], str(tmp_path / "others")]) == 0
        labels = [
            table["y_true"].sum()
            for folder in ("results", "others")
            for run, _, table in Store(
                tmp_path / folder / "mine.csv_z_paper_quick"
            ).runs()
            if run.method == "boosting"
        ]
        assert labels == [40, 20]

    def test_a_run_computes_in_one_thread(self, command, store, write_methods):
        file = write_methods(
            "import torch\n"
            "class Counting(LogisticRegression):\n"
            "    def fit(self, X, y):\n"
            "        raise RuntimeError(torch.get_num_threads())\n"
            "METHODS = [Method('counting', lambda setting: Counting())]"
        )
        before = torch.get_num_threads()
        torch.set_num_threads(3)
        try:
            command("run", methods="counting", file=file)
            assert store.errors()[0][1]["error"] == "RuntimeError: 1"
            assert torch.get_num_threads() == 3
        finally:
            torch.set_num_threads(before)

    def test_a_method_that_exits_is_a_failure(self, command, store, write_methods):
        # The estimator is made in the run, not before.
        file = write_methods("METHODS = [Method('exits', lambda setting: sys.exit(3))]")
        assert command("run", methods="exits", file=file) == 1
        assert store.errors()[0][1]["error"] == "SystemExit: 3"

    def test_details_of_a_run(self, command, store):
        assert command("run", "--set", "dropout=0.1", methods="single-task") == 0
        details = store.details(Run("single-task", 0))
        assert details["settings"]["class"] == (
            "fairtask.tabular.AuxiliaryFairnessClassifier"
        )
        assert details["settings"]["lam"] == "1.0"
        assert details["settings"]["dropout"] == "0.1"
        assert details["seed"] == 0
        assert details["fit_seconds"] > 0
        assert details["versions"]["torch"] == version("torch")
        assert details["experiment"]["source"]["dataset"] == "synthetic"

    @pytest.mark.slow
    @needs_signals
    def test_a_process_that_dies_is_a_failure(self, command, store, write_methods):
        file = write_methods(
            "METHODS = [Method('dies', lambda s: os.kill(os.getpid(), signal.SIGKILL))]"
        )
        arguments = {"methods": "dies,boosting", "file": file, "jobs": 2}
        assert command("run", "--repeats", "1", **arguments) == 1
        assert list(details_of(store)) == [Run("boosting", 0), Run("single-task", 0)]
        [(run, details)] = store.errors()
        assert run == Run("dies", 0)
        assert "its process died: exit codes" in details["error"]
        assert "SIGKILL" in details["error"]
        assert details["seed"] == 0

    @pytest.mark.slow
    @needs_signals
    def test_workers_of_a_killed_command_end(self, tmp_path, write_methods):
        file = write_methods(
            "def live(setting):\n"
            f"    sign = pathlib.Path({str(tmp_path)!r}, f'{{os.getpid()}}.life')\n"
            "    for _ in range(600):\n"
            "        sign.touch()\n"
            "        time.sleep(0.5)\n"
            "METHODS = [Method('lives', live)]"
        )

        def silence():
            signs = [path.stat().st_mtime for path in tmp_path.glob("*.life")]
            return time.time() - max(signs)

        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fairtask.experiments", "run", "--quick"),
                *("--dataset", "synthetic", "--methods", "lives", "--jobs", "2"),
                *("--methods-file", str(file), "--output", str(tmp_path / "results")),
                "--quiet",
            ],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: len(list(tmp_path.glob("*.life"))) >= 2)
            process.kill()
            process.wait()
            wait_for(lambda: silence() > 10)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    @pytest.mark.slow
    @needs_signals
    def test_ctrl_c_gives_one_line(self, tmp_path, write_methods):
        file = write_methods(
            "def sleep(setting):\n"
            f"    pathlib.Path({str(tmp_path)!r}, f'{{setting.seed}}.begun').touch()\n"
            "    time.sleep(60)\n"
            "METHODS = [Method('sleeps', sleep)]"
        )
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "fairtask.experiments", "run", "--quick"),
                *("--dataset", "synthetic", "--methods", "sleeps", "--jobs", "2"),
                *("--methods-file", str(file), "--output", str(tmp_path / "results")),
                "--quiet",
            ],
            start_new_session=True,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for(lambda: len(list(tmp_path.glob("*.begun"))) >= 2)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it
        try:
            _, error = process.communicate(timeout=30)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        assert process.returncode == 130
        assert error == "interrupted; the same command continues from here\n"

    def test_a_damaged_run_is_made_again(self, command, store):
        command("run", methods="boosting")
        path = (store.folder / Run("boosting", 1).path).with_suffix(".parquet")
        path.write_bytes(path.read_bytes()[:-50])
        assert store.unread(details_of(store)) == [path]
        assert command("run", methods="boosting") == 0
        assert store.unread(details_of(store)) == []

    @pytest.mark.parametrize(
        ("text", "names"),
        [
            ('race , "a, b" ,sex', ["race", "a, b", "sex"]),
            ('" lead"', [" lead"]),
            ("", []),
        ],
    )
    def test_columns_with_commas_are_quoted(self, text, names):
        assert _names(text) == names

    def test_too_few_samples_of_a_label_are_refused(self, tmp_path, capsys):
        table = pd.DataFrame(
            {"x": np.arange(60) // 2, "z": ["a", "b"] * 30, "y": [0, 1, 1] * 20}
        )
        path = source_of(tmp_path, table).dataset
        assert (
            main(["run", "--dataset", path, "--target", "y", "--sensitive", "z"]) == 2
        )
        assert "found 20 of 0 and 40 of 1" in capsys.readouterr().err

    def test_ablate_varies_methods_that_have_a_lam(self, command, store, write_methods):
        file = write_methods()
        options = ("--repeats", "1", "--lams", "0.2", "0.8")
        command("ablate", *options, methods="logistic,boosting", file=file)
        assert {(run.method, run.lam) for run in details_of(store)} == {
            ("single-task", None), ("boosting", None),
            ("logistic", 0.2), ("logistic", 0.8),
        }  # fmt: skip
        # The runs of `run` are in the same folder.
        assert command("run", methods="logistic", file=file) == 0
        assert store.pending() == []
        assert len(details_of(store)) == 7

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ("run --repeats 0", "`repeats` must be"),
            ("run --first-repeat -1", "`first_repeat` must be at least 0"),
            ("run --jobs 0", "`jobs` must be at"),
            ("run --methods magic", "got magic"),
            ("run --methods ,", "must name one"),
            ("run --set lr", "NAME=VALUE; got 'lr'"),
            ("run --set magic=1", "got magic"),
            ("run --set lam=1", "got lam"),
            ("run --set parity=overall", "got parity. To change a parameter that"),
            ("run --set lr=1 lr=2", "each parameter once; got lr=1 lr=2"),
            ("run --set lr=-1 --methods single-task", "The 'lr' parameter"),
            ("run --weights w", "is for images"),
            ("ablate --lams 2", "`lams` must be in"),
            ("ablate --methods boosting", "`methods` must name one that has a lam"),
            ("run --dataset german", "`dataset` must be one of"),
            ("run --dataset no.csv --target y --sensitive z", "No such file or direc"),
            ("report nowhere", "expected experiments in nowhere, found none"),
        ],
    )
    def test_errors_take_one_line(
        self, arguments, message, capsys, tmp_path, monkeypatch
    ):
        monkeypatch.chdir(tmp_path)
        name, *more = arguments.split()
        given = ["--dataset", "synthetic"] if name != "report" else []
        assert main([name, *given, *more]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert message in error
        assert error.count("\n") == 1
        assert not (tmp_path / "results").exists()  # the folder is not bound by it

    @pytest.mark.slow
    def test_defaults_with_another_value(self, command, store):
        file = Path(__file__).parents[1] / "benchmarks" / "quality.py"
        names = ("fairtask", "fairtask-representation_weight-0")
        command("run", methods=",".join(names), file=file)
        runs = {run.method: table for run, _, table in store.runs() if run.repeat == 0}
        with_penalty, without = (runs[name]["score"] for name in names)
        assert 0.5 < with_penalty.corr(without) < 1

    def test_methods_are_listed(self, capsys, write_methods):
        assert main(["methods", "--methods-file", str(write_methods())]) == 0
        listed = capsys.readouterr().out
        assert all(method.name in listed for method in BUILT_IN)
        assert "broken" in listed

    def test_progress_shows_the_time_left(self, tmp_path, capsys):
        main(
            [
                *("run", "--dataset", "synthetic", "--quick", "--jobs", "1"),
                *("--methods", "single-task", "--output", str(tmp_path)),
            ]
        )
        printed = capsys.readouterr()
        assert "2 of 2 runs, about 00:00 left" in printed.err
        # And at the end, where the results are.
        assert f"The runs are in {tmp_path / FOLDER}" in printed.out
        command = printed.out.splitlines()[-1].split()
        assert command[:3] == ["python", "-m", "fairtask.experiments"]
        assert main(command[3:]) == 0


def wait_for(condition):
    deadline = time.monotonic() + 120
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


@pytest.fixture
def faces(tmp_path, monkeypatch):
    """Options of a command on small images, and their weights."""
    rng = np.random.default_rng(0)
    labels = pd.DataFrame(
        {
            "file": [f"images/{i}.jpg" for i in range(150)],
            "split": ["train"] * 100 + ["test"] * 50,
            "age": np.tile(["20-29", "40-49"], 75),
            "gender": rng.choice(["Female", "Male"], 150),
            "race": rng.choice(["White", "Black"], 150),
        }
    )
    folder = tmp_path / "data" / "fairface"
    (folder / "images").mkdir(parents=True)
    labels.to_csv(folder / "labels.csv", index=False)
    for name, age in zip(labels["file"], labels["age"], strict=True):
        pixels = rng.integers(0, 128, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels + 100 * (age == "40-49")).save(folder / name)
    monkeypatch.setenv("FAIRTASK_DATA", str(tmp_path / "data"))
    weights = tmp_path / "weights.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), weights)
    return [
        *("--quick", "--repeats", "1", "--quiet", "--jobs", "1"),
        *("--methods", "fairtask,adversarial", "--output", str(tmp_path / "results")),
        *("--weights", str(weights), "--set", "backbone=test_resnet", "image_size=32"),
    ]


class TestImages:
    def run(self, faces, dataset, preset):
        return main(["run", "--dataset", dataset, "--preset", preset, *faces])

    def report(self, tmp_path, name):
        assert main(["report", str(tmp_path / "results")]) == 0
        path = tmp_path / "results" / "report" / f"{name}_quick.csv"
        return pd.read_csv(path, index_col="method"), path.with_suffix(
            ".txt"
        ).read_text()

    @pytest.mark.slow
    def test_hold_outs(self, faces, tmp_path):
        assert self.run(faces, "fairface", "tuned") == 0
        table, text = self.report(tmp_path, "fairface_race+gender_tuned")
        assert list(table.index) == ["single-task", "adversarial", "fairtask"]
        assert "gender GACCD mean" in table
        assert "gender GAUCD mean" not in table
        assert "Pretrained weights of the backbone: weights.safetensors." in text

    @pytest.mark.slow
    @pytest.mark.parametrize("preset", ["defaults", "tuned"])
    def test_a_test_part_of_the_data(self, faces, tmp_path, preset):
        assert self.run(faces, "fairface-split", preset) == 0
        name = f"fairface-split_race+gender_{preset}"
        _, text = self.report(tmp_path, name)
        assert "The test part of the data, 1 seeds, per cent." in text
        for _, _, table in Store(tmp_path / "results" / f"{name}_quick").runs():
            assert table["row"].tolist() == list(range(100, 150))
            assert set(table["part"]) == {"test"}

    def test_weights_and_parameters_of_the_backbone(self, faces, capsys):
        faces.append("backbone_params={'drop_path_rate': 0.0}")
        assert self.run(faces, "fairface", "tuned") == 2
        expected = "error: `weights` cannot be combined with a `set` of backbone_params"
        assert expected in capsys.readouterr().err


@pytest.mark.slow
class TestWholly:
    @needs_signals
    def test_killed_and_started_again(self, tmp_path):
        def run(folder):
            return [
                *(sys.executable, "-m", "fairtask.experiments", "run", "--quick"),
                *("--dataset", "synthetic", "--repeats", "1"),
                *("--output", str(tmp_path / folder)),
            ]

        process = subprocess.Popen(
            run("killed"), start_new_session=True, stderr=subprocess.DEVNULL
        )
        wait_for(lambda: len(list((tmp_path / "killed").rglob("*.parquet"))) >= 5)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
        assert 5 <= len(kept) < len(BUILT_IN)
        for folder in ("killed", "whole"):
            subprocess.run(run(folder), check=True, stderr=subprocess.DEVNULL)
            assert main(["report", str(tmp_path / folder)]) == 0
        runs = details_of(Store(tmp_path / "killed" / FOLDER))
        assert {run.method for run in runs} == {method.name for method in BUILT_IN}
        assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
        killed, whole = (
            {
                path.name: path.read_bytes()
                for path in (tmp_path / folder / "report").iterdir()
                if "times" not in path.name
            }
            for folder in ("killed", "whole")
        )
        assert len(killed) == 7
        assert killed == whole

    def test_the_number_of_processes_changes_nothing(self, command, tmp_path):
        tables = []
        for jobs in (1, 2):
            command("run", methods="fairtask,boosting", jobs=jobs, output=str(jobs))
            runs = Store(tmp_path / str(jobs) / FOLDER).runs()
            tables.append({run: table for run, _, table in runs})
        assert tables[0].keys() == tables[1].keys()
        for run, table in tables[0].items():
            pd.testing.assert_frame_equal(table, tables[1][run])
