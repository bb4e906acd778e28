"""The estimator for tables."""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from sklearn.utils._param_validation import Interval, StrOptions
from skorch.callbacks import Callback
from torch import nn

from fairtask._base import BaseAuxiliaryFairnessClassifier
from fairtask.losses import FairnessLoss
from fairtask.modules import ACTIVATIONS, MLP

__all__ = ["AuxiliaryFairnessClassifier"]


class AuxiliaryFairnessClassifier(BaseAuxiliaryFairnessClassifier):
    r"""Multilayer perceptron that learns its task and group fairness together.

    A trunk is shared by a task head and one fairness head per sensitive attribute. The
    network minimises

    .. math::

        \lambda \mathcal{L} + (1 - \lambda) \sum_{s=1}^{S} \mathcal{F}_s

    where :math:`\mathcal{L}` is the cross-entropy of the task head,
    :math:`\mathcal{F}_s` the fairness loss of sensitive attribute s on its fairness
    head, and :math:`\lambda` is ``lam``. The fairness losses reach the trunk; the task
    head never gets a gradient from them. Sensitive attributes are used in training
    only.

    What is penalised is what heads trained like the task head read from the
    representation. `transform` returns that representation; it is not cleared of the
    groups, and a new head fitted to it may bring their differences back.

    Numerical features should be standardised and categories one-hot encoded first, as
    for `sklearn.neural_network.MLPClassifier`.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Width of each layer of the trunk.
    activation : {"elu", "gelu", "leaky_relu", "relu", "silu", "tanh"}, default="relu"
        Activation of the trunk.
    dropout : float in [0, 1), default=0.2
        Share of the units dropped after each layer in training.
    fairness_loss : {"bgl", "gld", "glf"} or callable, default="gld"
        `~fairtask.losses.BoundedGroupLoss`, `~fairtask.losses.GroupLossDivergence` or
        `~fairtask.losses.GroupLossFairness`. Their values differ in size: a ``lam``
        that suits one does not suit another. A callable takes the
        parameters of `~fairtask.losses.FairnessLoss` and returns one: a class, or a
        `functools.partial` that sets what is its own.
    parity : {"equalized_odds", "equal_opportunity", "overall"}
        What the loss compares: the groups inside each class; inside the positive
        class, the second of ``classes_``; over all samples. Equal losses overall do
        not imply equal error rates.
    fairness_head : {"anchored", "literal", "probe", "task"}, default="probe"
        Head that the fairness loss is evaluated on: `~fairtask.modules.ProbeHead`,
        fitted to the task and frozen for the fairness loss;
        `~fairtask.modules.LiteralHead`, trained by the fairness loss alone;
        `~fairtask.modules.AnchoredHead`, trained by both;
        `~fairtask.modules.TaskHead`, the task head with its weights detached.
    lam : float in [0, 1], default=0.2
        Weight of the task. 1 is single-task learning, whatever the other parameters of
        fairness; 0 does not train the task head. The fairness losses of several
        attributes add up.
    group_momentum : float in [0, 1), default=0.95
        Momentum of the running means of the group losses, per batch. 0 compares the
        groups inside each batch alone.
    optimizer : {"adamw", "sgd"} or callable, default="adamw"
        "sgd" has a momentum of 0.9. With it ``lam`` also scales the step of the task;
        AdamW does not depend on the scale of the loss. A callable is a
        subclass of `torch.optim.Optimizer`.
    lr : float, default=0.002
        Learning rate; its maximum under "one_cycle".
    weight_decay : float, default=None
        Weight decay of the optimizer. None: 1.0 for "adamw", which multiplies it by the
        learning rate, 0.0005 for "sgd", and the optimizer's own default for a callable.
    lr_schedule : {"one_cycle", "constant"}, default="one_cycle"
        Learning rate over the batches of `fit`:
        `torch.optim.lr_scheduler.OneCycleLR`, or `lr` throughout. Fewer than 10 batches
        in all are trained with `lr` throughout.
    batch_size : int, default=512
        Number of samples in a batch.
    max_epochs : int, default=30
        Number of passes over the samples.
    callbacks : list of skorch.callbacks.Callback, default=None
        Callbacks for the training loop; each `fit` works on copies. What they can
        monitor is in ``history_``: there is no validation part, so that skorch's
        default monitors (``"valid_loss"``) do not exist and scoring callbacks need
        ``on_train=True, use_caching=False``. A schedule of the learning rate needs
        ``lr_schedule="constant"``.
    device : str or torch.device, default="auto"
        Where to train and predict. "auto": CUDA if there is, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the order of the samples and dropout. With an int the
        global random states are left as they are.
    verbose : int, default=0
        Whether to print the terms of the objective after each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    sensitive_feature_names_ : list of str
        Name of each sensitive attribute.
    groups_ : list of ndarray
        Groups of each sensitive attribute that occurred in `fit`, sorted.
    history_ : DataFrame
        Mean of each term of the objective, a row per epoch.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the `~fairtask.modules.MultiTaskNetwork`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in `fit`, if all are strings.

    See Also
    --------
    fairtask.metrics : Differences between groups, to judge what was learnt.

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = AuxiliaryFairnessClassifier(max_epochs=20, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """

    _parameter_constraints: dict = {  # noqa: RUF012 (scikit-learn's own form)
        **BaseAuxiliaryFairnessClassifier._parameter_constraints,
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
    }

    def __init__(
        self,
        hidden_layer_sizes: Sequence[int] = (128, 64),
        *,
        activation: str = "relu",
        dropout: float = 0.2,
        fairness_loss: str | Callable[..., FairnessLoss] = "gld",
        parity: Literal["overall", "equalized_odds", "equal_opportunity"] = (
            "equalized_odds"
        ),
        fairness_head: Literal["anchored", "literal", "probe", "task"] = "probe",
        lam: float = 0.2,
        group_momentum: float = 0.95,
        optimizer: str | Callable[..., torch.optim.Optimizer] = "adamw",
        lr: float = 2e-3,
        weight_decay: float | None = None,
        lr_schedule: Literal["one_cycle", "constant"] = "one_cycle",
        batch_size: int = 512,
        max_epochs: int = 30,
        callbacks: list[Callback] | None = None,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.fairness_loss = fairness_loss
        self.parity = parity
        self.fairness_head = fairness_head
        self.lam = lam
        self.group_momentum = group_momentum
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.lr_schedule = lr_schedule
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.callbacks = callbacks
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _make_trunk(self) -> tuple[nn.Module, int]:
        sizes = list(self.hidden_layer_sizes)
        if not all(isinstance(size, int | np.integer) and size >= 1 for size in sizes):
            raise ValueError(
                "`hidden_layer_sizes` must hold integers of at least 1; got "
                f"{self.hidden_layer_sizes!r}."
            )
        if not sizes and self.lam < 1:
            raise ValueError(
                "`hidden_layer_sizes` must hold a layer when `lam` is less than 1: the "
                "fairness losses act on the trunk, which would have no weights."
            )
        trunk = MLP(
            self.n_features_in_,
            sizes,
            activation=self.activation,
            dropout=self.dropout,
        )
        return trunk, trunk.out_features
