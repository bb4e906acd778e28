"""The network of an estimator, and the hooks by which methods differ."""

import inspect
from abc import ABCMeta, abstractmethod
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator
from torch import nn

from fairtask._aggregation import AggregatedBackward, check_aggregator
from fairtask._averaging import WeightAverage
from fairtask._data import InMemoryDataset, SampleDataset
from fairtask._labels import Labels, positive_codes
from fairtask._random import seeded
from fairtask._sensitive import SensitiveFeatures
from fairtask._training import Samples
from fairtask.losses import FAIRNESS_LOSSES, FairnessLoss
from fairtask.modules import FAIRNESS_HEADS, FairnessHead, MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["NetworkTemplate"]

LOSS_SETTINGS = ("parity", "group_loss", "positive_classes", "group_momentum")
"""Parameters of an estimator that are those of its fairness losses."""


class NetworkTemplate(BaseEstimator, metaclass=ABCMeta):
    """The network and its objective, and the hooks by which methods differ.

    A kind of samples says how they are read (`_validate_samples`, `_readable`,
    `_make_dataset`), what they are learnt by (`_make_trunk`, `_make_head`), and how
    (`_make_average`, `_weight_settings`). A method that differs in what is penalised
    replaces `_make_fairness_head`, `_make_fairness_losses`, `_make_objective` or
    `_network_class`. Parameters are those of the estimator that this is a part of.
    """

    _network_class = MultiTaskNetwork
    _fixed_parameters: tuple[str, ...] = (
        "fairness_head",
        "fairness_loss",
        "parity",
        "group_loss",
        "positive_classes",
        "intersectional",
    )
    """Parameters that made the network and its objective what they are."""
    _remedy_for_divergence = "Standardise `X`, whose features may be large, or lower"
    """What to do, apart from the learning rate, when a training diverges."""
    _trunk_pays = True
    """Whether the trunk alone pays for the differences between groups."""

    @abstractmethod
    def _validate_samples(self, X: Any, *, reset: bool) -> Any:
        """Check samples, and with `reset` learn what later ones must look like."""

    @abstractmethod
    def _make_trunk(self, *, weights_follow: bool) -> tuple[nn.Module, int]:
        """Return the trunk and the width of its output.

        With `weights_follow` weights are loaded into it afterwards.
        """

    @abstractmethod
    def _describe_samples(self) -> dict[str, Any]:
        """Return what was learnt of how samples look, for a file."""

    @abstractmethod
    def _expect_samples(self, *args: Any, **description: Any) -> None:
        """Take what `_describe_samples` returned, or raise a ValueError."""

    def _readable(self, X: Any) -> np.ndarray | None:
        """Return the positions of the samples to train on; None stands for all.

        Raises a ValueError for a sample that cannot be read and is not to be left out.
        """
        return None

    def _make_dataset(
        self,
        X: Any,
        target: dict[str, np.ndarray] | None = None,
        *,
        device: torch.device | None = None,
        network: MultiTaskNetwork | None = None,
        trained_on: bool = False,
    ) -> SampleDataset:
        """Put samples, and in training their targets, where batches are cut.

        What all epochs of a training have in common can be computed with `network`.
        """
        return InMemoryDataset(X, target, device)

    def _make_average(self) -> WeightAverage | None:
        """Return the average of the weights that is kept in place of the last ones."""
        return None

    def _weight_settings(self, network: MultiTaskNetwork) -> dict[str, dict[str, Any]]:
        """Return settings of the optimizer that differ, by the name of a weight."""
        return {}

    def _make_head(self, in_features: int, n_outputs: int) -> nn.Module:
        """Return a head from the representation to logits."""
        return nn.Linear(in_features, n_outputs)

    def _uses_sensitive_features(self) -> bool:
        """Whether differences between groups matter in training."""
        return self.lam < 1

    def _weighs_groups(self) -> bool:
        """Whether sample weights count in what depends on the groups."""
        return self.weighted_losses == "all"

    def _make_fairness_head(
        self, in_features: int, n_classes: Sequence[int], n_groups: int
    ) -> FairnessHead:
        """Return the head of one attribute."""
        head_class = FAIRNESS_HEADS[self.fairness_head]
        own = n_classes if head_class.has_own_heads else ()
        return head_class(self._make_head(in_features, n) for n in own)

    def _make_fairness_losses(self, labels: Labels, n_groups: int) -> list[Any]:
        """Return the losses of one attribute, one for each output of its head."""
        positive = positive_codes(self.positive_classes, labels)
        return [
            self._make_fairness_loss(n_groups, n_classes, positive[k])
            for k, n_classes in enumerate(labels.n_classes)
        ]

    def _can_compare(
        self, losses: Sequence[Any], samples: Samples, attribute: int
    ) -> bool:
        """Whether the losses of an attribute find groups to compare."""
        codes = np.column_stack(
            [samples.labels.codes, samples.sensitive.codes[:, attribute]]
        )
        *y, groups = torch.from_numpy(np.unique(codes, axis=0)).T
        return any(loss.can_compare(y[k], groups) for k, loss in enumerate(losses))

    def _make_objective(self, fairness_losses: Sequence[Sequence[Any]]) -> Any:
        """Return what is minimised."""
        # Without a fairness loss there is nothing to weigh the task against.
        return Objective(self.lam if fairness_losses else 1.0, fairness_losses)

    def _make_backward(self) -> AggregatedBackward | None:
        """Return what takes the place of the backward pass, if anything."""
        if self.aggregator is None:
            return None
        return AggregatedBackward(check_aggregator(self.aggregator))

    def _make_network(
        self,
        labels: Labels,
        sensitive: SensitiveFeatures,
        attributes: Sequence[int],
        seeds: Sequence[int],
        *,
        weights_follow: bool,
    ) -> tuple[MultiTaskNetwork, Any, int]:
        """Return a new network, its objective, and the width of the representation.

        The first seed is for trunk and task heads, the second for what some of the
        attributes need. With `weights_follow` weights are loaded afterwards.
        """
        n_groups = [len(sensitive.groups[s]) for s in attributes]
        with seeded(seeds[0]):
            trunk, width = self._make_trunk(weights_follow=weights_follow)
            task_heads = [self._make_head(width, n) for n in labels.n_classes]
        with seeded(seeds[1]):
            heads = [
                self._make_fairness_head(width, labels.n_classes, n) for n in n_groups
            ]
            losses = [self._make_fairness_losses(labels, n) for n in n_groups]
            objective = self._make_objective(losses)
        return self._network_class(trunk, task_heads, heads), objective, width

    def _make_fairness_loss(
        self, n_groups: int, n_classes: int, positive_classes: list[int] | None
    ) -> FairnessLoss:
        """Return the loss of one attribute on one task."""
        if isinstance(self.fairness_loss, FairnessLoss):
            self._refuse_unused_settings(())
            return self.fairness_loss.resized(n_groups, n_classes)
        make_loss: Any = FAIRNESS_LOSSES.get(self.fairness_loss, self.fairness_loss)
        loss, cause = None, None
        try:
            accepted = _settings_taken(make_loss)
            self._refuse_unused_settings(accepted)
            settings = {name: getattr(self, name) for name in accepted}
            if settings.pop("positive_classes", None) is not None:
                settings["positive_classes"] = positive_classes  # as codes
            loss = make_loss(n_groups, n_classes, **settings)
        except TypeError as error:
            cause = error
        if not isinstance(loss, FairnessLoss):
            raise ValueError(
                f"`fairness_loss` must be one of {sorted(FAIRNESS_LOSSES)}, a "
                "FairnessLoss, a subclass of it or a callable that makes one; got "
                f"{self.fairness_loss!r}{'' if cause is None else f' ({cause})'}."
            ) from cause
        return loss

    def _refuse_unused_settings(self, accepted: Container[str]) -> None:
        """Raise a ValueError if a setting was changed that the loss does not take."""
        parameters = inspect.signature(type(self).__init__).parameters
        for name in LOSS_SETTINGS:
            value, default = getattr(self, name), parameters[name].default
            is_default = type(value) is type(default) and value == default
            if name not in accepted and not is_default:
                raise ValueError(
                    f"`fairness_loss={self.fairness_loss!r}` has no use for "
                    f"`{name}={value!r}`; leave `{name}` at its default, {default!r}. "
                    "An instance has its own."
                )


def _settings_taken(make_loss: Any) -> set[str]:
    """Return the settings that a callable takes and has not been given yet."""
    try:
        parameters = inspect.signature(make_loss).parameters
    except ValueError as error:  # some built-in types
        raise TypeError(str(error)) from error
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    given = getattr(make_loss, "keywords", {})  # of a functools.partial
    return {
        name
        for name in LOSS_SETTINGS
        if name not in given and (takes_all or name in parameters)
    }
