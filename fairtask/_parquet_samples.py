"""Samples of Parquet files: encoded into a file for a training, or for predictions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from fairtask._class_weights import check_class_totals, class_weights
from fairtask._data import InMemorySource, Positions, Source
from fairtask._frames import from_arrow
from fairtask._labels import NO_LABELS, Tasks, encode_labels
from fairtask._parquet import ParquetTable
from fairtask._processes import find_processes, in_each_process
from fairtask._random import RandomStream
from fairtask._row_file import RowFile
from fairtask._sensitive import SensitiveAttributes, encode_sensitive_features
from fairtask._stored import SAMPLED_ROWS, SAMPLED_VALUES, StoredSamples
from fairtask._stored_weights import StoredWeights, add_class_totals, add_up
from fairtask._validation import read_weights

__all__ = [
    "NamedColumns",
    "ParquetSource",
    "read_named",
    "read_samples",
]


def column_names(value: Any, argument: str) -> list[str]:
    """Return the names in an argument, which is a string, a list of them or None.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    names = [value] if isinstance(value, str) else value
    if names is None:
        return []
    if (
        not isinstance(names, list | tuple | pd.Index)
        or not len(names)
        or not all(isinstance(name, str) for name in names)
    ):
        raise ValueError(
            f"`{argument}` must be the name of a column, or a list of names, where `X` "
            f"is read from Parquet; got {type(value).__name__}."
        )
    return list(names)


def read_named(table: ParquetTable, value: Any, argument: str) -> Any:
    """Return named columns of all rows; anything but names as it is."""
    if not isinstance(value, str) and not (
        isinstance(value, list) and value and all(isinstance(v, str) for v in value)
    ):
        return value
    names = column_names(value, argument)
    table.check_names(names, f"`{argument}` must name columns")
    return _one_or_all(table.frame(names))


def _one_or_all(frame: pd.DataFrame) -> Any:
    return frame.iloc[:, 0] if frame.shape[1] == 1 else frame


@dataclass(frozen=True)
class NamedColumns:
    """Columns of a table: features, labels, sensitive attributes and weights.

    Attributes
    ----------
    features, labels, attributes, weight : list of str
    suffix : {"", "_val"}
        Ending of the arguments in error messages.
    """

    features: list[str]
    labels: list[str]
    attributes: list[str]
    weight: list[str]
    suffix: str = ""

    @classmethod
    def of(
        cls,
        table: ParquetTable,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any,
        *,
        features: Sequence[str] | None,
        suffix: str = "",
    ) -> "NamedColumns":
        """Return the columns that the arguments name.

        Parameters
        ----------
        features : sequence of str, optional
            Those of a network that is fitted. None: all columns that no argument names.
        """
        if y is None:
            raise ValueError(NO_LABELS.format(f"y{suffix}"))
        arguments = {
            f"y{suffix}": y,
            f"sensitive_features{suffix}": sensitive_features,
            f"sample_weight{suffix}": sample_weight,
        }
        named = {name: column_names(value, name) for name, value in arguments.items()}
        for argument, names in named.items():
            table.check_names(names, f"`{argument}` must name columns")
        labels, attributes, weight = named.values()
        if len(weight) > 1:
            raise ValueError(f"`sample_weight` must name one column; got {weight}.")
        if features is None:
            others = {*labels, *attributes, *weight}
            features = [name for name in table.names if name not in others]
            if not features:
                raise ValueError(
                    f"`{table.argument}` must have columns besides {sorted(others)}."
                )
        table.check_features(features)
        return cls(list(features), labels, attributes, weight, suffix)

    @property
    def all(self) -> list[str]:
        """All columns, each once."""
        names = [*self.features, *self.labels, *self.attributes, *self.weight]
        return list(dict.fromkeys(names))

    def encode_y(self, frame: pd.DataFrame, **known: Any) -> tuple[np.ndarray, Tasks]:
        """Encode the labels of some rows; see `encode_labels`."""
        return encode_labels(
            _one_or_all(frame[self.labels]),
            n_samples=len(frame),
            argument=f"y{self.suffix}",
            **known,
        )

    def encode_groups(self, frame: pd.DataFrame, **known: Any) -> Any:
        """Encode the groups of some rows; see `encode_sensitive_features`."""
        return encode_sensitive_features(
            frame[self.attributes] if self.attributes else None,
            n_samples=len(frame),
            argument=f"sensitive_features{self.suffix}",
            **known,
        )

    def read_weight(self, frame: pd.DataFrame) -> np.ndarray:
        """Return the sample weights of some rows, (n, 1) or (n, 0)."""
        # All samples must not have the weight 0, but some rows may: hence one more.
        one = pd.Series([1.0])
        read = [
            read_weights(pd.concat([frame[name], one]), len(frame) + 1)[:-1]
            for name in self.weight
        ]
        return np.column_stack([np.empty((len(frame), 0)), *read])


def read_samples(
    table: ParquetTable,
    columns: NamedColumns,
    validate: Callable[..., np.ndarray],
    *,
    known: tuple[Tasks, SensitiveAttributes] | None,
    intersectional: bool,
    unseen: Literal["raise", "unknown"] = "raise",
    classes: Any = None,
    groups: Any = None,
    class_weight: Any = None,
    weighs_groups: bool = False,
    is_stream: bool = False,
) -> tuple[StoredSamples, Tasks, SensitiveAttributes]:
    """Encode the rows of a table into a file.

    Without `known` the table is read twice: first for its classes and groups, and for a
    random sample of the rows, which defines the columns. Each of the processes that
    train together reads and stores a part of the rows. What is learnt from the rows,
    and an error in them, is the same in all processes.

    Parameters
    ----------
    table : ParquetTable
    columns : NamedColumns
    validate : callable
        From the features of some rows, and ``reset``, to an array with a row each; see
        `Modality.validate`.
    known : pair of Tasks and SensitiveAttributes, optional
    intersectional, classes, groups, class_weight
        See `FairnessEstimator`.
    unseen : {"raise", "unknown"}, default="raise"
        See `encode_sensitive_features`.
    weighs_groups : bool, default=False
        Whether sample weights count in the fairness losses.
    is_stream : bool, default=False
        Whether these are a part of all samples.
    """
    own = _own_rows(table, columns)
    of_groups = {"intersectional": intersectional, "groups": groups}
    if known is None:
        sample, targets = _survey(
            own, columns, table.n_rows, intersectional=intersectional
        )
        validate(sample, reset=True)
        _, tasks = columns.encode_y(targets, classes=classes)
        attributes = columns.encode_groups(targets, **of_groups).attributes
    else:
        tasks, attributes = known
    file: RowFile | None = None

    def store_own() -> tuple[int, list[np.ndarray], tuple[int, ...]]:
        nonlocal file
        totals = [np.zeros(n) for n in tasks.n_classes]
        sizes: tuple[int, ...] = ()
        n_read = 0
        for piece in own.pieces(columns.all, own.rows_at_once(columns.all)):
            frame = from_arrow(piece)
            y, _ = columns.encode_y(frame, known=tasks, classes=classes)
            of_rows = columns.encode_groups(
                frame, known=attributes, unseen=unseen, **of_groups
            )
            given = columns.read_weight(frame)
            X = validate(frame[columns.features], reset=False)
            values = X, y, of_rows.codes, given
            rows = np.hstack(values, dtype=np.float32)
            if file is None:
                file = RowFile(own.n_rows, rows.shape[1])
            file.add(rows)
            n_read += len(rows)
            add_class_totals(totals, y, given)
            sizes = tuple(part.shape[1] for part in values)
        if n_read != own.n_rows:
            raise ValueError(f"`{table.argument}` has changed while it was read.")
        return n_read, totals, sizes

    of_each = in_each_process(store_own)
    shares = [n_read for n_read, _, _ in of_each]
    totals = add_up(of_one for _, of_one, _ in of_each)
    sizes = max(of_one for _, _, of_one in of_each)
    if file is None:  # a process without rows
        file = RowFile(0, sum(sizes))
    weights = None
    if class_weight is not None or columns.weight:
        of_classes = [np.ones(n) for n in tasks.n_classes]
        if class_weight is not None:
            of_classes = class_weights(class_weight, totals, tasks)
        weights = StoredWeights(
            sum(shares),
            totals,
            of_classes,
            is_normalized=not is_stream,
            in_groups=weighs_groups,
        )
        if not all(weights.sums):
            raise ValueError(
                "`sample_weight` and `class_weight` together leave no sample with a "
                "weight above 0."
            )
        if known is None and not is_stream:
            weighted = zip(of_classes, totals, strict=True)
            check_class_totals([weight * total for weight, total in weighted], tasks)
    n_inputs, n_tasks, n_attributes, _ = sizes
    stored = StoredSamples(
        file, file.parts, n_inputs, n_tasks, n_attributes, weights, shares
    )
    return stored, tasks, attributes


def _own_rows(table: ParquetTable, columns: NamedColumns) -> ParquetTable:
    """Return the rows that this process reads: its share, or all if it is alone."""
    processes = find_processes()
    if processes is None:
        return table
    processes.check_same(
        **{
            table.argument: [str(table.schema), table.n_rows],
            f"y{columns.suffix}": columns.labels,
            f"sensitive_features{columns.suffix}": columns.attributes,
            "sample_weight": columns.weight,
        }
    )
    part = processes.part(table.n_rows)
    return ParquetTable(table.dataset, table.argument, (part.start, part.stop))


def _survey(
    own: ParquetTable, columns: NamedColumns, n_rows: int, *, intersectional: bool
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of random rows, and labels and groups with each value."""
    keys = [[name] for name in (*columns.labels, *columns.attributes)]
    if intersectional and columns.attributes:
        keys.append(columns.attributes)
    n_sampled = min(SAMPLED_ROWS, SAMPLED_VALUES // len(columns.features))
    of_each = in_each_process(lambda: own.survey(columns.all, keys, n_sampled / n_rows))
    sample, targets = (
        from_arrow(pa.concat_tables(tables).unify_dictionaries())
        for tables in zip(*of_each, strict=True)
    )
    return sample[columns.features], targets


class ParquetSource(Source):
    """Rows of a table, read and encoded piece by piece at each iteration.

    Parameters
    ----------
    table : ParquetTable
    features : sequence of str
        Columns to read.
    encode : callable
        From the features of some rows to an array with a row each.
    make_source : callable
        From such an array to its source.
    """

    def __init__(
        self,
        table: ParquetTable,
        features: Sequence[str],
        encode: Callable[[pd.DataFrame], np.ndarray],
        make_source: Callable[[Any], Source],
    ) -> None:
        self.evaluated_at_once = min(
            InMemorySource.evaluated_at_once, table.rows_at_once(features)
        )
        self.table = table
        self.features = features
        self.encode = encode
        self.make_source = make_source

    def __len__(self) -> int:
        return self.table.n_rows

    def batches(
        self, batch_size: int, random: RandomStream | None = None
    ) -> Iterator[tuple[Any, Positions]]:
        """See `Source.batches`; the rows are in order."""
        start = 0
        for piece in self.table.pieces(self.features, batch_size):
            stop = start + len(piece)
            for X, _ in self._encoded(from_arrow(piece)).batches(len(piece)):
                yield X, slice(start, stop)
            start = stop

    def take(self, rows: np.ndarray) -> Source:
        """See `Source.take`."""
        return self._encoded(self.table.frame(self.features).iloc[rows])

    def _encoded(self, frame: pd.DataFrame) -> Source:
        return self.make_source(self.encode(frame))
