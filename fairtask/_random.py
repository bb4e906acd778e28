"""Randomness of one fit, apart from the global random state."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["everything_seeded", "seeded"]

GENERATORS = threading.RLock()


@contextmanager
def seeded(seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Seed torch's generators, and leave their states as they were.

    Initialisation and dropout draw from the global generators only. They belong to one
    thread at a time, so that fits in several threads neither mix nor repeat numbers.
    """
    on_cuda = device is not None and device.type == "cuda"
    with GENERATORS, torch.random.fork_rng(devices=[device] if on_cuda else []):
        # Not torch.manual_seed, which would seed devices that are not restored.
        torch.default_generator.manual_seed(int(seed))
        if on_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(int(seed))
        yield


@contextmanager
def everything_seeded(seed: int) -> Iterator[None]:
    """Seed Python, numpy and torch on the CPU, and leave their states as they were.

    Transforms of images draw from whichever they like.
    """
    with GENERATORS:
        states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002
            torch.set_rng_state(states[2])
