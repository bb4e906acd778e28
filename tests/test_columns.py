"""Types of columns, on every way to an estimator or a metric."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from fairtask._columns import (
    as_column,
    count_categories,
    encode_categories,
    exact_names,
    read_number_array,
    read_numbers,
)
from fairtask._frames import as_pandas, as_table
from fairtask._labels import encode_labels
from fairtask._sensitive import encode_sensitive_features
from fairtask._validation import read_weights
from fairtask.metrics import equalized_odds_difference, fairness_report
from tests._inputs import make_classifier, make_samples

NAN = np.nan
BIG = [2**53, 2**53 + 1]

NUMBERS = {
    "list": [1, None, 0],
    "Decimal": [Decimal("1"), None, Decimal("0")],
    "pandas.NA": pd.Series([1, pd.NA, 0], dtype=object),
    "mixed numbers": pd.Series([True, None, 0.0], dtype=object),
    "Int8": pd.Series([1, None, 0], dtype="Int8"),
    "boolean": pd.Series([True, None, False], dtype="boolean"),
    "Boolean objects": pd.Series([True, None, False], dtype=object),
    "Arrow bool": pd.Series([True, None, False], dtype="bool[pyarrow]"),
    "Arrow int": pd.Series([1, None, 0], dtype="int64[pyarrow]"),
    "Arrow decimal": pd.Series(
        [Decimal("1"), None, Decimal("0")], dtype=pd.ArrowDtype(pa.decimal128(5, 1))
    ),
    "sparse": pd.Series(pd.arrays.SparseArray([1, NAN, 0])),
    "polars int": pl.Series([1, None, 0]),
    "polars bool": pl.Series([True, None, False]),
    "polars Decimal": pl.Series([Decimal("1"), None, Decimal("0")]),
    "pyarrow": pa.array([1, None, 0]),
    "pyarrow chunks": pa.chunked_array([[1], [None, 0]]),
    "masked integers": np.ma.array([1, 5, 0], mask=[0, 1, 0]),
    "masked floats": np.ma.array([1.0, 5.0, 0.0], mask=[0, 1, 0]),
}
numbers = pytest.mark.parametrize("values", NUMBERS.values(), ids=NUMBERS.keys())

NO_VALUES = {
    "date": ([datetime.date(2020, 1, 1)] * 2, "dates or times"),
    "datetime64": (np.array(["2020-01-01"] * 2, "datetime64[D]"), "dates or times"),
    "timedelta64": (np.array([1, 2], "timedelta64[D]"), "dates or times"),
    "time zone": (
        pd.Series(pd.to_datetime(["2020-01-01"] * 2, utc=True)),
        "dates or times",
    ),
    "Period": (pd.Series(pd.period_range("2020", periods=2)), "dates or times"),
    "category of dates": (
        pd.Series(pd.to_datetime(["2020-01-01"] * 2)).astype("category"),
        "dates or times",
    ),
    "polars Date": (pl.Series([datetime.date(2020, 1, 1)] * 2), "dates or times"),
    "bytes": ([b"f", b"m"], "holds bytes. Decode them"),
    "array of bytes": (np.array([b"f", b"m"]), "holds bytes. Decode them"),
    "polars Binary": (pl.Series([b"f", b"m"]), "holds bytes. Decode them"),
    "complex": (pd.Series([1j, 2j]), "complex numbers"),
    "array of complex": (np.array([1j, 2j]), "Complex data"),
    "fields": (np.zeros(2, dtype=[("a", int)]), "a structured array"),
    "mixed": (pd.Series(["x", 1], dtype=object), r"found \['int', 'str'\]"),
}
no_values = pytest.mark.parametrize(
    ("values", "message"), NO_VALUES.values(), ids=NO_VALUES.keys()
)

TEXT = {
    "decimals": np.random.default_rng(0).normal(size=30).astype(str),
    "few decimals": np.linspace(0, 1, 11).repeat(20).astype(str),
    "integers": np.arange(200).repeat(2).astype(str),
    "with missing ones": [*np.arange(60.0).astype(str), "nan", "None", ""],
}


@numbers
def test_numbers_of_any_type(values):
    column = as_column(values, "X")
    assert_array_equal(read_numbers(column, "column"), [1, NAN, 0])
    assert_array_equal(read_number_array(values, "y_score"), [1, NAN, 0])


@numbers
def test_groups_of_numbers(values):
    encoded = encode_sensitive_features(values, n_samples=3)
    assert encoded.codes.tolist() == [[1], [-1], [0]]
    assert encoded.groups[0].tolist() == [0, 1]


@numbers
def test_weights_must_be_known(values):
    with pytest.raises(ValueError, match="NaN"):
        read_weights(values, 3)
    column = as_column(values, "sample_weight")
    known = column[column.notna()]
    assert_array_equal(read_weights(known, 2), [1, 0])
    with pytest.raises(ValueError, match="`y` must not have missing values"):
        encode_labels(values, n_samples=3)
    assert encode_labels(known, n_samples=2)[0].tolist() == [[1], [0]]


@no_values
def test_columns_that_hold_neither_numbers_nor_names(values, message):
    with pytest.raises(ValueError, match=message):
        read_numbers(as_column(values, "X"), "`X` column 'a'")
    with pytest.raises(ValueError, match=f"`sensitive_features`.*{message}|{message}"):
        encode_sensitive_features(values, n_samples=2)
    with pytest.raises(ValueError, match=message):
        encode_labels(values, n_samples=2)
    with pytest.raises(ValueError, match=message):
        equalized_odds_difference(values, [0, 1], sensitive_features=["f", "m"])


@pytest.mark.parametrize(
    "values",
    [
        [None, *BIG],
        np.array([None, *BIG], dtype=object),
        pd.Series([None, *BIG], dtype="Int64"),
        pl.Series([None, *BIG]),
        pa.array([None, *BIG]),
        np.ma.array([0, *BIG], mask=[1, 0, 0]),
        [None, *map(Decimal, BIG)],
    ],
)
def test_large_integers_stay_apart(values):
    encoded = encode_sensitive_features(values, n_samples=3)
    assert encoded.codes.tolist() == [[-1], [0], [1]]
    assert encoded.groups[0].tolist() == BIG


@pytest.mark.parametrize(
    "table",
    [
        pl.DataFrame({"a": [None, *BIG], "b": ["x", "y", "z"]}),
        pa.table({"a": [None, *BIG], "b": ["x", "y", "z"]}),
        pa.RecordBatch.from_pydict({"a": [None, *BIG], "b": ["x", "y", "z"]}),
        {"a": [None, *BIG], "b": pl.Series(["x", "y", "z"])},
        [pd.Series([None, *BIG], name="a", dtype=object), pd.Series(["x", "y", "z"])],
    ],
)
def test_tables_of_groups(table):
    encoded = encode_sensitive_features(table, n_samples=3)
    assert encoded.names[0] == "a"
    assert encoded.groups[0].tolist() == BIG
    assert encoded.codes[:, 1].tolist() == [0, 1, 2]
    joined = encode_sensitive_features(table, n_samples=3, intersectional=True)
    assert joined.groups[0].tolist() == [(BIG[0], "y"), (BIG[1], "z")]


def test_numbers_that_floats_cannot_tell_apart():
    with pytest.raises(ValueError, match="less than floats can tell"):
        encode_sensitive_features([0.5, *BIG], n_samples=3)


@pytest.mark.parametrize("name", ["None", "NaN", "NaT", "<NA>", "nan"])
@pytest.mark.parametrize("convert", [np.array, list, pd.Series, pl.Series])
def test_missing_values_that_became_names(name, convert):
    values = convert(["f", name])
    with pytest.raises(ValueError, match=f"has the name '{name}'"):
        encode_sensitive_features(values, n_samples=2)
    with pytest.raises(ValueError, match=f"`y` has the name '{name}'"):
        encode_labels(values, n_samples=2)
    with pytest.raises(ValueError, match=f"`y_true` has the name '{name}'"):
        equalized_odds_difference(values, values, sensitive_features=["f", "m"])


def test_none_may_be_a_name_where_it_is_declared():
    values = ["None", "f"]
    for declared in (
        pd.Series(values, dtype="category"),
        pl.Series(values, dtype=pl.Categorical),
        pl.Series(values, dtype=pl.Enum(["None", "f"])),
    ):
        encode_labels(declared, n_samples=2)
        encoded = encode_sensitive_features(declared, n_samples=2)
        assert sorted(encoded.groups[0]) == ["None", "f"]
    encode_labels(values, n_samples=2, classes=values)
    encode_sensitive_features(
        pd.Series(values, dtype="category"), n_samples=2, groups=values
    )
    with pytest.raises(ValueError, match="has the name 'nan'"):
        encode_sensitive_features(pd.Series(["nan"], dtype="category"), n_samples=1)


@pytest.mark.parametrize("values", TEXT.values(), ids=TEXT.keys())
def test_numbers_as_text(values):
    with pytest.raises(ValueError, match=r"holds numbers as text.*to_numeric"):
        count_categories(pd.Series(values), "`X` column 'a'")
    declared = pd.Series(values, dtype="category")
    categories, _ = count_categories(declared, "`X` column 'a'")
    assert list(categories) == list(dict.fromkeys(values))


@pytest.mark.parametrize(
    "values",
    [
        np.arange(50).repeat(4).astype(str),  # few codes
        ["1", "2", "3"],  # few rows
        [f"{i}a" for i in range(60)],
    ],
)
def test_names_that_look_like_numbers(values):
    column = pd.Series(values)
    assert read_numbers(column, "column") is None
    categories, counts = count_categories(column, "column")
    assert list(categories) == list(dict.fromkeys(values))
    assert counts.sum() == len(values)


@pytest.mark.parametrize(
    ("fitted", "later"),
    [
        (["1", "2"], [1, 2]),
        (["1", "2"], pd.Series([1, 2], dtype="category")),
        ([1, 2], ["1", "2"]),
        ([True, False], ["True", "False"]),
    ],
)
def test_kinds_that_never_match(fitted, later):
    with pytest.raises(ValueError, match="which equal none of them"):
        encode_categories(pd.Series(later), "column", fitted)
    known = encode_sensitive_features(fitted, n_samples=2).attributes
    with pytest.raises(ValueError, match="which equal none of them"):
        encode_sensitive_features(later, n_samples=2, known=known, unseen="unknown")
    _, tasks = encode_labels(fitted, n_samples=2)
    with pytest.raises(ValueError, match="which equal none of them"):
        encode_labels(later, n_samples=2, known=tasks)
    with pytest.raises(ValueError, match="`y_pred`, like `y_true`"):
        equalized_odds_difference(fitted, later, sensitive_features=["f", "m"])
    with pytest.raises(ValueError, match="`labels`, like `y_true`"):
        equalized_odds_difference(
            fitted, fitted, labels=later, sensitive_features=["f", "m"]
        )


def test_parts_of_tuples_that_never_match():
    table = pd.DataFrame({"sex": ["f", "m"], "race": [1, 2]})
    groups = [("f", "1"), ("m", "2")]
    with pytest.raises(ValueError, match="must hold strings, such as '1'"):
        encode_sensitive_features(
            table, n_samples=2, intersectional=True, groups=groups, unseen="unknown"
        )


@pytest.mark.parametrize("later", [[1.0, 0.0], [True, False], [Decimal(1), Decimal(0)]])
def test_equal_numbers_match(later):
    known = encode_sensitive_features([0, 1], n_samples=2).attributes
    encoded = encode_sensitive_features(later, n_samples=2, known=known)
    assert encoded.codes.tolist() == [[1], [0]]
    _, tasks = encode_labels([0, 1], n_samples=2)
    assert encode_labels(later, n_samples=2, known=tasks)[0].tolist() == [[1], [0]]
    assert encode_categories(pd.Series(later), "column", [0, 1]).tolist() == [1, 0]


def test_names_are_exact_whatever_their_type():
    column = pd.Series([2**70, None, 1], dtype=object)
    assert exact_names(column, "column", "names").tolist() == [2**70, 1]


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.array([["2020-01-01"]], "datetime64[D]"), "`X` must not hold dates"),
        ([[np.datetime64("2020-01-01")]], "`X` must not hold dates"),
        ([[datetime.date(2020, 1, 1)]], "`X` must not hold dates"),
        (
            np.array([[1.0, np.timedelta64(1, "D")]], dtype=object),
            "`X` must not hold dates",
        ),
        (
            np.zeros((2, 1), dtype=[("a", int)]),
            r"`X`.*`pandas.DataFrame\(array\)`",
        ),
        (pl.LazyFrame({"a": [1]}), "`X` must hold rows, and a LazyFrame holds none"),
    ],
)
def test_samples_that_are_no_table(X, message):
    with pytest.raises(ValueError, match=message):
        as_table(X, "X")


@pytest.mark.parametrize(
    "X",
    [
        np.ma.array([[1.0, 2.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]]),
        np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]]),
        [np.ma.array([1.0, 2.0], mask=[0, 1]), np.ma.array([3.0, 4.0])],
        np.array([[1, pd.NA], [3, 4]], dtype=object),
        [[1, None], [3, 4]],
    ],
)
def test_missing_numbers_of_arrays(X):
    assert_array_equal(as_table(X, "X").astype(float), [[1, NAN], [3, 4]])


class OfAnotherLibrary:
    """A table that has nothing but a stream of Arrow and names."""

    columns = ("a", "b")

    def __arrow_c_stream__(self, requested_schema=None):
        table = pa.table({"a": [BIG[1], None], "b": ["x", None]})
        return table.__arrow_c_stream__(requested_schema)


def test_table_of_any_library():
    table = as_pandas(OfAnotherLibrary(), "X")
    assert table["a"].tolist() == [BIG[1], pd.NA]
    assert table["b"].isna().tolist() == [False, True]


# Estimators: the same numbers in another container give the same model.

X, y, z = make_samples(n_samples=80, n_features=2)
X = X.round(1)
FLAG = X[:, 1] > 0
FRAME = pd.DataFrame({"number": X[:, 0].astype(float), "flag": FLAG})
EQUAL = {
    "nullable": FRAME.convert_dtypes(),
    "Arrow": FRAME.convert_dtypes(dtype_backend="pyarrow"),
    "objects": FRAME.astype(object),
    "Decimal": FRAME.assign(number=FRAME["number"].map(Decimal)),
    "polars": pl.DataFrame(FRAME.to_dict("list")),
    "pyarrow": pa.Table.from_pandas(FRAME),
    "integers": FRAME.astype({"flag": int}),
    "sparse": FRAME.assign(flag=pd.arrays.SparseArray(FLAG.astype(float))),
}
FITTED = make_classifier(max_epochs=1).fit(FRAME, y, sensitive_features=z)


@pytest.mark.parametrize("table", EQUAL.values(), ids=EQUAL.keys())
def test_equal_tables_give_equal_models(table):
    expected = FITTED.predict_proba(FRAME)
    clf = make_classifier(max_epochs=1).fit(table, y, sensitive_features=z)
    assert_array_equal(clf.predict_proba(table), expected)
    assert_array_equal(clf.predict_proba(FRAME), expected)
    assert_array_equal(FITTED.predict_proba(table), expected)


def test_tables_read_as_text():
    text = pd.DataFrame(X).astype(str)
    with pytest.raises(ValueError, match="`X` column 0 holds numbers as text"):
        make_classifier().fit(text, y, sensitive_features=z)
    with pytest.raises(ValueError, match="`X` column 'number' must hold numbers, as"):
        FITTED.predict(FRAME.astype(str))


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
def test_labels_and_weights_of_estimators(method):
    clf = make_classifier(max_epochs=1).partial_fit(FRAME, y, sensitive_features=z)
    if method == "fit":
        clf.set_params(warm_start=True)
    kwargs = {} if method == "score" else {"sensitive_features": z}
    call = getattr(clf, method)
    for labels in (pl.Series(y), pa.array(y), pd.Series(y, dtype="Int64"), y.tolist()):
        call(FRAME, labels, sample_weight=[Decimal(1)] * 80, **kwargs)
    with pytest.raises(ValueError, match="`y` must hold numbers, such as 0"):
        call(FRAME, y.astype(str), **kwargs)
    with pytest.raises(ValueError, match="`sample_weight` must hold numbers"):
        call(FRAME, y, sample_weight=["1"] * 80, **kwargs)


@pytest.mark.parametrize("convert", [pl.Series, pa.array, pd.Series, np.ma.array, list])
def test_metrics_take_any_container(convert):
    y_pred, weights = (X[:, 0] > 0.5).astype(int), np.arange(80.0)
    expected = fairness_report(
        y,
        y_pred,
        X[:, 0],
        sensitive_features=z,
        sample_weight=weights,
        n_resamples=0,
    )
    report = fairness_report(
        convert(y),
        convert(y_pred),
        convert(X[:, 0]),
        sensitive_features=convert(z),
        sample_weight=convert(weights),
        n_resamples=0,
    )
    assert_array_equal(report, expected)
