"""Encoded samples in a file: more than memory holds, read part by part."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from fairtask._data import (
    Batch,
    InMemorySource,
    SampleDataset,
    Samples,
    batch_sizes,
)
from fairtask._holdout import hold_out_rows
from fairtask._processes import Processes, in_each_process, shared_sizes
from fairtask._random import OwnStream, RandomStream
from fairtask._row_file import Part, RowFile
from fairtask._stored_weights import StoredWeights, add_class_totals, add_up

__all__ = ["StoredSamples"]

SAMPLED_ROWS = 200_000
SAMPLED_VALUES = 2**24
"""A sample of the rows has no more rows than the one, and values than the other."""


@dataclass(frozen=True)
class StoredSamples:
    """Samples in a file: the counterpart of `Samples`, with the same methods.

    A row of the file has the inputs, the codes of labels and groups, and the sample
    weight if there is one. Each of the processes that train together has a file with
    its share of the samples.

    Attributes
    ----------
    file : RowFile
    parts : list of (start, stop)
        Where the samples are in the file. Each part fits into memory.
    n_inputs, n_tasks, n_attributes : int
        Number of values of each kind in a row.
    weights : StoredWeights or None
        None: the samples have no weights.
    shares : list of int
        Number of samples in each process.
    """

    file: RowFile
    parts: list[Part]
    n_inputs: int
    n_tasks: int
    n_attributes: int
    weights: StoredWeights | None
    shares: list[int]

    def __len__(self) -> int:
        return sum(self.shares)

    @property
    def y(self) -> np.ndarray:
        """Class codes of all samples, (n_samples, n_tasks), in order of the batches."""
        return self._of_all(lambda samples: samples.y)

    @property
    def groups(self) -> np.ndarray:
        """Group codes of all samples, (n_samples, n_attributes), in the same order."""
        return self._of_all(lambda samples: samples.groups)

    def _of_all(self, codes: Callable[[Samples], np.ndarray]) -> np.ndarray:
        own = [codes(self.decode(rows)) for rows in self._each_part()]
        of_each = in_each_process(lambda: np.concatenate(own))
        sizes = batch_sizes(
            len(self), InMemorySource.evaluated_at_once, is_trained_on=False
        )
        numbers = shared_sizes(sizes, self.shares)
        parts = [
            values[stop - n : stop]
            for of_batch in zip(numbers, numbers.cumsum(axis=0), strict=True)
            for values, n, stop in zip(of_each, *of_batch, strict=True)
        ]
        return np.concatenate(parts)

    def _each_part(self) -> Iterator[np.ndarray]:
        return (self.file.read(*part) for part in self.parts)

    def _columns(self, rows: np.ndarray) -> list[np.ndarray]:
        """Split rows of the file: inputs, labels, groups, and weights if any."""
        ends = np.cumsum([self.n_inputs, self.n_tasks, self.n_attributes])
        X, y, groups, given = np.split(rows, ends, axis=1)
        return [X, y.astype(np.int64), groups.astype(np.int64), given]

    def decode(self, rows: np.ndarray) -> Samples:
        """Return rows of the file as samples in memory."""
        X, y, groups, given = self._columns(rows)
        weights = (None, None) if self.weights is None else self.weights.of(y, given)
        return Samples(np.ascontiguousarray(X), y, groups, *weights)

    def in_memory(self) -> Samples:
        """Return a random sample, always the same one; all samples if they are few.

        Each process draws from its share, and gets the rows of all.
        """
        most = min(len(self), SAMPLED_ROWS, max(1, SAMPLED_VALUES // self.n_inputs))
        n_drawn = math.ceil(most * _n_rows(self.parts) / len(self))
        read: list[np.ndarray] = []
        for rows in self._each_part():
            read.append(rows)
            if sum(map(len, read)) >= n_drawn:
                break
        # A single part has the order of the input; several are random samples.
        rows = np.concatenate(read)
        drawn = np.random.default_rng(0).choice(len(rows), n_drawn, replace=False)
        own = rows[np.sort(drawn)]
        return self.decode(np.concatenate(in_each_process(lambda: own)))

    def hold_out(
        self, fraction: float, rng: np.random.RandomState
    ) -> tuple["StoredSamples", "StoredSamples"]:
        """Split each part at random; see `Samples.hold_out`.

        The file holds both: the rows that are held out go to the end of their part.
        """
        training, validation = [], []
        for start, stop in self.parts:
            rows = self.file.read(start, stop)
            _, y, groups, _ = self._columns(rows)
            kept, held_out = hold_out_rows(y, groups, fraction, rng)
            self.file.write(start, rows[np.concatenate([kept, held_out])])
            middle = start + len(kept)
            training.append((start, middle))
            validation.append((middle, stop))
        n_of_each = in_each_process(lambda: (_n_rows(training), _n_rows(validation)))
        kept_shares, held_shares = map(list, zip(*n_of_each, strict=True))
        held = replace(self, parts=validation, weights=None, shares=held_shares)
        if not len(held):
            raise ValueError(
                "`early_stopping` has nothing to hold out: each of the "
                f"n_samples={len(self)} is the only one of its class."
            )
        trained_on = replace(self, parts=training, shares=kept_shares)
        return trained_on._weighed_anew(), held

    def _weighed_anew(self) -> "StoredSamples":
        """Return these samples with weights whose mean over them is 1."""
        if self.weights is None:
            return self
        own = [np.zeros_like(total) for total in self.weights.totals]
        for rows in self._each_part():
            _, y, _, given = self._columns(rows)
            add_class_totals(own, y, given)
        totals = add_up(in_each_process(lambda: own))
        weights = replace(self.weights, n_samples=len(self), totals=totals)
        if not all(weights.sums):
            raise ValueError(
                "`early_stopping` holds out all samples whose weight is above 0; "
                "pass `X_val` and `y_val`."
            )
        return replace(self, weights=weights)

    def dataset(
        self, attributes: list[int], make_source: Callable[[Any], Any]
    ) -> "StoredDataset":
        """Return the samples as the network takes them; see `Samples.dataset`."""
        return StoredDataset(self, attributes, make_source)


class StoredDataset(SampleDataset):
    """Inputs with their targets, of which one part at a time is in memory.

    Parameters
    ----------
    samples : StoredSamples
    attributes : list of int
        See `Samples.target`.
    make_source : callable
        From the inputs of a part to an `InMemorySource`.
    """

    is_in_memory = False

    def __init__(
        self,
        samples: StoredSamples,
        attributes: list[int],
        make_source: Callable[[Any], Any],
    ) -> None:
        self.samples = samples
        self.attributes = attributes
        self.make_source = make_source

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def target(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Targets of the samples of this process, read into memory."""
        parts = [
            self.samples.decode(rows).target(self.attributes)
            for rows in self.samples._each_part()
        ]
        return {
            name: torch.as_tensor(np.concatenate([part[name] for part in parts]))
            for name in parts[0]
        }

    def batches(  # type: ignore[override]
        self, batch_size: int | None = None, random: RandomStream | None = None
    ) -> "StoredBatches":
        """Return an iterable over batches; see `SampleDataset.batches`."""
        return StoredBatches(
            self, batch_size or InMemorySource.evaluated_at_once, random
        )

    def in_memory(self) -> SampleDataset:
        """Return a random sample; see `StoredSamples.in_memory`."""
        return self.held(self.samples.in_memory())

    def held(self, samples: Samples) -> SampleDataset:
        """Return samples in memory as a data set."""
        return samples.dataset(self.attributes, self.make_source)

    def some(self) -> SampleDataset:
        """See `SampleDataset.some`."""
        return self.in_memory().some()


class StoredBatches:
    """Iterate over a `StoredDataset`, with one part in memory.

    An order is drawn for the parts, and one for the rows of each part. The last rows of
    a part that do not fill a batch go into the first batch of the next part. For a
    single part the batches are those of `InMemoryBatches`. Each of several processes
    has its share of every batch.
    """

    def __init__(
        self, dataset: StoredDataset, batch_size: int, random: RandomStream | None
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.random = random

    @property
    def _sizes(self) -> list[int]:
        return batch_sizes(
            len(self.dataset), self.batch_size, is_trained_on=self.random is not None
        )

    def __iter__(self) -> Iterator[Batch]:
        return self._cut(self._sizes)

    def shared_by(self, processes: Processes) -> Iterator[Batch]:
        """Yield the part of each batch that this process computes."""
        own = self
        if self.random is not None:
            # The stream of the training must stay the same in all processes.
            seed = int(self.random.seeds(1)) + processes.rank
            own = StoredBatches(self.dataset, self.batch_size, OwnStream(seed))
        numbers = shared_sizes(self._sizes, self.dataset.samples.shares)
        batches = own._cut(numbers[:, processes.rank].tolist())
        for batch, of_batch in zip(batches, numbers.tolist(), strict=True):
            start = sum(of_batch[: processes.rank])
            stop = start + of_batch[processes.rank]
            processes.start_batch(sum(of_batch), slice(start, stop))
            yield batch

    def _cut(self, sizes: list[int]) -> Iterator[Batch]:
        """Yield batches of these sizes, of the samples of this process."""
        samples = self.dataset.samples
        sizes = sizes[::-1]
        rest = np.empty((0, samples.file.width), dtype=np.float32)
        for stored in self._ordered(samples.parts):
            rows = self._read(stored, rest)
            slices, end = [], 0
            while sizes and end + sizes[-1] <= len(rows):
                slices.append(slice(end, end + sizes[-1]))
                end += sizes.pop()
            held = self.dataset.held(samples.decode(rows[:end]))
            rest = rows[end:].copy()
            del rows  # one part at a time
            for batch in slices:
                target = {name: values[batch] for name, values in held.target.items()}
                yield cast(InMemorySource, held.source)[batch], target
            del held

    def _ordered(self, parts: list[Part]) -> list[Part]:
        if self.random is None or len(parts) == 1:
            return parts
        return [parts[k] for k in self.random.permutation(len(parts)).tolist()]

    def _read(self, part: Part, rest: np.ndarray) -> np.ndarray:
        """Return the rest of the part before, and the rows of a part."""
        rows = self.dataset.samples.file.read(*part)
        order: Any = slice(None)
        if self.random is not None:
            order = self.random.permutation(len(rows)).numpy()
        elif not len(rest):
            return rows
        joined = np.empty((len(rest) + len(rows), rows.shape[1]), dtype=np.float32)
        joined[: len(rest)] = rest
        joined[len(rest) :] = rows[order]
        return joined


def _n_rows(parts: list[Part]) -> int:
    return sum(stop - start for start, stop in parts)
