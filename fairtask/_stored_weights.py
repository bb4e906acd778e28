"""Weights of samples in a file, from totals over all of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["StoredWeights", "add_class_totals", "add_up"]


def add_class_totals(
    totals: Sequence[np.ndarray], y: np.ndarray, given: np.ndarray
) -> None:
    """Add samples to the total weight of each class, in place.

    Parameters
    ----------
    totals : sequence of ndarray of shape (n_classes,), float
        For each task.
    y : ndarray of shape (n, n_tasks)
        Class codes.
    given : ndarray of shape (n, 1) or (n, 0)
        Sample weights; 1 without them.
    """
    weight = given[:, 0] if given.shape[1] else None
    for total, codes in zip(totals, y.T, strict=True):
        total += np.bincount(codes, weight, minlength=len(total))


def add_up(totals: Iterable[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Add up the total weights of each task that the processes have found."""
    return [np.sum(of_task, axis=0) for of_task in zip(*totals, strict=True)]


@dataclass(frozen=True)
class StoredWeights:
    """How sample weights and class weights become those of the losses.

    Attributes
    ----------
    n_samples : int
    totals : list of ndarray of shape (n_classes,)
        See `add_class_totals`, over all samples.
    of_classes : list of ndarray of shape (n_classes,)
        Weight of each class, for each task.
    is_normalized : bool
        Whether the task weights get a mean of 1.
    in_groups : bool
        Whether sample weights count in the fairness losses.
    """

    n_samples: int
    totals: list[np.ndarray]
    of_classes: list[np.ndarray]
    is_normalized: bool
    in_groups: bool

    @property
    def sums(self) -> list[float]:
        """Total weight in the loss of each task."""
        return [w @ t for w, t in zip(self.of_classes, self.totals, strict=True)]

    @cached_property
    def _factors(self) -> list[np.ndarray]:
        """Weight of each class, divided by the mean weight in the loss of the task."""
        if not self.is_normalized:
            return self.of_classes
        return [
            of_class * total.sum() / weight
            for of_class, total, weight in zip(
                self.of_classes, self.totals, self.sums, strict=True
            )
        ]

    def of(
        self, y: np.ndarray, given: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the task weights and the group weights of some samples.

        Parameters
        ----------
        y : ndarray of shape (n, n_tasks)
            Class codes.
        given : ndarray of shape (n, 1) or (n, 0), float32
            Sample weights, if there are any.
        """
        by_task = zip(self._factors, y.T, strict=True)
        weights = np.column_stack([factor[codes] for factor, codes in by_task])
        if not given.shape[1]:
            return weights.astype(np.float32), None
        mean = self.totals[0].sum() / self.n_samples
        weight = (given.astype(float) / mean).astype(np.float32)
        of_groups = weight[:, 0] if self.in_groups else None
        return (weights * weight).astype(np.float32), of_groups
