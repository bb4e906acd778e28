"""Layers of a trunk; `fairtask.modules` makes them public."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from fairtask._processes import current_processes
from fairtask._random import current_generator

__all__ = ["ACTIVATIONS", "MLP", "Dropout", "MeanErasure"]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
"""Activations by name."""


class Dropout(nn.Module):
    """Set a share of the numbers to 0 at random in training, and scale the others.

    It is as `torch.nn.Dropout`, in half its time on a CPU: four numbers share a random
    integer of 64 bits, so that the share is a multiple of 1 / 65,536. A training of
    fairtask has a generator of its own for it.

    Parameters
    ----------
    p : float in [0, 1)
        Share of the numbers.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import Dropout
    >>> x = torch.ones(1000)
    >>> sorted(set(Dropout(0.5)(x).tolist()))
    [0.0, 2.0]
    >>> torch.equal(Dropout(0.5).eval()(x), x)
    True
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise ValueError(f"`p` must be a number in [0, 1); got {p!r}.")
        self.p = p
        self._n_dropped = min(round(p * 2**16), 2**16 - 1)  # of 65,536 numbers

    def forward(self, x: Tensor) -> Tensor:
        """Drop numbers of a tensor of any shape."""
        if not self.training:
            return x
        first, n = 0, x.numel()
        processes = current_processes()
        if processes is not None:
            # The numbers of the whole batch, so that the mask is that of one process.
            per_sample = math.prod(x.shape[1:])
            n = processes.n_samples * per_sample
            first = processes.rows.start * per_sample
        bits = torch.empty(-(-n // 4), dtype=torch.int64, device=x.device)
        bits.random_(-(2**63), None, generator=current_generator())
        numbers = bits.view(torch.int16)[first : first + x.numel()].view(x.shape)
        kept = (numbers >= self._n_dropped - 2**15).to(x.dtype)
        return x * kept.mul_(2**16 / (2**16 - self._n_dropped))

    def extra_repr(self) -> str:
        """Return the share, for the module's repr."""
        return f"p={self.p}"


class MLP(nn.Sequential):
    """Multilayer perceptron that ends in an activation: a trunk for tables.

    Parameters
    ----------
    in_features : int
        Number of input features d.
    hidden_layer_sizes : sequence of int
        Width of each layer. Without layers the trunk is the identity.
    activation : str, default="relu"
        A key of `ACTIVATIONS`.
    dropout : float in [0, 1), default=0
        Share of the units dropped after each layer in training.

    Attributes
    ----------
    out_features : int
        Width p of the representation.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import MLP
    >>> trunk = MLP(10, (32, 8), activation="gelu")
    >>> trunk(torch.zeros(4, 10)).shape
    torch.Size([4, 8])
    """

    def __init__(
        self,
        in_features: int,
        hidden_layer_sizes: Sequence[int],
        *,
        activation: str = "relu",
        dropout: float = 0.0,
    ) -> None:
        layers: list[nn.Module] = []
        width = in_features
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), ACTIVATIONS[activation]()]
            if dropout > 0:
                layers.append(Dropout(dropout))
            width = size
        super().__init__(*layers)
        self.out_features = width


class MeanErasure(nn.Module):
    """Linear map after which the means of groups are equal.

    Until it is set, it changes nothing.

    Parameters
    ----------
    n_features : int
        Width p of the representation.

    Attributes
    ----------
    removed : Tensor of shape (n_features, n_features)
        Matrix Q of the map from h to h - h Q.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import MeanErasure
    >>> erasure = MeanErasure(2)
    >>> erasure.removed[0, 0] = 1  # the first unit is removed
    >>> erasure(torch.tensor([[3.0, 4.0]]))
    tensor([[0., 4.]])
    """

    removed: Tensor

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("removed", torch.zeros(n_features, n_features))

    def forward(self, h: Tensor) -> Tensor:
        """Map a representation of shape (n_samples, n_features)."""
        return h - h @ self.removed
