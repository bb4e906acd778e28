"""Randomness of one fit, apart from the global random state."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

__all__ = ["seeded"]

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
