import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairtask._class_weights import task_weights
from fairtask._labels import encode_labels, positive_codes


def encode(y, **kwargs):
    return encode_labels(y, n_samples=len(y), **kwargs)


TWO_TASKS = np.array([[0, 1], [1, 0]])


@pytest.mark.parametrize(
    "y",
    [
        ["no", "yes", "no"],
        np.array(["no", "yes", "no"]),
        pd.Series(["no", "yes", "no"], dtype="string"),
        pd.Series(["no", "yes", "no"], dtype="category"),
        pl.Series(["no", "yes", "no"]),
    ],
)
def test_one_task(y):
    codes, tasks = encode(y)
    assert codes.tolist() == [[0], [1], [0]]
    assert tasks.classes[0].tolist() == ["no", "yes"]
    assert not tasks.is_multioutput
    assert tasks.decode(codes).tolist() == ["no", "yes", "no"]


@pytest.mark.parametrize(
    "y",
    [
        pd.DataFrame({"a": [1, 0, 1], "b": ["x", "y", "z"]}),
        pl.DataFrame({"a": [1, 0, 1], "b": ["x", "y", "z"]}),
        np.array([[1, "x"], [0, "y"], [1, "z"]], dtype=object),
        [[1, "x"], [0, "y"], [1, "z"]],
    ],
)
def test_tasks_of_mixed_types(y):
    codes, tasks = encode(y)
    assert codes.tolist() == [[1, 0], [0, 1], [1, 2]]
    decoded = tasks.decode(codes)
    assert decoded.dtype == object
    assert decoded.tolist() == [[1, "x"], [0, "y"], [1, "z"]]


@pytest.mark.parametrize(("dtype", "kind"), [("boolean", "b"), ("Int64", "i")])
def test_nullable_labels_keep_their_type(dtype, kind):
    _, tasks = encode(pd.Series([1, 0], dtype=dtype))
    assert tasks.classes[0].dtype.kind == kind


def test_tasks_have_the_names_of_their_columns():
    _, named = encode(pd.DataFrame({"a": [0, 1], "b": [1, 0]}))
    _, numbered = encode(TWO_TASKS)
    assert (named.names, numbered.names) == (["a", "b"], ["0", "1"])


def test_tasks_of_numbers_are_decoded_to_numbers():
    y = np.array([[0, 5], [1, 7]])
    codes, tasks = encode(y)
    assert tasks.decode(codes).dtype == y.dtype


def test_classes_that_are_yet_to_occur():
    codes, tasks = encode(["b", "b"], classes=["c", "a", "b"])
    assert codes.tolist() == [[1], [1]]
    assert tasks.classes[0].tolist() == ["a", "b", "c"]
    _, two = encode(np.array([[0, 1], [0, 1]]), classes=[[0, 1], [0, 1, 2]])
    assert two.n_classes == [2, 3]


@pytest.mark.parametrize(
    ("y", "kwargs", "message"),
    [
        (None, {}, "requires y to be passed, but the target y is None"),
        ([1, 1], {}, r"`y` must have at least two classes; found 1 class: \[1\]"),
        ([0.5, 1.5], {}, "Unknown label type: continuous"),
        ([[0, 1], [0, 0]], {}, "`y` column '0' must have at least two classes"),
        ([0, 1], {"classes": [1, 2]}, r"must hold the classes \[1, 2\]; found \[0\]"),
        ([[0, 1], [1, 0]], {"classes": [[0, 1]]}, "`classes` must be a list with"),
        ([0, None], {}, "`y` must not have missing values"),
        (pd.Series(["a", None]), {}, "`y` must not have missing values"),
        ([0, "a"], {}, r"class labels of one type; found \['int', 'str'\]"),
    ],
)
def test_bad_labels(y, kwargs, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y, n_samples=2, **kwargs)


class TestLaterLabels:
    _, known = encode([0, 1, 2])

    def test_get_the_codes_of_the_first(self):
        assert encode([2, 2], known=self.known)[0].tolist() == [[2], [2]]
        codes, _ = encode([0, 1, 2], known=self.known, classes=[2, 1, 0])
        assert codes.tolist() == [[0], [1], [2]]

    @pytest.mark.parametrize(
        ("y", "classes", "message"),
        [
            ([3, 0], None, r"must hold the classes \[0, 1, 2\]"),
            ([0, 1, 2], [0, 1], "`classes` must be those of the first call"),
            (TWO_TASKS, None, r"must have 1 column\(s\), as before; got 2"),
        ],
    )
    def test_must_fit_the_first(self, y, classes, message):
        with pytest.raises(ValueError, match=message):
            encode(y, known=self.known, classes=classes)


class TestTaskWeights:
    labels = encode([0, 0, 0, 1])

    @pytest.mark.parametrize(
        ("class_weight", "sample_weight", "expected"),
        [
            ("balanced", None, [4 / 6, 4 / 6, 4 / 6, 2]),  # the same total
            ("balanced", [1, 1, 1, 3], [1, 1, 1, 3]),  # as if it occurred three times
            ({1: 5}, None, [1, 1, 1, 5]),
            ({1: 5}, [1, 2, 0, 1], [1, 2, 0, 5]),
        ],
    )
    def test_by_hand(self, class_weight, sample_weight, expected):
        if sample_weight is not None:
            sample_weight = np.array(sample_weight)
        weights = task_weights(
            class_weight, sample_weight, *self.labels, normalize=False
        )
        assert weights[:, 0].tolist() == pytest.approx(expected)

    def test_none(self):
        assert task_weights(None, None, *self.labels, normalize=True) is None

    def test_normalized_to_a_mean_of_one(self):
        weights = task_weights({1: 5}, None, *self.labels, normalize=True)
        assert weights[:, 0].tolist() == [0.5, 0.5, 0.5, 2.5]

    def test_several_tasks(self):
        weights = task_weights(
            [{1: 3}, None], None, *encode(TWO_TASKS), normalize=False
        )
        assert weights.tolist() == [[1, 1], [3, 1]]

    @pytest.mark.parametrize(
        ("class_weight", "message"),
        [
            ({2: 1}, r"names \[2\], which are no classes of `y`: \[0, 1\]"),
            ([{}, {}], "an entry for each of the 1 tasks"),
            ({0: -1}, "`class_weight` must hold numbers of at least 0"),
            ({0: float("nan")}, "`class_weight` must hold numbers of at least 0"),
            ({0: "a"}, "`class_weight` must hold numbers of at least 0"),
            ({0: 0, 1: 0}, "`class_weight` must have a weight above 0"),
            (["foo"], "`class_weight` must hold dicts, 'balanced' or None"),
        ],
    )
    def test_bad_weights(self, class_weight, message):
        with pytest.raises(ValueError, match=message):
            task_weights(class_weight, None, *self.labels, normalize=False)


class TestPositiveClasses:
    @pytest.mark.parametrize(
        ("y", "positive", "codes"),
        [
            (["a", "b", "c"], ["c", "a"], [[2, 0]]),
            (["a", "b", "c"], None, [None]),
            (TWO_TASKS, [[0], None], [[0], None]),
        ],
    )
    def test_codes(self, y, positive, codes):
        assert positive_codes(positive, encode(y)[1]) == codes

    @pytest.mark.parametrize("positive", [["x"], [], 1])
    def test_no_class(self, positive):
        with pytest.raises(ValueError, match=r"classes of `y`, which are \['a', 'b'\]"):
            positive_codes(positive, encode(["a", "b"])[1])
