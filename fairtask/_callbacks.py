"""Callbacks of the training loop."""

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

__all__ = [
    "LEARNING_RATES",
    "BestEpoch",
    "LearningRate",
    "ProgressBar",
    "copy_callbacks",
]

WARM_UP = 0.1
"""Share of the batches over which "cosine" raises the learning rate."""

CALLBACK_NAMES = (
    *("best_epoch", "learning_rate", "progress_bar"),
    *("epoch_timer", "train_loss", "valid_loss", "print_log"),  # skorch's own
)
"""Names that a user's callbacks cannot have."""


def _one_cycle(optimizer: Optimizer, *, n_steps: int, **_: Any) -> OneCycleLR:
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=n_steps,
        cycle_momentum=False,  # not every optimizer has one
    )


def _cosine(optimizer: Optimizer, *, n_steps: int, **_: Any) -> LambdaLR:
    n_rising = max(1, round(WARM_UP * n_steps))

    def share(step: int) -> float:
        if step < n_rising:
            return (step + 1) / n_rising
        fallen = (step - n_rising) / max(1, n_steps - n_rising)
        return (1 + math.cos(math.pi * fallen)) / 2

    return LambdaLR(optimizer, share)


LEARNING_RATES = {"cosine": _cosine, "one_cycle": _one_cycle}
"""Schedules by name. They ignore past epochs: a cycle starts with each training."""


class LearningRate(LRScheduler):
    """A learning rate that changes over the known number of batches of a training.

    Parameters
    ----------
    name : str
        A key of `LEARNING_RATES`.
    n_steps : int
        Number of batches in the whole training.
    """

    def __init__(self, name: str, n_steps: int) -> None:
        super().__init__(
            LEARNING_RATES[name], event_name=None, step_every="batch", n_steps=n_steps
        )

    def on_train_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Forget the scheduler: it holds the optimizer, and with it the weights."""
        self.lr_scheduler_ = None


class BestEpoch(Callback):
    """Score each epoch, keep the weights of the best, and stop when none is better.

    Of models that are trained together, each keeps the epoch that it would keep if it
    were trained alone.

    Parameters
    ----------
    score : callable
        From the net to a number, the greater the better, or to an array of one for each
        of the models. NaN is never the best.
    patience : int or None
        Number of epochs without a better one after which training stops. None: never.
    """

    def __init__(
        self, score: Callable[[NeuralNet], Any] | None, patience: int | None
    ) -> None:
        self.score = score
        self.patience = patience

    def on_train_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Start the comparison."""
        self.best_score_: Any = -float("inf")
        self.best_epoch_: int | None = None
        self.best_weights_: list[dict[str, Tensor]] | None = None
        self.misses_: Any = np.array(0)

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Score the epoch."""
        assert self.score is not None
        try:
            score = np.asarray(self.score(net), dtype=float)
        except KeyboardInterrupt:
            net.interrupted_ = True  # the user's, not a callback's
            raise
        net.history.record("valid_score", score.tolist())
        has_stopped = self.misses_ == (self.patience or -1)
        is_best = (score > self.best_score_) & ~has_stopped
        net.history.record("valid_score_best", is_best.tolist())
        self.best_score_ = np.where(is_best, score, self.best_score_)
        self.misses_ = np.where(is_best, 0, self.misses_ + ~has_stopped)
        if is_best.any():
            self.best_epoch_ = net.history[-1, "epoch"]
            self._keep(net, is_best)
        net.stop_ = bool((self.misses_ == self.patience).all())

    def _keep(self, net: NeuralNet, is_best: np.ndarray) -> None:
        """Keep the weights, or those of the models for which the epoch is the best."""
        states = [net.module_.state_dict(), net.criterion_.state_dict()]
        if self.best_weights_ is None or is_best.all():
            # On the CPU, where there is room for a second copy.
            self.best_weights_ = [
                {name: value.to("cpu", copy=True) for name, value in state.items()}
                for state in states
            ]
            return
        models = torch.from_numpy(np.flatnonzero(is_best))
        for kept, state in zip(self.best_weights_, states, strict=True):
            for name, value in state.items():
                kept[name][models] = value[models.to(value.device)].cpu()

    def on_train_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Restore the best epoch, and forget the validation data in `score`."""
        net.kept_epoch_ = self.best_epoch_
        if self.best_weights_ is not None:
            for module, weights in zip(
                (net.module_, net.criterion_), self.best_weights_, strict=True
            ):
                module.load_state_dict(weights)
        self.best_weights_ = self.score = None


class ProgressBar(Callback):
    """A bar over the epochs, with the terms of the objective."""

    def on_train_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Show the bar."""
        # Where it is needed: in a notebook the import looks for widgets, and may warn.
        from tqdm.auto import tqdm

        self.bar_: Any = tqdm(total=net.max_epochs, unit="epoch")

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Move the bar."""
        # A search trains several networks, which have a list of values.
        terms = {
            n: float(np.mean(net.history[-1, f"train_{n}"])) for n in net.term_names
        }
        self.bar_.set_postfix(terms)
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Close the bar and drop it, because its stream cannot be pickled."""
        self.bar_.close()
        self.bar_ = None


def copy_callbacks(callbacks: list | None, lr_schedule: str) -> list:
    """Check the callbacks of a user and return copies.

    A callback keeps its state, and belongs to one training.
    """
    names, given = [], []
    for entry in callbacks or []:
        name, callback = type(entry).__name__, entry
        if isinstance(entry, tuple) and len(entry) == 2:
            name, callback = entry
            given.append(name)
        if not isinstance(callback, Callback):
            raise ValueError(
                "`callbacks` must hold skorch callbacks, or pairs of a name and one; "
                f"got {entry!r}."
            )
        names.append(name)
        if lr_schedule != "constant" and isinstance(callback, LRScheduler):
            raise ValueError(
                "`callbacks` has a schedule of the learning rate, and so has "
                f"`lr_schedule={lr_schedule!r}`; set it to 'constant'."
            )
    for name in names:
        is_free = isinstance(name, str) and name not in CALLBACK_NAMES
        # skorch numbers the names of classes where there are several, but no given one.
        if not is_free or (name in given and names.count(name) > 1):
            raise ValueError(
                "`callbacks` must have distinct names, other than "
                f"{sorted(CALLBACK_NAMES)}; got {name!r}. A callback without a name "
                "has that of its class."
            )
    return copy.deepcopy(callbacks or [])
