import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairtask._sensitive import encode_sensitive_features


def encode(values, n_samples=None):
    n_samples = len(values) if n_samples is None else n_samples
    return encode_sensitive_features(values, n_samples=n_samples)


@pytest.mark.parametrize(
    ("values", "codes", "groups"),
    [
        (["b", "a", "b"], [1, 0, 1], ["a", "b"]),
        (["b", None, "a"], [1, -1, 0], ["a", "b"]),
        (np.array([2, 0, 2]), [1, 0, 1], [0, 2]),
        (np.array([1.0, np.nan, 0.0]), [1, -1, 0], [0, 1]),
        (np.array([True, False, True]), [1, 0, 1], [False, True]),
        ([True, None, False], [1, -1, 0], [False, True]),
        (pd.Series([1, None, 0], dtype="Int64"), [1, -1, 0], [0, 1]),
        (pd.Series(["x", None, "y"], dtype="string"), [0, -1, 1], ["x", "y"]),
        # The order of the categories counts, and one that does not occur is no group.
        (
            pd.Series(pd.Categorical(["lo", "hi", None], ["lo", "hi", "none"])),
            [0, 1, -1],
            ["lo", "hi"],
        ),
    ],
)
def test_groups_of_any_type(values, codes, groups):
    encoded = encode(values)
    assert encoded.codes[:, 0].tolist() == codes
    assert encoded.groups[0].tolist() == groups


def test_names_come_from_pandas():
    table = pd.DataFrame({"sex": ["f", "m"], "race": ["x", "x"]}, index=[7, 3])
    encoded = encode(table)
    assert encoded.names == ["sex", "race"]
    assert encoded.codes.tolist() == [[0, 0], [1, 0]]
    assert encode(table["sex"]).names == ["sex"]


def test_names_are_made_up_for_arrays():
    assert encode(["a", "b"]).names == ["sensitive_feature"]
    assert encode([["a", 1], ["b", 2]]).names == [
        "sensitive_feature_0",
        "sensitive_feature_1",
    ]


def test_columns_of_mixed_tables_keep_their_types():
    encoded = encode([["a", 1], [None, 2], ["b", None]])
    assert encoded.codes.tolist() == [[0, 0], [-1, 1], [1, -1]]


def test_none_is_no_attribute():
    encoded = encode(None, n_samples=3)
    assert encoded.codes.shape == (3, 0)
    assert encoded.names == encoded.groups == []


@pytest.mark.parametrize(
    ("values", "n_samples", "message"),
    [
        (
            ["a"],
            2,
            "`sensitive_features` must have one row per sample: expected 2, f.* 1",
        ),
        (
            np.zeros((2, 2, 2)),
            2,
            "`sensitive_features` must have shape .* 3 dimensions",
        ),
        (np.zeros((2, 0)), 2, "`sensitive_features` must have at least one column"),
        ("sex", 1, "`sensitive_features` must have shape .* 0 dimensions"),
        (
            np.linspace(0, 1, 80),
            80,
            "must name groups; it has 80 distinct values in 80 rows",
        ),
        (np.array(["a", np.nan]), 2, "has a group named 'nan', which an array"),
        (np.arange(60).repeat(3), 180, "it has 60 distinct values in 180 rows"),
        (np.arange(51), 51, "it has 51 distinct values in 51 rows"),
        (pd.Series([[1], [2]]), 2, "'sensitive_feature' must hold values that name"),
        (
            pd.DataFrame([[0, 1]], columns=["sex", "sex"]),
            1,
            r"must have distinct names; \['sex'\]",
        ),
    ],
)
def test_bad_sensitive_features(values, n_samples, message):
    with pytest.raises(ValueError, match=message):
        encode(values, n_samples)


def test_groups_that_are_expected():
    encoded = encode_sensitive_features(
        ["b", None], n_samples=2, groups=["a", "b", "c"]
    )
    assert encoded.codes[:, 0].tolist() == [1, -1]
    assert encoded.groups[0].tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "groups", [{"sex": ["f", "m"], "race": [1, 2, 3]}, [["f", "m"], [3, 2, 1]]]
)
def test_expected_groups_of_several_attributes(groups):
    table = pd.DataFrame({"sex": ["m"], "race": [3]})
    encoded = encode_sensitive_features(table, n_samples=1, groups=groups)
    assert encoded.codes.tolist() == [[1, 2]]


def test_later_rows_get_the_codes_of_the_first():
    first = encode(pd.Series(["a", "b", "c"], name="z"))
    later = encode_sensitive_features(
        pd.Series(["c", "a"], name="z"), n_samples=2, known=first
    )
    assert later.codes[:, 0].tolist() == [2, 0]
    without = encode_sensitive_features(None, n_samples=2, known=first)
    assert without.codes.tolist() == [[-1], [-1]]


@pytest.mark.parametrize(
    ("values", "kwargs", "message"),
    [
        (["x"], {}, r"must hold the groups \['a', 'b'\]; found \['x'\] as well"),
        (pd.DataFrame({"sex": ["a"]}), {}, r"must have the columns \['sensitive_"),
        (["x"], {"argument": "sensitive_features_val"}, "`sensitive_features_val` col"),
    ],
)
def test_rows_that_do_not_fit_the_first(values, kwargs, message):
    with pytest.raises(ValueError, match=message):
        encode_sensitive_features(
            values, n_samples=1, known=encode(["a", "b"]), **kwargs
        )


def test_announced_groups_without_rows():
    encoded = encode_sensitive_features(None, n_samples=2, groups={"sex": ["f", "m"]})
    assert encoded.names == ["sex"]
    assert encoded.groups[0].tolist() == ["f", "m"]
    assert encoded.codes.tolist() == [[-1], [-1]]


def test_groups_announced_again_must_be_the_same():
    first = encode(["a", "b"])
    encode_sensitive_features(["a"], n_samples=1, known=first, groups=["b", "a"])
    with pytest.raises(ValueError, match="`groups` must be those of the first call"):
        encode_sensitive_features(["a"], n_samples=1, known=first, groups=["a"])


def test_groups_announced_again_without_rows():
    first = encode(["a", "b"])
    with pytest.raises(ValueError, match="`groups` must be those of the first call"):
        encode_sensitive_features(None, n_samples=1, known=first, groups=["a", "c"])


def test_groups_of_an_intersection_need_its_name():
    with pytest.raises(ValueError, match="of an intersection must be those of one"):
        encode_sensitive_features(
            None, n_samples=1, intersectional=True, groups={"a": [0, 1], "b": [0, 1]}
        )


def test_attributes_that_come_too_late():
    first = encode(None, n_samples=1)
    with pytest.raises(ValueError, match="must be None, as in the first call"):
        encode_sensitive_features(["a"], n_samples=1, known=first)


def test_groups_of_an_intersection_may_be_tuples():
    table = pd.DataFrame({"sex": ["f"], "race": [1]})
    groups = [("f", 1), ("m", 1)]
    encoded = encode_sensitive_features(
        table, n_samples=1, intersectional=True, groups=groups
    )
    assert encoded.groups[0].tolist() == groups


def test_unseen_groups_may_count_as_unknown():
    encoded = encode_sensitive_features(
        ["x", "b"], n_samples=2, known=encode(["a", "b"]), unseen="unknown"
    )
    assert encoded.codes[:, 0].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"race": [1, 2]}, r"`groups` must name the attributes \['sex'\]"),
        ([["f", "m"], [1, 2]], "`groups` must have an entry for each"),
        (3, "`groups` must be a dict of names to groups, or a list"),
    ],
)
def test_bad_groups(groups, message):
    with pytest.raises(ValueError, match=message):
        encode_sensitive_features(
            pd.DataFrame({"sex": ["f", "m"]}), n_samples=2, groups=groups
        )


def test_intersection_has_the_combinations_that_occur():
    table = pd.DataFrame({"sex": ["f", "m", "f", None], "race": [1, 1, 2, 2]})
    encoded = encode_sensitive_features(table, n_samples=4, intersectional=True)
    assert encoded.names == ["sex & race"]
    assert encoded.groups[0].tolist() == [("f", 1), ("f", 2), ("m", 1)]
    assert encoded.codes[:, 0].tolist() == [0, 2, 1, -1]
    assert encoded.decode()["sex & race"].tolist() == [
        ("f", 1),
        ("m", 1),
        ("f", 2),
        None,
    ]


def test_polars_columns_keep_names_and_missing_values():
    table = pl.DataFrame({"sex": ["f", None], "age": [1, 2]})
    encoded = encode(table)
    assert encoded.names == ["sex", "age"]
    assert encoded.codes.tolist() == [[0, 0], [-1, 1]]
    assert encode(table["sex"]).names == ["sex"]
    assert encode(table["sex"]).codes.tolist() == [[0], [-1]]
