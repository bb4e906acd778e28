import numpy as np
import pandas as pd
import polars as pl
import pytest

from fairtask._labels import encode_labels, positive_codes, task_weights


def encode(y, **kwargs):
    return encode_labels(y, n_samples=len(y), **kwargs)


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
    labels = encode(y)
    assert labels.codes.tolist() == [[0], [1], [0]]
    assert labels.classes[0].tolist() == ["no", "yes"]
    assert not labels.is_multioutput
    assert labels.decode(labels.codes).tolist() == ["no", "yes", "no"]


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
    labels = encode(y)
    assert labels.codes.tolist() == [[1, 0], [0, 1], [1, 2]]
    decoded = labels.decode(labels.codes)
    assert decoded.dtype == object
    assert decoded.tolist() == [[1, "x"], [0, "y"], [1, "z"]]


@pytest.mark.parametrize(("dtype", "kind"), [("boolean", "b"), ("Int64", "i")])
def test_nullable_labels_keep_their_type(dtype, kind):
    assert encode(pd.Series([1, 0], dtype=dtype)).classes[0].dtype.kind == kind


def test_tasks_have_the_names_of_their_columns():
    assert encode(pd.DataFrame({"a": [0, 1], "b": [1, 0]})).names == ["a", "b"]
    assert encode(np.array([[0, 1], [1, 0]])).names == ["0", "1"]


def test_tasks_of_numbers_are_decoded_to_numbers():
    y = np.array([[0, 5], [1, 7]])
    labels = encode(y)
    assert labels.decode(labels.codes).dtype == y.dtype


def test_classes_that_are_yet_to_occur():
    labels = encode(["b", "b"], classes=["c", "a", "b"])
    assert labels.codes.tolist() == [[1], [1]]
    assert labels.classes[0].tolist() == ["a", "b", "c"]
    two = encode(np.array([[0, 1], [0, 1]]), classes=[[0, 1], [0, 1, 2]])
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


def test_later_labels_must_fit_the_first():
    first = encode([0, 1, 2])
    assert encode([2, 2], known=first).codes.tolist() == [[2], [2]]
    with pytest.raises(ValueError, match=r"must hold the classes \[0, 1, 2\]"):
        encode([3, 0], known=first)
    assert encode([0, 1, 2], known=first, classes=[2, 1, 0]).codes.shape == (3, 1)
    with pytest.raises(ValueError, match=r"`classes` must be those of the first call"):
        encode([0, 1, 2], known=first, classes=[0, 1])
    with pytest.raises(ValueError, match=r"must have 1 column\(s\), as before; got 2"):
        encode([[0, 1], [1, 0]], known=first)


class TestTaskWeights:
    labels = encode([0, 0, 0, 1])

    def weights(self, class_weight, sample_weight=None, labels=labels, **kwargs):
        kwargs = {"normalize": False, **kwargs}
        return task_weights(class_weight, sample_weight, labels, **kwargs)

    def test_none(self):
        assert self.weights(None) is None

    def test_balanced_gives_each_class_the_same_total(self):
        weights = self.weights("balanced")[:, 0]
        assert weights.tolist() == pytest.approx([4 / 6, 4 / 6, 4 / 6, 2])

    def test_balanced_counts_weights(self):
        # As if the last sample occurred three times.
        weights = self.weights("balanced", np.array([1, 1, 1, 3]))[:, 0]
        assert weights.tolist() == [1, 1, 1, 3]

    def test_by_class(self):
        assert self.weights({1: 5})[:, 0].tolist() == [1, 1, 1, 5]

    def test_with_sample_weights(self):
        weights = self.weights({1: 5}, np.array([1, 2, 0, 1]))
        assert weights[:, 0].tolist() == [1, 2, 0, 5]

    def test_normalized_to_a_mean_of_one(self):
        weights = self.weights({1: 5}, normalize=True)[:, 0]
        assert weights.tolist() == [0.5, 0.5, 0.5, 2.5]

    def test_several_tasks(self):
        labels = encode(np.array([[0, 1], [1, 0]]))
        weights = self.weights([{1: 3}, None], labels=labels)
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
            self.weights(class_weight)


class TestPositiveClasses:
    def test_codes(self):
        labels = encode(["a", "b", "c"])
        assert positive_codes(["c", "a"], labels) == [[2, 0]]
        assert positive_codes(None, labels) == [None]

    def test_several_tasks(self):
        labels = encode(np.array([[0, 1], [1, 0]]))
        assert positive_codes([[0], None], labels) == [[0], None]

    @pytest.mark.parametrize("positive", [["x"], [], 1])
    def test_no_class(self, positive):
        with pytest.raises(ValueError, match=r"classes of `y`, which are \['a', 'b'\]"):
            positive_codes(positive, encode(["a", "b"]))
