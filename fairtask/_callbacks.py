"""Callbacks of the training loop."""

import math
from collections.abc import Callable
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback, LRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

__all__ = ["LEARNING_RATES", "BestEpoch", "LearningRate", "ProgressBar"]

WARM_UP = 0.1
"""Share of the batches over which "cosine" raises the learning rate."""


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

    Parameters
    ----------
    score : callable
        From the net to a number, the greater the better. NaN is never the best.
    patience : int or None
        Number of epochs without a better one after which training stops. None: never.
    """

    def __init__(
        self, score: Callable[[NeuralNet], float] | None, patience: int | None
    ) -> None:
        self.score = score
        self.patience = patience

    def on_train_begin(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Start the comparison."""
        self.best_score_ = -float("inf")
        self.best_epoch_: int | None = None
        self.best_weights_: Any = None
        self.misses_ = 0

    def on_epoch_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Score the epoch."""
        assert self.score is not None
        try:
            score = float(self.score(net))
        except KeyboardInterrupt:
            net.interrupted_ = True  # the user's, not a callback's
            raise
        net.history.record("valid_score", score)
        is_best = score > self.best_score_
        net.history.record("valid_score_best", is_best)
        if is_best:
            self.best_score_, self.best_epoch_ = score, net.history[-1, "epoch"]
            # On the CPU, where there is room for a second copy.
            self.best_weights_ = [
                {name: value.to("cpu", copy=True) for name, value in state.items()}
                for state in (net.module_.state_dict(), net.criterion_.state_dict())
            ]
            self.misses_ = 0
            return
        self.misses_ += 1
        net.stop_ = self.misses_ == self.patience

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
        names = [f"train_{name}" for name in net.term_names]
        self.bar_.set_postfix({name[6:]: net.history[-1, name] for name in names})
        self.bar_.update()

    def on_train_end(self, net: NeuralNet, *args: Any, **kwargs: Any) -> None:
        """Close the bar and drop it, because its stream cannot be pickled."""
        self.bar_.close()
        self.bar_ = None
