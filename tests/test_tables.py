import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from fairtask._categories import TableEncoder
from fairtask._frames import as_pandas


def column(values, dtype=None):
    return pd.DataFrame({"a": pd.Series(values, dtype=dtype)})


def test_numbers_come_first_and_then_a_code_per_category():
    table = pd.DataFrame(
        {"c": ["y", "x", "y"], "n": [1, 2, None], "b": [True, False, True]}
    )
    encoder = TableEncoder.fit(table)
    assert encoder.categories == {"c": ["x", "y"]}
    encoded = encoder.transform(table)
    assert encoded.dtype == np.float32
    assert_array_equal(encoded, [[1, 1, 1], [2, 0, 0], [np.nan, 1, 1]])
    assert encoder.n_categories == [2]


@pytest.mark.parametrize(
    "dtype", ["int64", "Int64", "float32", "bool", "boolean", object]
)
def test_table_of_numbers_needs_no_encoder(dtype):
    assert TableEncoder.fit(column([1, 0], dtype)) is None


@pytest.mark.parametrize("dtype", ["category", "string", object])
def test_missing_value_is_a_category(dtype):
    table = column(["x", None, "y"], dtype)
    encoder = TableEncoder.fit(table)
    assert encoder.categories == {"a": ["x", "y", None]}
    assert_array_equal(encoder.transform(table), [[0], [2], [1]])


@pytest.mark.parametrize("value", ["new", None])
def test_category_that_was_not_seen_is_none_of_them(value):
    encoder = TableEncoder.fit(column(["x", "y"]))
    assert_array_equal(encoder.transform(column(["x", value])), [[0], [-1]])
    without_values = column([np.nan])  # of the type of numbers
    assert_array_equal(encoder.transform(without_values), [[-1]])


@pytest.mark.parametrize(
    ("later", "codes"),
    [
        (pd.Categorical(["y", None, "x"], categories=["z", "y", "x"]), [1, 2, 0]),
        (pd.Categorical(["z", "x"], categories=["z", "y", "x"]), [-1, 0]),
        (pd.Categorical([None], categories=[1, 2]), [2]),  # no number occurs
    ],
)
def test_categories_in_another_order(later, codes):
    encoder = TableEncoder.fit(column(["x", "y", None]))
    assert encoder.transform(column(later)).ravel().tolist() == codes


def test_numeric_categories():
    table = column([30, 4, 30], "category")
    encoder = TableEncoder.fit(table)
    assert encoder.categories == {"a": [4, 30]}
    assert_array_equal(encoder.transform(table), [[1], [0], [1]])


def test_rare_categories_share_a_code():
    names = [f"n{i:03}" for i in range(300)]
    values = names[:254] * 2 + names[254:]
    encoder = TableEncoder.fit(column([*values, "n000"]))
    assert encoder.categories == {"a": names[:254]}
    assert encoder.n_categories == [255]
    later = column(["n000", "n253", "n254", "never seen", None])
    assert_array_equal(encoder.transform(later), [[0], [253], [254], [254], [254]])


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%Y/%m/%d %H:%M"])
def test_dates_as_text_are_noticed(form):
    dates = pd.date_range("2024-01-01", periods=60).strftime(form).to_list()
    with pytest.warns(UserWarning, match="column 'a' holds dates as text: each of 60"):
        TableEncoder.fit(column(dates * 2))
    table = column(dates).assign(n=range(60))
    with pytest.warns(UserWarning, match="'a' is ignored: 60 .* distinct, and are dat"):
        TableEncoder.fit(table)


@pytest.mark.parametrize(
    "names", [[f"1.2.{i}" for i in range(60)], ["2024-01-01", "2025-01-01"] * 30]
)
def test_other_names_are_no_dates(names, recwarn):
    TableEncoder.fit(column(names * 2))
    assert not recwarn


def test_names_of_the_samples_are_ignored():
    table = column([f"id {i}" for i in range(60)]).assign(n=range(60))
    with pytest.warns(UserWarning, match="`X` column 'a' is ignored: 60 of its 60"):
        encoder = TableEncoder.fit(table)
    assert encoder.transform(table.iloc[:2]).tolist() == [[0], [1]]
    with (
        pytest.warns(UserWarning, match="is ignored"),
        pytest.raises(ValueError, match="must have a column of numbers or of cat"),
    ):
        TableEncoder.fit(table[["a"]])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (column(["2020-01-01"], "datetime64[ns]"), "'a' must not hold dates or times"),
        (column([datetime.date(2020, 1, 1)]), "'a' must not hold dates or times"),
        (column([1j]), "'a' must hold .* it holds complex numbers"),
        (column(["x", 1], object), "'a' must hold numbers, or categories of one type"),
    ],
)
def test_columns_that_are_neither(table, message):
    with pytest.raises(ValueError, match=message):
        TableEncoder.fit(table)


@pytest.mark.parametrize(
    ("columns", "later", "message"),
    [
        (
            {"n": [1, 2], "c": ["x", "y"]},
            {"n": ["1", "2"], "c": ["x", "y"]},
            "column 'n' must hold numbers, as in `fit`",
        ),
        (
            {1: [1, 2], 2: ["x", "y"]},
            {"a": [1], "b": ["x"]},
            r"columns of `fit`; \[2\] are missing",
        ),
        (
            {"a": ["x", "y"]},
            {"a": [1, 2]},
            "column 'a' must hold strings, such as 'x'; it holds numbers, such as 1",
        ),
    ],
)
def test_columns_that_change(columns, later, message):
    encoder = TableEncoder.fit(pd.DataFrame(columns))
    with pytest.raises(ValueError, match=message):
        encoder.transform(pd.DataFrame(later))


def test_lazy_frame():
    with pytest.raises(ValueError, match=r"pass `frame.collect\(\)`"):
        as_pandas(pl.LazyFrame({"a": [1]}), "X")


def test_polars():
    table = as_pandas(
        pl.DataFrame(
            {
                "n": [1, 2],
                "s": ["x", None],
                "c": pl.Series(["u", "v"], dtype=pl.Categorical),
            }
        ),
        "X",
    )
    assert TableEncoder.fit(table).categories == {"s": ["x", None], "c": ["u", "v"]}


@pytest.mark.parametrize("data", [[[1]], np.ones(2), pd.Series([1]), column([1])])
def test_other_objects_are_returned_as_they_are(data):
    assert as_pandas(data, "X") is data
