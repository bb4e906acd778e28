"""Group-specific heads, added to a shared one."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Real
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.utils._param_validation import Interval
from sklearn.utils.metaestimators import available_if
from torch import Tensor, nn

from fairtask._estimator import FairnessEstimator, is_binary
from fairtask._frames import check_same_rows
from fairtask._method import MakeHead, Method
from fairtask._parameters import estimator
from fairtask._processes import mean_over_processes
from fairtask._validation import groups_by_name
from fairtask.baselines._adversarial import group_cross_entropy
from fairtask.image import ImageEstimator
from fairtask.modules import FairnessHead, HeadOutputs, MultiTaskNetwork
from fairtask.objective import Terms, cross_entropies
from fairtask.tabular import TableEstimator

__all__ = ["GroupSpecificClassifier", "GroupSpecificImageClassifier"]


class GroupSpecificHead(FairnessHead):
    """Head that adds logits for each group of one attribute, and predicts the group.

    Parameters
    ----------
    heads : iterable of K nn.Module
        From (n_samples, p) to (n_samples, n_groups * n_classes), one per task.
    membership : nn.Module
        From (n_samples, p) to (n_samples, n_groups); it predicts the groups.
    n_groups : int
        Number of groups.
    """

    may_collapse = False

    def __init__(self, heads: Any, membership: nn.Module, n_groups: int) -> None:
        super().__init__(heads)
        self.membership = membership
        self.n_groups = n_groups

    def forward(
        self, h: Tensor, task_heads: nn.ModuleList
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Return offsets, (n_samples, n_groups, n_classes), and group logits."""
        offsets = [head(h).unflatten(1, (self.n_groups, -1)) for head in self.heads]
        return offsets, [self.membership(h.detach())]


class GroupSpecificNetwork(MultiTaskNetwork):
    """Network whose fairness heads are `GroupSpecificHead`."""

    def task_logits(
        self, X: Tensor, given_groups: Tensor | None = None
    ) -> list[Tensor]:
        """Add up the shared and the group-specific logits.

        Parameters
        ----------
        X : Tensor of shape (n_samples, ...)
            Samples.
        given_groups : Tensor of shape (n_samples, S), int64, optional
            Group codes, -1 where unknown. None: the heads of each attribute are mixed
            by the predicted probabilities of its groups.

        Returns
        -------
        list of K Tensor of shape (n_samples, n_classes)
        """
        return self.prediction_logits(self(X), given_groups)

    def prediction_logits(
        self, outputs: HeadOutputs, given_groups: Tensor | None = None
    ) -> list[Tensor]:
        """Compute the logits of `task_logits` from the outputs of the network."""
        logits = list(outputs.task)
        for s, offsets in enumerate(outputs.fairness):
            if given_groups is None:
                membership = outputs.detached[s][0].softmax(dim=1)
            else:
                membership = _membership(given_groups[:, s], offsets[0].shape[1])
            logits = [
                shared + _mixed(of_task, membership)
                for shared, of_task in zip(logits, offsets, strict=True)
            ]
        return logits


class GroupSpecificObjective(nn.Module):
    r"""Task losses of heads that are the sum of a shared and of group-specific ones.

    .. math::

        \sum_k \mathcal{L}_k + \gamma \sum_s \mathcal{V}_s

    where the logits of a sample are :math:`w_0 h + \sum_s v_{s, z_s} h`,
    :math:`\mathcal{V}_s` is the mean square of the offsets of attribute s, and
    :math:`\gamma` is ``offset_penalty``. A sample of unknown group gets the shared
    logits.

    Parameters
    ----------
    offset_penalty : float
        Weight of the squared offsets.
    """

    def __init__(self, offset_penalty: float) -> None:
        super().__init__()
        self.offset_penalty = offset_penalty

    def forward(
        self,
        outputs: HeadOutputs,
        y: Tensor,
        groups: Tensor,
        task_weight: Tensor | None = None,
        group_weight: Tensor | None = None,
    ) -> Terms:
        """Compute the terms of a batch; see `Objective.forward`."""
        logits, penalties = list(outputs.task), []
        head_loss = logits[0].new_zeros(())
        for s, offsets in enumerate(outputs.fairness):
            membership = _membership(groups[:, s], offsets[0].shape[1])
            own = [_mixed(of_task, membership) for of_task in offsets]
            logits = [a + b for a, b in zip(logits, own, strict=True)]
            squares = torch.stack([o.square().mean(1) for o in own]).sum(0)
            if group_weight is not None:
                squares = squares * group_weight
            penalties.append(squares.mean())
            head_loss = head_loss + group_cross_entropy(
                outputs.detached[s][0], groups[:, s], group_weight
            )
        penalties = mean_over_processes(penalties, len(y))
        task_losses = cross_entropies(logits, y, task_weight)
        return Terms(
            [loss.detach() for loss in [*task_losses, *penalties]],
            [
                torch.stack(task_losses).sum(),
                *(self.offset_penalty * penalty for penalty in penalties),
            ],
            head_loss,
        )


def _membership(groups: Tensor, n_groups: int) -> Tensor:
    """Return one-hot groups, (n_samples, n_groups); zeros for an unknown group."""
    codes = torch.arange(n_groups, device=groups.device)
    return (groups.unsqueeze(-1) == codes).float()


def _mixed(offsets: Tensor, membership: Tensor) -> Tensor:
    """Mix offsets of shape (n_samples, n_groups, n_classes) by the membership."""
    return (offsets * membership.unsqueeze(-1)).sum(1)


@dataclass(kw_only=True)
class GroupSpecific(Method):
    """Each group has a head, whose logits are added to those of the shared head."""

    offset_penalty: float

    network_class: ClassVar[type[MultiTaskNetwork]] = GroupSpecificNetwork

    def make_fairness_head(
        self,
        in_features: int,
        n_classes: Sequence[int],
        n_groups: int,
        make_head: MakeHead,
    ) -> FairnessHead:
        """See `Method.make_fairness_head`."""
        return GroupSpecificHead(
            [make_head(in_features, n_groups * n) for n in n_classes],
            make_head(in_features, n_groups),
            n_groups,
        )

    def make_objective(
        self, losses: Sequence[Sequence[Any]], in_features: int
    ) -> nn.Module:
        """See `Method.make_objective`."""
        return GroupSpecificObjective(self.offset_penalty)


@estimator
class GroupSpecificEstimator(FairnessEstimator):
    """Estimators with a head for each group, for any modality."""

    _: KW_ONLY
    offset_penalty: float = 0.0

    _parameter_constraints: ClassVar[dict] = {
        "offset_penalty": [Interval(Real, 0, None, closed="left")],
    }

    # Predictions can use the groups.
    __metadata_request__predict: ClassVar[dict] = {"sensitive_features": True}
    __metadata_request__predict_proba: ClassVar[dict] = {"sensitive_features": True}
    __metadata_request__decision_function: ClassVar[dict] = {"sensitive_features": True}
    __metadata_request__score: ClassVar[dict] = {"sensitive_features": True}

    def _make_method(self) -> GroupSpecific:
        return GroupSpecific(offset_penalty=self.offset_penalty)

    @groups_by_name
    def predict(self, X: Any, *, sensitive_features: Any = None) -> np.ndarray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples.
        sensitive_features : array-like, default=None
            Sensitive attributes, as in `fit`. A sample of unknown group gets the shared
            head alone. None: the heads are mixed by the predicted groups.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, of the type seen in `fit`.
        """
        return self._most_probable(self._probabilities(X, sensitive_features))

    @groups_by_name
    def predict_proba(
        self, X: Any, *, sensitive_features: Any = None
    ) -> np.ndarray | list[np.ndarray]:
        """Predict the probability of each class.

        Parameters
        ----------
        X, sensitive_features : array-like
            See `predict`.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of these
            In the order of ``classes_``; for several tasks a list with an array each.
        """
        probabilities = self._probabilities(X, sensitive_features)
        return probabilities if len(probabilities) > 1 else probabilities[0]

    @available_if(is_binary)
    @groups_by_name
    def decision_function(
        self, X: Any, *, sensitive_features: Any = None
    ) -> np.ndarray:
        """Compute the log-odds of the second class, for one task of two classes.

        Parameters
        ----------
        X, sensitive_features : array-like
            See `predict`.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,)
            Above 0 where `predict` returns ``classes_[1]``.
        """
        return self._log_odds(X, sensitive_features)

    @groups_by_name
    def score(
        self,
        X: Any,
        y: Any,
        sample_weight: Any = None,
        *,
        sensitive_features: Any = None,
    ) -> float:
        """Return the accuracy; of several tasks, the share with all of them right.

        Parameters
        ----------
        X, y, sample_weight : array-like
            Samples, their labels and their weights.
        sensitive_features : array-like, default=None
            See `predict`.

        Returns
        -------
        score : float
            In [0, 1].
        """
        check_same_rows({"X": X, "y": y, "sample_weight": sample_weight})
        y_pred = self.predict(X, sensitive_features=sensitive_features)
        return self._accuracy(X, y_pred, y, sample_weight)


@estimator
class GroupSpecificClassifier(TableEstimator, GroupSpecificEstimator):
    r"""Multilayer perceptron with a head for each group.

    The logits of a sample in groups :math:`z_1, \dots, z_S` are
    :math:`w_0 h + \sum_s v_{s, z_s} h`: those of a shared head, plus an offset for each
    group [1]_. No difference between groups is penalised.

    `predict` and `predict_proba` use the groups in ``sensitive_features``. Without them
    the heads of each attribute are mixed by predicted probabilities of its groups,
    :math:`P(z_s \mid h)`. These come from a classifier on the representation, which
    does not change the representation.

    The losses in ``group_history_`` are those of the shared head.

    Parameters
    ----------
    hidden_layer_sizes, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessClassifier`, except ``lam``,
        ``aggregator``, ``weighted_losses`` and those of the fairness head and its loss.
    offset_penalty : float, default=0.0
        Weight of the mean square of the offsets. Larger values make the heads of the
        groups more alike.

    References
    ----------
    .. [1] L. Oneto, M. Donini, A. Elders and M. Pontil. "Taking advantage of multitask
       learning for fair classification". AIES 2019.

    Examples
    --------
    >>> from fairtask.baselines import GroupSpecificClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = GroupSpecificClassifier(max_epochs=5, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z)
    GroupSpecificClassifier(max_epochs=5, random_state=0)
    >>> clf.predict(X[:3], sensitive_features=z[:3]).shape
    (3,)
    """


@estimator
class GroupSpecificImageClassifier(ImageEstimator, GroupSpecificEstimator):
    """Image classifier with a head for each group.

    The method of `GroupSpecificClassifier`, on the backbone of
    `~fairtask.AuxiliaryFairnessImageClassifier`.

    Parameters
    ----------
    backbone, ..., verbose
        Those of `~fairtask.AuxiliaryFairnessImageClassifier`, except ``lam``,
        ``aggregator``, ``weighted_losses`` and those of the fairness head and its loss.
    offset_penalty : float, default=0.0
        Weight of the mean square of the offsets.

    Examples
    --------
    >>> import numpy as np
    >>> from fairtask.baselines import GroupSpecificImageClassifier
    >>> rng = np.random.default_rng(0)
    >>> y, z = rng.integers(2, size=(2, 64))
    >>> X = rng.integers(100, size=(64, 32, 32, 3)) + 100 * y[:, None, None, None]
    >>> clf = GroupSpecificImageClassifier(
    ...     "test_convnext", pretrained=False, image_size=32, max_epochs=1,
    ...     random_state=0,
    ... )
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """
