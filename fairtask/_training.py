"""The net of one training: its optimizer and its callbacks."""

import copy
from typing import Any

import torch
from skorch.callbacks import LRScheduler
from skorch.helper import predefined_split

from fairtask._callbacks import BestEpoch, LearningRate, ProgressBar
from fairtask._data import SampleDataset
from fairtask._epoch_scores import EpochScore
from fairtask._net import FairnessNet
from fairtask._validation import check_callbacks
from fairtask.modules import MultiTaskNetwork

__all__ = ["OPTIMIZERS", "make_net"]

OPTIMIZERS: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"weight_decay": 1.0}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 5e-4}),
}
"""Optimizers by name, with their settings. AdamW's decay is multiplied by the rate."""

MIN_CYCLE = 10
"""Fewer steps than this leave no room to warm up and cool down."""

CALLBACK_NAMES = (
    *("best_epoch", "learning_rate", "progress_bar"),
    *("epoch_timer", "train_loss", "valid_loss", "print_log"),  # skorch's own
)
"""Names that callbacks of the user cannot have."""


def make_net(
    estimator: Any,
    network: MultiTaskNetwork,
    objective: Any,
    *,
    n_samples: int,
    device: torch.device,
    max_epochs: int = 1,
    is_planned: bool = False,
    validation: SampleDataset | None = None,
    epoch_score: EpochScore | None = None,
    **settings: Any,
) -> FairnessNet:
    """Return the net that trains a network as the parameters of an estimator say.

    Parameters
    ----------
    estimator : FairnessEstimator
    network : MultiTaskNetwork
    objective : nn.Module
    n_samples : int
        Number of training samples.
    device : torch.device
    max_epochs : int, default=1
    is_planned : bool, default=False
        Whether this is the whole training, over which a learning rate can change.
    validation : SampleDataset, optional
    epoch_score : EpochScore, optional
        Score by which the best epoch is found.
    **settings
        Parameters of `FairnessNet`.
    """
    optimizer, of_optimizer = OPTIMIZERS.get(
        estimator.optimizer, (estimator.optimizer, {})
    )
    if estimator.weight_decay is not None:
        of_optimizer = {**of_optimizer, "weight_decay": estimator.weight_decay}
    batch_size = _resolve_batch_size(estimator.batch_size, n_samples)
    callbacks = _check_callbacks(estimator.callbacks, estimator.lr_schedule)
    n_steps = max_epochs * -(-n_samples // batch_size)
    if is_planned and estimator.lr_schedule != "constant" and n_steps >= MIN_CYCLE:
        learning_rate = LearningRate(estimator.lr_schedule, n_steps)
        callbacks.append(("learning_rate", learning_rate))
    if estimator.verbose == 1:
        callbacks.append(("progress_bar", ProgressBar()))
    if epoch_score is not None:
        # The first: a callback of the user may end the training after an epoch.
        best_epoch = BestEpoch(epoch_score, estimator.n_iter_no_change)
        callbacks.insert(0, ("best_epoch", best_epoch))
    return FairnessNet(
        network,
        objective,
        optimizer=optimizer,
        lr=estimator.lr,
        **{f"optimizer__{name}": value for name, value in of_optimizer.items()},
        batch_size=batch_size,
        max_epochs=max_epochs,
        train_split=None if validation is None else predefined_split(validation),
        callbacks=callbacks,
        device=device,
        verbose=int(estimator.verbose > 1),
        **settings,
    )


def _resolve_batch_size(batch_size: int | str, n_samples: int) -> int:
    """Return the number of samples in a batch.

    "auto" leaves a small data set with enough steps per epoch.
    """
    if batch_size == "auto":
        return min(512, max(32, n_samples // 32))
    return int(batch_size)


def _check_callbacks(callbacks: list | None, lr_schedule: str) -> list:
    """Return copies: a callback keeps what it saw, and belongs to one training."""
    copies = copy.deepcopy(check_callbacks(callbacks, CALLBACK_NAMES))
    if lr_schedule != "constant" and any(
        isinstance(entry[-1] if isinstance(entry, tuple) else entry, LRScheduler)
        for entry in copies
    ):
        raise ValueError(
            "`callbacks` has a schedule of the learning rate, and so has "
            f"`lr_schedule={lr_schedule!r}`; set it to 'constant'."
        )
    return copies
