"""The network: a shared trunk, task heads and fairness heads."""

from abc import ABCMeta, abstractmethod
from collections.abc import Iterable
from typing import NamedTuple

from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear

from fairtask._layers import ACTIVATIONS, MLP, Dropout, MeanErasure
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

    Examples
    --------
    A head that sees half of the representation, trained by the fairness loss alone:

    >>> import torch
    >>> from fairtask.modules import FairnessHead
    >>> class HalfHead(FairnessHead):
    ...     def forward(self, h, task_heads):
    ...         return [head(h[:, :4]) for head in self.heads], []
    >>> head = HalfHead([torch.nn.Linear(4, 2)])
    >>> [for_fairness], for_task = head(torch.ones(3, 8), task_heads=[])
    >>> for_fairness.shape, for_task
    (torch.Size([3, 2]), [])
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
    """No output: the penalty is on the representation alone.

    Examples
    --------
    >>> import torch
    >>> from fairtask.modules import NoHead
    >>> NoHead()(torch.ones(4, 8), task_heads=[])
    ([], [])
    """

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

    Examples
    --------
    One task, and one attribute whose head learns the task:

    >>> import torch
    >>> from fairtask.modules import MLP, MultiTaskNetwork, ProbeHead
    >>> head, probe = torch.nn.Linear(8, 2), ProbeHead([torch.nn.Linear(8, 2)])
    >>> outputs = MultiTaskNetwork(MLP(10, (8,)), [head], [probe])(torch.ones(4, 10))
    >>> outputs.representation.shape, outputs.task[0].shape
    (torch.Size([4, 8]), torch.Size([4, 2]))
    >>> len(outputs.fairness), len(outputs.detached)  # attributes
    (1, 1)
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
