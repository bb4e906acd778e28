"""Tables: checked, encoded and represented."""

import copy
import re
import reprlib
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_array, validate_data
from torch import nn

from fairtask._columns import count_categories, encode_categories, read_numbers
from fairtask._data import Samples
from fairtask._frames import as_table
from fairtask._modality import Modality, representation_width
from fairtask._parquet import ParquetTable, open_parquet
from fairtask._single_precision import check_sizes, take_some, warn_of_lost_differences
from fairtask._table_encoding import (
    NumberEncoding,
    TableEncoding,
    learn_first_widths,
    learn_numbers,
)
from fairtask._validation import check_distinct, check_layer_sizes, warn_user
from fairtask.modules import MLP

__all__ = ["TableEncoder", "TableModality"]

EXPECTED = "numbers, or categories of one type"
"""Values of a column."""

MAX_CATEGORIES = 255
"""A column has no more codes than this."""

MAX_UNIQUE = 0.9
MIN_NAMES = 50
"""More distinct categories than both, as a share of the rows and in number, are names
of the samples."""

DATE = re.compile(
    r"(\d{4}([-/.])\d{1,2}\2\d{1,2}|\d{1,2}([-/.])\d{1,2}\3\d{4})([T ]\d.*)?"
)
"""Text of a date, such as 2024-05-31 or 31.5.2024, with or without a time."""

UNKNOWN = -1
"""Code of a category that `fit` did not see."""


@dataclass(kw_only=True)
class TableModality(Modality):
    """Tables of numbers and categories.

    The parameters are those of `~fairtask.AuxiliaryFairnessClassifier`.

    Attributes
    ----------
    n_features : int
        Number of columns seen by `validate`.
    numbered : list of int or None
        Columns of a data frame that have numbers in place of names.
    encoder : TableEncoder or None
        None where all columns are numbers.
    numbers : NumberEncoding
        Learnt by `learn`.
    """

    hidden_layer_sizes: Sequence[int]
    activation: str
    dropout: float
    numeric_encoding: str | None
    trunk: nn.Module | Callable[[int], nn.Module] | None

    n_features: int = field(init=False)
    numbered: list[int] | None = field(init=False, default=None)
    encoder: "TableEncoder | None" = field(init=False, default=None)
    numbers: NumberEncoding = field(init=False)

    fixed_parameters: ClassVar[tuple[str, ...]] = (
        "hidden_layer_sizes",
        "activation",
        "numeric_encoding",
        "trunk",
    )

    @property
    def divergence_remedy(self) -> str:
        """See `Modality.divergence_remedy`."""
        if self.numeric_encoding is not None:
            return ""
        return "Standardise `X`, whose features may be large"

    @property
    def weights_remedy(self) -> str:
        """See `Modality.weights_remedy`."""
        if self.trunk is not None:
            return "`trunk` must have weights that are not frozen"
        return "`hidden_layer_sizes` must hold a layer"

    def open(self, X: Any, argument: str) -> ParquetTable | None:
        """See `Modality.open`: a path, or a data set of Arrow."""
        return open_parquet(X, argument)

    def validate(self, X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
        """See `Modality.validate`; returns an array, or a sparse matrix of numbers.

        Missing numbers are NaN. Codes of categories follow the numbers.
        """
        X = as_table(X, "X")
        is_table = isinstance(X, pd.DataFrame)
        if is_table:  # names first: they tell more than a column of another type
            check_distinct(X.columns, "X")
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            self._check_order(X.columns, reset=reset)
        if reset:
            self.encoder = TableEncoder.fit(X) if is_table else None
        if self.encoder is not None and not is_table:
            raise ValueError(
                "`X` must be a data frame, as in `fit`, with the categorical columns "
                f"{list(self.encoder.categories)}; got {type(X).__name__}."
            )
        encoder = self.encoder or TableEncoder({})
        encoded = encoder.encode(X, np.float32, estimator)
        if not is_table:
            validate_data(estimator, encoded, reset=reset, skip_check_array=True)
        names = encoder.order(X.columns) if is_table else range(encoded.shape[1])
        check_sizes(encoded, names)
        if reset:
            self.n_features = estimator.n_features_in_
            some_rows = encoder.encode(take_some(X), np.float64, estimator)
            warn_of_lost_differences(some_rows, names)
        return encoded

    def _check_order(self, columns: pd.Index, *, reset: bool) -> None:
        """Raise a ValueError if columns with numbers as names are in another order.

        scikit-learn compares strings alone.
        """
        found = columns.tolist()
        if reset:
            are_numbers = all(isinstance(name, Integral) for name in found)
            self.numbered = [*map(int, found)] if are_numbers else None
            return
        expected = self.numbered
        if expected and found != expected and set(found) == set(expected):
            raise ValueError(
                "`X` must have its columns in the same order as in `fit`, "
                f"{reprlib.repr(expected)}; got {reprlib.repr(found)}."
            )

    def learn(self, samples: Samples) -> None:
        """See `Modality.learn`: the encoding of the numbers."""
        X, weight = self._numbers_of(samples)
        self.numbers = learn_numbers(
            X, samples.y, weight, encoding=self.numeric_encoding
        )

    def learn_more(self, samples: Samples) -> None:
        """See `Modality.learn_more`: columns that have not varied before."""
        X, weight = self._numbers_of(samples)
        self.numbers = learn_first_widths(
            self.numbers, X, weight, encoding=self.numeric_encoding
        )

    def _numbers_of(self, samples: Samples) -> tuple[Any, np.ndarray | None]:
        """Return the columns of numbers, and the weights of the samples."""
        weight = samples.task_weight
        n_codes = len(self._n_categories)
        X = samples.X[:, :-n_codes] if n_codes else samples.X
        return X, None if weight is None else weight.mean(axis=1)

    @property
    def _n_categories(self) -> list[int]:
        return [] if self.encoder is None else self.encoder.n_categories

    def make_trunk(self, *, pretrained: bool) -> tuple[nn.Module, int]:
        """See `Modality.make_trunk`."""
        encoding = TableEncoding(self.numbers, self._n_categories)
        n_inputs = encoding.out_features
        if self.trunk is None:
            sizes = check_layer_sizes(self.hidden_layer_sizes, "hidden_layer_sizes")
            trunk = MLP(
                n_inputs, sizes, activation=self.activation, dropout=self.dropout
            )
            return nn.Sequential(encoding, trunk), trunk.out_features
        own = self.trunk
        if not isinstance(own, nn.Module):
            own = own(n_inputs)
            if not isinstance(own, nn.Module):
                raise ValueError(
                    "`trunk` must be a torch.nn.Module, or a callable from the number "
                    f"of features to one; the callable returned {own!r}."
                )
        # A callable, too, may return a module that is used elsewhere.
        own = copy.deepcopy(own).to("cpu").float()
        try:
            width = representation_width(own, torch.zeros(1, n_inputs), "trunk")
        except ValueError as error:
            raise ValueError(
                f"{error} It gets {n_inputs} features for {self.n_features} columns, "
                f"with numeric_encoding={self.numeric_encoding!r}."
            ) from error
        return nn.Sequential(encoding, own), width

    def state(self) -> dict[str, Any]:
        """See `Modality.state`."""
        encoder = self.encoder
        return {
            "n_features": self.n_features,
            "numbered": self.numbered,
            "categories": encoder and encoder.categories,
            "grouped": encoder and encoder.grouped,
            "ignored": encoder and encoder.ignored,
            "numbers": asdict(self.numbers),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Modality.restore`."""
        self.n_features = state["n_features"]
        self.numbered = state["numbered"]
        self.numbers = NumberEncoding(**state["numbers"])
        self.encoder = None
        if state["categories"] is not None:
            self.encoder = TableEncoder(
                state["categories"], state["grouped"], state["ignored"]
            )


def _is_sparse(table: pd.DataFrame) -> bool:
    dtypes = table.dtypes
    return len(dtypes) > 0 and all(isinstance(t, pd.SparseDtype) for t in dtypes)


def _numbers(column: pd.Series, name: Any) -> np.ndarray:
    numbers = read_numbers(column, f"`X` column {name!r}")
    if numbers is None:
        raise ValueError(
            f"`X` column {name!r} must hold numbers, as in `fit`; its type is "
            f"{column.dtype}."
        )
    return numbers


class TableEncoder:
    """A data frame as one array: its numbers, and codes of its categories.

    A missing value is a category of its own. Of a column with more than
    `MAX_CATEGORIES` categories the most frequent have a code each, and all others share
    one.

    Attributes
    ----------
    categories : dict of str to list
        Categories of each categorical column, in the order of their codes.
    grouped : list of str
        Columns whose other categories share a code.
    ignored : list of str
        Columns that name the samples, and are left out.
    """

    def __init__(
        self,
        categories: dict[str, list],
        grouped: Sequence[str] = (),
        ignored: Sequence[str] = (),
    ) -> None:
        self.categories = categories
        self.grouped = list(grouped)
        self.ignored = list(ignored)

    @classmethod
    def fit(cls, table: pd.DataFrame) -> "TableEncoder | None":
        """Return an encoder for a table, or None if all its columns are numbers."""
        encoder = cls({})
        for name, column in table.items():
            where = f"`X` column {name!r}"
            if read_numbers(column, where, EXPECTED) is None:
                encoder._learn(name, column, where)
        if len(encoder.ignored) == table.shape[1]:
            raise ValueError(
                "`X` must have a column of numbers or of categories; nearly every "
                f"value of its columns {encoder.ignored} is unique."
            )
        return encoder if encoder.categories or encoder.ignored else None

    def _learn(self, name: Any, column: pd.Series, where: str) -> None:
        """Learn the categories of a column."""
        categories, counts = count_categories(column, where)
        known = categories[np.argsort(-counts, kind="stable")].tolist()
        n_known = counts.sum()
        if len(known) > max(MIN_NAMES, MAX_UNIQUE * n_known):
            warn_user(
                UserWarning,
                f"`X` column {name!r} is ignored: {len(known)} of its {n_known} values "
                "are distinct, so that they name the samples. Drop the column, or "
                "group its values.",
            )
            self.ignored.append(name)
            return
        if len(known) > MIN_NAMES and all(DATE.fullmatch(str(c)) for c in known):
            warn_user(
                UserWarning,
                f"`X` column {name!r} holds dates as text: each of {len(known)} dates "
                "is a category. Turn them into numbers, such as days or years.",
            )
        if len(known) > MAX_CATEGORIES:
            self.grouped.append(name)
            known = known[: MAX_CATEGORIES - 1]
        try:
            known.sort()
        except TypeError as error:
            raise ValueError(
                f"`X` column {name!r} must hold {EXPECTED}: {error}"
            ) from error
        self.categories[name] = [*known, None] if n_known < len(column) else known

    @property
    def names(self) -> list[Hashable]:
        """Columns that do not hold numbers."""
        return [*self.categories, *self.ignored]

    @property
    def n_categories(self) -> list[int]:
        """Number of codes of each categorical column."""
        return [
            len(values) + (name in self.grouped)
            for name, values in self.categories.items()
        ]

    def order(self, columns: Iterable[Hashable]) -> list[Hashable]:
        """Return the names of the columns in the order in which they are encoded."""
        numbers = [name for name in columns if name not in self.names]
        return numbers + list(self.categories)

    def encode(self, X: Any, dtype: Any, estimator: BaseEstimator) -> Any:
        """Return a table of any kind as an array or a sparse matrix.

        Numbers that are too large for the type become infinite.
        """
        try:
            with np.errstate(over="ignore"):
                if isinstance(X, pd.DataFrame) and (self.names or not _is_sparse(X)):
                    X = self.transform(X, dtype)
                return check_array(
                    X,
                    dtype=dtype,
                    accept_sparse="csr",
                    ensure_all_finite=False,
                    input_name="X",
                    estimator=estimator,
                )
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            # The message of numpy names neither the argument nor a remedy.
            raise ValueError(
                "`X` must hold numbers; pass a data frame for categorical columns, or "
                f"encode them first: {error}"
            ) from error

    def transform(self, table: pd.DataFrame, dtype: Any = np.float32) -> np.ndarray:
        """Encode a data frame.

        Parameters
        ----------
        table : DataFrame of shape (n_samples, n_features)
            With the columns seen in `fit`.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_columns)
            The numbers, NaN where they are missing, and then the codes. The code of a
            category that `fit` did not see is -1.

        Raises
        ------
        ValueError
            If a column is missing, or does not hold values of its type.
        """
        missing = [name for name in self.names if name not in table.columns]
        if missing:
            raise ValueError(
                f"`X` must have the columns of `fit`; {missing} are missing."
            )
        columns = self.order(table.columns)
        X = np.empty((len(table), len(columns)), dtype)
        for j, name in enumerate(columns):
            if name not in self.categories:
                X[:, j] = _numbers(table[name], name)
                continue
            known = self.categories[name]
            codes = encode_categories(table[name], f"`X` column {name!r}", known)
            if name in self.grouped:
                codes[codes == UNKNOWN] = len(known)
            X[:, j] = codes
        return X
