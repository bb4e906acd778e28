"""Processes that train one network together, on torch.distributed."""

import atexit
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self, TypeVar

import joblib
import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = [
    "Processes",
    "current_processes",
    "find_processes",
    "in_each_process",
    "mean_over_processes",
    "of_first_process",
    "shared_sizes",
    "sum_over_processes",
]

T = TypeVar("T")


class Processes:
    """The processes that train one network together.

    Each computes a part of every batch. It has all samples, or those rows of a table on
    disk that it has read. Inside of ``with processes:`` the losses of this thread are
    those of the whole batch.

    Attributes
    ----------
    rank : int
        Number of this process.
    size : int
        Number of processes.
    n_samples : int
        Number of samples of the batch that is computed.
    rows : slice
        Rows of this batch that this process computes. There may be none: a batch can
        have fewer samples than there are processes.
    """

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()
        self.start_batch(0, slice(0, 0))

    def start_batch(self, n_samples: int, rows: slice) -> None:
        """Note the number of samples of a batch, and the rows of this process."""
        self.n_samples, self.rows = n_samples, rows

    def part(self, n_samples: int) -> slice:
        """Return the share of this process in a number of rows."""
        start, stop = (n_samples * r // self.size for r in (self.rank, self.rank + 1))
        return slice(start, stop)

    def __enter__(self) -> Self:
        _CURRENT.processes = self
        return self

    def __exit__(self, *exception: object) -> None:
        _CURRENT.processes = None

    def check_same(self, **given: Any) -> None:
        """Raise a ValueError in all processes if one was given something else."""
        found: list[Any] = [None] * self.size
        digests = {name: joblib.hash(value) for name, value in given.items()}
        dist.all_gather_object(found, digests)
        names = dict.fromkeys(name for of_one in found for name in of_one)
        different = [n for n in names if len({of_one.get(n) for of_one in found}) > 1]
        if different:
            raise ValueError(
                f"`fit` must get the same samples and parameters in all {self.size} "
                "processes, each of which computes a part of every batch; different "
                f"are: {different}. Read and split the data alike in each of them, "
                "with an integer as `random_state`. To fit a model in each process, "
                "start them without torchrun."
            )

    def take_over(self, *modules: nn.Module) -> None:
        """Take the weights and buffers of the first process."""
        for module in modules:
            for tensor in (*module.parameters(), *module.buffers()):
                dist.broadcast(tensor.detach(), src=0)

    def add_gradients(self, *modules: nn.Module) -> None:
        """Add up the gradients of all processes."""
        weights = [weight for module in modules for weight in module.parameters()]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        for gradient, total in zip(gradients, _added_up(gradients), strict=True):
            gradient.copy_(total)

    def gather(self, values: Tensor) -> Tensor:
        """Return the rows of the whole batch, given those of this process."""
        whole = values.new_zeros(self.n_samples, *values.shape[1:])
        whole[self.rows] = values
        dist.all_reduce(whole)
        return whole


def _added_up(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Add up the tensors of all processes, in one message, without a gradient."""
    message = torch.cat([tensor.detach().flatten() for tensor in tensors])
    dist.all_reduce(message)
    parts = message.split([tensor.numel() for tensor in tensors])
    return [
        part.view(tensor.shape).to(tensor.dtype)
        for part, tensor in zip(parts, tensors, strict=True)
    ]


class _Current(threading.local):
    processes: Processes | None = None


_CURRENT = _Current()


_HAS_GROUP_OF_PARENT = threading.Event()
"""Set in a process that was forked from one with a process group."""


def _note_group_of_parent() -> None:
    if dist.is_available() and dist.is_initialized():
        _HAS_GROUP_OF_PARENT.set()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_note_group_of_parent)


def _leave() -> None:
    """Destroy the process group, unless the script did."""
    if dist.is_initialized():
        dist.destroy_process_group()


def current_processes() -> Processes | None:
    """Return the processes whose batch this thread computes; None if it is alone."""
    return _CURRENT.processes


def find_processes() -> Processes | None:
    """Return the processes that train together; None where this one trains alone.

    They were started by torchrun, or the script has initialised a process group.
    Threads and children, in which a search may call `fit`, train alone: they would mix
    up the collectives of several trainings.
    """
    in_main_thread = threading.current_thread() is threading.main_thread()
    if not dist.is_available() or not in_main_thread or _HAS_GROUP_OF_PARENT.is_set():
        return None
    if not dist.is_initialized():
        is_child = multiprocessing.parent_process() is not None
        if is_child or not dist.is_torchelastic_launched():
            return None
        dist.init_process_group()  # gloo on the CPU, NCCL on CUDA
        atexit.register(_leave)
    return Processes() if dist.get_world_size() > 1 else None


def of_first_process(value: Any) -> Any:
    """Return the value that the first of the processes has."""
    if find_processes() is None:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


def in_each_process(compute: Callable[[], T]) -> list[T]:
    """Return the results of a function in the processes that train together.

    An error in one of them is raised in all: none waits for the others. A process that
    trains alone has one result.
    """
    if find_processes() is None:
        return [compute()]
    mine: tuple[Any, Exception | None]
    try:
        mine = compute(), None
    except Exception as error:
        mine = None, error
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, mine)
    for _, raised in found:
        if raised is not None:
            raise raised
    return [result for result, _ in found]


def shared_sizes(sizes: Sequence[int], shares: Sequence[int]) -> np.ndarray:
    """Return the number of samples of each batch that each process computes.

    They are in proportion to the samples that are left in each process, and add up to
    the size of the batch.

    Parameters
    ----------
    sizes : sequence of int
        Number of samples in each batch.
    shares : sequence of int
        Number of samples in each process, with the same total.

    Returns
    -------
    ndarray of shape (n_batches, n_processes), int
    """
    left = np.array(shares)
    numbers = np.empty((len(sizes), len(shares)), dtype=int)
    for of_batch, size in zip(numbers, sizes, strict=True):
        of_batch[:], rest = np.divmod(size * left, left.sum())
        n_missing = size - of_batch.sum()
        of_batch[np.argsort(-rest, kind="stable")[:n_missing]] += 1
        left -= of_batch
    return numbers


def sum_over_processes(sums: Sequence[Tensor]) -> list[Tensor]:
    """Add up the sums of the processes that compute a batch together.

    The values are those of the whole batch. The gradient is that of the samples of this
    process: the gradients of the weights are added up afterwards.

    NOTE: all processes must make the same calls, whatever the batch holds. Outside of a
    training, and where one process trains alone, the sums are returned as they are.

    Parameters
    ----------
    sums : sequence of Tensor
        Sums over the samples of this process, of any shape.

    Returns
    -------
    sums : list of Tensor
        Sums over the samples of all processes.

    Examples
    --------
    A mean over the samples of all processes; here there is one:

    >>> import torch
    >>> from fairtask.losses import sum_over_processes
    >>> values = torch.tensor([1.0, 2.0, 6.0])
    >>> total, n = sum_over_processes([values.sum(), torch.tensor(len(values))])
    >>> total / n
    tensor(3.)
    """
    if _CURRENT.processes is None:
        return list(sums)
    return [
        total + (mine - mine.detach())
        for mine, total in zip(sums, _added_up(sums), strict=True)
    ]


def mean_over_processes(means: Iterable[Tensor], n_samples: int) -> list[Tensor]:
    """Return means over all samples of a batch, as `sum_over_processes` does.

    Parameters
    ----------
    means : iterable of Tensor
        Means over the samples of this process; NaN where it has none.
    n_samples : int
        Number of these samples.
    """
    processes = _CURRENT.processes
    if processes is None:
        return list(means)
    share = n_samples / processes.n_samples
    return sum_over_processes(
        [share * mean if n_samples else mean.nan_to_num() for mean in means]
    )
