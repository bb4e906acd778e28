"""The interface of a modality: a kind of samples, such as tables or images."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from fairtask._averaging import WeightAverage
from fairtask._data import InMemorySource, Samples, Source
from fairtask._parquet import ParquetTable

__all__ = ["Modality", "representation_width"]


class Modality(ABC):
    """A kind of samples: how they are checked, batched and represented.

    An estimator makes one for each training, from its parameters. It knows nothing of
    labels, groups and losses. `validate`, `make_trunk` and `state` with `restore` have
    to be written; the other methods have a default.
    """

    fixed_parameters: ClassVar[tuple[str, ...]] = ()
    """Parameters that cannot change in a continued training."""

    @property
    def divergence_remedy(self) -> str:
        """How to avoid a divergence other than by the learning rate: a clause."""
        return ""

    @property
    def weights_remedy(self) -> str:
        """How a trunk gets weights to train: a clause."""
        return "The trunk must have weights"

    def open(self, X: Any, argument: str) -> ParquetTable | None:
        """Return samples that stay on disk; None if they are in memory."""
        return None

    @abstractmethod
    def validate(self, X: Any, estimator: BaseEstimator, *, reset: bool) -> Any:
        """Check samples.

        Parameters
        ----------
        X : object
            Samples as the user passes them.
        estimator : BaseEstimator
            Gets ``n_features_in_`` and ``feature_names_in_``, where there are features.
        reset : bool
            Whether `X` defines the columns and types that later samples must have.

        Returns
        -------
        X : array of shape (n_samples, ...), or dict of str to such arrays
            All of one length, with the types that the trunk takes. Each takes an array
            of positions as index.

        Raises
        ------
        ValueError
            If `X` is not as expected.
        """

    def readable(self, X: Any) -> np.ndarray | None:
        """Return the positions of the samples to train on; None stands for all.

        Raises
        ------
        ValueError
            If a sample cannot be read and must not be left out.
        """
        return None

    def check_readable(self, X: Any) -> None:  # noqa: B027 (a default)
        """Raise a ValueError before a prediction if samples cannot be read."""

    def learn(self, samples: Samples, *, are_all: bool) -> None:  # noqa: B027 (a default)
        """Learn from the training samples of a new network, before `make_trunk`.

        `are_all` is false for some of them, where all are too many for the memory.
        """

    def learn_more(self, samples: Samples) -> None:  # noqa: B027 (a default)
        """Learn from the samples of a continued training what was not known before."""

    @abstractmethod
    def make_trunk(self, *, pretrained: bool) -> tuple[nn.Module, int]:
        """Return a new trunk, and the width of its representation.

        Parameters
        ----------
        pretrained : bool
            Whether pretrained weights are needed. Without them, other weights are
            loaded into the trunk afterwards.
        """

    def make_head(self, in_features: int, n_outputs: int) -> nn.Module:
        """Return a head from the representation to logits."""
        return nn.Linear(in_features, n_outputs)

    def make_source(
        self,
        X: Any,
        device: torch.device,
        *,
        trunk: nn.Module | None = None,
        is_trained_on: bool = False,
    ) -> Source:
        """Return validated samples as a source of batches.

        Parameters
        ----------
        X : array or dict of arrays
            Output of `validate`, or a part of it.
        device : torch.device
            Where the network is.
        trunk : nn.Module, optional
            Trunk of a training. The source may compute parts of its output once for all
            epochs.
        is_trained_on : bool, default=False
            Whether these are the training samples, which may be augmented.
        """
        return InMemorySource(X, device)

    def make_average(self) -> WeightAverage | None:
        """Return an average of the weights that replaces the last ones, if any."""
        return None

    def weight_settings(
        self, network: nn.Module, *, lr: float, weight_decay: float | None
    ) -> dict[str, dict[str, Any]]:
        """Return settings of the optimizer that differ, by the name of a weight."""
        return {}

    def check_portable(self) -> None:  # noqa: B027 (a default)
        """Raise a ValueError if a file without code cannot hold the modality."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return the state that `validate`, `learn` and `make_trunk` learnt.

        Files hold numbers, strings, None, and lists, tuples, dicts and one-dimensional
        arrays of these.
        """

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Take the state of another object; raise a ValueError if it does not fit."""


def representation_width(module: nn.Module, example: torch.Tensor, name: str) -> int:
    """Return the width of the output of a module that takes a tensor.

    Parameters
    ----------
    module : nn.Module
    example : Tensor of shape (1, ...)
        An input.
    name : str
        The parameter that the module is, for error messages.

    Raises
    ------
    ValueError
        If the module cannot take the input, or its output has another shape than
        (1, width).
    """
    was_training = module.training
    shape = tuple(example.shape[1:])
    try:
        with torch.no_grad():
            output = module.eval()(example)
    except (RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ValueError(
            f"`{name}` cannot compute the representation of a sample of shape {shape}: "
            f"{str(error).rstrip('.')}."
        ) from error
    finally:
        module.train(was_training)
    is_row = isinstance(output, torch.Tensor) and output.ndim == 2 and len(output) == 1
    if is_row and output.shape[1]:
        return output.shape[1]
    found = (
        f"shape {tuple(output.shape)}"
        if isinstance(output, torch.Tensor)
        else f"type {type(output).__name__}"
    )
    raise ValueError(
        f"`{name}` must return a representation of shape (n_samples, width); for one "
        f"sample of shape {shape} its output has {found}."
    )
