"""Training: the skorch net that combines the losses of all heads."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor

from fairtask._data import InMemoryBatches, InMemoryDataset
from fairtask.modules import HeadOutputs, MultiTaskNetwork
from fairtask.objective import Objective, Terms

__all__ = ["PREDICT_BATCH_SIZE", "FairnessNet"]

PREDICT_BATCH_SIZE = 16_384
"""Samples evaluated at once where there is no gradient to keep."""


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
    backward : callable, optional
        Takes the place of the backward pass: from the network, its outputs and the
        terms of the objective to the loss, with gradients set on the parameters.
    **kwargs
        Parameters of `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: MultiTaskNetwork,
        criterion: Objective,
        *,
        term_names: Sequence[str],
        backward: Callable[..., Tensor] | None = None,
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
        self.backward = backward

    def initialize(self) -> "FairnessNet":
        """Initialize the net."""
        super().initialize()
        self._epoch_terms: dict[bool, tuple[Any, int]] = {}
        self.interrupted_ = False
        self.stop_ = False
        self.kept_epoch_: int | None = None  # the last, unless a callback says so
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

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call the callbacks; end the training when one of them asked for it.

        Only when all have seen the epoch: what skorch does, raising in a callback,
        keeps those that come after it from seeing the last.
        """
        super().notify(method_name, **kwargs)
        if method_name == "on_epoch_end" and self.stop_:
            raise KeyboardInterrupt

    def get_loss(
        self,
        y_pred: HeadOutputs,
        y_true: dict[str, Tensor],
        X: Any = None,
        training: bool = False,
    ) -> Tensor:
        """Combine the losses of all heads on one batch."""
        return self.get_terms(y_pred, y_true, training=training).total()

    def get_terms(
        self, y_pred: HeadOutputs, y_true: dict[str, Tensor], *, training: bool
    ) -> Terms:
        """Compute the terms of the objective on one batch, and count them."""
        target = to_tensor(y_true, device=self.device)
        terms = self.criterion_(y_pred, **target)
        # Summed where they are: reading them here would stall a GPU at each step.
        n = len(target["y"])
        sums, n_samples = self._epoch_terms.get(training, (0, 0))
        weighted = torch.stack(terms.values) * n
        self._epoch_terms[training] = sums + weighted, n_samples + n
        return terms

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute the gradients of one batch."""
        self._set_training(True)
        X, target = unpack_data(batch)
        outputs = self.infer(X, **fit_params)
        if self.backward is None:
            loss = self.get_loss(outputs, target, X=X, training=True)
            loss.backward()
        else:
            terms = self.get_terms(outputs, target, training=True)
            loss = self.backward(self.module_, outputs, terms)
        return {"loss": loss, "y_pred": outputs}

    def evaluate(
        self,
        dataset: InMemoryDataset,
        function: Callable[..., Sequence[Tensor]],
    ) -> list[Tensor]:
        """Apply a function to the network and each batch, without gradient or dropout.

        Parameters
        ----------
        dataset : InMemoryDataset
        function : callable
            From the network, samples and targets of a batch to tensors with a row per
            sample.

        Returns
        -------
        list of Tensor
            Its results for all samples, on the CPU.
        """
        network = self.module_.eval()
        with torch.inference_mode():
            outputs = [
                function(network, X.to(self.device), to_tensor(target, self.device))
                for X, target in self.get_iterator(dataset, training=False)
            ]
        return [torch.cat(tensors).cpu() for tensors in zip(*outputs, strict=True)]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the first task's classes, for scoring callbacks."""
        dataset = X if isinstance(X, InMemoryDataset) else InMemoryDataset(X)
        (logits,) = self.evaluate(
            dataset, lambda network, X, _: network.task_logits(X)[:1]
        )
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
