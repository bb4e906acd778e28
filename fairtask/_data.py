"""Samples with their targets, and the batches cut from them."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

__all__ = [
    "Batch",
    "InMemoryBatches",
    "InMemoryDataset",
    "SampleDataset",
    "SparseRows",
    "holdout",
]

Batch = tuple[Tensor, dict[str, Tensor]]
"""Samples of a batch and their targets."""


class SparseRows:
    """Rows of a sparse matrix, made dense when they are asked for.

    Parameters
    ----------
    matrix : CSR matrix or array of shape (n_samples, n_features)
    device : torch.device, optional
        Where the dense rows go.
    """

    def __init__(self, matrix: Any, device: torch.device | None = None) -> None:
        self.matrix = matrix
        self.device = device or torch.device("cpu")

    def __len__(self) -> int:
        return self.matrix.shape[0]

    def __getitem__(self, index: Any) -> Tensor:
        if isinstance(index, Tensor):
            index = index.cpu().numpy()
        rows = self.matrix[index].toarray()
        return torch.as_tensor(rows, dtype=torch.float32, device=self.device)


class SampleDataset(Dataset):
    """Samples and targets.

    The sensitive attributes are part of the target, never of the sample: they are cut
    and moved with ``y``, and no ``forward`` can read them.

    Parameters
    ----------
    target : dict of str to ndarray of shape (n_samples, ...), optional
        ``"y"``: class codes; ``"groups"``: group codes; and what else goes along, such
        as weights.
    device : torch.device, optional
        Where the targets are kept.

    Attributes
    ----------
    evaluated_at_once : int
        Number of samples in a batch where there is no gradient to keep.
    """

    evaluated_at_once: int

    def __init__(
        self,
        target: dict[str, np.ndarray] | None = None,
        device: torch.device | None = None,
    ) -> None:
        self.target = {
            name: torch.as_tensor(values, device=device)
            for name, values in (target or {}).items()
        }

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def batches(
        self, batch_size: int, *, shuffle: bool = False, stratify: bool = False
    ) -> Iterable[Batch]:
        """Return what cuts batches, anew in each iteration.

        Parameters
        ----------
        batch_size : int
            Number of samples in a batch. The last batch of an epoch holds what remains.
        shuffle : bool, default=False
            Whether each epoch has an order of its own.
        stratify : bool, default=False
            Whether a shuffled epoch spreads the samples of each cell of labels and
            groups evenly over the batches.
        """

    @abstractmethod
    def thinned(self, step: int) -> "SampleDataset":
        """Return each step-th sample, without targets."""

    def shuffled(self, stratify: bool) -> Tensor:
        """Return the positions of the samples in a new order; see `batches`."""
        order = torch.randperm(len(self))
        if stratify:
            cells = self.cells
            order = order.to(cells.device)
            order = order[_spread(cells[order])]
        return order

    @cached_property
    def cells(self) -> Tensor:
        """Cell of labels and groups of each sample, shape (n_samples,)."""
        codes = torch.cat([self.target["y"], self.target["groups"]], dim=1)
        return torch.unique(codes, dim=0, return_inverse=True)[1]


class InMemoryDataset(SampleDataset):
    """Samples held in memory.

    Parameters
    ----------
    X : ndarray, Tensor or sparse CSR of shape (n_samples, ...)
        Samples.
    target : dict of str to ndarray of shape (n_samples, ...), optional
        See `SampleDataset`.
    device : torch.device, optional
        Where samples and targets are kept.
    """

    evaluated_at_once = 16_384

    def __init__(
        self,
        X: Any,
        target: dict[str, np.ndarray] | None = None,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(target, device)
        if sparse.issparse(X):
            self.X: Any = SparseRows(X, device)
        elif isinstance(X, Tensor):
            self.X = X.to(device)
        else:
            self.X = torch.as_tensor(np.ascontiguousarray(X), device=device)

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: Any) -> Batch:
        return self.X[index], {name: v[index] for name, v in self.target.items()}

    def batches(
        self, batch_size: int, *, shuffle: bool = False, stratify: bool = False
    ) -> "InMemoryBatches":
        """See `SampleDataset.batches`."""
        return InMemoryBatches(self, batch_size, shuffle, stratify)

    def thinned(self, step: int) -> "InMemoryDataset":
        """See `SampleDataset.thinned`."""
        return InMemoryDataset(self.X[::step])


class InMemoryBatches:
    """Iterate over an `InMemoryDataset`, one index operation per tensor and batch.

    It takes the place of a `torch.utils.data.DataLoader`, which fetches sample by
    sample and collates them again.

    Parameters
    ----------
    dataset : InMemoryDataset
    batch_size, shuffle, stratify
        See `SampleDataset.batches`.
    """

    def __init__(
        self,
        dataset: InMemoryDataset,
        batch_size: int,
        shuffle: bool = False,
        stratify: bool = False,
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.stratify = stratify

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[Batch]:
        if self.shuffle:
            order = self.dataset.shuffled(self.stratify).to(self.dataset.X.device)
            for indices in order.split(self.batch_size):
                yield self.dataset[indices]
        else:
            for start in range(0, len(self.dataset), self.batch_size):
                yield self.dataset[start : start + self.batch_size]


def _spread(cells: Tensor) -> Tensor:
    """Order in which the members of each cell follow each other at equal distances."""
    by_cell = cells.argsort(stable=True)
    sizes = cells.bincount()
    first = sizes.cumsum(0) - sizes
    # The rank of each sample in its cell, on the cell's own scale from 0 to 1. The
    # random start keeps the cells from all beginning in the first batch.
    rank = torch.empty_like(cells)
    rank[by_cell] = torch.arange(len(cells), device=cells.device)
    start = torch.rand(len(sizes)).to(cells.device)
    return ((rank - first[cells] + start[cells]) / sizes[cells]).argsort(stable=True)


def holdout(
    labels: np.ndarray,
    groups: np.ndarray,
    fraction: float,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Split rows at random, each cell of labels and groups in about the same share.

    Unlike scikit-learn's stratified splits it takes cells of any size. Each label stays
    among the rows that are kept.

    Parameters
    ----------
    labels, groups : ndarray of shape (n_samples, n_columns)
        Codes of the labels and of the groups.
    fraction : float in (0, 1)
        Share of the rows to hold out.
    rng : RandomState

    Returns
    -------
    kept, held_out : ndarray of int
        Row numbers, in ascending order.
    """
    n = len(labels)
    cells = np.hstack([labels, groups])
    n_held_out = min(max(1, round(fraction * n)), n - 1)
    order = rng.permutation(n)
    order = order[np.lexsort(cells[order].T)]
    # Every 1/fraction-th row of the rows sorted by cell, from a random start.
    positions = ((np.arange(n_held_out) + rng.uniform()) * n / n_held_out).astype(int)
    is_held_out = np.zeros(n, dtype=bool)
    is_held_out[order[np.minimum(positions, n - 1)]] = True
    for column in labels.T:
        lost = np.setdiff1d(column, column[~is_held_out])
        for label in lost:
            is_held_out[np.flatnonzero(column == label)[0]] = False
    return np.flatnonzero(~is_held_out), np.flatnonzero(is_held_out)
