"""The steps of `fit` and `predict`, from what users pass to what they get."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from sklearn.utils.validation import _num_samples, check_is_fitted
from skorch.helper import predefined_split
from skorch.history import History
from torch import Tensor, nn

from fairtask._data import SampleDataset
from fairtask._diagnosis import (
    check_finite,
    warn_if_collapsed,
    warn_if_never_scored,
    warn_if_nothing_learnt,
)
from fairtask._groups import UNKNOWN
from fairtask._labels import encode_labels, task_weights
from fairtask._net import FairnessNet
from fairtask._random import seeded
from fairtask._sensitive import encode_sensitive_features
from fairtask._template import NetworkTemplate
from fairtask._training import (
    OPTIMIZERS,
    Samples,
    check_epoch_scoring,
    make_callbacks,
    resolve_batch_size,
    score_probabilities,
    take_rows,
)
from fairtask._validation import check_device, check_sample_weight
from fairtask._warnings import warn_user
from fairtask.exceptions import NothingPenalizedWarning
from fairtask.modules import MultiTaskNetwork
from fairtask.objective import Objective

__all__ = ["TrainingSteps"]


class TrainingSteps(NetworkTemplate):
    """Encode, train, look at what came of it, predict."""

    def _encode(
        self,
        X: Any,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any,
        *,
        known: Samples | None,
        classes: Any = None,
        groups: Any = None,
        is_stream: bool = False,
    ) -> Samples:
        """Check what was passed for training and encode it."""
        X = self._validate_samples(X, reset=known is None)
        encode = partial(
            self._encode_training,
            known=known,
            classes=classes,
            groups=groups,
            is_stream=is_stream,
        )
        # Wrong arguments are found before every sample is read.
        samples = encode(X, y, sensitive_features, sample_weight)
        rows = self._readable(X)
        if rows is None:
            return samples
        # Anew: weights are relative to the mean of the samples there are.
        return encode(
            X[rows],
            *(take_rows(v, rows) for v in (y, sensitive_features, sample_weight)),
        )

    def _encode_training(
        self,
        X: Any,
        y: Any,
        sensitive_features: Any,
        sample_weight: Any,
        *,
        known: Samples | None,
        classes: Any,
        groups: Any,
        is_stream: bool,
    ) -> Samples:
        """Encode samples that have been checked."""
        n_samples = _num_samples(X)
        labels = encode_labels(
            y,
            n_samples=n_samples,
            classes=classes,
            known=None if known is None else known.labels,
        )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=self.intersectional,
            groups=groups,
            known=None if known is None else known.sensitive,
        )
        sample_weight = check_sample_weight(sample_weight, n_samples)
        # The classes of a part of a stream say nothing of the mean over all parts.
        task_weight = task_weights(
            self.class_weight, sample_weight, labels, normalize=not is_stream
        )
        group_weight = sample_weight if self._weighs_groups() else None
        return Samples(X, labels, sensitive, task_weight, group_weight)

    def _encode_validation(
        self, X: Any, y: Any, sensitive_features: Any, *, known: Samples
    ) -> Samples:
        """Check validation data and encode it like the training data."""
        if X is None or y is None:
            missing = "X_val" if X is None else "y_val"
            raise ValueError(
                f"`X_val` and `y_val` belong together; `{missing}` is None."
            )
        with _named_in_errors("X_val"):
            X = self._validate_samples(X, reset=False)
        n_samples = _num_samples(X)
        labels = encode_labels(
            y, n_samples=n_samples, known=known.labels, argument="y_val"
        )
        sensitive = encode_sensitive_features(
            sensitive_features,
            n_samples=n_samples,
            intersectional=self.intersectional,
            known=known.sensitive,
            unseen="unknown",
            argument="sensitive_features_val",
        )
        samples = Samples(X, labels, sensitive)
        with _named_in_errors("X_val"):
            rows = self._readable(X)
        return samples if rows is None else samples.take(rows)

    def _train(
        self,
        samples: Samples,
        seeds: Sequence[int],
        *,
        validation: Samples | None,
        continues: bool,
        max_epochs: int,
        is_stream: bool,
    ) -> Self:
        """Train a new network, or the one there is, and look at what came of it."""
        device = check_device(self.device)
        if continues:
            attributes = self._attributes
            self._check_continues(samples)
        else:
            attributes = self._select_attributes(samples, whatever_occurs=is_stream)
        network, objective, width = self._make_network(
            samples.labels,
            samples.sensitive,
            attributes,
            seeds[:2],
            weights_follow=continues,
        )
        if continues:
            # Into new modules: a training that fails leaves what was fitted.
            try:
                network.load_state_dict(self.net_.module_.state_dict())
                objective.load_state_dict(self.net_.criterion_.state_dict())
            except RuntimeError as error:
                raise ValueError(
                    "The parameters do not fit the network that is trained further: "
                    f"{error}"
                ) from error
        dataset = self._make_dataset(
            samples.X,
            samples.target(attributes),
            device=device,
            network=network,
            trained_on=True,
        )
        net = self._make_net(
            network,
            objective,
            samples,
            attributes,
            validation=validation,
            max_epochs=max_epochs,
            is_stream=is_stream,
            device=device,
        )
        # Not the same batches and dropout again in a training that goes on.
        n_epochs = len(self.net_.history) if continues else 0
        with seeded(seeds[2] + n_epochs, device):
            try:
                net.initialize()
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f"`optimizer` cannot be made with these settings: {error}"
                ) from error
            if continues:
                net.history_.extend(self.net_.history)
                net.group_losses_.extend(self.net_.group_losses_)
                if is_stream:
                    _continue_optimizer(net, self.net_)
                    if net.average is not None and self.net_.average is not None:
                        net.average = self.net_.average.copy(net.average.decay)
            net.partial_fit(dataset)
        net.release(keep_average=is_stream)
        if net.interrupted_:
            raise KeyboardInterrupt
        check_finite(net, self._remedy_for_divergence)

        self._set_fitted(net, samples, attributes, width)
        if not is_stream:  # the first parts of a stream have learnt little
            warn_if_never_scored(net)
            warn_if_nothing_learnt(net, samples.labels, self._remedy_for_divergence)
            warn_if_collapsed(net, dataset, self._attribute_names())
        return self

    def _check_continues(self, samples: Samples) -> None:
        """Check that the network that is there can be trained further like this."""
        for name in self._fixed_parameters:
            before = self._fitted_parameters.get(name)
            now = getattr(self, name, None)
            if _comparable(now) != _comparable(before):
                raise ValueError(
                    f"`{name}` was {before!r} when the network was made and cannot "
                    f"become {now!r} in a training that goes on; set warm_start=False, "
                    "or fit a clone."
                )
        codes = samples.sensitive.codes[:, self._attributes]
        if self._uses_sensitive_features() and (codes == UNKNOWN).all():
            reason = "the samples have no known group"
            if not self._attributes:
                reason = "the network that is trained further has no fairness head"
            warn_user(
                NothingPenalizedWarning,
                f"No difference between groups is penalised: {reason}.",
            )

    def _select_attributes(
        self, samples: Samples, *, whatever_occurs: bool
    ) -> list[int]:
        """Return the attributes that can be compared.

        In the first part of a stream groups count that are yet to occur.
        """
        if not self._uses_sensitive_features():
            return []
        sensitive = samples.sensitive
        if not sensitive.names:
            warn_user(
                NothingPenalizedWarning,
                "`fit` got no `sensitive_features`, so that no difference between "
                "groups is penalised. Pass them (through a pipeline or a search as "
                "`<step>__sensitive_features`, or by metadata routing), or learn the "
                "task alone, with lam=1 of AuxiliaryFairnessClassifier and "
                "AuxiliaryFairnessImageClassifier.",
            )
        attributes = []
        for s, name in enumerate(sensitive.names):
            n_groups = len(sensitive.groups[s])
            losses = self._make_fairness_losses(samples.labels, n_groups)
            if whatever_occurs:
                is_comparable = n_groups > 1
            else:
                is_comparable = self._can_compare(losses, samples, s)
            if is_comparable:
                attributes.append(s)
            else:
                warn_user(
                    NothingPenalizedWarning,
                    f"`sensitive_features` column {name!r} has no two known groups to "
                    "compare; its groups are "
                    f"{sensitive.groups[s].tolist()}. No difference is penalised for "
                    "it.",
                )
        return attributes

    def _attribute_names(self) -> list[str]:
        """Names of the attributes that are penalised."""
        return [self._known.sensitive.names[s] for s in self._attributes]

    def _make_net(
        self,
        network: MultiTaskNetwork,
        objective: Objective,
        samples: Samples,
        attributes: Sequence[int],
        *,
        validation: Samples | None = None,
        max_epochs: int = 1,
        is_stream: bool = True,
        device: torch.device,
    ) -> FairnessNet:
        """Return the net that trains the network on these samples."""
        optimizer, settings = OPTIMIZERS.get(self.optimizer, (self.optimizer, {}))
        if self.weight_decay is not None:
            settings = {**settings, "weight_decay": self.weight_decay}
        train_split, epoch_score = None, None
        if validation is not None:
            dataset_valid = self._make_dataset(
                validation.X,
                validation.target(attributes),
                device=device,
                network=network,
            )
            train_split = predefined_split(dataset_valid)
            if self.early_stopping:
                check_epoch_scoring(self.epoch_scoring, validation.labels)

                def epoch_score(net: FairnessNet) -> float:
                    return score_probabilities(
                        self.epoch_scoring, validation, _softmax(net.valid_logits())
                    )

        labels, names = samples.labels, samples.sensitive.names
        task_names = [f"task_loss_{name}" for name in labels.names] or ["task_loss"]
        return FairnessNet(
            network,
            objective,
            term_names=[
                *task_names,
                *(f"fairness_loss_{names[s]}" for s in attributes),
            ],
            n_groups=[len(groups) for groups in samples.sensitive.groups],
            backward=self._make_backward() if attributes else None,
            optimizer=optimizer,
            lr=self.lr,
            **{f"optimizer__{name}": value for name, value in settings.items()},
            batch_size=resolve_batch_size(self.batch_size, len(samples)),
            weight_settings=self._weight_settings(network),
            stratify_batches=self.stratify_batches,
            average=self._make_average(),
            max_epochs=max_epochs,
            train_split=train_split,
            callbacks=make_callbacks(
                self,
                n_samples=len(samples),
                max_epochs=max_epochs,
                is_planned=not is_stream,
                epoch_score=epoch_score,
            ),
            device=device,
            verbose=int(self.verbose),
        )

    def _restore(
        self,
        known: Samples,
        attributes: list[int],
        device: torch.device,
        history: History,
        group_losses: list[dict[str, list[float]]],
    ) -> None:
        """Take the state of a fitted estimator, with weights yet to be loaded."""
        network, objective, width = self._make_network(
            known.labels, known.sensitive, attributes, (0, 0), weights_follow=True
        )
        net = self._make_net(network, objective, known, attributes, device=device)
        net.initialize()
        net.history_, net.group_losses_ = history, group_losses
        self._set_fitted(net, known, attributes, width)

    def _set_fitted(
        self, net: FairnessNet, samples: Samples, attributes: list[int], width: int
    ) -> None:
        # What is expected of later samples, without the samples.
        self._known = Samples(
            None,
            replace(samples.labels, codes=samples.labels.codes[:0]),
            samples.sensitive.take(np.arange(0)),
        )
        self._attributes = attributes
        self._fitted_parameters = {
            name: copy.copy(value) if isinstance(value, list | dict) else value
            for name, value in self.get_params(deep=False).items()
        }
        self._n_features_out = width
        self.net_ = net
        classes = samples.labels.classes
        self.classes_ = classes if samples.labels.is_multioutput else classes[0]
        self.sensitive_feature_names_ = samples.sensitive.names
        self.groups_ = samples.sensitive.groups

    def _evaluate(self, net: FairnessNet, dataset: SampleDataset) -> list[np.ndarray]:
        """Probabilities of each task's classes."""
        return _softmax(
            net.evaluate(
                dataset,
                lambda network, X, target: network.task_logits(
                    X, target.get("given_groups")
                ),
            )
        )

    def _validate_given(self, X: Any) -> Any:
        """Check samples that something is computed for."""
        check_is_fitted(self)
        return self._validate_samples(X, reset=False)

    def _probabilities(
        self, X: Any, target: dict[str, np.ndarray] | None = None
    ) -> list[np.ndarray]:
        """Probabilities of each task's classes for samples that have been checked."""
        probabilities = self._evaluate(self.net_, self._make_dataset(X, target))
        if not all(np.isfinite(p).all() for p in probabilities):
            raise ValueError("`X` has values so large that the network overflows.")
        return probabilities

    def _labels_of(self, probabilities: list[np.ndarray]) -> np.ndarray:
        """Labels of the largest probabilities."""
        codes = np.column_stack([p.argmax(axis=1) for p in probabilities])
        return self._known.labels.decode(codes)


def _softmax(logits: Sequence[Tensor]) -> list[np.ndarray]:
    return [task.double().softmax(dim=1).numpy() for task in logits]


@contextmanager
def _named_in_errors(argument: str) -> Iterator[None]:
    """Name the argument in errors that speak of `X`."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"`{argument}`: {error}") from error


def _comparable(value: Any) -> str:
    """Return the same for parameters that mean the same, such as [8] and (8,)."""
    if isinstance(value, nn.Module):
        return str(id(value))  # another of the same form has other weights
    return repr(list(value) if isinstance(value, tuple | np.ndarray) else value)


def _continue_optimizer(net: FairnessNet, before: FairnessNet) -> None:
    """Take over the optimizer's moments, not its learning rate."""
    if type(net.optimizer_) is not type(before.optimizer_):
        return
    state = net.optimizer_.state_dict()
    # A copy: steps are taken in place, and a training that fails must leave the old.
    state["state"] = copy.deepcopy(before.optimizer_.state_dict()["state"])
    net.optimizer_.load_state_dict(state)
