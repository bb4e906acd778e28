"""A fairness loss on the prediction itself."""

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from fairtask._parameters import constructor_like
from fairtask._template import NetworkTemplate
from fairtask.image import AuxiliaryFairnessImageClassifier
from fairtask.losses import FairnessLoss
from fairtask.modules import FairnessHead
from fairtask.objective import Objective
from fairtask.tabular import AuxiliaryFairnessClassifier

__all__ = ["RegularizedClassifier", "RegularizedImageClassifier"]


class RegularizedHead(FairnessHead):
    """The task heads themselves, which pay the fairness loss as the trunk does."""

    has_own_heads = False
    may_collapse = False

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [head(h) for head in task_heads], []


class LagrangianObjective(Objective):
    r"""Task losses plus fairness losses with multipliers that grow while they are > 0.

    .. math:: \sum_k \mathcal{L}_k + \sum_s \mu_s \mathcal{F}_s

    After each training batch :math:`\mu_s` moves by ``multiplier_lr`` times
    :math:`\mathcal{F}_s`: a step of ascent on the Lagrangian of the problem with
    the constraints :math:`\mathcal{F}_s \le 0`.

    Parameters
    ----------
    fairness_losses
        See `Objective`.
    multiplier_init : float
        Multipliers at the start.
    multiplier_lr : float
        Step of the ascent.
    """

    multipliers: Tensor

    def __init__(
        self,
        fairness_losses: Sequence[Sequence[FairnessLoss]],
        *,
        multiplier_init: float,
        multiplier_lr: float,
    ) -> None:
        super().__init__(1.0, fairness_losses)
        self.multiplier_lr = multiplier_lr
        initial = torch.full((len(fairness_losses),), float(multiplier_init))
        self.register_buffer("multipliers", initial)

    def _weigh_fairness(self, s: int, fairness_loss: Tensor) -> Tensor:
        multiplier = self.multipliers[s].clone()  # it moves before the backward pass
        if self.training:
            with torch.no_grad():
                self.multipliers[s] += self.multiplier_lr * fairness_loss.detach()
        return multiplier * fairness_loss


class _Regularized(NetworkTemplate):
    """Hooks: the fairness loss acts on the task heads' own output."""

    _trunk_pays = False

    def _uses_sensitive_features(self) -> bool:
        return self.multiplier_lr is not None or self.lam < 1

    def _make_fairness_head(
        self, in_features: int, n_classes: Sequence[int], n_groups: int
    ) -> FairnessHead:
        return RegularizedHead()

    def _make_objective(self, fairness_losses: Sequence[Sequence[Any]]) -> Any:
        if self.multiplier_lr is None:
            return super()._make_objective(fairness_losses)
        return LagrangianObjective(
            fairness_losses,
            multiplier_init=self.multiplier_init,
            multiplier_lr=self.multiplier_lr,
        )


@constructor_like(
    AuxiliaryFairnessClassifier,
    without=["fairness_head"],
    lam=0.5,
    multiplier_lr=None,
    multiplier_init=10.0,
)
class RegularizedClassifier(_Regularized, AuxiliaryFairnessClassifier):
    r"""Multilayer perceptron with a fairness loss on its own output.

    The task head pays the fairness loss itself, in place of a fairness head. With
    ``multiplier_lr`` the weight of the fairness loss is found by ascent, as in FNNC
    [1]_: the network minimises :math:`\mathcal{L} + \sum_s \mu_s \mathcal{F}_s` and
    each multiplier :math:`\mu_s` grows by ``multiplier_lr`` times
    :math:`\mathcal{F}_s` after each batch; ``lam`` is not used then.

    Parameters
    ----------
    hidden_layer_sizes, ..., progress_bar
        Those of `~fairtask.AuxiliaryFairnessClassifier`, but for ``fairness_head``.
    lam : float in [0, 1], default=0.5
        Weight of the tasks.
    multiplier_lr : float, default=None
        Step of the multipliers' ascent. None: fixed weights ``lam`` and ``1 - lam``.
    multiplier_init : float, default=10.0
        Multipliers at the start.

    References
    ----------
    .. [1] M. Padala and S. Gujar. "FNNC: achieving fairness through neural networks".
       IJCAI 2020.

    Examples
    --------
    >>> from fairtask.baselines import RegularizedClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = RegularizedClassifier(fairness_loss="tprl", max_epochs=20, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """

    if TYPE_CHECKING:  # the decorator writes it

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **AuxiliaryFairnessClassifier._parameter_constraints,
        "multiplier_lr": [Interval(Real, 0, None, closed="neither"), None],
        "multiplier_init": [Interval(Real, 0, None, closed="left")],
    }


@constructor_like(
    AuxiliaryFairnessImageClassifier,
    without=["fairness_head"],
    lam=0.5,
    multiplier_lr=None,
    multiplier_init=10.0,
)
class RegularizedImageClassifier(_Regularized, AuxiliaryFairnessImageClassifier):
    """Image classifier with a fairness loss on its own output.

    The method of `RegularizedClassifier`, on the backbone of
    `~fairtask.AuxiliaryFairnessImageClassifier`.

    Parameters
    ----------
    backbone, ..., progress_bar
        Those of `~fairtask.AuxiliaryFairnessImageClassifier`, but for
        ``fairness_head``.
    lam : float in [0, 1], default=0.5
        Weight of the tasks.
    multiplier_lr : float, default=None
        Step of the multipliers' ascent. None: fixed weights ``lam`` and ``1 - lam``.
    multiplier_init : float, default=10.0
        Multipliers at the start.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.baselines import RegularizedImageClassifier
    >>> rng = np.random.default_rng(0)
    >>> y, z = rng.integers(2, size=(2, 64))
    >>> X = rng.integers(100, size=(64, 32, 32, 3)) + 100 * y[:, None, None, None]
    >>> clf = RegularizedImageClassifier(
    ...     "test_convnext", pretrained=False, image_size=32, max_epochs=1,
    ...     random_state=0,
    ... )
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """

    if TYPE_CHECKING:  # the decorator writes it

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **AuxiliaryFairnessImageClassifier._parameter_constraints,
        "multiplier_lr": [Interval(Real, 0, None, closed="neither"), None],
        "multiplier_init": [Interval(Real, 0, None, closed="left")],
    }
