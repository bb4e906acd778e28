import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairtask._sensitive import encode_sensitive_features


def encode(values, n_samples=None, **kwargs):
    n_samples = len(values) if n_samples is None else n_samples
    return encode_sensitive_features(values, n_samples=n_samples, **kwargs)


def lists(groups):
    return [of_attribute.tolist() for of_attribute in groups]


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
    assert lists(encoded.groups) == [groups]


@pytest.mark.parametrize(
    ("values", "names", "codes"),
    [
        (
            pd.DataFrame({"sex": ["f", "m"], "race": ["x", None]}, index=[7, 3]),
            ["sex", "race"],
            [[0, 0], [1, -1]],
        ),
        (pd.Series(["f", None], name="sex"), ["sex"], [[0], [-1]]),
        (
            pl.DataFrame({"sex": ["f", "m"], "race": ["x", None]}),
            ["sex", "race"],
            [[0, 0], [1, -1]],
        ),
        (pl.Series("sex", ["f", None]), ["sex"], [[0], [-1]]),
        (["a", "b"], ["sensitive_feature"], [[0], [1]]),
        # Columns of different types keep them.
        (
            [["a", 1], [None, 2], ["b", None]],
            ["sensitive_feature_0", "sensitive_feature_1"],
            [[0, 0], [-1, 1], [1, -1]],
        ),
    ],
)
def test_names_and_codes(values, names, codes):
    encoded = encode(values)
    assert encoded.names == names
    assert encoded.codes.tolist() == codes


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
        ("sex", 1, "`sensitive_features` must be a list.* got 'sex'.* Pass the column"),
        (["sex", "race"], 9, "`sensitive_features` .* found 2. If .* names of columns"),
        ({"sex"}, 1, "`sensitive_features` must be a list.*, of type set"),
        (iter("ab"), 2, "`sensitive_features` must be a list"),
        ([0, np.inf], 2, "column 'sensitive_feature' .* it holds infinity"),
        (
            np.linspace(0, 1, 80),
            80,
            "must hold few names; it has 80 distinct values in 80 rows",
        ),
        (np.array(["a", np.nan]), 2, "has the name 'nan', which an array"),
        (np.arange(60).repeat(3), 180, "it has 60 distinct values in 180 rows"),
        (np.arange(51), 51, "it has 51 distinct values in 51 rows"),
        (pd.Series([[1], [2]]), 2, "must hold names of one type, .* of type list"),
        (
            pd.DataFrame([[0, 1]], columns=["sex", "sex"]),
            1,
            r"must have distinct names; found several of \['sex'\]",
        ),
    ],
)
def test_bad_sensitive_features(values, n_samples, message):
    with pytest.raises(ValueError, match=message):
        encode(values, n_samples)


class TestAnnouncedGroups:
    @pytest.mark.parametrize(
        ("values", "groups", "codes"),
        [
            (["b", None], ["a", "b", "c"], [[1], [-1]]),
            ({"sex": ["m"], "race": [3]}, [["f", "m"], [3, 2, 1]], [[1, 2]]),
            (
                {"sex": ["m"], "race": [3]},
                {"sex": ["f", "m"], "race": [1, 2, 3]},
                [[1, 2]],
            ),
        ],
    )
    def test_give_the_codes(self, values, groups, codes):
        if isinstance(values, dict):
            values = pd.DataFrame(values)
        assert encode(values, groups=groups).codes.tolist() == codes

    def test_without_rows(self):
        encoded = encode(None, n_samples=2, groups={"sex": ["f", "m"]})
        assert encoded.names == ["sex"]
        assert lists(encoded.groups) == [["f", "m"]]
        assert encoded.codes.tolist() == [[-1], [-1]]

    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            ({"race": [1, 2]}, r"`groups` must name the attributes \['sex'\]"),
            ([["f", "m"], [1, 2]], "`groups` must have an entry for each"),
            (3, "`groups` must be a dict of names to groups, or a list"),
        ],
    )
    def test_of_other_attributes(self, groups, message):
        with pytest.raises(ValueError, match=message):
            encode(pd.DataFrame({"sex": ["f", "m"]}), groups=groups)


class TestLaterRows:
    known = encode(["a", "b"]).attributes

    def test_get_the_codes_of_the_first(self):
        assert encode(["b", "a"], known=self.known).codes.tolist() == [[1], [0]]
        assert encode(None, 2, known=self.known).codes.tolist() == [[-1], [-1]]
        encode(["a"], known=self.known, groups=["b", "a"])  # the same groups

    def test_unseen_groups_may_count_as_unknown(self):
        encoded = encode(["x", "b"], known=self.known, unseen="unknown")
        assert encoded.codes[:, 0].tolist() == [-1, 1]

    @pytest.mark.parametrize(
        ("values", "kwargs", "message"),
        [
            (["x"], {}, r"must hold the groups \['a', 'b'\]; found \['x'\] as well"),
            (pd.DataFrame({"sex": ["a"]}), {}, r"must have the columns \['sensitive_"),
            (
                ["x"],
                {"argument": "sensitive_features_val"},
                "`sensitive_features_val` col",
            ),
            (["a"], {"groups": ["a"]}, "`groups` must be those of the first call"),
            (None, {"groups": ["a", "c"]}, "`groups` must be those of the first call"),
            (
                ["a"],
                {"known": encode(None, 1).attributes},
                "must be None, as in the first call",
            ),
        ],
    )
    def test_that_do_not_fit_the_first(self, values, kwargs, message):
        with pytest.raises(ValueError, match=message):
            encode(values, 1, **{"known": self.known, **kwargs})


class TestIntersections:
    def test_has_the_combinations_that_occur(self):
        table = pd.DataFrame({"sex": ["f", "m", "f", None], "race": [1, 1, 2, 2]})
        encoded = encode(table, intersectional=True)
        assert encoded.names == ["sex & race"]
        assert lists(encoded.groups) == [[("f", 1), ("f", 2), ("m", 1)]]
        assert encoded.codes[:, 0].tolist() == [0, 2, 1, -1]
        decoded = encoded.decode()["sex & race"].tolist()
        assert decoded == [("f", 1), ("m", 1), ("f", 2), None]

    def test_announced_groups_may_be_tuples(self):
        table = pd.DataFrame({"sex": ["f"], "race": [1]})
        groups = [("f", 1), ("m", 1)]
        encoded = encode(table, intersectional=True, groups=groups)
        assert lists(encoded.groups) == [groups]

    def test_announced_groups_need_its_name(self):
        with pytest.raises(ValueError, match="of an intersection must be those of one"):
            encode(None, 1, intersectional=True, groups={"a": [0, 1], "b": [0, 1]})


class TestUnlikelyAttributes:
    @pytest.mark.parametrize("dtype", [int, float, bool])
    def test_one_hot_encoding(self, dtype):
        one_hot = pd.get_dummies(["a", "b", "c", "a"], dtype=dtype)
        with pytest.warns(UserWarning, match=r"columns \['a', 'b', 'c'\].* one-hot"):
            encode_sensitive_features(one_hot, n_samples=4)

    @pytest.mark.parametrize(
        ("columns", "intersectional"),
        [
            ([[0, 1, 1, 0], [1, 0, 1, 0]], False),
            ([["0", "1", "0"], ["1", "0", "1"]], False),
            ([[0, 1, None], [1, 0, 0]], False),
            ([[1, 2, 1], [2, 1, 2]], False),
            ([[0, 1, 0], [1, 0, 1]], True),
        ],
        ids=["both or none", "names", "unknown", "not 0 and 1", "intersection"],
    )
    def test_no_one_hot_encoding(self, columns, intersectional):
        columns = dict(zip("ab", columns, strict=True))
        n_samples = len(columns["a"])
        encode_sensitive_features(
            columns, n_samples=n_samples, intersectional=intersectional
        )

    @staticmethod
    def combine(n_groups, n_samples):
        rows = np.arange(n_samples)
        columns = {"a": rows % n_groups, "b": rows // n_groups % n_groups}
        return encode_sensitive_features(
            columns, n_samples=n_samples, intersectional=True
        )

    def test_combinations_that_are_rare(self):
        with pytest.warns(UserWarning, match=r"'a & b' has 100 .* and 100 of them"):
            self.combine(10, 900)
        with pytest.raises(ValueError, match=r"'a & b' has 100 .* Combine fewer"):
            self.combine(10, 199)

    def test_combinations_that_are_not(self):
        assert len(self.combine(10, 1000).groups[0]) == 100
        assert len(self.combine(7, 98).groups[0]) == 49


def test_groups_of_attributes_that_have_no_names():
    announced = encode(None, 2, groups=[["a", "b"], [0, 1]])
    assert announced.names == ["sensitive_feature_0", "sensitive_feature_1"]
    assert lists(announced.groups) == [["a", "b"], [0, 1]]
    assert announced.codes.tolist() == [[-1, -1], [-1, -1]]
