"""Exponential moving averages of weights."""

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]


class WeightAverage:
    r"""Exponential moving average of the weights of a network.

    After step t it moves to :math:`d_t \bar{w} + (1 - d_t) w` with
    :math:`d_t = \min(d, (1 + t) / (10 + t))`, so that the weights at the start are soon
    forgotten. It covers parameters that are trained and buffers, such as the running
    statistics of a batch normalisation; integers and truth values are copied.

    `torch.optim.swa_utils.AveragedModel` does the same, but reads its counter from the
    device for each weight: an update of a ConvNeXt took 2.5 times as long.

    Parameters
    ----------
    decay : float in [0, 1)
        Decay d per step.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.n_steps = 0
        self._average: list[Tensor] | None = None
        self._trained: list[Tensor] | None = None

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Move towards the weights."""
        weights = _weights(network)
        if self._average is None:
            self._average = [weight.detach().clone() for weight in weights]
            return
        self.n_steps += 1
        decay = min(self.decay, (1 + self.n_steps) / (10 + self.n_steps))
        for mean, weight in zip(self._average, weights, strict=True):
            if mean.is_floating_point():
                # An infinite value that does not change would become NaN.
                moved = mean.lerp(weight, 1 - decay)
                mean.copy_(torch.where(mean == weight, mean, moved))
            else:
                mean.copy_(weight)

    @torch.no_grad()
    def take_place(self, network: nn.Module) -> None:
        """Put the average into the network, and keep the weights that were there."""
        if self._average is None:
            return
        weights = _weights(network)
        self._trained = [weight.detach().clone() for weight in weights]
        for weight, mean in zip(weights, self._average, strict=True):
            weight.copy_(mean)

    @torch.no_grad()
    def step_aside(self, network: nn.Module) -> None:
        """Put back the weights that were there, to train them further."""
        if self._trained is not None:
            for weight, trained in zip(_weights(network), self._trained, strict=True):
                weight.copy_(trained)
            self._trained = None


def _weights(network: nn.Module) -> list[Tensor]:
    trained = [p for p in network.parameters() if p.requires_grad]
    return [*trained, *network.buffers()]
