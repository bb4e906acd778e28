"""Training: batches held in memory, and the skorch net that combines the losses."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNet
from skorch.callbacks import LRScheduler
from skorch.utils import to_tensor
from torch import Tensor
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import Dataset

from fairtask.modules import MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["FairnessNet", "InMemoryBatches", "InMemoryDataset", "OneCycle"]

PREDICT_BATCH_SIZE = 16_384
"""Samples evaluated at once where there is no gradient to keep."""


class InMemoryDataset(Dataset):
    """Samples and targets as tensors.

    The sensitive attributes are part of the target, never of the sample: skorch cuts
    and moves them with ``y``, and no ``forward`` can read them.

    Parameters
    ----------
    X : Tensor of shape (n_samples, ...)
    target : dict of str to Tensor of shape (n_samples, ...), optional
        ``"y"``: class codes; ``"groups"``: group codes.
    """

    def __init__(self, X: Tensor, target: dict[str, Tensor] | None = None) -> None:
        self.X = X
        self.target = target or {}

    def __len__(self) -> int:
        return len(self.X)

    def __getitem__(self, index: Any) -> tuple[Tensor, dict[str, Tensor]]:
        return self.X[index], {name: v[index] for name, v in self.target.items()}


class InMemoryBatches:
    """Iterate over an `InMemoryDataset`, one index operation per tensor and batch.

    It takes the place of a `torch.utils.data.DataLoader`, which fetches sample by
    sample and collates them again.

    Parameters
    ----------
    dataset : InMemoryDataset
    batch_size : int
        Number of samples in a batch. The last batch of an epoch holds what remains.
    shuffle : bool, default=False
        Whether each epoch has an order of its own.
    """

    def __init__(
        self, dataset: InMemoryDataset, batch_size: int, shuffle: bool = False
    ) -> None:
        self.dataset = dataset
        self.batch_size = batch_size
        self.shuffle = shuffle

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        n = len(self.dataset)
        if self.shuffle:
            order = torch.randperm(n).to(self.dataset.X.device)
            for indices in order.split(self.batch_size):
                yield self.dataset[indices]
        else:
            for start in range(0, n, self.batch_size):
                yield self.dataset[start : start + self.batch_size]


class FairnessNet(NeuralNet):
    """skorch net whose loss is an `~fairtask.objective.Objective`.

    It is fitted on an `InMemoryDataset`. The terms of the objective are averaged over
    each epoch and recorded in the history as ``train_<term>`` and, with validation
    data, ``valid_<term>``.

    Parameters
    ----------
    module : MultiTaskNetwork
    criterion : Objective
    term_names : sequence of str
        Names of the objective's terms.
    **kwargs
        Parameters of `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: MultiTaskNetwork,
        criterion: Objective,
        *,
        term_names: Sequence[str],
        iterator_train: Any = InMemoryBatches,
        iterator_train__shuffle: bool = True,
        iterator_valid: Any = InMemoryBatches,
        iterator_valid__batch_size: int = PREDICT_BATCH_SIZE,
        train_split: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            module,
            criterion=criterion,
            iterator_train=iterator_train,
            iterator_train__shuffle=iterator_train__shuffle,
            iterator_valid=iterator_valid,
            iterator_valid__batch_size=iterator_valid__batch_size,
            train_split=train_split,
            **kwargs,
        )
        self.term_names = term_names

    def initialize(self) -> "FairnessNet":
        """Initialize the net."""
        super().initialize()
        self._epoch_terms: dict[bool, tuple[Any, int]] = {}
        self.interrupted_ = False
        return self

    def run_single_epoch(self, *args: Any, **kwargs: Any) -> None:
        """Run an epoch; note when it is interrupted.

        skorch ends the training without a word on a KeyboardInterrupt, which callbacks
        raise between epochs to stop it. Inside an epoch it comes from the user.
        """
        try:
            super().run_single_epoch(*args, **kwargs)
        except KeyboardInterrupt:
            self.interrupted_ = True
            raise

    def get_loss(
        self,
        y_pred: tuple,
        y_true: dict[str, Tensor],
        X: Any = None,
        training: bool = False,
    ) -> Tensor:
        """Combine the losses of all heads on one batch."""
        target = to_tensor(y_true, device=self.device)
        loss, terms = self.criterion_(*y_pred, **target)
        # Summed where they are: reading them here would stall a GPU at each step.
        weighted = torch.stack(terms) * len(target["y"])
        sums, n_samples = self._epoch_terms.get(training, (0, 0))
        self._epoch_terms[training] = (
            sums + weighted,
            n_samples + len(target["y"]),
        )
        return loss

    def evaluate(
        self,
        dataset: InMemoryDataset,
        function: Callable[[MultiTaskNetwork, Tensor], Tensor],
        dim: int = 0,
    ) -> Tensor:
        """Apply a function of the network and a batch, without gradient or dropout.

        The results are joined along `dim`, on the CPU.
        """
        network = self.module_.eval()
        batches = self.get_iterator(dataset, training=False)
        with torch.inference_mode():
            outputs = [function(network, X.to(self.device)) for X, _ in batches]
        return torch.cat(outputs, dim).cpu()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the first task's classes, for scoring callbacks."""
        outputs = self.forward_iter(X, training=False)
        logits = torch.cat([task_logits[0] for task_logits, _, _ in outputs])
        return logits.softmax(dim=1).numpy()

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the sums of the terms."""
        super().on_epoch_begin(*args, **kwargs)
        self._epoch_terms = {}

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Record the mean of each term."""
        super().on_epoch_end(*args, **kwargs)
        for training, (sums, n_samples) in self._epoch_terms.items():
            prefix = "train" if training else "valid"
            means = (sums / n_samples).tolist()
            for name, value in zip(self.term_names, means, strict=True):
                self.history.record(f"{prefix}_{name}", value)
        self._epoch_terms = {}

    def history_table(self) -> pd.DataFrame:
        """History without batches and bookkeeping, a row per epoch."""
        epochs = [
            {
                key: value
                for key, value in epoch.items()
                if key not in ("batches", "train_batch_count", "valid_batch_count")
                and not (key.endswith("_best") and key.removesuffix("_best") in epoch)
            }
            for epoch in self.history
        ]
        return pd.DataFrame(epochs).set_index("epoch")

    def __getstate__(self) -> dict[str, Any]:
        # `module_` and `criterion_` are these very objects. skorch saves those so that
        # they can be loaded on another device; a second copy would be in its way.
        return {**super().__getstate__(), "module": None, "criterion": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.module, self.criterion = self.module_, self.criterion_


class OneCycle(LRScheduler):
    """One-cycle learning rate over a training of a known number of batches.

    Parameters
    ----------
    max_lr : float
        Largest learning rate.
    total_steps : int
        Number of batches in the whole training.
    """

    def __init__(self, max_lr: float, total_steps: int) -> None:
        super().__init__(
            OneCycleLR,
            max_lr=max_lr,
            total_steps=total_steps,
            cycle_momentum=False,  # not every optimizer has one
            step_every="batch",
        )

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Forget the scheduler: it holds the optimizer, and with it the weights."""
        super().on_train_end(net, **kwargs)
        self.lr_scheduler_ = None
