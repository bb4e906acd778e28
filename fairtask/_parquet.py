"""Tables of Parquet files, read in parts."""

import math
import os
import reprlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from torch.utils import data

from fairtask._frames import from_arrow

__all__ = ["ParquetTable", "open_parquet"]

MAX_ROWS = 65_536
MAX_VALUES = 2**22
"""A piece has no more rows than the one, and not many more values than the other."""

MAX_DISTINCT = 100_000
"""Labels and groups have no more distinct values than this."""


def open_parquet(X: Any, argument: str) -> "ParquetTable | None":
    """Return a table on disk, or None if the argument is not on disk.

    Parameters
    ----------
    X : str, path, list of these or pyarrow.dataset.Dataset
        A file, a folder of files, a list of files, or a data set. The files of a folder
        or list must have the same columns.
    argument : str
        Name for error messages.

    Raises
    ------
    ValueError
        If there are no such files, their columns differ, or it is another way to read
        rows one after the other, such as a loader.
    """
    is_path = isinstance(X, str | os.PathLike)
    if is_path or _are_paths(X):
        paths = os.fspath(X) if is_path else [os.fspath(path) for path in X]
        return ParquetTable(_open_files(paths, argument), argument)
    is_reader = isinstance(X, data.Dataset | data.DataLoader)
    if type(X).__module__.split(".")[0] == "pyarrow":
        from pyarrow.dataset import Dataset

        if isinstance(X, Dataset):
            return ParquetTable(X, argument)
        in_memory = pa.Table | pa.RecordBatch | pa.Array | pa.ChunkedArray
        is_reader = not isinstance(X, in_memory)
    if is_reader:
        raise ValueError(
            f"`{argument}` must be an array, a data frame, or Parquet files: a path, a "
            "folder, a list of paths or a pyarrow.dataset.Dataset; got a "
            f"{type(X).__name__}."
        )
    return None


def _are_paths(X: Any) -> bool:
    is_list = isinstance(X, list | tuple) and len(X) > 0
    return is_list and all(isinstance(path, str | os.PathLike) for path in X)


def _open_files(paths: str | list[str], argument: str) -> Any:
    from pyarrow import dataset

    of_list = [] if isinstance(paths, str) else paths
    folders = [path for path in of_list if os.path.isdir(path)]
    if folders:
        raise ValueError(
            f"`{argument}` as a list must hold files; {folders[0]!r} is a folder. Pass "
            "the folder by itself, or list its files."
        )
    try:
        files = dataset.dataset(paths, format="parquet", partitioning="hive")
        fragments = list(files.get_fragments())
        schemas = [fragment.physical_schema for fragment in fragments]
    except (OSError, pa.ArrowException) as error:
        raise ValueError(
            f"`{argument}` is read from Parquet if it is a path or a list of paths, "
            f"and {reprlib.repr(paths)} cannot be: {error}"
        ) from error
    if not fragments:
        raise ValueError(
            f"`{argument}` must be a Parquet file, or a folder with Parquet files; "
            f"{reprlib.repr(paths)} has none."
        )
    for fragment, schema in zip(fragments, schemas, strict=True):
        _check_same_columns(
            schemas[0], schema, fragments[0].path, fragment.path, argument
        )
    return files


def _check_same_columns(
    first: Any, other: Any, path: str, other_path: str, argument: str
) -> None:
    """Raise a ValueError if two files differ, which Arrow would fill or cast."""
    a, b = (
        {field.name: str(field.type) for field in with_wide_codes(schema)}
        for schema in (first, other)
    )
    different = [name for name in a | b if a.get(name) != b.get(name)]
    if different:
        types = [f"{name!r} ({a.get(name)}, {b.get(name)})" for name in different[:3]]
        raise ValueError(
            f"`{argument}` must have the same columns in all files; {path!r} and "
            f"{other_path!r} differ in {', '.join(types)}. Write them alike, or pass a "
            "`pyarrow.dataset.dataset` with the `schema` that you want."
        )


def with_wide_codes(schema: pa.Schema) -> pa.Schema:
    """Return a schema whose dictionaries can grow: pandas writes codes of 8 bits."""
    fields = []
    for field in schema:
        kind = field.type
        if pa.types.is_dictionary(kind):
            kind = pa.dictionary(pa.int32(), kind.value_type, kind.ordered)
        fields.append(field.with_type(kind))
    return pa.schema(fields, schema.metadata)


class ParquetTable:
    """A table that is read from disk, piece by piece, as often as it is needed.

    Parameters
    ----------
    dataset : pyarrow.dataset.Dataset
    argument : str
        Name for error messages.
    rows : pair of numbers, default=(0, inf)
        First row of the data set that is read, and the row after the last.
    """

    def __init__(
        self, dataset: Any, argument: str, rows: tuple[int, float] = (0, math.inf)
    ) -> None:
        self.dataset = dataset
        self.argument = argument
        self.rows = rows

    @cached_property
    def schema(self) -> pa.Schema:
        """Types of the columns."""
        return with_wide_codes(self.dataset.schema)

    @cached_property
    def names(self) -> list[str]:
        """Names of the columns, without an index that pandas wrote."""
        described = self.schema.pandas_metadata or {}
        indexes = described.get("index_columns", [])
        return [name for name in self.schema.names if name not in indexes]

    @cached_property
    def n_rows(self) -> int:
        """Number of rows."""
        start, stop = self.rows
        if stop < math.inf:
            return int(stop) - start
        with self._errors():
            return self.dataset.count_rows()

    def check_names(self, names: Sequence[str], expected: str) -> None:
        """Raise a ValueError if columns are missing or occur more than once."""
        count = Counter(self.names)
        missing = [name for name in names if not count[name]]
        if missing:
            raise ValueError(
                f"{expected}; {missing} are not among the columns of "
                f"`{self.argument}`, which are {self.names}."
            )
        repeated = [name for name in names if count[name] > 1]
        if repeated:
            raise ValueError(
                f"`{self.argument}` must have distinct columns; {repeated} occur more "
                "than once."
            )
        nested = [name for name in names if pa.types.is_nested(self._type(name))]
        if nested:
            raise ValueError(
                f"`{self.argument}` must have columns of numbers or categories; "
                f"{nested[0]!r} holds values of type {self._type(nested[0])}. Make "
                "columns of them, or leave it out: pass a `pyarrow.dataset.dataset` "
                "with a `schema` of the other columns."
            )

    def check_features(self, names: Sequence[str]) -> None:
        """Raise a ValueError if columns of `fit` are missing, or there are no rows."""
        self.check_names(names, f"`{self.argument}` must have the columns of `fit`")
        if not self.n_rows:
            raise ValueError(
                f"`{self.argument}` must have rows: found array with 0 sample(s)."
            )

    def _type(self, name: str) -> pa.DataType:
        return self.schema.field(name).type

    def rows_at_once(self, names: Sequence[str]) -> int:
        """Return the largest number of rows of a piece with these columns."""
        return min(MAX_ROWS, max(1, MAX_VALUES // max(1, len(names))))

    def pieces(self, names: Sequence[str], n_rows: int) -> Iterator[pa.Table]:
        """Yield columns in pieces, in order.

        Parameters
        ----------
        names : sequence of str
        n_rows : int
            Largest number of rows of a piece. All pieces have about the same number.
        """
        if not self.n_rows:
            return
        n_pieces = math.ceil(self.n_rows / n_rows)
        n_rows = math.ceil(self.n_rows / n_pieces)
        waiting: list[pa.RecordBatch] = []
        with self._errors():
            for batch in self._batches(list(names), n_rows):
                waiting.append(batch)
                if sum(map(len, waiting)) >= n_rows:
                    table = self._joined(waiting)
                    yield table.slice(0, n_rows)
                    waiting = table.slice(n_rows).to_batches()
            if any(map(len, waiting)):
                yield self._joined(waiting)

    def _batches(self, names: list[str], n_rows: int) -> Iterator[pa.RecordBatch]:
        """Yield batches of Arrow, one row group after the other.

        A scan of the whole data set reads on while a batch is used: the more, the
        larger it is. A data set with a filter has no other way.
        """
        start, stop = self.rows
        settings = {"columns": names, "batch_size": n_rows, "use_threads": False}
        try:
            fragments = list(self.dataset.get_fragments())
        except ValueError:
            yield from _rows_of(self.dataset.to_batches(**settings), start, stop)
            return
        for fragment in fragments:
            parts = [fragment]
            if hasattr(fragment, "split_by_row_group"):
                parts = fragment.split_by_row_group()
            for part in parts:
                n = _n_rows_of(part)
                if max(start, 0) < min(stop, n):
                    batches = part.to_batches(schema=self.schema, **settings)
                    yield from _rows_of(batches, start, stop)
                start, stop = start - n, stop - n

    def _joined(self, batches: list[pa.RecordBatch]) -> pa.Table:
        """Return batches as a table with one dictionary for each column.

        The description of pandas is left out: it would make an index of columns.
        """
        table = pa.Table.from_batches(batches).replace_schema_metadata(None)
        types = [self.schema.field(name) for name in table.column_names]
        return table.cast(pa.schema(types)).unify_dictionaries()

    def frame(self, names: Sequence[str]) -> Any:
        """Return some columns of all rows as a data frame."""
        pieces = self.pieces(names, self.rows_at_once(names))
        return from_arrow(pa.concat_tables(pieces).unify_dictionaries())

    def survey(
        self, names: Sequence[str], keys: Sequence[Sequence[str]], share: float
    ) -> tuple[pa.Table, pa.Table]:
        """Return random rows, and rows that have each value of some columns.

        Parameters
        ----------
        names : sequence of str
            Columns to read.
        keys : sequence of sequence of str
            Columns, or combinations of them, of which each value is looked for.
        share : float
            Share of the rows that is drawn; all from 1 on.

        Returns
        -------
        sample : Table
            Always the same rows.
        with_each_value : Table
            The columns of `keys` in these rows, and in the first row of each value.
        """
        rng = np.random.default_rng(self.rows[0])
        key_names = list(dict.fromkeys(name for key in keys for name in key))
        empty = pa.schema([self.schema.field(name) for name in names]).empty_table()
        sampled, seen = [empty], empty.select(key_names)
        for piece in self.pieces(names, self.rows_at_once(names)):
            sampled.append(piece.filter(rng.random(len(piece)) < share))
            seen = pa.concat_tables([seen, piece.select(key_names)])
            seen = seen.unify_dictionaries()
            frame = from_arrow(seen)
            is_first = [~frame.duplicated(list(key)).to_numpy() for key in keys]
            seen = seen.filter(np.logical_or.reduce(is_first))
            if len(seen) > MAX_DISTINCT:
                raise ValueError(
                    f"The columns {key_names} of `{self.argument}` must hold classes "
                    f"and groups; they have more than {MAX_DISTINCT} distinct values."
                )
        sample = pa.concat_tables(sampled)
        targets = sample.select(key_names)
        if share < 1:  # otherwise the sample has each value
            targets = pa.concat_tables([targets, seen])
        return sample, targets

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Name the argument where Arrow cannot read or cast."""
        try:
            yield
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"`{self.argument}` cannot be read: {error}") from error


def _n_rows_of(part: Any) -> int:
    """Return the number of rows of a fragment.

    Arrow's `count_rows` of a row group returns that of the whole file.
    """
    if hasattr(part, "row_groups"):
        return sum(group.num_rows for group in part.row_groups)
    return part.count_rows()


def _rows_of(
    batches: Iterable[pa.RecordBatch], start: int, stop: float
) -> Iterator[pa.RecordBatch]:
    """Yield the rows from `start` on and before `stop`."""
    for batch in batches:
        if stop <= 0:
            return
        first, end = max(start, 0), min(stop, len(batch))
        if first < end:
            yield batch.slice(first, int(end) - first)
        start, stop = start - len(batch), stop - len(batch)
