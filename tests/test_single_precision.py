"""Numbers of tables that float32 cannot hold, or cannot tell apart."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from tests._inputs import NOT_LEARNT, make_classifier, make_samples

X, y, z = make_samples(200)
X = X.astype(float)


def named(rows):
    return pd.DataFrame(rows, columns=[str(j) for j in range(rows.shape[1])])


def in_parquet(rows, folder):
    named(rows).assign(y=y, z=z).to_parquet(folder / "table.parquet")
    return folder / "table.parquet", "y", "z"


CONTAINERS = {
    "array": lambda rows, _: (rows, y, z),
    "list": lambda rows, _: (rows.tolist(), y, z),
    "objects": lambda rows, _: (rows.astype(object), y, z),
    "frame": lambda rows, _: (pd.DataFrame(rows), y, z),
    "categories": lambda rows, _: (
        named(rows).assign(group=np.where(z, "a", "b")),
        y,
        z,
    ),
    "sparse frame": lambda rows, _: (
        pd.DataFrame.sparse.from_spmatrix(sparse.csr_array(rows)),
        y,
        z,
    ),
    "csr": lambda rows, _: (sparse.csr_array(rows), y, z),
    "coo": lambda rows, _: (sparse.coo_array(rows), y, z),
    "parquet": in_parquet,
}


@pytest.fixture(params=CONTAINERS)
def fit(request, tmp_path):
    """A function that fits rows in one of the containers."""

    def fit(rows):
        samples, labels, groups = CONTAINERS[request.param](rows, tmp_path)
        classifier = make_classifier(max_epochs=1, numeric_encoding="standard")
        return classifier.fit(samples, labels, sensitive_features=groups)

    return fit


def with_column(values):
    rows = X.copy()
    rows[:, 1] = values
    return rows


@pytest.mark.filterwarnings(NOT_LEARNT)
class TestLostDifferences:
    def test_containers(self, fit):
        message = (
            r"`X` columns \['?1'?\] have numbers that are equal in float32.* "
            r"of the \d+ distinct numbers that column '?1'? has in 200 rows, [1-5] are "
            "left"
        )
        with pytest.warns(UserWarning, match=message):
            fit(with_column(1e9 + 10 * X[:, 1]))

    @pytest.mark.parametrize(
        "column",
        [
            1e-50 * X[:, 1],  # 0 in float32
            np.where(X[:, 1] > 0, 1e9, 1e9 + 1),
            np.where(X[:, 1] > 1, np.nan, 1e9 + 10 * X[:, 1]),
            np.where(np.arange(len(X)) == 7, 0, 1e9 + 10 * X[:, 1]),
            1.7e18 + 3600e9 * np.linspace(0, 1, len(X)),  # an hour in nanoseconds
        ],
    )
    def test_columns(self, column):
        with pytest.warns(UserWarning, match=r"`X` columns \[1\] have numbers that"):
            make_classifier(max_epochs=1).fit(
                with_column(column), y, sensitive_features=z
            )

    @pytest.mark.parametrize(
        "column",
        [
            1e9,
            np.nan,
            1e5 + X[:, 1],
            np.exp(8 * X[:, 1]),
            np.where(X[:, 1] > 0, 0.3, 0.1 + 0.2),  # differ by rounding
            20240101 + 100 * (np.arange(len(X)) % 12),  # dates
            (1e9 + 10 * X[:, 1]).astype(np.float32),
        ],
    )
    def test_no_difference_that_matters_is_lost(self, column):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="`X` columns")
            make_classifier(max_epochs=1, numeric_encoding="standard").fit(
                with_column(column), y, sensitive_features=z
            )

    def test_only_the_first_part_of_a_stream_warns(self):
        rows = with_column(1e9 + 10 * X[:, 1])
        classifier = make_classifier(numeric_encoding="standard")
        with pytest.warns(UserWarning, match="`X` columns"):
            classifier.partial_fit(rows, y, sensitive_features=z)
        classifier.partial_fit(rows, y, sensitive_features=z)


@pytest.mark.parametrize("value", [-3e38, 2e38, 1e300, np.inf])
def test_numbers_that_are_too_large(fit, value):
    rows = with_column(np.where(X[:, 1] > 2, value, X[:, 1]))
    message = "`X` column '?1'? must hold finite numbers, of a size up to 1.7e"
    with pytest.raises(ValueError, match=message):
        fit(rows)


@pytest.mark.parametrize("encoding", ["piecewise_linear", "standard"])
@pytest.mark.parametrize("column", [np.sign(X[:, 1]), np.tanh(X[:, 1])])
def test_largest_numbers(column, encoding):
    rows = with_column(1.7e38 * column)
    classifier = make_classifier(numeric_encoding=encoding, max_epochs=15)
    classifier.fit(rows, y, sensitive_features=z)
    assert classifier.score(rows, y) > 0.7


def test_predictions_name_their_argument():
    classifier = make_classifier(numeric_encoding="standard")
    classifier.fit(X, y, sensitive_features=z)
    with pytest.raises(ValueError, match="`X` column 1 must hold finite numbers"):
        classifier.predict(with_column(2e38))
    with pytest.raises(ValueError, match="`X_val` column 1 must hold finite numbers"):
        classifier.fit(X, y, sensitive_features=z, X_val=with_column(2e38), y_val=y)
