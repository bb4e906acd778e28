"""The skorch net that combines the losses of all heads."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from skorch.utils import to_tensor
from torch import Tensor
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from fairtask._averaging import WeightAverage
from fairtask._data import Batch, InMemorySource, SampleDataset
from fairtask._history import GroupLossRecorder
from fairtask._processes import Processes
from fairtask._random import RandomStream
from fairtask._threads import threads_for
from fairtask.modules import HeadOutputs, MultiTaskNetwork
from fairtask.objective import Objective, Terms

__all__ = ["FairnessNet", "functional_step"]

MAX_EVALUATED = 2_048
"""Samples in a batch of a prediction: more take memory, and are not faster."""


def batch_terms(
    network: Callable[[Any], HeadOutputs],
    objective: Callable[..., Terms],
    X: Any,
    target: dict[str, Tensor],
) -> tuple[HeadOutputs, Terms]:
    """Compute the outputs of a network for a batch, and the terms of its objective."""
    outputs = network(X)
    return outputs, objective(outputs, **target)


def functional_step(
    network: MultiTaskNetwork,
    objective: Objective,
    state: tuple[dict[str, Tensor], dict[str, Tensor]],
    batch: Batch,
) -> Tensor:
    """Compute the value of the objective as a function of its weights and a batch.

    `torch.func.grad` and `torch.func.vmap` go through it, the latter over the states of
    stacked models. Buffers that training updates, such as the running means of the
    fairness losses, are updated in `state`.

    Parameters
    ----------
    network : MultiTaskNetwork
    objective : Objective
    state : pair of dict of str to Tensor
        Parameters and buffers of the network and of the objective, by name. They take
        the place of those of the modules.
    batch : tuple
        Inputs and targets; see `Objective.forward`.

    Returns
    -------
    loss : Tensor, scalar
    """
    of_network, of_objective = state
    X, target = batch
    _, terms = batch_terms(
        lambda X: functional_call(network, of_network, (X,)),
        lambda outputs, **target: functional_call(
            objective, of_objective, (outputs,), target
        ),
        X,
        {name: value for name, value in target.items() if name != "recorded_groups"},
    )
    return terms.total()


class FairnessNet(NeuralNet):
    """skorch net whose loss is an `~fairtask.objective.Objective`.

    It is fitted on a `SampleDataset`, which cuts its own batches. The terms of the
    objective are averaged over each epoch and recorded in the history as
    ``train_<term>`` and, with validation data, ``valid_<term>``. Where the target has
    ``recorded_groups``, ``group_losses_`` has a dict per epoch with the mean losses of
    the groups under ``"train"`` and ``"valid"``. They are not in the history, whose
    entries loggers take for numbers.

    Parameters
    ----------
    module : MultiTaskNetwork
    criterion : Objective
    term_names : sequence of str
        Names of the objective's terms.
    n_groups : sequence of int, default=()
        Number of groups of each column of ``recorded_groups``.
    random : RandomStream, optional
        Random numbers of the training: order of the samples and dropout.
    backward : callable, optional
        Replaces the backward pass: from the network, its outputs and the terms of the
        objective to the loss, with gradients set on the parameters.
    average : WeightAverage, optional
        Replaces the weights between the epochs.
    weight_settings : dict of str to dict, optional
        Settings of the optimizer by the name of a weight, where they differ.
    n_threads : int, optional
        Number of threads on the CPU. None: a number that suits the network.
    processes : Processes, optional
        Processes that train the network together. None: this one trains it alone.
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
        random: RandomStream | None = None,
        backward: Callable[..., Tensor] | None = None,
        average: WeightAverage | None = None,
        weight_settings: dict[str, dict[str, Any]] | None = None,
        n_threads: int | None = None,
        processes: Processes | None = None,
        train_split: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(module, criterion=criterion, train_split=train_split, **kwargs)
        self.term_names = term_names
        self.n_groups = n_groups
        self.random = random
        self.backward = backward
        self.average = average
        self.weight_settings = weight_settings
        self.n_threads = n_threads
        self.processes = processes

    def initialize(self, *, makes_optimizer: bool = True) -> "FairnessNet":
        """Initialize the net, without an optimizer if it may only have to predict.

        torch imports its compiler with the first optimizer, which takes a second. One
        that was left out is made when it is used.
        """
        self._makes_optimizer = makes_optimizer
        super().initialize()
        self._start_sums()
        self.group_losses_: list[dict[str, list[float]]] = []
        self.interrupted_ = False
        self.stop_ = False
        self.kept_epoch_: int | None = None  # the last, unless a callback says so
        return self

    def get_params_for_optimizer(
        self, prefix: str, named_parameters: Any
    ) -> tuple[list, dict[str, Any]]:
        """Return a group of weights for each set of settings.

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

    def initialize_optimizer(self, *args: Any, **kwargs: Any) -> "FairnessNet":
        """Make the optimizer; name it in errors."""
        if not self._makes_optimizer:
            self._register_attribute("optimizer_", None)  # its parameters are known
            return self
        try:
            super().initialize_optimizer(*args, **kwargs)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"`optimizer` cannot be made with these settings: {error}"
            ) from error
        if not isinstance(self.optimizer_, torch.optim.Optimizer):
            raise ValueError(
                "`optimizer` must be a subclass of torch.optim.Optimizer; got "
                f"{self.optimizer!r}, which makes {self.optimizer_!r}."
            )
        return self

    def __getattr__(self, name: str) -> Any:
        if name != "optimizer_" or not vars(self).get("initialized_"):
            raise AttributeError(
                f"{type(self).__name__!r} object has no attribute {name!r}"
            )
        self._makes_optimizer = True
        return self.initialize_optimizer().optimizer_

    def get_dataset(self, X: Any, y: Any = None) -> SampleDataset:
        """Return samples as a dataset that cuts its own batches."""
        if isinstance(X, SampleDataset):
            return X
        return SampleDataset(InMemorySource(X, torch.device(self.device)))

    def get_iterator(
        self, dataset: SampleDataset, training: bool = False
    ) -> Iterable[Batch]:
        """Return an iterable over the batches of an epoch."""
        if not training:
            return dataset.batches()
        return dataset.batches(self.batch_size, self.random)

    def fit_loop(self, *args: Any, **kwargs: Any) -> "FairnessNet":
        """Train, with the threads that suit the network."""
        if self.processes is not None:
            self.processes.take_over(self.module_, self.criterion_)
        with self.threads():
            return super().fit_loop(*args, **kwargs)

    def threads(self) -> AbstractContextManager[None]:
        """Compute with the threads that suit the network."""
        return threads_for(self.module_, torch.device(self.device), self.n_threads)

    def run_single_epoch(
        self, iterator: Any, training: bool, *args: Any, **kwargs: Any
    ) -> None:
        """Run an epoch, and record whether the user interrupts it.

        On a KeyboardInterrupt skorch ends the training without an error, because
        callbacks raise it between epochs to stop. Inside an epoch it is the user's.
        """
        average = self.average if training else None
        if self.processes is not None and iterator is not None:
            iterator = iterator.shared_by(self.processes)
        super()._set_training(training)
        try:
            if average is not None:
                average.step_aside(self.module_)
            super().run_single_epoch(iterator, training, *args, **kwargs)
            if average is not None:
                average.take_place(self.module_)
            if self.processes is not None and training:
                # Modules of torch draw random numbers, and normalise, by themselves.
                self.processes.take_over(self.module_)
                if self.random is not None:
                    self.random.take_over()
        except KeyboardInterrupt:
            self.interrupted_ = True
            raise

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call the callbacks, then end the training if one of them asked for it.

        Records of the batches are dropped after the epoch where memory must not grow.

        A callback that raises, as skorch's own do, would hide the last epoch from the
        callbacks after it.
        """
        super().notify(method_name, **kwargs)
        if method_name == "on_epoch_end":
            if not kwargs["dataset_train"].is_in_memory:
                # skorch keeps 300 bytes of each batch.
                self.history[-1]["batches"].clear()
            if self.stop_:
                raise KeyboardInterrupt

    def _set_training(self, training: bool = True) -> None:
        """Set the mode before a batch, if a callback changed it in this epoch."""
        if self.module_.training != training or self.criterion_.training != training:
            super()._set_training(training)

    def infer(self, x: Any, **fit_params: Any) -> HeadOutputs:
        """Compute the outputs of a batch, which may be a mapping of tensors."""
        return self.module_(to_tensor(x, device=self.device), **fit_params)

    def get_loss(
        self,
        y_pred: HeadOutputs,
        y_true: dict[str, Tensor],
        X: Any = None,
        training: bool = False,
    ) -> Tensor:
        """Combine the losses of all heads on one batch."""
        target = to_tensor(y_true, device=self.device)
        recorded_groups = target.pop("recorded_groups", None)
        with self.processes or nullcontext():
            terms = self.criterion_(y_pred, **target)
        self._record(y_pred, terms, target, recorded_groups, training)
        return terms.total().sum()

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Take a step of the optimizer, and of the mean of the weights."""
        # torch's own optimizers draw no random numbers; others may.
        is_known = type(self.optimizer_).__module__.startswith("torch.optim")
        with nullcontext() if is_known or self.random is None else self.random:
            step = super().train_step(batch, **fit_params)
        if self.average is not None:
            self.average.update(self.module_)
        return step

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Compute the gradients of one batch."""
        self._set_training(True)
        X, target = unpack_data(batch)
        target = to_tensor(target, device=self.device)
        recorded = target.pop("recorded_groups", None)
        with self.random or nullcontext(), self.processes or nullcontext():
            try:
                outputs, terms = batch_terms(
                    partial(self.infer, **fit_params), self.criterion_, X, target
                )
            except ValueError as error:
                self._explain_single_sample(len(target["y"]), error)
                raise
            # An aggregator may draw random numbers.
            if self.backward is not None:
                loss = self.backward(self.module_, outputs, terms)
        self._record(outputs, terms, target, recorded, training=True)
        if self.backward is None:
            loss = terms.total().sum()  # over models that are trained together
            loss.backward()
        if self.processes is not None:
            self.processes.add_gradients(self.module_, self.criterion_)
        return {"loss": loss, "y_pred": outputs}

    def _explain_single_sample(self, n_samples: int, error: ValueError) -> None:
        """Raise a ValueError if a batch normalisation has failed on one sample."""
        if n_samples == 1 and any(
            isinstance(module, _BatchNorm) for module in self.module_.modules()
        ):
            raise ValueError(
                "`batch_size` and the number of samples must be 2 or more: the network "
                "has a batch normalisation, which cannot be trained on one sample "
                f"({error})."
            ) from error

    def _record(
        self,
        outputs: HeadOutputs,
        terms: Terms,
        target: dict[str, Tensor],
        recorded_groups: Tensor | None,
        training: bool,
    ) -> None:
        """Add a batch to the sums of the epoch."""
        # Summed on the device: reading them here would stall a GPU at each step.
        n = len(target["y"]) if self.processes is None else self.processes.n_samples
        sums, n_samples = self._epoch_terms.get(training, (0, 0))
        weighted = torch.stack(terms.values) * n
        self._epoch_terms[training] = sums + weighted, n_samples + n
        if not training:
            logits = self.module_.prediction_logits(outputs)
            if self.processes is not None:
                logits = [self.processes.gather(task) for task in logits]
            self._valid_logits.append([task.detach() for task in logits])
        if recorded_groups is not None and self.n_groups:
            self._epoch_group_losses.setdefault(
                training, GroupLossRecorder(self.n_groups, self.processes)
            ).add(
                outputs.task, target["y"], recorded_groups, target.get("group_weight")
            )

    def evaluation_step(self, batch: Any, training: bool = False) -> Any:
        """Compute the logits of the tasks: a tensor, or a tuple for several tasks."""
        self.check_is_fitted()
        X, _ = unpack_data(batch)
        self._set_training(training)
        with torch.set_grad_enabled(training):
            logits = self.module_.task_logits(to_tensor(X, device=self.device))
        return logits[0] if len(logits) == 1 else tuple(logits)

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
        batch_size = min(MAX_EVALUATED, dataset.source.evaluated_at_once)
        results: list[Tensor] = []
        start = 0
        with self.threads(), torch.inference_mode():
            for X, target in dataset.batches(batch_size):
                outputs = function(
                    network, to_tensor(X, self.device), to_tensor(target, self.device)
                )
                # Written at once: small tensors that are kept between the large ones
                # of each batch would leave gaps in memory that nothing fits in.
                results = results or [
                    output.new_empty(len(dataset), *output.shape[1:])
                    for output in outputs
                ]
                stop = start + len(outputs[0])
                for result, output in zip(results, outputs, strict=True):
                    result[start:stop] = output
                start = stop
        return [result.cpu() for result in results]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the first task's classes, for scoring callbacks."""
        (logits,) = self.evaluate(
            self.get_dataset(X), lambda network, X, _: network.task_logits(X)[:1]
        )
        return logits.softmax(dim=1).numpy()

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Count the samples of all processes in skorch's means over an epoch."""
        super().on_batch_end(net, training=training, **kwargs)
        if self.processes is not None:
            name = "train_batch_size" if training else "valid_batch_size"
            self.history.record_batch(name, self.processes.n_samples)

    def on_epoch_begin(self, *args: Any, **kwargs: Any) -> None:
        """Start the sums of the epoch."""
        super().on_epoch_begin(*args, **kwargs)
        self._start_sums()
        self.group_losses_.append({})

    def on_epoch_end(self, *args: Any, **kwargs: Any) -> None:
        """Record the mean of each term, and the mean losses of the groups."""
        super().on_epoch_end(*args, **kwargs)
        for training, (sums, n_samples) in self._epoch_terms.items():
            prefix = "train" if training else "valid"
            means = (sums / n_samples).tolist()
            for name, value in zip(self.term_names, means, strict=True):
                self.history.record(f"{prefix}_{name}", value)
        for training, losses in self._epoch_group_losses.items():
            part = "train" if training else "valid"
            self.group_losses_[-1][part] = losses.means()
        self._epoch_terms.clear()
        self._epoch_group_losses.clear()

    def _start_sums(self) -> None:
        self._epoch_terms: dict[bool, tuple[Any, int]] = {}
        self._epoch_group_losses: dict[bool, GroupLossRecorder] = {}
        self._valid_logits: list[list[Tensor]] = []

    def valid_logits(self) -> list[Tensor]:
        """Logits of the validation data in the last epoch, by task, on the CPU."""
        return [
            torch.cat(task, dim=-2).cpu()
            for task in zip(*self._valid_logits, strict=True)
        ]

    def release(self, *, keep_average: bool) -> None:
        """Forget the validation data, their logits and the random numbers.

        The module has the averaged weights; the average itself is only needed by a
        continued training.
        """
        self.train_split = self.random = self.processes = None
        self._valid_logits = []
        if not keep_average:
            self.average = None

    def __getstate__(self) -> dict[str, Any]:
        # `module_` and `criterion_` are these very objects. skorch saves those so that
        # they can be loaded on another device; a second copy would be in its way.
        return {**super().__getstate__(), "module": None, "criterion": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.module, self.criterion = self.module_, self.criterion_
