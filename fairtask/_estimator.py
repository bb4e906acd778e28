"""The estimator: `fit` from top to bottom, predictions, files and histories."""

import copy
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, fields
from functools import partial, wraps
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
import torch
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import nn

from fairtask import _diagnosis, _persistence
from fairtask._callbacks import LEARNING_RATES
from fairtask._data import SampleDataset, Samples
from fairtask._epoch_scores import EPOCH_SCORES, EpochScore, softmax
from fairtask._erasure import erase_means
from fairtask._frames import check_same_rows
from fairtask._history import group_cells, group_table, history_table
from fairtask._labels import Tasks, are_right
from fairtask._method import Method
from fairtask._modality import Modality
from fairtask._net import FairnessNet
from fairtask._parameters import estimator, is_same_setting
from fairtask._parquet_samples import ParquetSource, read_named
from fairtask._processes import of_first_process
from fairtask._reading import Expected, Reader
from fairtask._sensitive import (
    UNKNOWN,
    SensitiveAttributes,
    encode_sensitive_features,
)
from fairtask._stored import StoredSamples
from fairtask._threads import threads_for
from fairtask._training import (
    OPTIMIZERS,
    Model,
    continue_model,
    continue_net,
    make_losses,
    make_model,
    make_net,
    make_stream,
    processes_for,
    resolve_max_epochs,
)
from fairtask._validation import (
    check_device,
    groups_by_name,
    named_in_errors,
    read_weights,
)

__all__ = ["FairnessEstimator", "is_binary"]


def is_binary(estimator: "FairnessEstimator") -> bool:
    """Whether there is one task, of two classes; raise an AttributeError if not."""
    tasks = getattr(estimator, "_expected", None)
    if tasks is not None and tasks.tasks.n_classes != [2]:
        raise AttributeError("Log-odds are defined for one task of two classes.")
    return True


def _unchanged_on_error(fit: Callable[..., Any]) -> Callable[..., Any]:
    """Leave the fitted attributes as they were when a training fails."""

    @wraps(fit)
    def wrapper(self: BaseEstimator, *args: Any, **kwargs: Any) -> Any:
        before = dict(vars(self))
        try:
            return fit(self, *args, **kwargs)
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    return wrapper


@estimator
class FairnessEstimator(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
    metaclass=ABCMeta,
):
    """Train a shared trunk, task heads and fairness heads; predict with the task heads.

    It is composed with a `Modality`, which knows the samples, and a `Method`, which
    knows the groups. A subclass says how they are made from its parameters.
    """

    _: KW_ONLY
    intersectional: bool = False
    class_weight: Any = None
    optimizer: str | Callable[..., torch.optim.Optimizer] = "adamw"
    lr: float = 0.004
    weight_decay: float | None = None
    lr_schedule: Literal["one_cycle", "cosine", "constant"] = "one_cycle"
    batch_size: int | Literal["auto"] = "auto"
    max_epochs: int | Literal["auto"] = "auto"
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int | None = 10
    epoch_scoring: str | Callable[..., float] = "neg_log_loss"
    warm_start: bool = False
    callbacks: list[Callback] | None = None
    device: str | torch.device = "auto"
    n_threads: int | None = None
    random_state: Any = None
    verbose: int = 0

    _parameter_constraints: ClassVar[dict] = {
        "intersectional": ["boolean"],
        "class_weight": [dict, list, StrOptions({"balanced"}), None],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [Interval(Real, 0, None, closed="neither")],
        "weight_decay": [Interval(Real, 0, None, closed="left"), None],
        "lr_schedule": [StrOptions({"constant", *LEARNING_RATES})],
        "batch_size": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "max_epochs": [
            Interval(Integral, 1, None, closed="left"),
            StrOptions({"auto"}),
        ],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "epoch_scoring": [StrOptions(set(EPOCH_SCORES)), callable],
        "warm_start": ["boolean"],
        "callbacks": [list, None],
        "device": [str, torch.device],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Join the constraints of a class with those that it inherits."""
        super().__init_subclass__(**kwargs)
        cls._parameter_constraints = {
            name: constraints
            for base in reversed(cls.__mro__)
            for name, constraints in vars(base)
            .get("_parameter_constraints", {})
            .items()
        }

    # Pipelines and searches route it without a call of `set_fit_request`.
    __metadata_request__fit: ClassVar[dict] = {"sensitive_features": True}
    __metadata_request__partial_fit: ClassVar[dict] = {"sensitive_features": True}

    def _parameters_of(self, part: type) -> dict[str, Any]:
        """Return the parameters that a modality or a method is made from."""
        return {f.name: getattr(self, f.name) for f in fields(part) if f.init}

    @abstractmethod
    def _make_modality(self) -> Modality:
        """Return the modality, from the parameters."""

    @abstractmethod
    def _make_method(self) -> Method:
        """Return the method, from the parameters."""

    @_fit_context(prefer_skip_nested_validation=True)
    @groups_by_name
    @_unchanged_on_error
    def fit(
        self,
        X: Any,
        y: Any,
        *,
        sensitive_features: Any = None,
        sample_weight: Any = None,
        X_val: Any = None,
        y_val: Any = None,
        sensitive_features_val: Any = None,
    ) -> Self:
        """Fit the network.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Training samples: of a table, rows of shape (n_samples, n_features).
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Class labels, a column per task.
        sensitive_features : array-like of shape (n_samples,) or \
                (n_samples, n_attributes), default=None
            Sensitive attributes, one column each; names are kept from a DataFrame or
            Series, or are the keys of a dict of columns. They are used in training
            only. A sample whose value is missing counts for the task alone.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, at least 0. ``weighted_losses`` says where it counts.
        X_val, y_val : array-like, default=None
            Validation samples and their labels. The terms of the objective on them are
            recorded in ``history_``, without weights, and ``early_stopping`` uses them
            in place of a part of `X`.
        sensitive_features_val : array-like, default=None
            Sensitive attributes of the validation samples. A group that does not occur
            in `sensitive_features` counts as unknown.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or an argument is not as described, rows do not belong
            together, or the training diverged.

        Warns
        -----
        NothingPenalizedWarning
            If ``lam < 1`` and there are no two groups to compare.
        UserWarning
            If several sensitive attributes look like one that is one-hot encoded, or
            most of many combinations of attributes have few samples.
        CollapsedHeadWarning
            If a fairness head has become constant.
        ConvergenceWarning
            If a task has not been learnt: its log loss on the training samples is not
            at least 1 % below that of a model that predicts the class shares for
            everybody. This is so where nearly all predictions are one class and the
            probabilities do not vary, and with ``lam=0``. Of many samples some
            thousands (128 images) are evaluated.
        LossyErasureWarning
            If less than half of a task's gain in log loss over the class shares, on the
            same samples, is left after an erasure.

        Notes
        -----
        A table may be larger than memory: `X` is then the path of a Parquet file, a
        folder or a list of such files or a `pyarrow.dataset.Dataset`, and `y`,
        `sensitive_features` and `sample_weight` are names of its columns, or lists of
        names. All other columns are features. The same holds for `partial_fit`, for
        `X_val` with `y_val`, and for predictions, which find the features by name; see
        "Larger than memory" in the user guide.

        Rows belong together by their position. Arguments of pandas must have the same
        index, in the same order: other labels, or another order, are an error. The
        index of `X_val` and that of `X` have nothing to do with each other.
        """
        check_same_rows(
            {
                "X": X,
                "y": y,
                "sensitive_features": sensitive_features,
                "sample_weight": sample_weight,
            }
        )
        continues = self.warm_start and hasattr(self, "net_")
        modality, method = self._make_parts(continues)
        reader = self._make_reader(modality, method)
        samples, expected = reader.training_samples(
            X,
            y,
            sensitive_features,
            sample_weight,
            known=self._expected if continues else None,
        )
        rng = of_first_process(check_random_state(self.random_state))
        # A seed for each purpose: fairness heads do not move the random numbers of
        # trunk, task head and batches, so that `lam=1` is single-task learning to the
        # last bit.
        seeds = rng.randint(2**31 - 1, size=3).tolist()
        validation = None
        if X_val is not None or y_val is not None:
            validation = reader.validation_samples(
                X_val, y_val, sensitive_features_val, expected
            )
        elif sensitive_features_val is not None:
            raise ValueError("`sensitive_features_val` needs `X_val` and `y_val`.")
        elif self.early_stopping:
            samples, validation = samples.hold_out(self.validation_fraction, rng)
        return self._train(
            modality,
            method,
            samples,
            expected,
            seeds,
            validation=validation,
            continues=continues,
        )

    @_fit_context(prefer_skip_nested_validation=True)
    @groups_by_name
    @_unchanged_on_error
    def partial_fit(
        self,
        X: Any,
        y: Any,
        classes: Any = None,
        *,
        sensitive_features: Any = None,
        groups: Any = None,
        sample_weight: Any = None,
    ) -> Self:
        """Go over a part of the samples once, starting from the current weights.

        The learning rate is ``lr`` throughout; ``max_epochs``, ``lr_schedule`` and
        ``early_stopping`` belong to `fit`.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples of this part.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Class labels.
        classes : array-like, or list of array-like (several tasks), default=None
            All classes; required if the first part does not contain every class. None:
            those in `y`.
        sensitive_features : array-like, default=None
            Sensitive attributes, see `fit`.
        groups : dict of str to array-like, or list of array-like, default=None
            All groups of each attribute; required if the first part does not contain
            every group. With ``intersectional``, the tuples under the joined name, such
            as ``{"sex & race": [("f", "a"), ...]}``. None: those in
            `sensitive_features`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sample, relative to the mean of this part.

        Returns
        -------
        self : object
            The estimator, trained further.

        Raises
        ------
        ValueError
            If an argument is not as described, or has a class or a group that the
            first part did not announce.
        """
        if self.class_weight is not None and "balanced" in np.ravel(
            np.array(self.class_weight, dtype=object)
        ):
            raise ValueError(
                "`class_weight='balanced'` cannot be used with `partial_fit`, which "
                "sees a part of the samples; pass a dict of weights."
            )
        check_same_rows(
            {
                "X": X,
                "y": y,
                "sensitive_features": sensitive_features,
                "sample_weight": sample_weight,
            }
        )
        continues = hasattr(self, "net_")
        modality, method = self._make_parts(continues)
        samples, expected = self._make_reader(modality, method).training_samples(
            X,
            y,
            sensitive_features,
            sample_weight,
            known=self._expected if continues else None,
            classes=classes,
            groups=groups,
            is_stream=True,
        )
        rng = of_first_process(check_random_state(self.random_state))
        seeds = rng.randint(2**31 - 1, size=3)
        return self._train(
            modality,
            method,
            samples,
            expected,
            seeds.tolist(),
            continues=continues,
            is_stream=True,
        )

    def _make_parts(self, continues: bool) -> tuple[Modality, Method]:
        """Return a modality and a method for one training.

        In a continued training, the modality takes over the state of the last one,
        and parameters that do not fit the network are refused.
        """
        modality, method = self._make_modality(), self._make_method()
        if not continues:
            return modality, method
        fixed = (*modality.fixed_parameters, *method.fixed_parameters)
        for name in ("intersectional", *fixed):
            before, now = self._fitted_parameters.get(name), getattr(self, name, None)
            if not is_same_setting(before, now):
                raise ValueError(
                    f"`{name}` was {before!r} when the network was made and cannot "
                    f"become {now!r} in a continued training; set warm_start=False, "
                    "or fit a clone."
                )
        modality.restore(self._modality.state())
        return modality, method

    def _make_reader(self, modality: Modality, method: Method) -> Reader:
        """Return an object that checks and encodes the samples of a training."""
        return Reader(
            self,
            modality,
            intersectional=self.intersectional,
            class_weight=self.class_weight,
            weighs_groups=method.weighs_groups,
        )

    def _train(
        self,
        modality: Modality,
        method: Method,
        samples: Samples | StoredSamples,
        expected: Expected,
        seeds: Sequence[int],
        *,
        validation: Samples | StoredSamples | None = None,
        continues: bool,
        is_stream: bool = False,
    ) -> Self:
        """Train a new network, or the one there is, and check the result."""
        processes = processes_for(samples, validation, self.get_params(deep=False))
        device = check_device(self.device)
        model = self._make_model(
            modality,
            method,
            samples,
            expected,
            seeds,
            continues=continues,
            is_stream=is_stream,
        )
        dataset_valid, epoch_score = None, None
        with threads_for(model.network, device, self.n_threads):
            make_source = partial(
                modality.make_source, device=device, trunk=model.network.trunk
            )
            dataset = samples.dataset(
                model.compared, partial(make_source, is_trained_on=True)
            )
            if validation is not None:
                dataset_valid = validation.dataset(model.compared, make_source)
        if validation is not None and self.early_stopping:
            epoch_score = EpochScore(self.epoch_scoring, validation, *expected)
        max_epochs = resolve_max_epochs(self.max_epochs, len(samples))
        # A continued training does not repeat its batches and dropout.
        n_epochs = len(self.net_.history) if continues else 0
        net = self._make_net(
            model,
            n_samples=len(samples),
            device=device,
            max_epochs=1 if is_stream else max_epochs,
            is_planned=not is_stream,
            validation=dataset_valid,
            epoch_score=epoch_score,
            random=make_stream(model, self.optimizer, seeds[2] + n_epochs, device),
            processes=processes,
        )
        net.initialize()
        if continues:
            continue_net(net, self.net_, is_stream=is_stream)
        net.partial_fit(dataset)
        net.release(keep_average=is_stream)
        if net.interrupted_:
            raise KeyboardInterrupt
        self._finish(model, net, dataset, is_stream=is_stream)
        return self

    def _make_model(
        self,
        modality: Modality,
        method: Method,
        samples: Samples | StoredSamples,
        expected: Expected,
        seeds: Sequence[int],
        *,
        continues: bool,
        is_stream: bool,
    ) -> Model:
        """Return a new network with its objective, or one with the weights so far."""
        some_samples = samples.in_memory()
        losses = self._losses_to_compare(
            method, some_samples, expected, continues=continues, is_stream=is_stream
        )
        if continues:
            modality.learn_more(some_samples)
        else:
            modality.learn(some_samples, are_all=len(some_samples) == len(samples))
        model = make_model(
            modality, method, expected, losses, seeds, pretrained=not continues
        )
        if is_stream and model.network.erasure is not None:
            raise ValueError(
                "`erase=True` cannot be used with `partial_fit`: a part of the samples "
                "does not determine the groups' means. Call `fit` instead, or start a "
                "new estimator with erase=False."
            )
        if continues:
            continue_model(model, self.net_)
        return model

    def _losses_to_compare(
        self,
        method: Method,
        samples: Samples,
        expected: Expected,
        *,
        continues: bool,
        is_stream: bool,
    ) -> dict[int, list[Any]]:
        """Return the losses of each attribute whose groups can be compared.

        A network that is trained further keeps its attributes. In the first part of a
        stream, announced groups count that have not occurred yet.
        """
        attributes = expected.attributes
        if continues:
            if method.uses_groups:
                known = samples.groups[:, self._compared] != UNKNOWN
                _diagnosis.warn_if_nothing_is_compared(len(self._compared), known)
            return make_losses(method, expected, self._compared)
        if not method.uses_groups:
            return {}
        several = [s for s, groups in enumerate(attributes.groups) if len(groups) > 1]
        losses = make_losses(method, expected, several)
        if not attributes.names:
            _diagnosis.warn_without_sensitive_features()
        if not is_stream:
            losses = {
                s: of_attribute
                for s, of_attribute in losses.items()
                if method.can_compare(of_attribute, samples.y, samples.groups[:, s])
            }
        for s, groups in enumerate(attributes.groups):
            if s not in losses:
                _diagnosis.warn_without_two_groups(attributes.names[s], groups)
        return losses

    def _make_net(self, model: Model, **settings: Any) -> FairnessNet:
        """Return the net that trains a model; see `make_net`."""
        return make_net(self, model, **settings)

    def _finish(
        self,
        model: Model,
        net: FairnessNet,
        dataset: SampleDataset,
        *,
        is_stream: bool = False,
    ) -> None:
        """Check a trained network, and become fitted."""
        tasks, attributes = model.expected
        remedy = model.modality.divergence_remedy
        _diagnosis.check_finite(net, remedy)
        if not is_stream:  # the first parts of a stream have learnt little
            _diagnosis.warn_if_never_scored(net)
            names = [attributes.names[s] for s in model.compared]
            _diagnosis.warn_if_useless(net, dataset, tasks, names, remedy)
        if net.module_.erasure is not None:
            dataset = dataset.in_memory()
            before = _diagnosis.task_fits(net, dataset)
            erase_means(net, dataset, list(model.losses.values()))
            after = _diagnosis.task_fits(net, dataset)
            _diagnosis.warn_if_erased(before, after, tasks, model.width)
        self._set_fitted(model, net)

    def _set_fitted(self, model: Model, net: FairnessNet) -> None:
        tasks, attributes = model.expected
        self._modality = model.modality
        self._expected = model.expected
        self._compared = model.compared
        # All fields: a subclass may have a constructor with fewer parameters.
        parameters = {field.name: getattr(self, field.name) for field in fields(self)}
        self._fitted_parameters: dict[str, Any] = {
            name: copy.copy(value) if isinstance(value, list | dict) else value
            for name, value in {**parameters, **self.get_params(deep=False)}.items()
        }
        self._n_features_out = model.width
        self.net_ = net
        self.classes_ = tasks.classes if tasks.is_multioutput else tasks.classes[0]
        self.sensitive_feature_names_ = attributes.names
        self.groups_ = attributes.groups

    def _restore(
        self,
        modality: Modality,
        tasks: Tasks,
        attributes: SensitiveAttributes,
        compared: list[int],
        check: Callable[[nn.Module, nn.Module], None],
    ) -> None:
        """Become a fitted estimator, with weights yet to be loaded.

        `check` gets network and objective before memory is taken for their weights.
        """
        method, device = self._make_method(), check_device(self.device)
        expected = Expected(tasks, attributes)
        losses = make_losses(method, expected, compared)
        make = partial(
            make_model, modality, method, expected, losses, (0, 0), pretrained=False
        )
        with torch.device("meta"):  # shapes and types without values
            model = make()
            check(model.network, model.objective)
        model = make()
        net = self._make_net(model, n_samples=1, device=device)
        net.initialize(makes_optimizer=False)
        self._set_fitted(model, net)

    @groups_by_name
    def predict(self, X: Any) -> np.ndarray:
        """Predict the class of each sample.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        y_pred : ndarray of shape (n_samples,) or (n_samples, n_tasks)
            Labels, of the type seen in `fit`.
        """
        return self._most_probable(self._probabilities(X))

    @groups_by_name
    def predict_proba(self, X: Any) -> np.ndarray | list[np.ndarray]:
        """Predict the probability of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        probabilities : ndarray of shape (n_samples, n_classes), or list of these
            In the order of ``classes_``; for several tasks a list with an array each.
        """
        probabilities = self._probabilities(X)
        return probabilities if len(probabilities) > 1 else probabilities[0]

    @available_if(is_binary)
    @groups_by_name
    def decision_function(self, X: Any) -> np.ndarray:
        """Compute the log-odds of the second class, for one task of two classes.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        log_odds : ndarray of shape (n_samples,)
            Above 0 where `predict` returns ``classes_[1]``.
        """
        return self._log_odds(X)

    @groups_by_name
    def transform(self, X: Any) -> np.ndarray:
        """Compute the representation that the heads share.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples. Sensitive attributes are not needed.

        Returns
        -------
        h : ndarray of shape (n_samples, n_features_out), float32
            Output of the trunk, after the erasure if there is one.
        """
        dataset = self._dataset(X)
        (h,) = self.net_.evaluate(dataset, lambda network, X, _: [network.represent(X)])
        return h.numpy()

    def _dataset(self, X: Any, given_groups: Any = None) -> SampleDataset:
        """Return samples to predict for, and their groups if a method may use them."""
        check_is_fitted(self)
        check_same_rows({"X": X, "sensitive_features": given_groups})
        modality = self._modality
        validate = partial(modality.validate, estimator=self, reset=False)
        make_source = partial(
            modality.make_source, device=torch.device(self.net_.device)
        )
        table = modality.open(X, "X")
        if table is None:
            with named_in_errors("X"):
                X = validate(X)
            modality.check_readable(X)
            source = make_source(X)
        else:
            names = getattr(self, "feature_names_in_", table.names)
            table.check_features(names)
            source = ParquetSource(table, names, validate, make_source)
            given_groups = read_named(table, given_groups, "sensitive_features")
        target = {}
        if given_groups is not None:
            given = encode_sensitive_features(
                given_groups,
                n_samples=len(source),
                intersectional=self._fitted_parameters["intersectional"],
                known=self._expected.attributes,
            )
            target["given_groups"] = given.codes[:, self._compared]
        return SampleDataset(source, target)

    def _logits(self, X: Any, given_groups: Any = None) -> list[torch.Tensor]:
        """Compute the logits of each task's classes."""
        dataset = self._dataset(X, given_groups)  # raises where nothing is fitted
        logits = self.net_.evaluate(
            dataset,
            lambda network, X, target: network.task_logits(
                X, target.get("given_groups")
            ),
        )
        if not all(torch.isfinite(task).all() for task in logits):
            raise ValueError("`X` has values so large that the network overflows.")
        return logits

    def _probabilities(self, X: Any, given_groups: Any = None) -> list[np.ndarray]:
        """Compute the probabilities of each task's classes."""
        return softmax(self._logits(X, given_groups))

    def _log_odds(self, X: Any, given_groups: Any = None) -> np.ndarray:
        """Compute the log-odds of the second class of the only task."""
        (logits,) = self._logits(X, given_groups)
        return (logits[:, 1] - logits[:, 0]).numpy()

    def _most_probable(self, probabilities: list[np.ndarray]) -> np.ndarray:
        """Return the labels of the largest probabilities."""
        codes = np.column_stack([p.argmax(axis=1) for p in probabilities])
        return self._expected.tasks.decode(codes)

    @groups_by_name
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; of several tasks, the share with all of them right.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples.
        y : array-like of shape (n_samples,) or (n_samples, n_tasks)
            Their labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            In [0, 1].
        """
        check_same_rows({"X": X, "y": y, "sample_weight": sample_weight})
        return self._accuracy(X, self.predict(X), y, sample_weight)

    def _accuracy(
        self, X: Any, y_pred: np.ndarray, y: Any, sample_weight: Any
    ) -> float:
        table = self._modality.open(X, "X")
        if table is not None:
            y = read_named(table, y, "y")
            sample_weight = read_named(table, sample_weight, "sample_weight")
        is_right = are_right(y_pred, y, self._expected.tasks)
        if sample_weight is not None:
            sample_weight = read_weights(sample_weight, len(y_pred))
        return float(np.average(is_right, weights=sample_weight))

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to a file that holds no code.

        The file is in the safetensors format: weights, and as JSON the parameters,
        labels and groups. By a digest of both, `load` recognises a damaged file; the
        digest does not show who wrote it. The file does not hold the state of the
        optimizer: a `partial_fit` after `load` starts a new one, a `partial_fit` after
        a pickle does not.

        Parameters
        ----------
        path : str or Path
            File to write.

        Raises
        ------
        ValueError
            If a parameter is an object, such as a callback, which would need code.
        """
        check_is_fitted(self)
        _persistence.save(self, path)

    @classmethod
    def load(
        cls, path: str | Path, *, device: str | torch.device | None = None
    ) -> Self:
        """Read an estimator that `save` wrote.

        Nothing in the file is executed, and nothing in it is ignored.

        Parameters
        ----------
        path : str or Path
            File to read.
        device : str or torch.device, default=None
            Where the estimator goes, in place of its parameter ``device``.

        Returns
        -------
        estimator : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the file is damaged, is of another class or format, or has content that
            is unknown.
        """
        return _persistence.load(cls, path, device=device)

    @property
    def n_iter_(self) -> int:
        """Number of epochs that were trained in all; each `partial_fit` is one."""
        check_is_fitted(self)
        return len(self.net_.history)

    @property
    def history_(self) -> pd.DataFrame:
        """Mean of each term of the objective: a row per epoch, a column per term.

        The fairness loss of an attribute includes the weighted distance in the
        representation, which has a column by itself. Both are 0 where no two groups
        could be compared.
        """
        check_is_fitted(self)
        return history_table(self.net_.history, self.net_.term_names)

    @property
    def group_history_(self) -> pd.DataFrame:
        """Mean task loss of each class and group: a row per epoch, a column per cell.

        The columns have the levels ``part`` ("train" or, with validation data,
        "valid"), ``attribute``, ``task`` (where there are several), ``class`` and
        ``group``. All attributes are in it, whether or not they are penalised. The
        loss is the cross-entropy of the task head, weighted like the fairness losses;
        it is NaN where a cell has no samples. A sample of unknown group is in none.
        """
        check_is_fitted(self)
        return group_table(
            self.net_.group_losses_, self.history_.index, group_cells(*self._expected)
        )

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "net_")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # the network computes in float32
        tags.non_deterministic = self.random_state is None
        tags.target_tags.multi_output = True
        tags.classifier_tags.multi_label = True
        return tags
