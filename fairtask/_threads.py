"""Threads: locks that forks respect, and how many threads torch computes with."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

__all__ = ["SEVERAL_THREADS", "fork_safe_lock", "threads_for"]

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
        The number. None: one for a small network on the CPU; otherwise torch's.
    """
    with SETTING:  # a thread that asks for the first time gets the number set last
        before = torch.get_num_threads()
    if n_threads is None:
        is_small = device.type == "cpu" and _n_weights(network) < SEVERAL_THREADS
        n_threads = 1 if is_small else before
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
