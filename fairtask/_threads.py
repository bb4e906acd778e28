"""Threads: locks that forks respect, and how many threads torch computes with."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn

__all__ = ["SEVERAL_THREADS", "fork_safe_lock", "survive_forks", "threads_for"]

SEVERAL_THREADS = 1_000_000
"""Number of weights from which torch's number of threads is kept.

It is a judgement. Where other programs used the cores, two threads were slower than one
for every network that was measured; idle cores were not. Embeddings do not count: a
sample uses few of their rows.
"""


def fork_safe_lock() -> Any:
    """Return a lock that no other thread holds while the process is forked.

    The new process would wait for it forever.
    """
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(
            before=lock.acquire,
            after_in_parent=lock.release,
            after_in_child=lock.release,
        )
    return lock


SETTING = fork_safe_lock()
"""Held while a thread changes its number of threads."""


class _Forked(threading.local):
    """Whether the calling thread is the copy, in a new process, of one that forked."""

    here = False


_FORKED = _Forked()


@cache
def survive_forks() -> None:
    """Let forked processes compute, from now on.

    A forked process has a copy of the thread that forked, and none of the threads that
    this one computed with. OpenMP would wait for these forever. torch's own processes
    that load data compute in one thread for this reason. Threads that are started in
    the new process can compute with as many as they like.
    """

    def in_child() -> None:
        _FORKED.here = True
        torch.set_num_threads(1)

    if hasattr(os, "register_at_fork"):  # not on Windows
        os.register_at_fork(after_in_child=in_child)


@contextmanager
def threads_for(
    network: nn.Module, device: torch.device, n_threads: int | None
) -> Iterator[None]:
    """Compute with a number of threads that suits the network, in the calling thread.

    Parameters
    ----------
    network : nn.Module
    device : torch.device
        Where the network is.
    n_threads : int or None
        The number. None: one for a small network on the CPU; otherwise torch's. It is
        one in the thread of a forked process that was copied.
    """
    survive_forks()
    with SETTING:  # a thread that asks for the first time gets the number set last
        before = torch.get_num_threads()
    if n_threads is None:
        is_small = device.type == "cpu" and _n_weights(network) < SEVERAL_THREADS
        n_threads = 1 if is_small else before
    if _FORKED.here:
        n_threads = 1
    if n_threads == before:
        yield
        return
    _set_for_this_thread(n_threads)
    try:
        yield
    finally:
        _set_for_this_thread(before)


def _n_weights(network: nn.Module) -> int:
    """Return the number of weights that each sample is multiplied with."""
    return sum(
        weight.numel()
        for module in network.modules()
        if not isinstance(module, nn.Embedding | nn.EmbeddingBag)
        for weight in module.parameters(recurse=False)
    )


def _set_for_this_thread(n_threads: int) -> None:
    """Change the number of the calling thread, and of no other.

    Each thread has a number of its own. But torch gives the number that was set last,
    in whatever thread, to a thread that computes for the first time. Such a newcomer
    finds out which that is, and sets it again.
    """
    with SETTING, ThreadPoolExecutor(max_workers=1) as newcomer:
        of_newcomers = newcomer.submit(torch.get_num_threads).result()
        torch.set_num_threads(n_threads)
        newcomer.submit(torch.set_num_threads, of_newcomers).result()
