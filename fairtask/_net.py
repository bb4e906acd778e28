"""Training: the skorch net that combines the losses of all heads."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairtask._averaging import WeightAverage
from fairtask._data import Batch, InMemoryDataset, SampleDataset
from fairtask._groups import group_means
from fairtask.modules import HeadOutputs, MultiTaskNetwork
from fairtask.objective import Objective, Terms

__all__ = ["FairnessNet"]

REDUCED_AT_ONCE = 16_384
"""Samples whose losses are sorted into groups at once."""


class FairnessNet(NeuralNet):
    """skorch net whose loss is an `~fairtask.objective.Objective`.

    It is fitted on a `SampleDataset`, which cuts its own batches. The terms of the
    objective are averaged over each epoch and recorded in the history as
    ``train_<term>`` and, with validation data, ``valid_<term>``. Where the target has
    ``recorded_groups``, the task losses of each class and group are recorded in
    ``group_losses_``: a dict per epoch, with a list of floats under ``"train"`` and,
    with validation data, ``"valid"``. That is not in the history, whose entries loggers
    take for numbers.

    Parameters
    ----------
    module : MultiTaskNetwork
    criterion : Objective
    term_names : sequence of str
        Names of the objective's terms.
    n_groups : sequence of int, default=()
        Number of groups of each column of ``recorded_groups``.
    backward : callable, optional
        Takes the place of the backward pass: from the network, its outputs and the
        terms of the objective to the loss, with gradients set on the parameters.
    stratify_batches : bool, default=False
        See `SampleDataset.batches`.
    average : WeightAverage, optional
        Takes the place of the weights between the epochs.
    weight_settings : dict of str to dict, optional
        Settings of the optimizer by the name of a weight, where they differ.
    **kwargs
        Parameters of `skorch.NeuralNet`.
    """

    def __init__(
        self,
        module: MultiTaskNetwork,
        criterion: Objective,
        *,
        term_names: Sequence[str],
        n_groups: Sequence[int] = (),
        backward: Callable[..., Tensor] | None = None,
        stratify_batches: bool = False,
        average: WeightAverage | None = None,
        weight_settings: dict[str, dict[str, Any]] | None = None,
        train_split: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, criterion=criterion, train_split=train_split, **kwargs)
        self.term_names = term_names
        self.n_groups = n_groups
        self.backward = backward
        self.stratify_batches = stratify_batches
        self.average = average
        self.weight_settings = weight_settings

    def initialize(self) -> "FairnessNet":
        """Initialize the net."""
        super().initialize()
        self._epoch_terms: dict[bool, tuple[Any, int]] = {}
        self._epoch_group_losses: dict[bool, _GroupLosses] = {}
        self._valid_logits: list[list[Tensor]] = []
        self.group_losses_: list[dict[str, list[float]]] = []
        self.interrupted_ = False
        self.stop_ = False
        self.kept_epoch_: int | None = None  # the last, unless a callback says so
        return self

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Any
    ) -> tuple[list, dict[str, Any]]:
        """Return a group of weights for each kind of settings.

        skorch makes one for each weight that it is given settings for, and an optimizer
        takes a step for each group.
        """
        _, kwargs = super().get_params_for_optimizer(prefix, [])
        groups: dict[tuple, dict[str, Any]] = {}
        for name, weight in named_parameters:
            if weight.requires_grad:
                settings = (self.weight_settings or {}).get(name, {})
                group = {**settings, "params": []}
                key = tuple(sorted(settings.items()))
                groups.setdefault(key, group)["params"].append(weight)
        return [list(groups.values())], kwargs

    def get_iterator(
        self, dataset: SampleDataset, training: bool = False
    ) -> Iterable[Batch]:
        """Return what cuts the batches of an epoch."""
        if not training:
            return dataset.batches(dataset.evaluated_at_once)
        return dataset.batches(
            self.batch_size, shuffle=True, stratify=self.stratify_batches
        )

    def run_single_epoch(
        self, iterator: Any, training: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Run an epoch; note when it is interrupted.

        skorch ends the training without a word on a KeyboardInterrupt, which callbacks
        raise between epochs to stop it. Inside an epoch it comes from the user.
        """
        average = self.average if training else None
        try:
            if average is not None:
                average.step_aside(self.module_)
            super().run_single_epoch(iterator, training, *args, **kwargs)
            if average is not None:
                average.take_place(self.module_)
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
        recorded_groups = target.pop("recorded_groups", None)
        terms = self.criterion_(y_pred, **target)
        # Summed where they are: reading them here would stall a GPU at each step.
        n = len(target["y"])
        sums, n_samples = self._epoch_terms.get(training, (0, 0))
        weighted = torch.stack(terms.values) * n
        self._epoch_terms[training] = sums + weighted, n_samples + n
        if not training:
            logits = self.module_.prediction_logits(y_pred)
            self._valid_logits.append([task.detach() for task in logits])
        if recorded_groups is not None:
            self._epoch_group_losses.setdefault(
                training, _GroupLosses(self.n_groups)
            ).add(y_pred.task, target["y"], recorded_groups, target.get("group_weight"))
        return terms

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimizer, and of the mean of the weights."""
        step = super().train_step(batch, **fit_params)
        if self.average is not None:
            self.average.update(self.module_)
        return step

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
        dataset: SampleDataset,
        function: Callable[..., Sequence[Tensor]],
    ) -> list[Tensor]:
        """Apply a function to the network and each batch, without gradient or dropout.

        Parameters
        ----------
        dataset : SampleDataset
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
        dataset = X if isinstance(X, SampleDataset) else InMemoryDataset(X)
        (logits,) = self.evaluate(
            dataset, lambda network, X, _: network.task_logits(X)[:1]
        )
        return logits.softmax(dim=1).numpy()

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the sums of the terms."""
        super().on_epoch_begin(*args, **kwargs)
        self._epoch_terms, self._epoch_group_losses = {}, {}
        self._valid_logits = []
        self.group_losses_.append({})

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Record the mean of each term, and the losses of each class and group."""
        super().on_epoch_end(*args, **kwargs)
        for training, (sums, n_samples) in self._epoch_terms.items():
            prefix = "train" if training else "valid"
            means = (sums / n_samples).tolist()
            for name, value in zip(self.term_names, means, strict=True):
                self.history.record(f"{prefix}_{name}", value)
        for training, losses in self._epoch_group_losses.items():
            part = "train" if training else "valid"
            self.group_losses_[-1][part] = losses.means()
        self._epoch_terms, self._epoch_group_losses = {}, {}

    def release(self, *, keep_average: bool) -> None:
        """Forget what only the training needed: validation data and their logits.

        The average of the weights has taken their place; what it holds is for a
        training that goes on.
        """
        self.train_split = None
        self._valid_logits = []
        if not keep_average:
            self.average = None

    def valid_logits(self) -> list[Tensor]:
        """Logits of the validation data in the last epoch, by task, on the CPU."""
        return [torch.cat(task).cpu() for task in zip(*self._valid_logits, strict=True)]

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

    def group_table(self, cells: pd.MultiIndex) -> pd.DataFrame:
        """Losses of each class and group, a row per epoch, a column per part and cell.

        Parameters
        ----------
        cells : MultiIndex
            Labels of what is recorded, in order.
        """
        epochs = self.group_losses_
        parts = ["train"]
        if any("valid" in epoch for epoch in epochs):
            parts.append("valid")
        # An epoch may lack a part: one without validation data in a training that goes
        # on, or one that a callback ended at its beginning.
        absent = [float("nan")] * len(cells)
        return pd.concat(
            {
                part: pd.DataFrame(
                    [epoch.get(part, absent) for epoch in epochs],
                    index=self.history_table().index,
                    columns=cells,
                    dtype=float,
                )
                for part in parts
            },
            axis=1,
            names=["part"],
        )

    def __getstate__(self) -> dict[str, Any]:
        # `module_` and `criterion_` are these very objects. skorch saves those so that
        # they can be loaded on another device; a second copy would be in its way.
        return {**super().__getstate__(), "module": None, "criterion": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.module, self.criterion = self.module_, self.criterion_


class _GroupLosses:
    """Mean task loss of each class and group over the batches of an epoch.

    Batches wait until they hold as many samples as are evaluated at once, so that a
    step pays for little more than keeping its logits.

    Parameters
    ----------
    n_groups : sequence of int
        Number of groups of each attribute.
    """

    def __init__(self, n_groups: Sequence[int]) -> None:
        self.n_groups = n_groups
        self._waiting: list[tuple[list[Tensor], Tensor, Tensor, Tensor | None]] = []
        self._n_waiting = 0
        self._sums: Any = 0

    def add(
        self,
        logits: Sequence[Tensor],
        y: Tensor,
        groups: Tensor,
        weight: Tensor | None,
    ) -> None:
        """Add a batch; the arguments are those of `Objective.forward`."""
        self._waiting.append(([task.detach() for task in logits], y, groups, weight))
        self._n_waiting += len(y)
        if self._n_waiting >= REDUCED_AT_ONCE:
            self._reduce()

    def means(self) -> list[float]:
        """Means by attribute, task, class and group; NaN for a cell without samples."""
        if self._waiting:
            self._reduce()
        losses, weights = self._sums
        return (losses / weights).tolist()

    @torch.no_grad()
    def _reduce(self) -> None:
        """Add up what is waiting."""
        batches: Any = zip(*self._waiting, strict=True)
        logits, y, groups, weight = batches
        y, groups = torch.cat(y), torch.cat(groups)
        tasks = []
        for k, parts in enumerate(zip(*logits, strict=True)):
            task, labels = torch.cat(parts), y[:, k]
            losses = cross_entropy(task, labels, reduction="none")
            classes = torch.arange(task.shape[1], device=y.device)
            weights = (labels.unsqueeze(-1) == classes).to(losses.dtype)
            if weight[0] is not None:
                weights = weights * torch.cat(weight).unsqueeze(-1)
            tasks.append((losses.unsqueeze(-1), weights))
        sums = []
        for s, n_groups in enumerate(self.n_groups):
            for losses, weights in tasks:
                means, totals = group_means(losses, weights, groups[:, s], n_groups)
                sums.append(torch.stack([means * totals, totals]).flatten(1))
        self._sums = self._sums + torch.cat(sums, dim=1)
        self._waiting, self._n_waiting = [], 0
