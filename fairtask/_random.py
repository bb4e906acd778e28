"""Random numbers of one training, apart from the global random state."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch

from fairtask._processes import of_first_process
from fairtask._threads import fork_safe_lock

__all__ = ["OwnStream", "RandomStream", "current_generator", "everything_seeded"]

GENERATORS = fork_safe_lock()
"""Held while torch's global generators belong to one thread."""


class RandomStream:
    """Random numbers of one training, drawn from torch's global generators.

    Initialisation and the modules of torch draw from those only. Inside of
    ``with stream:`` these generators hold the state of the stream; afterwards they have
    the state that they had before, and the stream goes on where it stopped. Other
    streams wait meanwhile, so keep the block short. A thread that draws from torch
    directly disturbs the stream.

    Parameters
    ----------
    seed : int
    device : torch.device, optional
        A CUDA device has a generator of its own, which is part of the stream.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self._depth = 0  # of blocks inside each other
        self._generators = [torch.default_generator]
        if device is not None and device.type == "cuda":
            self._generators.append(torch.cuda.default_generators[device.index or 0])
        self._states = [
            torch.Generator(generator.device).manual_seed(int(seed)).get_state()
            for generator in self._generators
        ]

    generator: torch.Generator | None = None
    """Of the numbers on the CPU. None: torch's global one, inside of the block."""

    def __enter__(self) -> Self:
        GENERATORS.acquire()
        try:
            if not self._depth:
                self._swap()
            self._depth += 1
        except BaseException:
            GENERATORS.release()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            self._depth -= 1
            if not self._depth:
                self._swap()
        finally:
            GENERATORS.release()

    def take_over(self) -> None:
        """Go on with the numbers of the first of the processes that train together.

        A module of torch draws as many numbers as this process has samples.
        """
        self._states = of_first_process(self._states)

    def _swap(self) -> None:
        """Exchange the states of the generators with those kept here."""
        kept = self._states
        self._states = [generator.get_state() for generator in self._generators]
        for generator, state in zip(self._generators, kept, strict=True):
            generator.set_state(state)

    def permutation(self, n: int) -> torch.Tensor:
        """Draw an order of n things, on the CPU."""
        with self:
            return torch.randperm(n, generator=self.generator)

    def seeds(self, n: int) -> torch.Tensor:
        """Draw n seeds, on the CPU."""
        with self:
            return torch.randint(2**31 - 1, (n,), generator=self.generator)


class OwnStream(RandomStream):
    """Random numbers of one training, drawn from generators of its own.

    No other training waits for it. It is for networks whose modules ask for the
    `current_generator`.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self.generator = torch.Generator().manual_seed(int(seed))
        self._of_device = self.generator
        if device is not None and device.type != "cpu":
            self._of_device = torch.Generator(device).manual_seed(int(seed))

    def take_over(self) -> None:
        """Do nothing: the modules draw the numbers of a whole batch."""

    def __enter__(self) -> Self:
        _CURRENT.generators.append(self._of_device)
        return self

    def __exit__(self, *exception: object) -> None:
        _CURRENT.generators.pop()


class _Current(threading.local):
    """Generators of the blocks that a thread is in, the innermost last."""

    def __init__(self) -> None:
        self.generators: list[torch.Generator] = []


_CURRENT = _Current()


def current_generator() -> torch.Generator | None:
    """Return the generator of the stream that this thread is in.

    None: torch's global one.
    """
    return _CURRENT.generators[-1] if _CURRENT.generators else None


@contextmanager
def everything_seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and torch on the CPU, and restore their states afterwards.

    Transforms of images may draw from any of the three.
    """
    with RandomStream(seed):
        states = random.getstate(), np.random.get_state()  # noqa: NPY002
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
