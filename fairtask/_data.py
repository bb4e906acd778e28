"""Samples, and the batches that are cut from them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.validation import _num_samples
from torch import Tensor
from torch.utils.data import Dataset

from fairtask._holdout import hold_out_rows
from fairtask._processes import Processes
from fairtask._random import RandomStream

__all__ = [
    "Batch",
    "InMemorySource",
    "Positions",
    "SampleDataset",
    "Samples",
    "Source",
    "all_rows",
    "batch_sizes",
    "n_samples_of",
    "of_each_part",
]

MAX_DENSE = 32_000_000
"""Numbers of a sparse matrix that are made dense at once, where the batch is large."""

Positions = slice | Tensor
"""Positions of the samples of a batch."""

Batch = tuple[Any, dict[str, Tensor]]
"""Inputs of a batch, a tensor or a mapping of tensors, and its targets."""


def of_each_part(function: Callable[[Any], Any], X: Any) -> Any:
    """Apply a function to an array, or to each array of a mapping."""
    if isinstance(X, Mapping):
        return {name: function(part) for name, part in X.items()}
    return function(X)


def n_samples_of(X: Any) -> int:
    """Return the number of samples in an array, or in each array of a mapping."""
    return _num_samples(next(iter(X.values())) if isinstance(X, Mapping) else X)


def rows_of(part: Any, rows: Any) -> Any:
    """Return rows of an array or tensor."""
    if isinstance(part, Tensor) and isinstance(rows, Tensor):
        return part.index_select(0, rows)  # faster than `part[rows]`
    return part[rows]


@dataclass(frozen=True)
class Samples:
    """Samples with the codes of their labels and groups, and with their weights.

    Attributes
    ----------
    X : array of shape (n_samples, ...), or dict of str to such arrays
    y : ndarray of shape (n_samples, n_tasks), int64
    groups : ndarray of shape (n_samples, n_attributes), int64
    task_weight : ndarray of shape (n_samples, n_tasks), float32, or None
        Weights in the task losses.
    group_weight : ndarray of shape (n_samples,), float32, or None
        Weights in the fairness losses.
    """

    X: Any
    y: np.ndarray
    groups: np.ndarray
    task_weight: np.ndarray | None = None
    group_weight: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.y)

    def take(self, rows: np.ndarray) -> "Samples":
        """Return the samples at these positions."""
        return Samples(
            of_each_part(lambda part: part[rows], self.X),
            self.y[rows],
            self.groups[rows],
            None if self.task_weight is None else self.task_weight[rows],
            None if self.group_weight is None else self.group_weight[rows],
        )

    def hold_out(
        self, fraction: float, rng: np.random.RandomState
    ) -> tuple["Samples", "Samples"]:
        """Split at random into a training and a validation part.

        Classes and groups are in both parts in about the same proportions. The weights
        of the training part have a mean of 1 again; the validation part has none.
        """
        kept, held_out = hold_out_rows(self.y, self.groups, fraction, rng)
        if not len(held_out):
            raise ValueError(
                "`early_stopping` has nothing to hold out: each of the "
                f"n_samples={len(self)} is the only one of its class."
            )
        training = self.take(kept)
        rescaled = []
        for weight in (training.task_weight, training.group_weight):
            if weight is not None and not weight.any(axis=0).all():
                raise ValueError(
                    "`early_stopping` holds out all samples whose weight is above 0; "
                    "pass `X_val` and `y_val`."
                )
            rescaled.append(None if weight is None else weight / weight.mean(axis=0))
        training = replace(training, task_weight=rescaled[0], group_weight=rescaled[1])
        return training, replace(
            self.take(held_out), task_weight=None, group_weight=None
        )

    def in_memory(self) -> "Samples":
        """Return these samples, or a random part of them if they are in a file."""
        return self

    def dataset(
        self, attributes: list[int], make_source: Callable[[Any], "Source"]
    ) -> "SampleDataset":
        """Return the samples as the network takes them.

        Parameters
        ----------
        attributes : list of int
            See `target`.
        make_source : callable
            From `X` to its source.
        """
        return SampleDataset(make_source(self.X), self.target(attributes))

    def target(self, attributes: list[int]) -> dict[str, np.ndarray]:
        """Return the targets of the objective, with the groups of some attributes.

        The groups of all attributes are added for the history.
        """
        target = {"y": self.y, "groups": self.groups[:, attributes]}
        if self.groups.shape[1]:
            target["recorded_groups"] = self.groups
        if self.task_weight is not None:
            target["task_weight"] = self.task_weight
        if self.group_weight is not None:
            target["group_weight"] = self.group_weight
        return target


class Source(ABC):
    """Inputs of the network, cut into batches. It knows no targets.

    Attributes
    ----------
    evaluated_at_once : int
        Number of samples in a batch where there is no gradient to keep.
    device : torch.device or None
        Where the batches are. None: on the CPU.
    """

    evaluated_at_once: int
    device: torch.device | None = None

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(self, batch_size: int, random: RandomStream | None = None) -> Any:
        """Return an iterable over the inputs of each batch and their positions.

        Parameters
        ----------
        batch_size : int
            Number of samples in a batch. The last batch of an epoch holds the rest.
        random : RandomStream, optional
            Draws an order for each iteration. None: the samples stay in order.

        Returns
        -------
        batches : iterable
            Its attribute ``part`` is a function from the number of samples in a batch
            to those rows of it that are returned: by default `all_rows`.
        """

    @abstractmethod
    def take(self, rows: np.ndarray) -> "Source":
        """Return the samples at these positions, in memory or to be read once."""


class LazyRows:
    """Rows of an array that torch cannot hold, copied when they are asked for.

    Those of a sparse matrix become dense. A read-only array, such as a memory map,
    stays where it is.

    Parameters
    ----------
    array : ndarray, or sparse CSR of shape (n_samples, n_features)
    device : torch.device, optional
        Where the rows go.
    """

    def __init__(self, array: Any, device: torch.device | None = None) -> None:
        self.array = array
        self.device = device

    def __len__(self) -> int:
        return self.array.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, Tensor):
            index = index.cpu().numpy()
        rows = self.array[index]
        if sparse.issparse(rows):
            rows = rows.toarray().astype(np.float32, copy=False)
        elif not rows.flags.writeable:  # a slice, which is a view
            rows = rows.copy()
        return torch.as_tensor(rows, device=self.device)


class InMemorySource(Source):
    """Samples held in memory.

    Parameters
    ----------
    X : ndarray, Tensor or sparse CSR of shape (n_samples, ...), or mapping of these
    device : torch.device, optional
        Where the samples are kept.
    """

    evaluated_at_once = 16_384

    def __init__(self, X: Any, device: torch.device | None = None) -> None:
        self.device = device
        self.X = of_each_part(self._kept, X)

    def _kept(self, part: Any) -> Any:
        if isinstance(part, Tensor):
            return part.to(self.device)
        if sparse.issparse(part):
            at_once = 1 + MAX_DENSE // part.shape[1]
            self.evaluated_at_once = min(at_once, self.evaluated_at_once)
            return LazyRows(part, self.device)
        part = np.ascontiguousarray(part)
        if not part.flags.writeable:
            return LazyRows(part, self.device)
        return torch.as_tensor(part, device=self.device)

    def __len__(self) -> int:
        return n_samples_of(self.X)

    def __getitem__(self, index: Any) -> Any:
        return of_each_part(lambda part: rows_of(part, index), self.X)

    def batches(
        self, batch_size: int, random: RandomStream | None = None
    ) -> "InMemoryBatches":
        """See `Source.batches`."""
        return InMemoryBatches(self, batch_size, random)

    def take(self, rows: np.ndarray) -> "InMemorySource":
        """See `Source.take`."""
        taken = of_each_part(
            lambda part: (part.array if isinstance(part, LazyRows) else part)[rows],
            self.X,
        )
        return InMemorySource(taken, self.device)


def all_rows(n_samples: int) -> slice:
    """Return the rows of a batch."""
    return slice(0, n_samples)


def batch_sizes(n_samples: int, batch_size: int, *, is_trained_on: bool) -> list[int]:
    """Return the number of samples in each batch.

    A batch normalisation cannot be trained on a single sample, which joins the batch
    before it.
    """
    sizes = [batch_size] * (n_samples // batch_size)
    if n_samples % batch_size:
        sizes.append(n_samples % batch_size)
    if is_trained_on and len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [batch_size + 1]
    return sizes


class InMemoryBatches:
    """Iterate over an `InMemorySource`, one index operation per tensor and batch.

    It replaces a `torch.utils.data.DataLoader`, which fetches the samples one by one
    and collates them again.
    """

    def __init__(
        self, source: InMemorySource, batch_size: int, random: RandomStream | None
    ) -> None:
        self.source = source
        self.batch_size = batch_size
        self.random = random
        self.part: Callable[[int], slice] = all_rows

    def __iter__(self) -> Iterator[tuple[Any, Positions]]:
        n_samples = len(self.source)
        if self.random is None:
            for start in range(0, n_samples, self.batch_size):
                part = self.part(min(self.batch_size, n_samples - start))
                rows = slice(start + part.start, start + part.stop)
                # Copies: slices are views, and a trunk may work in place.
                X = of_each_part(lambda part: part.clone(), self.source[rows])
                yield X, rows
            return
        order = self.random.permutation(n_samples)
        sizes = batch_sizes(n_samples, self.batch_size, is_trained_on=True)
        for batch in order.to(self.source.device).split(sizes):
            indices = batch[self.part(len(batch))]
            yield self.source[indices], indices


class SampleDataset(Dataset):
    """Inputs with their targets.

    Sensitive attributes are part of the target, never of the input: they are cut and
    moved with ``y``, and no ``forward`` can read them.

    Parameters
    ----------
    source : Source
    target : dict of str to ndarray of shape (n_samples, ...), optional
        ``"y"``: class codes; ``"groups"``: group codes; and more, such as weights.
    """

    is_in_memory = True

    def __init__(
        self, source: Source, target: Mapping[str, np.ndarray | Tensor] | None = None
    ) -> None:
        self.source = source
        self.target = {
            name: torch.as_tensor(values, device=source.device)
            for name, values in (target or {}).items()
        }

    def __len__(self) -> int:
        return len(self.source)

    def batches(
        self, batch_size: int | None = None, random: RandomStream | None = None
    ) -> "TargetedBatches":
        """Return an iterable over batches; see `Source.batches`.

        Without a `batch_size` they are as large as an evaluation allows.
        """
        batch_size = batch_size or self.source.evaluated_at_once
        sizes = batch_sizes(len(self), batch_size, is_trained_on=random is not None)
        batches = self.source.batches(batch_size, random)
        return TargetedBatches(batches, self.target, sizes)

    def in_memory(self) -> "SampleDataset":
        """Return this data set, or a random part of it if it is in a file."""
        return self

    def some(self) -> "SampleDataset":
        """Return as many samples as are evaluated at once, always the same ones.

        They are drawn at random, because every other sample may have the same label.
        """
        n_drawn = min(len(self), self.source.evaluated_at_once)
        drawn = np.random.default_rng(0).choice(len(self), n_drawn, replace=False)
        rows = np.sort(drawn)
        target = {name: values[rows] for name, values in self.target.items()}
        return SampleDataset(self.source.take(rows), target)


class TargetedBatches:
    """Batches of a source, of known sizes, each with its targets."""

    def __init__(
        self, batches: Any, target: dict[str, Tensor], sizes: list[int]
    ) -> None:
        self._batches = batches
        self._target = target
        self._sizes = sizes

    def shared_by(self, processes: Processes) -> Iterator[Batch]:
        """Yield the part of each batch that this process computes."""
        self._batches.part = processes.part
        for batch, size in zip(self, self._sizes, strict=True):
            processes.start_batch(size, processes.part(size))
            yield batch

    def __iter__(self) -> Iterator[Batch]:
        for X, rows in self._batches:
            yield (
                X,
                {name: rows_of(values, rows) for name, values in self._target.items()},
            )
