"""Tables: checked, encoded and represented."""

import copy
import datetime
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_numeric_dtype
from sklearn.base import BaseEstimator
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_array, validate_data
from torch import nn

from fairtask._data import as_pandas
from fairtask._modality import Modality, representation_width
from fairtask._validation import check_layer_sizes
from fairtask.modules import MLP

__all__ = ["TableEncoder", "TableModality"]


@dataclass(kw_only=True)
class TableModality(Modality):
    """Tables of numbers and categories.

    The parameters are those of `~fairtask.AuxiliaryFairnessClassifier`.

    Attributes
    ----------
    n_features : int
        Number of columns seen by `validate`.
    encoder : TableEncoder or None
        None where all columns are numbers.
    """

    hidden_layer_sizes: Sequence[int]
    activation: str
    dropout: float
    trunk: nn.Module | Callable[[int], nn.Module] | None

    n_features: int = field(init=False)
    encoder: "TableEncoder | None" = field(init=False, default=None)

    fixed_parameters: ClassVar[tuple[str, ...]] = (
        "hidden_layer_sizes",
        "activation",
        "trunk",
    )
    divergence_remedy: ClassVar[str] = "Standardise `X`, whose features may be large"

    @property
    def weights_remedy(self) -> str:
        """See `Modality.weights_remedy`."""
        if self.trunk is not None:
            return "`trunk` must have weights that are not frozen"
        return "`hidden_layer_sizes` must hold a layer"

    def validate(self, X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
        """See `Modality.validate`; returns an array, or a sparse matrix of numbers."""
        X = as_pandas(X)
        if reset:
            is_table = isinstance(X, pd.DataFrame)
            self.encoder = TableEncoder.fit(X) if is_table else None
        if self.encoder is None:
            X = _validate_numbers(X, estimator, reset=reset)
        elif isinstance(X, pd.DataFrame):
            validate_data(estimator, X, reset=reset, skip_check_array=True)
            X = check_array(
                self.encoder.transform(X),
                dtype=np.float32,
                input_name="X",
                estimator=estimator,
            )
        else:
            raise ValueError(
                "`X` must be a data frame, as in `fit`, with the categorical columns "
                f"{list(self.encoder.categories)}; got {type(X).__name__}."
            )
        if reset:
            self.n_features = estimator.n_features_in_
        return X

    def make_trunk(self, *, pretrained: bool) -> tuple[nn.Module, int]:
        """See `Modality.make_trunk`."""
        n_inputs = self.n_features
        if self.encoder is not None:
            n_inputs = self.encoder.n_outputs(n_inputs)
        if self.trunk is None:
            sizes = check_layer_sizes(self.hidden_layer_sizes, "hidden_layer_sizes")
            trunk = MLP(
                n_inputs, sizes, activation=self.activation, dropout=self.dropout
            )
            return trunk, trunk.out_features
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
        return own, representation_width(own, torch.zeros(1, n_inputs), "trunk")

    def state(self) -> dict[str, Any]:
        """See `Modality.state`."""
        return {
            "n_features": self.n_features,
            "categories": self.encoder and self.encoder.categories,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See `Modality.restore`."""
        self.n_features, categories = state["n_features"], state["categories"]
        self.encoder = None if categories is None else TableEncoder(categories)


def _validate_numbers(X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
    try:
        return validate_data(
            estimator,
            X,
            reset=reset,
            dtype=np.float32,
            accept_sparse="csr",
            force_writeable=True,
        )
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        # The message of numpy names neither the argument nor a remedy.
        raise ValueError(
            "`X` must hold numbers; pass a data frame for categorical columns, or "
            f"encode them first: {error}"
        ) from error


_NO_CATEGORIES = (datetime.date, datetime.time, datetime.timedelta, pd.Period)


class TableEncoder:
    """One-hot columns in place of a table's categorical columns.

    A column is categorical if it holds neither numbers nor Booleans. A missing value is
    a category of its own. A category that did not occur in `fit` is zero in each of the
    column's one-hot columns.

    Attributes
    ----------
    categories : dict of str to list
        Categories of each categorical column.
    """

    def __init__(self, categories: dict[str, list]) -> None:
        self.categories = categories
        self._encoder = OneHotEncoder(
            categories=[_as_objects(values) for values in categories.values()],
            handle_unknown="ignore",
            sparse_output=False,
            dtype=np.float32,
        )
        # The categories are given: any row does.
        row = [(values or [None])[0] for values in categories.values()]
        self._encoder.fit(_as_objects(row)[None, :])

    @classmethod
    def fit(cls, table: pd.DataFrame) -> "TableEncoder | None":
        """Return an encoder for a table, or None if all its columns are numbers."""
        categories: dict[Any, list] = {}
        for name, column in table.items():
            column = column.infer_objects()
            if is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
                continue
            values = _objects(column)
            if column.dtype.kind in "cmM" or any(
                isinstance(value, _NO_CATEGORIES) for value in values
            ):
                raise ValueError(
                    f"`X` column {name!r} holds dates, times or complex numbers "
                    f"({column.dtype}); turn them into numbers or categories first."
                )
            try:
                known = sorted({value for value in values if value is not None})
            except TypeError as error:
                raise ValueError(
                    f"`X` column {name!r} must hold numbers, or categories of one "
                    f"type: {error}"
                ) from error
            missing: list = [None] if any(value is None for value in values) else []
            categories[name] = [*known, *missing]
        return cls(categories) if categories else None

    def n_outputs(self, n_columns: int) -> int:
        """Return the number of encoded columns of a table with `n_columns`."""
        n_one_hot = sum(len(values) for values in self.categories.values())
        return n_columns - len(self.categories) + n_one_hot

    def transform(self, table: pd.DataFrame) -> np.ndarray:
        """Encode a table.

        Parameters
        ----------
        table : DataFrame of shape (n_samples, n_features)
            With the columns seen in `fit`.

        Returns
        -------
        encoded : ndarray of shape (n_samples, n_encoded), float32
            The numbers, then the one-hot columns.

        Raises
        ------
        ValueError
            If a column of numbers holds something else.
        """
        missing = [name for name in self.categories if name not in table.columns]
        if missing:
            raise ValueError(
                f"`X` must have the columns of `fit`; {missing} are missing."
            )
        numbers = table.drop(columns=list(self.categories))
        not_numeric = [
            name
            for name, column in numbers.items()
            if not is_numeric_dtype(column.infer_objects().dtype)
        ]
        if not_numeric:
            raise ValueError(
                f"`X` column {not_numeric[0]!r} must hold numbers, as in `fit`; its "
                f"type is {table[not_numeric[0]].dtype}."
            )
        for name, values in self.categories.items():
            column = table[name].infer_objects()
            are_numbers = any(isinstance(v, int | float) for v in values)
            if (
                is_numeric_dtype(column.dtype)
                and not are_numbers
                and not column.isna().all()
            ):
                raise ValueError(
                    f"`X` column {name!r} must hold categories, as in `fit`; its type "
                    f"is {table[name].dtype}."
                )
        categorical = np.column_stack([_objects(table[c]) for c in self.categories])
        return np.hstack(
            [
                numbers.to_numpy(dtype=np.float32, na_value=np.nan),
                self._encoder.transform(categorical),
            ]
        )


def _objects(column: pd.Series) -> np.ndarray:
    """Values as Python objects, None where they are missing."""
    values = column.astype(object).to_numpy(copy=True)
    values[column.isna().to_numpy()] = None
    return values


def _as_objects(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
