"""Tables: checked, encoded and represented."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.preprocessing import OneHotEncoder
from sklearn.utils.validation import check_array, validate_data
from torch import nn

from fairtask._columns import read_categories, read_numbers
from fairtask._frames import as_table
from fairtask._modality import Modality, representation_width
from fairtask._validation import check_layer_sizes
from fairtask.modules import MLP

__all__ = ["TableEncoder", "TableModality"]

EXPECTED = "numbers, or categories of one type"
"""Values of a column."""


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
        X = as_table(X, "X")
        is_table = isinstance(X, pd.DataFrame)
        if is_table:  # names first: they tell more than a column of another type
            validate_data(estimator, X, reset=reset, skip_check_array=True)
        if reset:
            self.encoder = TableEncoder.fit(X) if is_table else None
        if is_table:
            X = _read_numbers(X) if self.encoder is None else self.encoder.transform(X)
            X = check_array(
                X,
                dtype=np.float32,
                accept_sparse="csr",
                input_name="X",
                estimator=estimator,
            )
        elif self.encoder is None:
            X = _validate_numbers(X, estimator, reset=reset)
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


def _read_numbers(table: pd.DataFrame) -> Any:
    """Return a table of numbers as an array; as it is if all its columns are sparse."""
    if table.shape[1] and all(isinstance(t, pd.SparseDtype) for t in table.dtypes):
        return table
    columns = []
    for name, column in table.items():
        numbers = read_numbers(column, f"`X` column {name!r}")
        if numbers is None:
            raise ValueError(
                f"`X` column {name!r} must hold numbers, as in `fit`; its type is "
                f"{column.dtype}."
            )
        columns.append(numbers)
    return np.column_stack(columns) if columns else np.empty(table.shape)


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
            where = f"`X` column {name!r}"
            if read_numbers(column, where, EXPECTED) is not None:
                continue
            values = read_categories(column, where)
            try:
                known = sorted({value for value in values if value is not None})
            except TypeError as error:
                raise ValueError(f"{where} must hold {EXPECTED}: {error}") from error
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
        numbers = _read_numbers(table.drop(columns=list(self.categories)))
        categorical = [
            read_categories(table[name], f"`X` column {name!r}", known=values)
            for name, values in self.categories.items()
        ]
        encoded = self._encoder.transform(np.column_stack(categorical))
        return np.hstack([numbers.astype(np.float32), encoded])


def _as_objects(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
