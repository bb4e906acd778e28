"""The model of one training, and the net that trains it."""

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from skorch.helper import predefined_split
from torch import nn
from torch.overrides import TorchFunctionMode

from fairtask._callbacks import BestEpoch, LearningRate, ProgressBar, copy_callbacks
from fairtask._data import SampleDataset, Samples, batch_sizes
from fairtask._epoch_scores import EpochScore
from fairtask._method import Method
from fairtask._modality import Modality
from fairtask._net import FairnessNet
from fairtask._processes import Processes, find_processes
from fairtask._random import OwnStream, RandomStream
from fairtask._reading import Expected
from fairtask._stored import StoredSamples
from fairtask.modules import ACTIVATIONS, MeanErasure, MultiTaskNetwork

__all__ = [
    "OPTIMIZERS",
    "Model",
    "continue_model",
    "continue_net",
    "make_losses",
    "make_model",
    "make_net",
    "make_stream",
    "processes_for",
    "resolve_max_epochs",
]

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 1.0, "fused": True}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
}
"""Optimizers by name, with their settings. AdamW's decay is multiplied by the rate."""

SILENT = {nn.Linear, nn.ModuleList, nn.Sequential, *ACTIVATIONS.values()}
"""Modules of torch in the networks of this package. They draw no random numbers."""

MIN_CYCLE = 10
"""Fewer steps than this leave no room to warm up and cool down."""


class SinglePrecision(TorchFunctionMode):
    """Create tensors of float32 in this block, whatever torch's default type is.

    The default belongs to all threads, so that it cannot be changed for a while.
    """

    creators = (torch.empty, torch.linspace, torch.ones, torch.rand, torch.zeros)

    def __torch_function__(
        self, function: Any, types: Any, args: tuple = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch."""
        kwargs = kwargs or {}
        if function in self.creators and kwargs.get("dtype") is None:
            kwargs = {**kwargs, "dtype": torch.float32}
        return function(*args, **kwargs)


def processes_for(
    samples: Samples | StoredSamples,
    validation: Samples | StoredSamples | None,
    parameters: dict[str, Any],
) -> Processes | None:
    """Return the processes that train together, with the same samples and parameters.

    None where this process trains alone.
    """
    processes = find_processes()
    if processes is None:
        return None
    simple = bool | int | float | str | tuple | list | None
    of_each = ("device", "n_threads", "verbose")
    processes.check_same(
        **_named_samples(samples),
        **{f"{name}_val": given for name, given in _named_samples(validation).items()},
        **{
            name: value
            for name, value in parameters.items()
            if isinstance(value, simple) and name not in of_each
        },
    )
    return processes


def _named_samples(samples: Samples | StoredSamples | None) -> dict[str, Any]:
    """Return samples by the arguments of `fit`. Those of a file differ by process."""
    if samples is None:
        return {}
    if isinstance(samples, StoredSamples):
        return {"sample_weight": samples.weights and samples.weights.of_classes}
    return {
        "X": samples.X if isinstance(samples.X, np.ndarray) else len(samples),
        "y": samples.y,
        "sensitive_features": samples.groups,
        "sample_weight": (samples.task_weight, samples.group_weight),
    }


@dataclass
class Model:
    """A network with its objective, and the parts that both are made from.

    Attributes
    ----------
    modality : Modality
    method : Method
    expected : Expected
        Labels and groups.
    losses : dict of int to list
        Losses of each attribute that is compared, by its position; see
        `Method.make_losses`.
    network : MultiTaskNetwork
    objective : Objective, or a module with its ``forward``
    width : int
        Width of the representation.
    """

    modality: Modality
    method: Method
    expected: Expected
    losses: dict[int, list[Any]]
    network: MultiTaskNetwork
    objective: Any
    width: int

    @property
    def compared(self) -> list[int]:
        """Positions of the attributes that are compared."""
        return list(self.losses)

    @property
    def term_names(self) -> list[str]:
        """Names of the terms of the objective, after the tasks and attributes."""
        tasks, attributes = self.expected
        compared = [attributes.names[s] for s in self.losses]
        names = [f"task_loss_{name}" for name in tasks.names] or ["task_loss"]
        names += [f"fairness_loss_{name}" for name in compared]
        if getattr(self.objective, "distances", ()):
            names += [f"distance_{name}" for name in compared]
        return names


def make_losses(
    method: Method, expected: Expected, compared: Iterable[int]
) -> dict[int, list[Any]]:
    """Return the losses of the attributes at these positions."""
    return {
        s: method.make_losses(expected.tasks, len(expected.attributes.groups[s]))
        for s in compared
    }


def make_model(
    modality: Modality,
    method: Method,
    expected: Expected,
    losses: dict[int, list[Any]],
    seeds: Sequence[int],
    *,
    pretrained: bool,
) -> Model:
    """Return a new network with its objective.

    The first seed is for trunk and task heads, the second for the fairness heads.
    """
    tasks, attributes = expected
    with SinglePrecision(), RandomStream(seeds[0]):
        trunk, width = modality.make_trunk(pretrained=pretrained)
        task_heads = [modality.make_head(width, n) for n in tasks.n_classes]
    if method.needs_trained_trunk and not any(
        weight.requires_grad for weight in trunk.parameters()
    ):
        raise ValueError(
            f"{modality.weights_remedy}: groups act on predictions through the trunk, "
            "which has no weights to train. Or learn the task alone, with lam=1."
        )
    with SinglePrecision(), RandomStream(seeds[1]):
        heads = [
            method.make_fairness_head(
                width, tasks.n_classes, len(attributes.groups[s]), modality.make_head
            )
            for s in losses
        ]
    objective = method.make_objective(list(losses.values()), width)
    erasure = MeanErasure(width) if method.erases and losses else None
    network = method.network_class(trunk, task_heads, heads, erasure).float()
    return Model(modality, method, expected, losses, network, objective, width)


def make_stream(model: Model, optimizer: Any, seed: int, device: Any) -> RandomStream:
    """Return the random numbers of a training.

    Modules, optimizers and aggregators that are not known may draw from torch's global
    generators, which one training at a time can have.
    """
    is_known = (
        optimizer in OPTIMIZERS
        and model.method.make_backward() is None
        and all(
            type(module).__module__.startswith("fairtask.") or type(module) in SILENT
            for module in (*model.network.modules(), *model.objective.modules())
        )
    )
    return (OwnStream if is_known else RandomStream)(seed, device)


def continue_model(model: Model, before: FairnessNet) -> None:
    """Take over the weights.

    They go into new modules: a training that fails leaves the old ones as they were.
    """
    try:
        model.network.load_state_dict(before.module_.state_dict())
        model.objective.load_state_dict(before.criterion_.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"The parameters do not fit the network that is trained further: {error}"
        ) from error


def continue_net(net: FairnessNet, before: FairnessNet, *, is_stream: bool) -> None:
    """Take over the history and, in a stream, the optimizer's moments."""
    net.history_.extend(before.history)
    net.group_losses_.extend(before.group_losses_)
    if not is_stream:
        return
    if net.average is not None and before.average is not None:
        decay = net.average.decay
        net.average = copy.deepcopy(before.average)
        net.average.decay = decay
    if type(net.optimizer_) is type(before.optimizer_):
        # Not its learning rate. A copy: steps are taken in place, and a training that
        # fails must leave the old.
        moments = copy.deepcopy(before.optimizer_.state_dict()["state"])
        place = {name: i for i, name in enumerate(_optimized(before))}
        state = net.optimizer_.state_dict()
        state["state"] = {
            i: moments[place[name]]
            for i, name in enumerate(_optimized(net))
            if place.get(name) in moments
        }
        net.optimizer_.load_state_dict(state)


def _optimized(net: FairnessNet) -> list[str]:
    """Names of the weights of an optimizer, in its order."""
    names = {weight: name for name, weight in net.module_.named_parameters()}
    groups = net.optimizer_.param_groups
    return [names[weight] for group in groups for weight in group["params"]]


def make_net(
    estimator: Any,
    model: Model,
    *,
    n_samples: int,
    device: torch.device,
    max_epochs: int = 1,
    is_planned: bool = False,
    validation: SampleDataset | None = None,
    epoch_score: EpochScore | None = None,
    random: RandomStream | None = None,
    processes: Processes | None = None,
) -> FairnessNet:
    """Return the net that trains a model as the parameters of an estimator say.

    Parameters
    ----------
    estimator : FairnessEstimator
    model : Model
    n_samples : int
        Number of training samples.
    device : torch.device
    max_epochs : int, default=1
    is_planned : bool, default=False
        Whether this is the whole training, over which a learning rate can change.
    validation : SampleDataset, optional
    epoch_score : EpochScore, optional
        Score that selects the best epoch.
    random : RandomStream, optional
        Random numbers of the training.
    processes : Processes, optional
        Processes that train the network together. The first one shows the progress.
    """
    optimizer, of_optimizer = OPTIMIZERS.get(
        estimator.optimizer, (estimator.optimizer, {})
    )
    if estimator.weight_decay is not None:
        of_optimizer = {**of_optimizer, "weight_decay": estimator.weight_decay}
    batch_size = _resolve_batch_size(estimator.batch_size, n_samples)
    callbacks = copy_callbacks(estimator.callbacks, estimator.lr_schedule)
    n_steps = max_epochs * len(batch_sizes(n_samples, batch_size, is_trained_on=True))
    if is_planned and estimator.lr_schedule != "constant" and n_steps >= MIN_CYCLE:
        learning_rate = LearningRate(estimator.lr_schedule, n_steps)
        callbacks.append(("learning_rate", learning_rate))
    is_shown = processes is None or processes.rank == 0
    verbose = int(estimator.verbose > 1 and is_shown)
    # skorch makes the table of each epoch, printed or not.
    printing = {} if verbose else {"callbacks__print_log": None}
    if estimator.verbose == 1 and is_shown:
        callbacks.append(("progress_bar", ProgressBar()))
    if epoch_score is not None:
        # The first: a user's callback may end the training after an epoch.
        best_epoch = BestEpoch(epoch_score, estimator.n_iter_no_change)
        callbacks.insert(0, ("best_epoch", best_epoch))
    modality = model.modality
    return FairnessNet(
        model.network,
        model.objective,
        term_names=model.term_names,
        n_groups=[len(groups) for groups in model.expected.attributes.groups],
        backward=model.method.make_backward() if model.losses else None,
        average=modality.make_average(),
        optimizer=optimizer,
        lr=estimator.lr,
        **{f"optimizer__{name}": value for name, value in of_optimizer.items()},
        weight_settings=modality.weight_settings(
            model.network, lr=estimator.lr, weight_decay=estimator.weight_decay
        ),
        batch_size=batch_size,
        max_epochs=max_epochs,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=callbacks,
        device=device,
        n_threads=estimator.n_threads,
        random=random,
        processes=processes,
        verbose=verbose,
        **printing,
    )


def _resolve_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the number of samples in a batch.

    "auto" leaves a small data set with enough steps per epoch.
    """
    if batch_size == "auto":
        return min(512, max(32, n_samples // 32))
    return int(batch_size)


def resolve_max_epochs(max_epochs: int | str, n_samples: int) -> int:
    """Return the number of passes over the samples.

    "auto": few samples are learnt by heart in many passes.
    """
    if max_epochs == "auto":
        return min(30, max(15, n_samples // 1000))
    return int(max_epochs)
