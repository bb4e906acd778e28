"""Random numbers of one training, apart from the global random state."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

import numpy as np
import torch

from fairtask._threads import fork_safe_lock

__all__ = ["RandomStream", "everything_seeded"]

GENERATORS = fork_safe_lock()
"""Held while torch's global generators belong to one thread."""


class RandomStream:
    """Random numbers of one training.

    Initialisation and dropout draw from torch's global generators only. Inside of
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

    def _swap(self) -> None:
        """Exchange the states of the generators with those kept here."""
        kept = self._states
        self._states = [generator.get_state() for generator in self._generators]
        for generator, state in zip(self._generators, kept, strict=True):
            generator.set_state(state)


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
