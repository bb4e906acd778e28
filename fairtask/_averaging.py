"""Exponential moving average of the weights, in place of the last ones."""

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

__all__ = ["WeightAverage"]


class WeightAverage:
    r"""Exponential moving average of the weights and buffers of a network.

    After step t it moves to :math:`d_t \bar{w} + (1 - d_t) w` with
    :math:`d_t = \min(d, (1 + t) / (10 + t))`, so that it forgets the weights at the
    start soon. Integers and truth values are copied.

    Parameters
    ----------
    decay : float in [0, 1)
        Decay d per step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self._averaged: AveragedModel | None = None
        self._trained: dict[str, Tensor] | None = None

    def update(self, network: nn.Module) -> None:
        """Move towards the weights."""
        if self._averaged is None:
            self._averaged = AveragedModel(network, use_buffers=True)
        self._averaged.avg_fn = self._moved
        self._averaged.update_parameters(network)

    def _moved(self, mean: Tensor, weight: Tensor, n_steps: Tensor | int) -> Tensor:
        if not mean.is_floating_point():
            return weight
        decay = min(self.decay, (1 + int(n_steps)) / (10 + int(n_steps)))
        # An infinite value that does not change would become NaN.
        return torch.where(mean == weight, mean, mean.lerp(weight, 1 - decay))

    def take_place(self, network: nn.Module) -> None:
        """Put the average into the network, and keep the weights that were there."""
        if self._averaged is not None:
            self._trained = {n: v.clone() for n, v in network.state_dict().items()}
            network.load_state_dict(self._averaged.module.state_dict())

    def step_aside(self, network: nn.Module) -> None:
        """Put back the weights that were there, to train them further."""
        if self._trained is not None:
            network.load_state_dict(self._trained)
            self._trained = None
