import numpy as np
import pandas as pd
import pytest

from fairtask._validation import encode_labels, encode_sensitive_features


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
        (np.array(["a", np.nan]), 2, "has a group named 'nan', which is what an array"),
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


def test_labels():
    codes, classes = encode_labels(["no", "yes", "no"])
    assert codes.tolist() == [0, 1, 0]
    assert classes.tolist() == ["no", "yes"]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([1, 1], r"`y` must have at least two classes; found 1 class: \[1\]"),
        ([0.5, 1.5], "Unknown label type: continuous"),
        ([[0, 1], [1, 0]], "y should be a 1d array"),
    ],
)
def test_bad_labels(y, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y)
