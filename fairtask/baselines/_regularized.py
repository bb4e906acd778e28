"""Regularisation: a fairness loss on the prediction itself."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar, Literal

import torch
from sklearn.utils._param_validation import Interval
from torch import Tensor, nn

from fairtask._auxiliary import PENALTY_CONSTRAINTS
from fairtask._estimator import FairnessEstimator
from fairtask._lam_search import LamSearch
from fairtask._method import MakeHead
from fairtask._parameters import estimator
from fairtask._penalty import Penalty
from fairtask.image import ImageEstimator
from fairtask.losses import FairnessLoss
from fairtask.modules import FairnessHead
from fairtask.objective import Objective
from fairtask.tabular import TableEstimator

__all__ = [
    "RegularizedClassifier",
    "RegularizedClassifierCV",
    "RegularizedImageClassifier",
]


class RegularizedHead(FairnessHead):
    """The task heads themselves; the fairness loss trains them and the trunk."""

    has_own_heads = False
    may_collapse = False

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """See `FairnessHead.forward`."""
        return [head(h) for head in task_heads], []


class LagrangianObjective(Objective):
    r"""Task losses plus fairness losses, whose multipliers grow while these are > 0.

    .. math:: \sum_k \mathcal{L}_k + \sum_s \mu_s \mathcal{F}_s

    Each training batch adds ``multiplier_lr`` times :math:`\mathcal{F}_s` to
    :math:`\mu_s`. This is a step of gradient ascent on the Lagrangian of the problem
    with the constraints :math:`\mathcal{F}_s \le 0`.

    Parameters
    ----------
    fairness_losses
        See `Objective`.
    multiplier_init : float
        Initial value of the multipliers.
    multiplier_lr : float
        Step size of the ascent.
    """

    multipliers: Tensor

    def __init__(
        self,
        fairness_losses: Sequence[Sequence[nn.Module]],
        *,
        multiplier_init: float,
        multiplier_lr: float,
    ) -> None:
        super().__init__(1.0, fairness_losses)
        self.multiplier_lr = multiplier_lr
        ones = torch.ones(len(fairness_losses), dtype=torch.float32)
        self.register_buffer("multipliers", multiplier_init * ones)

    def _weigh_fairness(self, s: int, fairness_loss: Tensor) -> Tensor:
        # The buffer changes before the backward pass: hence the clone.
        multiplier = self.multipliers[s].clone()
        if self.training:
            with torch.no_grad():
                self.multipliers[s] += self.multiplier_lr * fairness_loss.detach()
        return multiplier * fairness_loss


@dataclass(kw_only=True)
class Regularized(Penalty):
    """Fairness losses on the outputs of the task heads."""

    multiplier_lr: float | None
    multiplier_init: float | None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.uses_groups = self.multiplier_lr is not None or self.lam < 1

    def make_fairness_head(
        self,
        in_features: int,
        n_classes: Sequence[int],
        n_groups: int,
        make_head: MakeHead,
    ) -> FairnessHead:
        """See `Method.make_fairness_head`."""
        return RegularizedHead()

    def make_objective(
        self, losses: Sequence[Sequence[Any]], in_features: int
    ) -> nn.Module:
        """See `Method.make_objective`."""
        if self.multiplier_lr is None:
            return super().make_objective(losses, in_features)
        return LagrangianObjective(
            losses,
            multiplier_init=(
                10.0 if self.multiplier_init is None else self.multiplier_init
            ),
            multiplier_lr=self.multiplier_lr,
        )


@estimator
class RegularizedEstimator(FairnessEstimator):
    """Estimators with fairness losses on the task heads' outputs, for any modality."""

    _: KW_ONLY
    fairness_loss: str | FairnessLoss | Callable[..., FairnessLoss] = "gld"
    parity: Literal["overall", "equalized_odds", "equal_opportunity"] = "equalized_odds"
    sample_loss: Literal["cross_entropy", "zero_one"] = "cross_entropy"
    positive_classes: Sequence[Any] | None = None
    group_momentum: float | Literal["auto"] = "auto"
    lam: float = 0.5
    multiplier_lr: float | None = None
    multiplier_init: float | None = None
    aggregator: Any = None
    weighted_losses: Literal["all", "task"] = "all"

    _parameter_constraints: ClassVar[dict] = {
        **PENALTY_CONSTRAINTS,
        "multiplier_lr": [Interval(Real, 0, None, closed="neither"), None],
        "multiplier_init": [Interval(Real, 0, None, closed="left"), None],
    }

    def _make_method(self) -> Regularized:
        if self.multiplier_lr is None and self.multiplier_init is not None:
            raise ValueError(
                f"`multiplier_init={self.multiplier_init!r}` has no use without "
                "`multiplier_lr`; leave it at its default, None."
            )
        default = type(self).lam
        if self.multiplier_lr is not None and self.lam != default:
            raise ValueError(
                f"`lam={self.lam!r}` has no use with `multiplier_lr`, by which the "
                f"weights are found; leave it at its default, {default}."
            )
        return Regularized(**self._parameters_of(Regularized))


@estimator
class RegularizedClassifier(TableEstimator, RegularizedEstimator):
    r"""Multilayer perceptron with a fairness loss on its own output.

    The fairness loss is evaluated on the task head, which it trains, in place of a
    fairness head. With ``multiplier_lr`` its weight is found by gradient ascent, as in
    FNNC [1]_: the network minimises :math:`\mathcal{L} + \sum_s \mu_s \mathcal{F}_s`,
    and each batch adds ``multiplier_lr`` times :math:`\mathcal{F}_s` to the multiplier
    :math:`\mu_s`.

    Parameters
    ----------
    hidden_layer_sizes, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessClassifier`, except ``fairness_head``,
        ``representation_weight`` and ``erase``.
    lam : float in [0, 1], default=0.5
        Weight of the tasks. It must keep its default with ``multiplier_lr``.
    multiplier_lr : float, default=None
        Step size of the multipliers. None: fixed weights ``lam`` and ``1 - lam``.
    multiplier_init : float, default=None
        Initial value of the multipliers. None: 10. Another value needs
        ``multiplier_lr``.

    References
    ----------
    .. [1] M. Padala and S. Gujar. "FNNC: achieving fairness through neural networks".
       IJCAI 2020.

    Examples
    --------
    >>> from fairtask.baselines import RegularizedClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = RegularizedClassifier(fairness_loss="tprl", max_epochs=5, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """


@estimator
class RegularizedClassifierCV(LamSearch, RegularizedClassifier):
    """`RegularizedClassifier` whose ``lam`` is chosen by cross-validation.

    Parameters
    ----------
    hidden_layer_sizes, ..., verbose
        Those of `RegularizedClassifier`, except ``lam``; ``multiplier_lr`` must be
        None.
    lams, cv, performance, disparity, scoring, budget, rule, lams_at_once, n_jobs
        See `~fairtask.AuxiliaryFairnessClassifierCV`.

    Examples
    --------
    >>> from fairtask.baselines import RegularizedClassifierCV
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> search = RegularizedClassifierCV(lams=2, cv=2, max_epochs=5, random_state=0)
    >>> search.fit(X, y, sensitive_features=z).cv_results_["params"]
    [{'lam': 0.05}, {'lam': 1.0}]
    """

    lam: ClassVar  # type: ignore[misc]  # no parameter: it is chosen
    _single = RegularizedClassifier

    def _check_lams(self) -> list[float]:
        if self.multiplier_lr is not None:
            raise ValueError(
                "`multiplier_lr` must be None where `lam` is chosen: it finds the "
                f"weights by itself; got {self.multiplier_lr!r}."
            )
        return super()._check_lams()


@estimator
class RegularizedImageClassifier(ImageEstimator, RegularizedEstimator):
    """Image classifier with a fairness loss on its own output.

    The method of `RegularizedClassifier`, on the backbone of
    `~fairtask.AuxiliaryFairnessImageClassifier`.

    Parameters
    ----------
    backbone, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessImageClassifier`, except
        ``fairness_head``, ``representation_weight`` and ``erase``.
    lam : float in [0, 1], default=0.5
        Weight of the tasks. It must keep its default with ``multiplier_lr``.
    multiplier_lr : float, default=None
        Step size of the multipliers. None: fixed weights ``lam`` and ``1 - lam``.
    multiplier_init : float, default=None
        Initial value of the multipliers. None: 10. Another value needs
        ``multiplier_lr``.

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
