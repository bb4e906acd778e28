"""The network: a shared trunk, task heads and fairness heads."""

import math
from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear

from fairtask._processes import current_processes
from fairtask._random import current_generator
from fairtask._validation import check_is_tensor

__all__ = [
    "ACTIVATIONS",
    "FAIRNESS_HEADS",
    "MLP",
    "AnchoredHead",
    "Dropout",
    "FairnessHead",
    "HeadOutputs",
    "LiteralHead",
    "MeanErasure",
    "MultiTaskNetwork",
    "NoHead",
    "ProbeHead",
    "TaskHead",
]

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
            first = processes.part(processes.n_samples).start * per_sample
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


class FairnessHead(nn.Module, metaclass=ABCMeta):
    """Head on which the fairness loss of one sensitive attribute is evaluated.

    Parameters
    ----------
    heads : iterable of K nn.Module
        A head per task, each from (n_samples, p) to (n_samples, n_classes). They belong
        to the fairness head and predict the task, not the attribute.

    Attributes
    ----------
    has_own_heads : bool
        Whether the class takes `heads`.
    may_collapse : bool
        Whether a constant head is a failure.
    learns_task : bool
        Whether the head is trained by a task loss too.
    """

    has_own_heads = True
    may_collapse = True
    learns_task = False

    def __init__(self, heads: Iterable[nn.Module] = ()) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    @abstractmethod
    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Evaluate the head.

        Parameters
        ----------
        h : Tensor of shape (n_samples, p)
            Representation.
        task_heads : ModuleList of K nn.Module
            The task heads, for a fairness head that has none of its own.

        Returns
        -------
        fairness_logits : list of K Tensor of shape (n_samples, n_classes)
            Output on which the fairness loss is evaluated. The class decides which
            weights get the gradient of that loss.
        detached_logits : list of K Tensor of shape (n_samples, n_classes)
            Output on the detached representation, on which the task loss of this head
            is evaluated; empty if the head has none.
        """


class ProbeHead(FairnessHead):
    """Learns the task; the fairness loss passes through it, frozen, to the trunk.

    The fairness loss trains the trunk alone. The head is trained like the task head, so
    that it uses the representation like the task head, and the fairness loss cannot
    make it constant.

    Examples
    --------
    The output for the fairness loss has no gradient for the head, and that for the task
    loss has none for the representation:

    >>> import torch
    >>> from fairtask.modules import ProbeHead
    >>> h = torch.ones(4, 8, requires_grad=True)
    >>> probe = ProbeHead([torch.nn.Linear(8, 2)])
    >>> [for_fairness], [for_task] = probe(h, task_heads=[])
    >>> for_fairness.sum().backward()
    >>> h.grad is None, probe.heads[0].weight.grad is None
    (False, True)
    """

    learns_task = True

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return (
            [_frozen(head, h) for head in self.heads],
            [head(h.detach()) for head in self.heads],
        )


class LiteralHead(FairnessHead):
    """Trained by the fairness loss alone, which trains the trunk too.

    This is the literal reading of eq. 3 in [1]_. A constant head makes every difference
    between groups zero, and the losses GLF and GLD drive the head there.

    References
    ----------
    .. [1] "Learning fair latent representation with multi-task deep learning".

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import LiteralHead
    >>> h = torch.ones(4, 8, requires_grad=True)
    >>> head = LiteralHead([torch.nn.Linear(8, 2)])
    >>> [for_fairness], for_task = head(h, task_heads=[])
    >>> for_fairness.sum().backward()
    >>> h.grad is None, head.heads[0].weight.grad is None, for_task
    (False, False, [])
    """

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [head(h) for head in self.heads], []


class AnchoredHead(FairnessHead):
    """Trained by the fairness loss and by a task loss.

    The fairness loss trains head and trunk; the task loss of this head trains the head
    alone.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import AnchoredHead
    >>> h = torch.ones(4, 8, requires_grad=True)
    >>> head = AnchoredHead([torch.nn.Linear(8, 2)])
    >>> [for_fairness], [for_task] = head(h, task_heads=[])
    >>> for_task.sum().backward()
    >>> h.grad is None, head.heads[0].weight.grad is None
    (True, False)
    """

    learns_task = True

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return (
            [head(h) for head in self.heads],
            [head(h.detach()) for head in self.heads],
        )


class TaskHead(FairnessHead):
    """The task heads with their weights detached: the loss trains the trunk alone.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import TaskHead
    >>> h = torch.ones(4, 8, requires_grad=True)
    >>> task_head = torch.nn.Linear(8, 2)
    >>> [for_fairness], for_task = TaskHead()(h, task_heads=[task_head])
    >>> for_fairness.sum().backward()
    >>> h.grad is None, task_head.weight.grad is None
    (False, True)
    """

    has_own_heads = False
    may_collapse = False

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [_frozen(head, h) for head in task_heads], []


class NoHead(FairnessHead):
    """No output: the penalty is on the representation alone."""

    has_own_heads = False
    may_collapse = False

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [], []


FAIRNESS_HEADS: dict[str, type[FairnessHead]] = {
    "anchored": AnchoredHead,
    "literal": LiteralHead,
    "probe": ProbeHead,
    "task": TaskHead,
}
"""Fairness heads by the names that estimators take."""


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


class HeadOutputs(NamedTuple):
    """Outputs of a network for a batch.

    Attributes
    ----------
    representation : Tensor of shape (n_samples, p)
        Output of the trunk, after the erasure.
    task : list of K Tensor of shape (n_samples, n_classes)
        Logits of the task heads.
    fairness, detached : list of S lists of Tensor
        See `FairnessHead.forward`.
    """

    representation: Tensor
    task: list[Tensor]
    fairness: list[list[Tensor]]
    detached: list[list[Tensor]]


class MultiTaskNetwork(nn.Module):
    """A trunk shared by task heads and fairness heads.

    Parameters
    ----------
    trunk : nn.Module
        From a batch of samples to a representation of shape (n_samples, p).
    task_heads : iterable of K nn.Module
        Each from (n_samples, p) to (n_samples, n_classes).
    fairness_heads : iterable of S FairnessHead, default=()
        One per sensitive attribute.
    erasure : MeanErasure, optional
        Changes the output of the trunk.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import MLP, MultiTaskNetwork, ProbeHead
    >>> network = MultiTaskNetwork(
    ...     MLP(10, (32, 8)),
    ...     task_heads=[torch.nn.Linear(8, 2)],
    ...     fairness_heads=[ProbeHead([torch.nn.Linear(8, 2)])],
    ... )
    >>> outputs = network(torch.zeros(4, 10))
    >>> outputs.representation.shape, outputs.fairness[0][0].shape
    (torch.Size([4, 8]), torch.Size([4, 2]))
    """

    def __init__(
        self,
        trunk: nn.Module,
        task_heads: Iterable[nn.Module],
        fairness_heads: Iterable[FairnessHead] = (),
        erasure: MeanErasure | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.erasure = erasure
        self.task_heads = nn.ModuleList(task_heads)
        self.fairness_heads = nn.ModuleList(fairness_heads)

    def forward(self, X: Tensor) -> HeadOutputs:
        """Compute the output of all heads.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Samples. Sensitive attributes are not among the inputs.

        Returns
        -------
        HeadOutputs
        """
        h = self.represent(X)
        task = [head(h) for head in self.task_heads]
        evaluated = [head(h, self.task_heads) for head in self.fairness_heads]
        return HeadOutputs(
            representation=h,
            task=task,
            fairness=[fairness for fairness, _ in evaluated],
            detached=[detached for _, detached in evaluated],
        )

    def represent(self, X: Tensor) -> Tensor:
        """Return the representation that the heads share, shape (n_samples, p)."""
        h = self.trunk(X)
        check_is_tensor(h, "trunk")
        return h if self.erasure is None else self.erasure(h)

    def prediction_logits(
        self, outputs: HeadOutputs, given_groups: Tensor | None = None
    ) -> list[Tensor]:
        """Return the logits for predictions.

        Parameters
        ----------
        outputs : HeadOutputs
            Outputs of this network.
        given_groups : Tensor of shape (n_samples, S), int64, optional
            See `task_logits`.

        Returns
        -------
        list of K Tensor of shape (n_samples, n_classes)
            See `task_logits`.
        """
        return outputs.task

    def task_logits(
        self, X: Tensor, given_groups: Tensor | None = None
    ) -> list[Tensor]:
        """Compute the logits for predictions: those of the task heads.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Samples.
        given_groups : Tensor of shape (n_samples, S), int64, optional
            Group codes, for networks that can use them in predictions. This network
            ignores them.

        Returns
        -------
        list of K Tensor of shape (n_samples, n_classes)
        """
        h = self.represent(X)
        return [head(h) for head in self.task_heads]


def _frozen(head: nn.Module, h: Tensor) -> Tensor:
    """Return the output of the head, with a gradient for `h` and none for the head."""
    if type(head) is nn.Linear:  # the usual head, faster
        return linear(h, head.weight.detach(), head.bias.detach())
    weights = {name: weight.detach() for name, weight in head.named_parameters()}
    return functional_call(head, weights, (h,))
