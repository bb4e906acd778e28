"""Training on Parquet files: like the same rows in memory, and part by part."""

import datetime
import os
import pickle
from dataclasses import replace
from decimal import Decimal
from itertools import chain, pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fairtask import AuxiliaryFairnessClassifier, _parquet, _row_file, _stored
from fairtask._class_weights import class_weights, task_weights
from fairtask._data import InMemorySource, batch_sizes
from fairtask._labels import Tasks
from fairtask._processes import Processes, shared_sizes
from fairtask._random import RandomStream
from fairtask._row_file import RowFile
from fairtask._stored import StoredSamples
from fairtask._stored_weights import StoredWeights, add_class_totals
from fairtask._validation import check_sample_weight
from fairtask.baselines import (
    AdversarialClassifier,
    GroupSpecificClassifier,
    RegularizedClassifier,
)
from tests._inputs import NOT_LEARNT, assert_same_bits, weights

N = 400
pytestmark = pytest.mark.filterwarnings(NOT_LEARNT)


def make_table(n=N, seed=0):
    rng = np.random.default_rng(seed)
    z, y = rng.integers(2, size=(2, n))
    age = rng.normal(size=n) + y + 0.5 * z
    return pd.DataFrame(
        {
            "age": np.where(rng.random(n) < 0.1, np.nan, age),
            "sex": pd.Categorical.from_codes(z, ["m", "f"]),
            "job": np.array(["clerk", "actor", None])[rng.integers(3, size=n)],
            "n": rng.integers(5, size=n),
            "race": np.array(["a", "b", "c"])[rng.integers(3, size=n)],
            "y": np.array(["no", "yes"])[y],
            "second": rng.integers(3, size=n),
            "w": rng.integers(1, 4, size=n),
        }
    )


FEATURES = ["age", "job", "n"]
TARGETS = {"y": "y", "sensitive_features": "sex"}


def write(folder, table, name="part.parquet", **settings):
    """Write columns, in small row groups."""
    path = folder / name
    if not isinstance(table, pa.Table):
        table = pa.Table.from_pandas(table, preserve_index=False)
    pq.write_table(table, path, row_group_size=70, **settings)
    return path


def make_classifier(cls=AuxiliaryFairnessClassifier, **parameters):
    settings = {
        "batch_size": 64,
        "max_epochs": 2,
        "hidden_layer_sizes": [8],
        "random_state": 0,
    }
    return cls(**{**settings, **parameters})


def columns(table, names):
    return None if names is None else table[names]


def open_files():
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def small_parts(monkeypatch):
    """Make parts of few rows, and read few rows at once."""
    monkeypatch.setattr(_row_file, "PART_BYTES", 3000)
    monkeypatch.setattr(_parquet, "MAX_ROWS", 50)


class TestLikeInMemory:
    """One part holds all rows: the batches are those of the rows in memory."""

    @pytest.mark.parametrize(
        ("arguments", "parameters"),
        [
            ({"y": "y", "sensitive_features": "sex"}, {}),
            ({"y": "y", "sensitive_features": None}, {"lam": 1}),
            ({"y": "y", "sensitive_features": ["sex", "race"]}, {}),
            (
                {"y": "y", "sensitive_features": ["sex", "race"]},
                {"intersectional": True},
            ),
            ({"y": ["y", "second"], "sensitive_features": "sex"}, {}),
            ({"y": "y", "sensitive_features": "sex"}, {"early_stopping": True}),
            ({"y": "y", "sensitive_features": "sex"}, {"erase": True}),
            ({"y": "y", "sensitive_features": "sex"}, {"class_weight": "balanced"}),
            ({"y": "y", "sensitive_features": "sex", "sample_weight": "w"}, {}),
            (
                {"y": "y", "sensitive_features": "sex", "sample_weight": "w"},
                {"class_weight": {"yes": 2}, "weighted_losses": "task"},
            ),
        ],
    )
    def test_fit(self, tmp_path, monkeypatch, arguments, parameters):
        monkeypatch.setattr(_parquet, "MAX_ROWS", 90)
        table = make_table()
        names = arguments.values()
        used = [n for a in names for n in ([a] if isinstance(a, str) else a or [])]
        path = write(tmp_path, table[[*FEATURES, *used]])
        from_disk = make_classifier(**parameters).fit(path, **arguments)
        in_memory = make_classifier(**parameters).fit(
            table[FEATURES], **{a: columns(table, n) for a, n in arguments.items()}
        )
        assert_same_bits(weights(from_disk), weights(in_memory))
        pd.testing.assert_frame_equal(
            from_disk.history_.drop(columns="dur"),
            in_memory.history_.drop(columns="dur"),
        )
        pd.testing.assert_frame_equal(
            from_disk.group_history_, in_memory.group_history_
        )

    @pytest.mark.parametrize(
        "cls", [RegularizedClassifier, AdversarialClassifier, GroupSpecificClassifier]
    )
    def test_other_methods(self, tmp_path, cls):
        table = make_table()
        path = write(tmp_path, table[[*FEATURES, "y", "sex"]])
        from_disk = make_classifier(cls).fit(path, **TARGETS)
        in_memory = make_classifier(cls).fit(
            table[FEATURES], table["y"], sensitive_features=table["sex"]
        )
        assert_array_equal(
            from_disk.predict_proba(path), in_memory.predict_proba(table[FEATURES])
        )

    def test_weights_after_a_hold_out(self, tmp_path):
        table = make_table()
        path = write(tmp_path, table[[*FEATURES, "y", "sex", "w"]])
        settings = {"early_stopping": True, "class_weight": "balanced"}
        from_disk = make_classifier(**settings).fit(path, **TARGETS, sample_weight="w")
        in_memory = make_classifier(**settings).fit(
            table[FEATURES],
            table["y"],
            sensitive_features=table["sex"],
            sample_weight=table["w"],
        )
        assert_allclose(
            from_disk.predict_proba(path),
            in_memory.predict_proba(table[FEATURES]),
            atol=1e-5,
        )

    def test_validation_data(self, tmp_path, small_parts):
        """A group that training did not have is unknown."""
        table, valid = make_table(), make_table(100, seed=1)
        valid["race"] = valid["race"].replace("c", "d")
        arguments = {"y": "y", "sensitive_features": "race"}
        training = write(tmp_path, table[[*FEATURES, "y", "race"]])
        path = write(tmp_path, valid, "valid.parquet")
        in_memory = {
            "X_val": valid[FEATURES],
            "y_val": valid["y"],
            "sensitive_features_val": valid["race"],
        }
        on_disk = {"X_val": path, "y_val": "y", "sensitive_features_val": "race"}
        fitted = [
            make_classifier(early_stopping=True).fit(training, **arguments, **given)
            for given in (on_disk, in_memory)
        ]
        assert_allclose(
            fitted[0].history_["valid_score"],
            fitted[1].history_["valid_score"],
            rtol=1e-6,
        )
        pd.testing.assert_frame_equal(
            fitted[0].group_history_, fitted[1].group_history_, rtol=1e-5
        )

    def test_partial_fit(self, tmp_path):
        tables = [make_table(seed=seed) for seed in range(2)]
        on_disk, in_memory = make_classifier(), make_classifier()
        announced = {"classes": ["no", "yes"], "groups": {"sex": ["f", "m"]}}
        for i, table in enumerate(tables):
            path = write(tmp_path, table[[*FEATURES, "y", "sex"]], f"{i}.parquet")
            on_disk.partial_fit(path, **TARGETS, **announced)
            in_memory.partial_fit(
                table[FEATURES],
                table["y"],
                sensitive_features=table["sex"].astype(str),
                **announced,
            )
        assert_array_equal(
            on_disk.predict_proba(path), in_memory.predict_proba(table[FEATURES])
        )
        assert on_disk.n_iter_ == 2

    def test_warm_start(self, tmp_path):
        path = write(tmp_path, make_table()[[*FEATURES, "y", "sex"]])
        classifier = make_classifier(warm_start=True).fit(path, **TARGETS)
        before = classifier.predict_proba(path)
        classifier.fit(path, **TARGETS)
        assert classifier.n_iter_ == 4
        assert np.abs(classifier.predict_proba(path) - before).max() > 0


class TestParts:
    def test_rows_are_dealt_at_random(self, monkeypatch):
        """Each part of a sorted table has its share of each value."""
        monkeypatch.setattr(_row_file, "PART_BYTES", 4 * 2 * 250)
        file = RowFile(1001, 2)
        rows = np.column_stack([np.arange(1001), np.arange(1001) // 501])
        for piece in np.array_split(rows, 7):
            file.add(piece)
        parts = [file.read(*part) for part in file.parts]
        assert [len(part) for part in parts] == [201, 200, 200, 200, 200]
        assert_array_equal(np.sort(np.vstack(parts)[:, 0]), np.arange(1001))
        for part in parts:
            assert 0.35 < part[:, 1].mean() < 0.65

    def make_samples(self, n, monkeypatch, part_rows=30):
        """Samples whose input, label and group are the number of the row."""
        monkeypatch.setattr(_row_file, "PART_BYTES", 4 * 3 * part_rows)
        file = RowFile(n, 3)
        file.add(np.arange(n)[:, None].repeat(3, axis=1))
        return StoredSamples(file, file.parts, 1, 1, 1, None, [n])

    def batches(self, samples, size, random=None):
        dataset = samples.dataset([0], _source)
        for X, target in dataset.batches(size, random):
            assert_array_equal(X[:, 0], target["y"][:, 0])
            assert_array_equal(target["y"], target["groups"])
            yield X[:, 0].int().tolist()

    @pytest.mark.parametrize("size", [7, 20, 50, 200])
    def test_an_epoch_has_each_row_once(self, monkeypatch, size):
        samples = self.make_samples(100, monkeypatch)
        assert len(samples.parts) == 4
        random = RandomStream(0)
        first, second = (list(self.batches(samples, size, random)) for _ in range(2))
        assert first != second
        in_order = list(self.batches(samples, size))
        for epoch in (first, second, in_order):
            assert sorted(chain.from_iterable(epoch)) == list(range(100))
            expected = [size] * (100 // size) + ([100 % size] if 100 % size else [])
            assert [len(batch) for batch in epoch] == expected

    def test_a_last_sample_joins_the_batch_before(self, monkeypatch):
        samples = self.make_samples(101, monkeypatch)
        epoch = list(self.batches(samples, 20, RandomStream(0)))
        assert [len(batch) for batch in epoch] == [20, 20, 20, 20, 21]

    def test_hold_out(self, monkeypatch):
        samples = self.make_samples(100, monkeypatch)
        one_class = samples.file
        rows = np.vstack([one_class.read(*part) for part in samples.parts])
        one_class.write(0, np.column_stack([rows[:, 0], rows[:, :2] % 2]))
        kept, held_out = samples.hold_out(0.2, np.random.RandomState(0))
        numbers = [
            np.concatenate([part.decode(rows).X[:, 0] for rows in part._each_part()])
            for part in (kept, held_out)
        ]
        assert [len(part) for part in numbers] == [80, 20]
        assert_array_equal(np.sort(np.concatenate(numbers)), np.arange(100))
        assert_array_equal(numbers[1] % 2, held_out.y[:, 0])
        assert 8 <= held_out.y.sum() <= 12

    @pytest.mark.parametrize("class_weight", [None, "balanced", [{0: 3}, "balanced"]])
    @pytest.mark.parametrize("normalize", [False, True])
    def test_weights_are_those_in_memory(self, monkeypatch, class_weight, normalize):
        """Totals over all parts give the weights of each row."""
        monkeypatch.setattr(_row_file, "PART_BYTES", 500)
        rng = np.random.default_rng(0)
        n, n_classes = 100, (2, 3)
        y = rng.integers(n_classes, size=(n, 2))
        given = rng.integers(4, size=(n, 1))
        tasks = Tasks([np.arange(n_classes[0]), np.arange(n_classes[1])], ["a", "b"])
        totals = [np.zeros(k) for k in n_classes]
        add_class_totals(totals, y, given)
        of_classes = [np.ones(k) for k in n_classes]
        if class_weight is not None:
            of_classes = class_weights(class_weight, totals, tasks)
        file = RowFile(n, 4)
        file.add(np.hstack([np.arange(n)[:, None], y, given]))
        weights = StoredWeights(n, totals, of_classes, normalize, True)
        stored = StoredSamples(file, file.parts, 1, 2, 0, weights, [n])
        assert len(file.parts) == 4
        parts = [stored.decode(rows) for rows in stored._each_part()]
        order = np.concatenate([part.X[:, 0] for part in parts]).astype(int)
        scaled = check_sample_weight(given[:, 0], n)
        expected = task_weights(class_weight, scaled, y, tasks, normalize=normalize)
        assert_allclose(
            np.concatenate([part.task_weight for part in parts]),
            expected[order],
            rtol=1e-6,
        )
        assert_allclose(
            np.concatenate([part.group_weight for part in parts]), scaled[order]
        )

    def test_targets_are_in_the_order_of_the_batches(self, monkeypatch):
        samples = self.make_samples(100, monkeypatch)
        in_order = list(chain.from_iterable(self.batches(samples, 9)))
        dataset = samples.dataset([0], _source)
        assert dataset.target["y"][:, 0].tolist() == in_order
        assert samples.y[:, 0].tolist() == in_order == samples.groups[:, 0].tolist()

    @pytest.mark.parametrize("early_stopping", [False, True])
    def test_fit_of_a_sorted_table(self, tmp_path, small_parts, early_stopping):
        """Many parts learn as much as one."""
        table = make_table(600).sort_values(["y", "sex"])
        path = write(tmp_path, table[[*FEATURES, "y", "sex"]])
        settings = {"batch_size": 32, "max_epochs": 8}
        classifier = make_classifier(**settings, early_stopping=early_stopping)
        classifier.fit(path, **TARGETS)
        in_memory = make_classifier(**settings).fit(
            table[FEATURES], table["y"], sensitive_features=table["sex"]
        )
        score = in_memory.score(table[FEATURES], table["y"])
        assert classifier.score(path, "y") == pytest.approx(score, abs=0.03)

    def test_what_a_sample_lacks(self, tmp_path, monkeypatch, small_parts):
        """Rare classes and groups are found; bins and categories are the sample's."""
        monkeypatch.setattr(_stored, "SAMPLED_ROWS", 40)
        monkeypatch.setattr("fairtask._parquet_samples.SAMPLED_ROWS", 40)
        table = make_table()
        table["race"] = "a"
        table.loc[[7, 390], "race"] = "rare"
        table["second"] = 0
        table.loc[399, "second"] = 1
        table["indicator"] = (np.arange(N) == 399).astype(int)
        path = write(tmp_path, table[[*FEATURES, "second", "race", "indicator"]])
        classifier = make_classifier(lam=1).fit(
            path, "second", sensitive_features="race"
        )
        assert classifier.classes_.tolist() == [0, 1]
        assert classifier.groups_[0].tolist() == ["a", "rare"]
        rows = table[[*FEATURES, "indicator"]].iloc[:5]
        changed = classifier.predict_proba(rows.assign(indicator=1))
        assert not np.allclose(changed, classifier.predict_proba(rows))


def _source(X):
    return InMemorySource(X, torch.device("cpu"))


class TestShares:
    """Several processes read, and compute, a part each."""

    def tables(self, folder):
        """The same rows in one file, in two and in memory, and chosen by a filter."""
        rows = make_table().assign(n=np.arange(N))
        file = ds.dataset(write(folder, rows))
        (folder / "files").mkdir()
        write(folder / "files", rows[:130], "0.parquet")
        write(folder / "files", rows[130:], "1.parquet")
        in_memory = ds.dataset(pa.Table.from_pandas(rows))
        more = pd.concat([rows.assign(y=""), rows])
        filtered = ds.dataset(write(folder, more, "more")).filter(ds.field("y") != "")
        return [file, ds.dataset(folder / "files"), in_memory, filtered]

    @pytest.mark.parametrize("borders", [[0, 400], [0, 70, 71, 71, 205, 400]])
    def test_each_row_is_read_once(self, tmp_path, small_parts, borders):
        for dataset in self.tables(tmp_path):
            read = []
            for rows in pairwise(borders):
                table = _parquet.ParquetTable(dataset, "X", rows)
                pieces = [piece["n"].to_pylist() for piece in table.pieces(["n"], 50)]
                assert sum(map(len, pieces)) == table.n_rows == rows[1] - rows[0]
                read += pieces
            assert list(chain.from_iterable(read)) == list(range(N))

    @pytest.mark.parametrize(("rows", "n_groups"), [((0, 70), 1), ((60, 150), 3)])
    def test_other_row_groups_are_not_read(self, tmp_path, monkeypatch, rows, n_groups):
        read = []

        def keep(batches, start, stop):
            batches = list(batches)
            read.extend(batches)
            return rows_of(batches, start, stop)

        rows_of = _parquet._rows_of
        monkeypatch.setattr(_parquet, "_rows_of", keep)
        dataset = ds.dataset(write(tmp_path, make_table()))
        list(_parquet.ParquetTable(dataset, "X", rows).pieces(["n"], 70))
        assert sum(map(len, read)) == 70 * n_groups

    @given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 60))
    def test_batches_are_shared_in_proportion(self, shares, size):
        sizes = batch_sizes(sum(shares), size, is_trained_on=False)
        numbers = shared_sizes(sizes, shares)
        assert numbers.sum(axis=1).tolist() == sizes
        assert_array_equal(numbers.sum(axis=0), np.array(shares) * bool(sizes))
        if sizes:
            proportional = np.outer(sizes, shares) / sum(shares)
            assert np.abs(numbers - proportional).max() < 2

    @pytest.mark.parametrize("shares", [[50, 51], [10, 80, 0, 11], [101]])
    @pytest.mark.parametrize("size", [1, 20])
    def test_an_epoch_has_each_row_once(self, monkeypatch, shares, size):
        batches = []
        for rank, n in enumerate(shares):
            samples = TestParts().make_samples(n, monkeypatch)
            dataset = replace(samples, shares=shares).dataset([0], _source)
            processes = object.__new__(Processes)  # without a process group
            processes.rank = rank
            own = dataset.batches(size, RandomStream(0)).shared_by(processes)
            batches.append([(processes.n_samples, processes.rows, X) for X, _ in own])
            numbers = torch.cat([X[:, 0] for *_, X in batches[-1]])
            assert_array_equal(np.sort(numbers), np.arange(n))
        for batch in zip(*batches, strict=True):
            rows = [row for n, part, _ in batch for row in range(n)[part]]
            assert rows == list(range(batch[0][0]))
            for _, part, X in batch:
                assert len(X) == part.stop - part.start


class TestPredictions:
    @pytest.fixture
    def fitted(self):
        table = make_table()
        return make_classifier().fit(
            table[FEATURES], table["y"], sensitive_features=table["sex"]
        )

    @pytest.mark.parametrize(
        "method", ["predict", "predict_proba", "decision_function", "transform"]
    )
    def test_as_in_memory(self, tmp_path, fitted, small_parts, method):
        """Other columns do not matter, nor does the order of the columns."""
        table = make_table(seed=1)
        path = write(tmp_path, table[["y", *FEATURES[::-1], "w"]])
        expected = getattr(fitted, method)(table[FEATURES])
        actual = getattr(fitted, method)(path)
        if expected.dtype.kind == "f":
            assert_allclose(actual, expected, rtol=1e-5, atol=1e-6)
        else:
            assert_array_equal(actual, expected)

    def test_score(self, tmp_path, fitted):
        table = make_table(seed=1)
        path = write(tmp_path, table)
        expected = fitted.score(table[FEATURES], table["y"], table["w"])
        assert fitted.score(path, "y", "w") == expected
        assert fitted.score(path, table["y"]) == fitted.score(
            table[FEATURES], table["y"]
        )

    def test_given_groups(self, tmp_path, small_parts):
        table = make_table()
        path = write(tmp_path, table[[*FEATURES, "y", "sex"]])
        classifier = make_classifier(GroupSpecificClassifier).fit(path, **TARGETS)
        expected = classifier.predict_proba(
            table[FEATURES], sensitive_features=table["sex"]
        )
        assert_allclose(
            classifier.predict_proba(path, sensitive_features="sex"), expected, 1e-5
        )
        assert classifier.score(path, "y", sensitive_features="sex") > 0

    def test_a_column_is_missing(self, tmp_path, fitted):
        path = write(tmp_path, make_table()[["age", "n"]])
        with pytest.raises(ValueError, match=r"columns of `fit`; \['job'\]"):
            fitted.predict(path)

    def test_arrays_without_names(self, tmp_path):
        table = make_table()
        X = table[["n", "second"]].to_numpy(float)
        classifier = make_classifier(lam=1).fit(X, table["y"])
        path = write(tmp_path, table[["n", "second"]])
        with pytest.warns(UserWarning, match="feature names"):
            actual = classifier.predict_proba(path)
        assert_array_equal(actual, classifier.predict_proba(X))


class TestInputs:
    @pytest.mark.parametrize("kind", [str, lambda path: path, ds.dataset])
    def test_kinds_of_paths(self, tmp_path, kind):
        path = write(tmp_path, make_table()[[*FEATURES, "y", "sex"]])
        classifier = make_classifier().fit(kind(path), **TARGETS)
        assert classifier.feature_names_in_.tolist() == FEATURES

    @pytest.mark.parametrize("is_list", [False, True])
    def test_several_files(self, tmp_path, is_list):
        """The rows are those of all files: by name in a folder, or as listed."""
        table = make_table()[[*FEATURES, "y", "sex"]]
        parts = [table.iloc[:200], table.iloc[200:]]
        paths = [write(tmp_path, part, f"{i}.parquet") for i, part in enumerate(parts)]
        given = tmp_path
        if is_list:
            given = [paths[1], str(paths[0])]
            table = pd.concat(parts[::-1])
        from_disk = make_classifier().fit(given, **TARGETS)
        in_memory = make_classifier().fit(
            table[FEATURES], table["y"], sensitive_features=table["sex"]
        )
        assert_array_equal(
            from_disk.predict_proba(given), in_memory.predict_proba(table[FEATURES])
        )

    def test_a_folder_in_a_list(self, tmp_path):
        path = write(tmp_path, make_table())
        with pytest.raises(ValueError, match=r"`X` as a list must hold files; .* is a"):
            make_classifier().fit([path, tmp_path], **TARGETS)

    def test_partitions(self, tmp_path):
        """Values in the names of folders are a column."""
        table = pa.Table.from_pandas(make_table()[[*FEATURES, "y", "race"]])
        ds.write_dataset(
            table,
            tmp_path,
            format="parquet",
            partitioning=["race"],
            partitioning_flavor="hive",
        )
        classifier = make_classifier().fit(tmp_path, "y", sensitive_features="race")
        assert classifier.groups_[0].tolist() == ["a", "b", "c"]
        assert classifier.feature_names_in_.tolist() == FEATURES

    def test_a_selection(self, tmp_path):
        """A data set of Arrow selects columns and rows."""
        dataset = ds.dataset(write(tmp_path, make_table()))
        schema = pa.schema([dataset.schema.field(n) for n in ("age", "n", "y", "sex")])
        young = dataset.replace_schema(schema).filter(ds.field("age") < 1)
        classifier = make_classifier().fit(young, **TARGETS)
        assert classifier.feature_names_in_.tolist() == ["age", "n"]
        n_young = (make_table()["age"] < 1).sum()
        assert len(classifier.predict(young)) == n_young < N

    def test_an_index_is_no_feature(self, tmp_path):
        table = make_table()[[*FEATURES, "y", "sex"]].rename_axis("id").iloc[::2]
        table.to_parquet(tmp_path / "part.parquet")
        classifier = make_classifier().fit(tmp_path, **TARGETS)
        assert classifier.feature_names_in_.tolist() == FEATURES

    def test_dictionaries_differ_between_row_groups(self, tmp_path):
        """Codes of categories and of groups belong to the names."""
        table = make_table()[[*FEATURES, "y", "race"]]
        table["job"] = np.repeat(["a", "b", "c", "d"], N // 4)
        pieces = []
        for rows in np.split(np.arange(N), 4):
            piece = pa.Table.from_pandas(table.iloc[rows], preserve_index=False)
            for name in ("job", "race"):
                j = piece.schema.get_field_index(name)
                piece = piece.set_column(j, name, piece[name].dictionary_encode())
            pieces.append(piece)
        with pq.ParquetWriter(tmp_path / "part.parquet", pieces[0].schema) as writer:
            for piece in pieces:
                writer.write_table(piece)
        from_disk = make_classifier().fit(tmp_path, "y", sensitive_features="race")
        categories = table.astype({"job": "category"})
        # In the order in which they occur first, as in Arrow's dictionary.
        race = pd.Categorical(table["race"], table["race"].unique())
        in_memory = make_classifier().fit(
            categories[FEATURES], table["y"], sensitive_features=pd.Series(race)
        )
        in_memory.sensitive_feature_names_ = ["race"]
        assert from_disk.groups_[0].tolist() == in_memory.groups_[0].tolist()
        assert_array_equal(
            from_disk.predict_proba(tmp_path),
            in_memory.predict_proba(categories[FEATURES]),
        )

    def test_codes_of_eight_bits(self, tmp_path):
        """All files together have more categories than fit into 8 bits."""
        table = make_table()[["age", "y", "sex"]]
        for i in range(3):
            names = [f"{i} {j % 90}" for j in range(N)]
            write(tmp_path, table.assign(job=pd.Categorical(names)), f"{i}.parquet")
        names = [f"3 {j % 150}" for j in range(N)]
        write(tmp_path, table.assign(job=pd.Categorical(names)), "3.parquet")
        files = [tmp_path / f"{i}.parquet" for i in range(3)]
        filtered = ds.dataset(files).filter(ds.field("sex") != "x")
        for X, n_files in ((tmp_path, 4), (filtered, 3)):
            classifier = make_classifier(max_epochs=1).fit(X, **TARGETS)
            assert len(classifier._modality.encoder.categories["job"]) == 254
            assert len(classifier.predict(X)) == n_files * N

    @pytest.mark.parametrize(
        "values",
        [
            [Decimal(i) / 4 for i in range(N)],
            [True, None] * (N // 2),
            pa.nulls(N),
            pa.array(np.arange(N), pa.uint64()),
            pa.array([None, *[f"k{i % 3}" for i in range(N - 1)]], pa.large_string()),
        ],
        ids=["decimal", "bool", "null", "uint64", "large_string"],
    )
    def test_types(self, tmp_path, values):
        """A column has the meaning that it has in a table of Arrow."""
        table = pa.Table.from_pandas(make_table()[["age", "y", "sex"]])
        table = table.append_column("x", pa.array(values))
        path = write(tmp_path, table)
        from_disk = make_classifier().fit(path, **TARGETS)
        features = table.select(["age", "x"])
        in_memory = make_classifier().fit(
            features, table["y"], sensitive_features=table.select(["sex"])
        )
        assert_array_equal(
            from_disk.predict_proba(path), in_memory.predict_proba(features)
        )

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([datetime.datetime(2020, 1, 1)] * N, "'x' must not hold dates or times"),
            ([[1]] * N, "'x' holds values of type list"),
            ([{"a": 1}] * N, "'x' holds values of type struct"),
            ([b"a"] * N, "'x' must hold numbers, or categories .* bytes"),
            ([str(i / 7) for i in range(N)], "'x' holds numbers as text"),
        ],
        ids=["timestamp", "list", "struct", "bytes", "text"],
    )
    def test_refused_types(self, tmp_path, values, message):
        table = pa.Table.from_pandas(make_table()[["age", "y", "sex"]])
        path = write(tmp_path, table.append_column("x", pa.array(values)))
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(path, **TARGETS)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"y": "q"}, r"`y` must name columns; \['q'\] are not among"),
            ({"y": None}, "requires y to be passed"),
            ({"y": np.zeros(N)}, "`y` must be the name of a column"),
            ({"y": []}, "`y` must be the name of a column"),
            ({"sensitive_features": ["sex", "q"]}, r"`sensitive_features` must name"),
            ({"sensitive_features": make_table()["sex"]}, "`sensitive_features` must"),
            ({"sensitive_features": "age"}, "'age' must hold few names; it has"),
            ({"sample_weight": ["w", "n"]}, "`sample_weight` must name one column"),
            ({"sample_weight": "job"}, "`sample_weight` must hold numbers"),
            ({"y": "age"}, "must not have missing values"),
            ({"y": "w", "sample_weight": "y"}, "`sample_weight` must hold numbers"),
            ({"X_val": "none.parquet", "y_val": "y"}, "`X_val` is read from Parquet"),
        ],
    )
    def test_refused_arguments(self, tmp_path, arguments, message):
        path = write(tmp_path, make_table())
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(path, **{**TARGETS, **arguments})

    @pytest.mark.parametrize(
        ("column", "values", "message"),
        [
            ("y", [None] + ["no", "yes"] * (N // 2 - 1) + ["no"], "missing values"),
            ("y", ["no"] * N, "at least two classes"),
            ("w", [0] * N, "together leave no sample"),
            ("w", [-1] * N, "`sample_weight` must not be negative"),
            ("w", make_table()["y"] == "no", r"classes \['yes'\] have the weight 0"),
            ("w", [1e39] * N, "`sample_weight` must hold numbers of at most 3.4e"),
            ("age", [np.inf] * N, "`X` column 'age' must hold finite numbers"),
        ],
    )
    def test_refused_values(self, tmp_path, small_parts, column, values, message):
        table = make_table()
        table[column] = values
        path = write(tmp_path, table)
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(path, **TARGETS, sample_weight="w")

    def test_some_rows_of_no_weight(self, tmp_path, small_parts):
        table = make_table().sort_values("w")
        table["w"] = table["w"] - 1
        path = write(tmp_path, table)
        make_classifier().fit(path, **TARGETS, sample_weight="w")

    @pytest.mark.parametrize(
        ("contents", "message"),
        [
            ({}, "a folder with Parquet files; .* has none"),
            ({"a.txt": "text"}, "cannot be"),
            ({"a.parquet": [], "b.parquet": ["age"]}, r"differ in 'age' \(.*None\)"),
        ],
        ids=["empty", "text", "columns"],
    )
    def test_refused_folders(self, tmp_path, contents, message):
        for name, content in contents.items():
            if isinstance(content, str):
                (tmp_path / name).write_text(content)
            else:
                write(tmp_path, make_table().drop(columns=content), name)
        with pytest.raises(ValueError, match=message):
            make_classifier().fit(tmp_path, **TARGETS)

    def test_types_differ_between_files(self, tmp_path):
        """A schema says what is meant."""
        table = make_table()
        write(tmp_path, table, "a.parquet")
        write(tmp_path, table.astype({"n": float}), "b.parquet")
        with pytest.raises(ValueError, match=r"'n' \(int64, double\)"):
            make_classifier().fit(tmp_path, **TARGETS)
        make_classifier().fit(ds.dataset(tmp_path), **TARGETS)
        write(tmp_path, table.assign(n=0.5), "b.parquet")
        with pytest.raises(ValueError, match=r"`X` cannot be read: .*truncated"):
            make_classifier().fit(ds.dataset(tmp_path), **TARGETS)

    def test_no_rows_and_no_features(self, tmp_path):
        path = write(tmp_path, make_table().iloc[:0])
        with pytest.raises(ValueError, match=r"0 sample\(s\)"):
            make_classifier().fit(path, **TARGETS)
        path = write(tmp_path, make_table()[["y", "sex"]])
        with pytest.raises(ValueError, match="must have columns besides"):
            make_classifier().fit(path, **TARGETS)

    def test_too_many_classes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(_parquet, "MAX_DISTINCT", 100)
        path = write(tmp_path, make_table().assign(y=np.arange(N)))
        with pytest.raises(ValueError, match="more than 100 distinct values"):
            make_classifier().fit(path, **TARGETS)

    @pytest.mark.parametrize(
        "make",
        [
            lambda path: ds.dataset(path).scanner(),
            pq.ParquetFile,
            lambda path: torch.utils.data.TensorDataset(torch.zeros(N, 2)),
            lambda path: torch.utils.data.DataLoader([0.0] * N),
        ],
    )
    def test_other_readers(self, tmp_path, make):
        path = write(tmp_path, make_table())
        with pytest.raises(ValueError, match="must be an array, a data frame, or Parq"):
            make_classifier().fit(make(path), **TARGETS)

    def test_names_of_columns_in_memory(self):
        table = make_table()
        with pytest.raises(ValueError, match=r"`y` must be .* Pass the column"):
            make_classifier().fit(table[FEATURES], "y")


class TestFile:
    def test_nothing_is_left(self, tmp_path, monkeypatch):
        folder = tmp_path / "temporary"
        folder.mkdir()
        monkeypatch.setattr("tempfile.tempdir", str(folder))
        path = write(tmp_path, make_table())
        make_classifier(early_stopping=True).fit(path, **TARGETS)
        before = open_files()
        classifier = make_classifier(early_stopping=True).fit(
            path, **TARGETS, X_val=path, y_val="y"
        )
        with pytest.raises(ValueError, match="diverged"):
            make_classifier(optimizer="sgd", lr=1e12).fit(path, **TARGETS)
        assert open_files() == before
        assert not list(folder.iterdir())
        assert_array_equal(
            pickle.loads(pickle.dumps(classifier)).predict(path),
            classifier.predict(path),
        )

    def test_no_room(self, tmp_path, monkeypatch):
        usage = type("Usage", (), {"free": 10})
        monkeypatch.setattr("shutil.disk_usage", lambda folder: usage)
        path = write(tmp_path, make_table())
        with pytest.raises(OSError, match="TMPDIR"):
            make_classifier().fit(path, **TARGETS)

    def test_history_of_batches_is_forgotten(self, tmp_path):
        path = write(tmp_path, make_table())
        classifier = make_classifier().fit(path, **TARGETS)
        assert [epoch["batches"] for epoch in classifier.net_.history] == [[], []]
        assert classifier.net_.history[-1, "train_batch_count"] > 1
