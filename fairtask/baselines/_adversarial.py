"""An adversary that predicts the groups from the representation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.func import functional_call

from fairtask._labels import Labels
from fairtask._parameters import constructor_like
from fairtask._template import NetworkTemplate
from fairtask._validation import check_layer_sizes
from fairtask.baselines._groups_as_labels import group_cross_entropy
from fairtask.image import AuxiliaryFairnessImageClassifier
from fairtask.modules import MLP, FairnessHead
from fairtask.tabular import AuxiliaryFairnessClassifier

__all__ = ["AdversarialClassifier", "AdversarialImageClassifier"]


class AdversaryHead(FairnessHead):
    """Head that predicts the groups of one attribute, and pays with the sign turned.

    The representation is to make its loss larger, the head itself to make it smaller.
    Its loss is `AdversaryLoss`, which is negative: the trunk descends on it as on any
    fairness loss, and the weights of the head get the gradient with its sign turned.
    """

    may_collapse = False  # an adversary that knows nothing is what the trunk is for

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        (head,) = self.heads
        weights = {
            name: _turn_sign_of_gradient(weight)
            for name, weight in head.named_parameters()
        }
        return [functional_call(head, weights, (h,))], []


def _turn_sign_of_gradient(value: Tensor) -> Tensor:
    return 2 * value.detach() - value


class AdversaryLoss(nn.Module):
    """Minus the cross-entropy of an adversary, over the samples of known group."""

    def forward(
        self, logits: Tensor, y: Tensor, groups: Tensor, weight: Tensor | None = None
    ) -> Tensor:
        """Compute the loss of a batch; see `FairnessLoss.forward`."""
        return -group_cross_entropy(logits, groups, weight)

    def can_compare(self, y: Tensor, groups: Tensor) -> bool:
        """Whether there are two groups to tell apart."""
        return len(groups[groups >= 0].unique()) > 1


class _Adversarial(NetworkTemplate):
    """Hooks: the fairness head predicts the groups, against the trunk."""

    def _make_fairness_head(
        self, in_features: int, n_classes: Sequence[int], n_groups: int
    ) -> FairnessHead:
        sizes = check_layer_sizes(
            self.adversary_hidden_layer_sizes, "adversary_hidden_layer_sizes"
        )
        hidden = MLP(in_features, sizes)
        last = self._make_head(hidden.out_features, n_groups)
        return AdversaryHead([nn.Sequential(hidden, last)])

    def _make_fairness_losses(self, labels: Labels, n_groups: int) -> list[Any]:
        return [AdversaryLoss()]


NOT_OF_AN_ADVERSARY = (
    "fairness_head",
    "fairness_loss",
    "parity",
    "group_loss",
    "positive_classes",
    "group_momentum",
)
"""Parameters that say what a fairness loss compares."""


@constructor_like(
    AuxiliaryFairnessClassifier,
    without=NOT_OF_AN_ADVERSARY,
    lam=0.5,
    adversary_hidden_layer_sizes=(),
)
class AdversarialClassifier(_Adversarial, AuxiliaryFairnessClassifier):
    r"""Multilayer perceptron against adversaries that predict the groups [1]_.

    Each sensitive attribute has an adversary, a head on the shared representation.
    The adversary minimises its cross-entropy :math:`\mathcal{A}_s`; trunk and task head
    minimise :math:`\lambda \mathcal{L} - (1 - \lambda) \sum_s \mathcal{A}_s`. Groups
    that the representation does not tell apart are selected at equal rates:
    demographic parity is what the method aims at.

    The fairness loss in ``history_`` is :math:`-\mathcal{A}_s`: the closer to minus the
    entropy of the groups, the less the adversary knows.

    Parameters
    ----------
    hidden_layer_sizes, ..., progress_bar
        Those of `~fairtask.AuxiliaryFairnessClassifier`, but for those of the fairness
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
    >>> clf = AdversarialClassifier(max_epochs=20, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """

    if TYPE_CHECKING:  # the decorator writes it

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    _fixed_parameters = (
        *AuxiliaryFairnessClassifier._fixed_parameters,
        "adversary_hidden_layer_sizes",
    )
    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **AuxiliaryFairnessClassifier._parameter_constraints,
        "adversary_hidden_layer_sizes": ["array-like"],
    }


@constructor_like(
    AuxiliaryFairnessImageClassifier,
    without=NOT_OF_AN_ADVERSARY,
    lam=0.5,
    adversary_hidden_layer_sizes=(),
)
class AdversarialImageClassifier(_Adversarial, AuxiliaryFairnessImageClassifier):
    """Image classifier against adversaries that predict the groups.

    The method of `AdversarialClassifier`, on the backbone of
    `~fairtask.AuxiliaryFairnessImageClassifier`.

    Parameters
    ----------
    backbone, ..., progress_bar
        Those of `~fairtask.AuxiliaryFairnessImageClassifier`, but for those of the
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

    if TYPE_CHECKING:  # the decorator writes it

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    _fixed_parameters = (
        *AuxiliaryFairnessImageClassifier._fixed_parameters,
        "adversary_hidden_layer_sizes",
    )
    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **AuxiliaryFairnessImageClassifier._parameter_constraints,
        "adversary_hidden_layer_sizes": ["array-like"],
    }
