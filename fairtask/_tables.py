"""Tables: checked, encoded and represented."""

import copy
import reprlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from sklearn.base import BaseEstimator
from sklearn.utils.validation import validate_data
from torch import nn

from fairtask._categories import TableEncoder
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
from fairtask._validation import check_distinct, check_layer_sizes
from fairtask.modules import MLP

__all__ = ["TableModality"]


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

    def learn(self, samples: Samples, *, are_all: bool) -> None:
        """See `Modality.learn`: the encoding of the numbers."""
        X, weight = self._numbers_of(samples)
        self.numbers = learn_numbers(
            X, samples.y, weight, encoding=self.numeric_encoding
        )
        if not are_all:  # a column that is constant in some may vary in others
            width = [size or 1.0 for size in self.numbers.width]
            self.numbers = replace(self.numbers, width=width)

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
