"""An adversary that predicts the groups from the representation."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from fairtask._auxiliary import PENALTY_CONSTRAINTS
from fairtask._estimator import FairnessEstimator
from fairtask._labels import Tasks
from fairtask._method import MakeHead
from fairtask._parameters import estimator
from fairtask._penalty import WeightedSum
from fairtask._validation import check_layer_sizes
from fairtask.image import ImageEstimator
from fairtask.losses import sum_over_processes
from fairtask.modules import MLP, FairnessHead
from fairtask.tabular import TableEstimator

__all__ = [
    "AdversarialClassifier",
    "AdversarialImageClassifier",
    "group_cross_entropy",
]


def group_cross_entropy(
    logits: Tensor, groups: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return the mean cross-entropy over the samples of known group; 0 without any."""
    known = (groups >= 0).to(logits.dtype)
    if weight is not None:
        known = known * weight
    losses = cross_entropy(logits, groups.clamp_min(0), reduction="none")
    loss, total = sum_over_processes([(known * losses).sum(), known.sum()])
    return loss / torch.where(total > 0, total, 1)


class AdversaryHead(FairnessHead):
    """Head that predicts the groups of one attribute, with the gradient reversed.

    The head minimises its cross-entropy, and the trunk maximises it. The loss is
    `AdversaryLoss`, minus the cross-entropy: the trunk descends on it as on any
    fairness loss, and the weights of the head get its gradient with the sign reversed.
    """

    may_collapse = False  # the trunk aims at an adversary that knows nothing

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        (head,) = self.heads
        weights = {
            name: _reverse_gradient(weight) for name, weight in head.named_parameters()
        }
        return [functional_call(head, weights, (h,))], []


def _reverse_gradient(value: Tensor) -> Tensor:
    """Return the same value, 2 v - v, whose gradient is -1."""
    return 2 * value.detach() - value


class AdversaryLoss(nn.Module):
    """Minus the cross-entropy of an adversary over the samples of known group."""

    def forward(
        self, logits: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch; see `FairnessLoss.forward`."""
        return -group_cross_entropy(logits, groups, weight)


@dataclass(kw_only=True)
class Adversarial(WeightedSum):
    """Adversaries predict the groups; the trunk is trained against them.

    The parameters are those of `AdversarialClassifier`.
    """

    adversary_hidden_layer_sizes: Sequence[int]

    fixed_parameters: ClassVar[tuple[str, ...]] = ("adversary_hidden_layer_sizes",)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.needs_trained_trunk = self.uses_groups

    def make_fairness_head(
        self,
        in_features: int,
        n_classes: Sequence[int],
        n_groups: int,
        make_head: MakeHead,
    ) -> FairnessHead:
        """See `Method.make_fairness_head`."""
        sizes = check_layer_sizes(
            self.adversary_hidden_layer_sizes, "adversary_hidden_layer_sizes"
        )
        hidden = MLP(in_features, sizes)
        last = make_head(hidden.out_features, n_groups)
        return AdversaryHead([nn.Sequential(hidden, last)])

    def make_losses(self, tasks: Tasks, n_groups: int) -> list[nn.Module]:
        """See `Method.make_losses`."""
        return [AdversaryLoss()]


@estimator
class AdversarialEstimator(FairnessEstimator):
    """Estimators with adversaries that predict the groups, for any modality."""

    _: KW_ONLY
    lam: float = 0.5
    adversary_hidden_layer_sizes: Sequence[int] = ()
    aggregator: Any = None
    weighted_losses: Literal["all", "task"] = "all"

    _parameter_constraints: ClassVar[dict] = {
        **{
            name: PENALTY_CONSTRAINTS[name]
            for name in ("lam", "aggregator", "weighted_losses")
        },
        "adversary_hidden_layer_sizes": ["array-like"],
    }

    def _make_method(self) -> Adversarial:
        return Adversarial(**self._parameters_of(Adversarial))


@estimator
class AdversarialClassifier(TableEstimator, AdversarialEstimator):
    r"""Multilayer perceptron against adversaries that predict the groups.

    Each sensitive attribute has an adversary [1]_, a head on the shared representation.
    The adversary minimises its cross-entropy :math:`\mathcal{A}_s`; trunk and task head
    minimise :math:`\lambda \mathcal{L} - (1 - \lambda) \sum_s \mathcal{A}_s`. The
    method aims at demographic parity: if the representation does not separate the
    groups, they are selected at equal rates.

    The fairness loss in ``history_`` is :math:`-\mathcal{A}_s`. The closer it is to
    minus the entropy of the groups, the less the adversary knows.

    Parameters
    ----------
    hidden_layer_sizes, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessClassifier`, except those of the fairness
        head and its loss.
    lam : float in [0, 1], default=0.5
        Weight :math:`\lambda` of the task.
    adversary_hidden_layer_sizes : sequence of int, default=()
        Width of each hidden layer of the adversaries.

    References
    ----------
    .. [1] T. Adel, I. Valera, Z. Ghahramani and A. Weller. "One-network adversarial
       fairness". AAAI 2019.

    Examples
    --------
    >>> from fairtask.baselines import AdversarialClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = AdversarialClassifier(max_epochs=5, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """


@estimator
class AdversarialImageClassifier(ImageEstimator, AdversarialEstimator):
    """Image classifier against adversaries that predict the groups.

    The method of `AdversarialClassifier`, on the backbone of
    `~fairtask.AuxiliaryFairnessImageClassifier`.

    Parameters
    ----------
    backbone, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessImageClassifier`, except those of the
        fairness head and its loss.
    lam : float in [0, 1], default=0.5
        Weight of the task.
    adversary_hidden_layer_sizes : sequence of int, default=()
        Width of each hidden layer of the adversaries.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.baselines import AdversarialImageClassifier
    >>> rng = np.random.default_rng(0)
    >>> y, z = rng.integers(2, size=(2, 64))
    >>> X = rng.integers(100, size=(64, 32, 32, 3)) + 100 * y[:, None, None, None]
    >>> clf = AdversarialImageClassifier(
    ...     "test_convnext", pretrained=False, image_size=32, max_epochs=1,
    ...     random_state=0,
    ... )
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """
