"""The network: a shared trunk, task heads and fairness heads."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.func import functional_call

__all__ = [
    "ACTIVATIONS",
    "FAIRNESS_HEADS",
    "MLP",
    "AnchoredHead",
    "FairnessHead",
    "HeadOutputs",
    "LiteralHead",
    "MultiTaskNetwork",
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
                layers.append(nn.Dropout(dropout))
            width = size
        super().__init__(*layers)
        self.out_features = width


class FairnessHead(nn.Module, metaclass=ABCMeta):
    """Head on which the fairness loss of one sensitive attribute is evaluated.

    Parameters
    ----------
    heads : iterable of K nn.Module
        A head per task, each from (n_samples, p) to (n_samples, n_classes). They are
        the fairness head's own and predict the task, never the attribute.

    Attributes
    ----------
    has_own_heads : bool
        Whether the class is made with `heads`.
    may_collapse : bool
        Whether a constant head is a failure.
    learns_task : bool
        Whether the head has a task loss of its own.
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
            Output on which the fairness loss is evaluated. The class decides where the
            gradient of that loss goes.
        detached_logits : list of K Tensor of shape (n_samples, n_classes)
            Output of the head on the detached representation, where the head's own task
            loss is evaluated; empty where the head has none.
        """


class ProbeHead(FairnessHead):
    """Fitted to the task; the fairness loss goes through it, frozen, to the trunk.

    The trunk alone pays the fairness loss. The head is trained as the task head is, so
    that it reads the representation as the task head does, and the fairness loss cannot
    make it constant.
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
    """Trained by the fairness loss alone, as eq. 3 of the paper [1]_ reads.

    Head and trunk pay the fairness loss. A constant head makes every group difference
    zero, and the losses GLF and GLD drive the head there.

    References
    ----------
    .. [1] "Learning fair latent representation with multi-task deep learning".
    """

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [head(h) for head in self.heads], []


class AnchoredHead(FairnessHead):
    """Trained by the fairness loss and its own task loss.

    Head and trunk pay the fairness loss; the task loss of this head stays in it.
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
    """The task heads themselves, with their weights detached: the trunk pays."""

    has_own_heads = False
    may_collapse = False

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [_frozen(head, h) for head in task_heads], []


FAIRNESS_HEADS: dict[str, type[FairnessHead]] = {
    "anchored": AnchoredHead,
    "literal": LiteralHead,
    "probe": ProbeHead,
    "task": TaskHead,
}
"""Fairness heads by the name that an estimator takes."""


class HeadOutputs(NamedTuple):
    """Outputs of a network for a batch.

    Attributes
    ----------
    representation : Tensor of shape (n_samples, p)
        Output of the trunk.
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
    """

    def __init__(
        self,
        trunk: nn.Module,
        task_heads: Iterable[nn.Module],
        fairness_heads: Iterable[FairnessHead] = (),
    ) -> None:
        super().__init__()
        self.trunk = trunk
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
        h = self.trunk(X)
        task = [head(h) for head in self.task_heads]
        evaluated = [head(h, self.task_heads) for head in self.fairness_heads]
        return HeadOutputs(
            representation=h,
            task=task,
            fairness=[fairness for fairness, _ in evaluated],
            detached=[detached for _, detached in evaluated],
        )

    def prediction_logits(self, outputs: HeadOutputs) -> list[Tensor]:
        """Select the logits that predictions are made from.

        Parameters
        ----------
        outputs : HeadOutputs
            Outputs of this network.

        Returns
        -------
        list of K Tensor of shape (n_samples, n_classes)
            See `task_logits`.
        """
        return outputs.task

    def task_logits(
        self, X: Tensor, given_groups: Tensor | None = None
    ) -> list[Tensor]:
        """Compute the logits that predictions are made from: those of the task heads.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Samples.
        given_groups : Tensor of shape (n_samples, S), int64, optional
            Group codes, for a network whose predictions can use them. This one ignores
            them.

        Returns
        -------
        list of K Tensor of shape (n_samples, n_classes)
        """
        h = self.trunk(X)
        return [head(h) for head in self.task_heads]


def _frozen(head: nn.Module, h: Tensor) -> Tensor:
    """Output of the head, with a gradient for `h` and none for the head."""
    weights = {name: weight.detach() for name, weight in head.named_parameters()}
    return functional_call(head, weights, (h,))
