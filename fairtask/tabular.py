"""The estimator for tables."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY
from numbers import Real
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from fairtask._auxiliary import AuxiliaryEstimator
from fairtask._estimator import FairnessEstimator
from fairtask._lam_search import LamSearch
from fairtask._parameters import estimator
from fairtask._table_encoding import NUMERIC_ENCODINGS
from fairtask._tables import TableModality
from fairtask.modules import ACTIVATIONS

__all__ = [
    "AuxiliaryFairnessClassifier",
    "AuxiliaryFairnessClassifierCV",
    "TableEstimator",
]


@estimator
class TableEstimator(FairnessEstimator):
    """Base class of the estimators for tables: add the estimator of a method.

    The parameters are described in `~fairtask.AuxiliaryFairnessClassifier`.
    """

    hidden_layer_sizes: Sequence[int] = (128, 64)
    _: KW_ONLY
    activation: str = "relu"
    dropout: float = 0.2
    numeric_encoding: Literal["piecewise_linear", "standard"] | None = (
        "piecewise_linear"
    )
    trunk: nn.Module | Callable[[int], nn.Module] | None = None

    _parameter_constraints: ClassVar[dict] = {
        "hidden_layer_sizes": ["array-like"],
        "activation": [StrOptions(set(ACTIVATIONS))],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "numeric_encoding": [StrOptions(set(NUMERIC_ENCODINGS)), None],
        "trunk": [nn.Module, callable, None],
    }

    def _make_modality(self) -> TableModality:
        if self.trunk is not None:
            for name in ("hidden_layer_sizes", "activation", "dropout"):
                value, default = getattr(self, name), getattr(type(self), name)
                if not np.array_equal(value, default):
                    raise ValueError(
                        f"`{name}={value!r}` has no use with a `trunk` of your own; "
                        f"leave it at its default, {default!r}."
                    )
        return TableModality(**self._parameters_of(TableModality))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


@estimator
class AuxiliaryFairnessClassifier(TableEstimator, AuxiliaryEstimator):
    r"""Neural network for tables that learns its tasks and group fairness together.

    The method follows "Learning fair latent representation with multi-task deep
    learning" [1]_. A head per task and a fairness head per sensitive attribute share a
    trunk. The network minimises

    .. math::

        \lambda \sum_{k=1}^{K} \mathcal{L}_k
        + (1 - \lambda) \sum_{s=1}^{S} \mathcal{F}_s

    where :math:`\mathcal{L}_k` is the cross-entropy of task head k,
    :math:`\mathcal{F}_s` the penalty of sensitive attribute s, and :math:`\lambda` is
    ``lam``. The penalty is the fairness loss on the fairness head, plus
    ``representation_weight`` times the distance between the groups' means of the
    representation, which is not in the paper. The penalties reach the trunk; the task
    heads never get a gradient from them. Sensitive attributes are used in training
    only.

    The distance bounds the differences in mean score that linear heads can find in the
    representation, which `transform` returns. It does not remove the groups from it.
    `~fairtask.metrics.audit_representation` measures what new heads find.

    Tables need no preparation: numbers are encoded, missing ones too, and the
    categorical columns of a data frame. See Notes.

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(128, 64)
        Width of each layer of the trunk.
    activation : {"elu", "gelu", "leaky_relu", "relu", "silu", "tanh"}, default="relu"
        Activation of the trunk.
    dropout : float in [0, 1), default=0.2
        Share of the units dropped after each layer in training.
    numeric_encoding : {"piecewise_linear", "standard"} or None
        Encoding of the numbers inside the network. "piecewise_linear", the default: the
        standardised number, and its position in each of the bins that a decision tree
        per column chooses [2]_; "standard": the standardised number alone; None: the
        number as it is.
    trunk : torch.nn.Module or callable, default=None
        A module from encoded features of shape (n, d) to a representation of shape
        (n, p), or a callable from d to such a module. `fit` copies a module, with its
        current weights. ``hidden_layer_sizes``, ``activation`` and ``dropout`` must
        then keep their defaults. The number d depends on ``numeric_encoding``. None: a
        multilayer perceptron.
    fairness_loss : str, FairnessLoss or callable, default="gld"
        Penalties on group losses: "bgl", `~fairtask.losses.BoundedGroupLoss`; "gld",
        `~fairtask.losses.GroupLossDivergence`; "glf",
        `~fairtask.losses.GroupLossFairness`. Penalties on soft rates: "dpl",
        `~fairtask.losses.DemographicParityLoss`; "fprl",
        `~fairtask.losses.FalsePositiveRateLoss`; "tprl",
        `~fairtask.losses.TruePositiveRateLoss`. Their values differ in size: a ``lam``
        that suits one does not suit another. A subclass gets the next four parameters,
        as far as its attribute ``settings`` names them. With an instance, which is
        copied and has its own settings, or another callable from the numbers of groups
        and classes to a FairnessLoss, they must keep their defaults.
    parity : {"equalized_odds", "equal_opportunity", "overall"}
        Samples in which group losses are compared: those of each class; those of the
        positive classes; all. Equal losses over all samples do not imply equal error
        rates. Penalties on rates define their own parity and require the default.
    sample_loss : {"cross_entropy", "zero_one"}, default="cross_entropy"
        Loss of a sample, whose mean over a group is the group loss: the cross-entropy,
        or the bounded :math:`1 - p(y)`.
    positive_classes : list of labels, default=None
        Positive classes for "equal_opportunity" and for rates; for several tasks a list
        with an entry each. None: the second of two classes; for the rates of a
        multiclass task all classes.
    group_momentum : float in [0, 1) or "auto", default="auto"
        Momentum of the groups' running means, per batch. 0 compares the groups inside
        each batch alone. With "auto" each running mean covers about the last 200
        samples of its group, or of its group and class.
    fairness_head : {"probe", "literal", "anchored", "task"} or None, default="probe"
        Head on which the fairness loss is evaluated: `~fairtask.modules.ProbeHead`,
        which learns the task and is frozen for the fairness loss;
        `~fairtask.modules.LiteralHead`, trained by the fairness loss alone;
        `~fairtask.modules.AnchoredHead`, trained by both;
        `~fairtask.modules.TaskHead`, the task head with its weights detached. None: no
        head and no fairness loss, which then only says which groups are compared.
    representation_weight : float, default=0.03
        Weight of the distance between the groups' means of the representation, beside
        the fairness loss. The samples in which it compares groups are those of the
        fairness loss, such as those of each class; see
        `~fairtask.losses.GroupMeanDistance`.
    erase : bool, default=False
        Whether `fit` ends by making the groups' means of the representation equal, in
        the same samples, by a linear map in closed form [3]_. They are exactly equal on
        the training samples for groups with at least as many samples, in a class, as
        the representation has units, and closer than before for smaller ones. Units
        that hardly vary become 0. The task heads are fitted anew, with ``lam=0`` too.
        It costs performance, the more the more groups and tasks there are: up to
        C (G - 1) directions of the representation for G groups and C classes. The best
        epoch is chosen before it. `partial_fit` refuses it.
    lam : float in [0, 1], default=0.3
        Weight of the tasks. With 1 the network learns the tasks alone, whatever the
        other parameters of fairness; with 0 the task heads are not trained. The
        fairness losses of several attributes add up.
    intersectional : bool, default=False
        Whether to compare the combinations of all attributes, in place of each
        attribute by itself.
    aggregator : torchjd.aggregation.Aggregator, default=None
        How the trunk's gradients of the weighted task loss and of each weighted
        fairness loss are combined. None: they are summed. Needs the extra ``moo``.
    class_weight : dict, "balanced", list of these (several tasks) or None
        Weights of classes in the task losses, multiplied with the sample weights.
        "balanced" gives each class the same total.
    weighted_losses : {"all", "task"}, default="all"
        Losses in which sample weights count: all, or the task losses alone.
    optimizer : {"adamw", "sgd"} or callable, default="adamw"
        "sgd" has a momentum of 0.9, and ``lam`` then also scales the step of the task;
        AdamW does not depend on the scale of the loss. A callable is a subclass of
        `torch.optim.Optimizer`.
    lr : float, default=0.004
        Learning rate; its maximum under "one_cycle" and "cosine".
    weight_decay : float, default=None
        Weight decay of the optimizer. None: 1.0 for "adamw", which multiplies it by the
        learning rate, 0.0005 for "sgd", and the optimizer's default for a callable.
    lr_schedule : {"one_cycle", "cosine", "constant"}, default="one_cycle"
        Learning rate over the batches of `fit`:
        `torch.optim.lr_scheduler.OneCycleLR`; a warm-up over a tenth of the batches and
        a cosine down to 0; or constant. With fewer than 10 batches in all it is
        constant.
    batch_size : int or "auto", default="auto"
        Number of samples in a batch. "auto": a 32nd of the samples, but at least 32 and
        at most 512.
    max_epochs : int or "auto", default="auto"
        Number of passes over the samples. "auto": one per 1,000 samples, but at least
        15 and at most 30.
    early_stopping : bool, default=False
        Whether to score each epoch on validation data, to stop after
        ``n_iter_no_change`` epochs without a better score, and to keep the weights of
        the best epoch. The data are ``X_val`` and ``y_val`` of `fit` or, without them,
        a part of the training samples.
    validation_fraction : float in (0, 1), default=0.1
        Share of the training samples that ``early_stopping`` holds out, about the same
        of each class and group.
    n_iter_no_change : int, default=10
        Number of epochs without a better score after which ``early_stopping`` stops.
        None: all epochs are trained, and the best is kept.
    epoch_scoring : {"neg_log_loss", "accuracy", "roc_auc"} or callable
        Score for ``early_stopping``, the mean over the tasks; minus the log loss by
        default. A callable maps ``(y_true, y_proba, sensitive_features)`` to a number,
        greater is better. It gets the labels, probabilities as `predict_proba` returns
        them, and a data frame of groups, with None for unknown ones.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the last `fit`, with the same classes
        and groups.
    callbacks : list of skorch.callbacks.Callback, default=None
        Callbacks for the training loop; each `fit` works on copies. They can monitor
        the columns of ``history_``, and ``"valid_loss"`` with validation data. Pass
        `skorch.callbacks.EpochScoring` a callable ``f(net, dataset, y=None)`` and set
        ``use_caching=False``; see the user guide. A learning rate scheduler requires
        ``lr_schedule="constant"``.
    device : str or torch.device, default="auto"
        Device for training and prediction. "auto": CUDA if available, else the CPU.
    n_threads : int, default=None
        Number of threads of torch on the CPU, in training and prediction. None: one for
        a network on the CPU with fewer than a million weights, which more threads slow
        down; otherwise the number that torch is set to. That setting does not change.
    random_state : int, RandomState instance or None, default=None
        Seed of the weights, the order of the samples, dropout and the validation part.
        With an int the global random states do not change.
    verbose : int, default=0
        1 shows a progress bar; 2 prints the terms of the objective after each epoch.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or list of these
        Class labels; for several tasks a list with an array each.
    sensitive_feature_names_ : list of str
        Name of each sensitive attribute.
    groups_ : list of ndarray
        Groups of each sensitive attribute, sorted; tuples if ``intersectional``.
    history_ : DataFrame
        Mean of each term of the objective, a row per epoch.
    group_history_ : DataFrame
        Mean task loss of each class and group, a row per epoch.
    n_iter_ : int
        Number of epochs that were trained in all.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the `~fairtask.modules.MultiTaskNetwork`.
    n_features_in_ : int
        Number of features seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the features seen in `fit`, if all are strings.

    See Also
    --------
    fairtask.baselines : Other methods.
    fairtask.metrics : Differences between groups, to judge a fitted model.

    Notes
    -----
    Data frames of pandas, polars or pyarrow may have categorical columns: those of type
    category, and those that hold strings. A column of objects holds numbers if all its
    values are numbers or Booleans. Dates, bytes and mixed types are errors, and so are
    numbers that were read as text: a column of strings that can all be read as numbers,
    with more than 50 distinct values, with more than half of ten or more distinct, or
    with more than 10 that have fractions. Convert it with `pandas.to_numeric`, or to
    the type category. A masked entry of an array is a missing number.

    The first layer of the network encodes the rows of a batch, so that the memory of a
    fit does not grow with the number of bins or categories. A missing number counts as
    the mean of its column; where `fit` saw missing ones, another input marks them. In
    the bins, a number beyond those of `fit` counts as the largest or the smallest of
    them. Columns of two values become 0 and 1. A column of numbers that does not vary
    in `fit` has no effect on predictions, until a continued training finds other values
    in it. With ``numeric_encoding=None`` this holds for a column without any known
    number alone.

    The network computes in float32, which holds about seven digits. `fit` warns of
    columns whose numbers become equal, such as some times in nanoseconds:
    subtract an offset first.

    Each category seen in `fit` has an input, and so have missing values. A category
    that `fit` did not see gets zeros in all these inputs. Of a column with more than
    255 categories the 254 most frequent have an input each, and all others share one. A
    column of strings in which nearly every value is unique is ignored, with a warning.

    Sparse matrices stay sparse; batches are made dense. Their columns are divided by
    the largest absolute value, unless ``numeric_encoding`` is None.

    References
    ----------
    .. [1] "Learning fair latent representation with multi-task deep learning".
    .. [2] Y. Gorishniy, I. Rubachev and A. Babenko, "On Embeddings for Numerical
       Features in Tabular Deep Learning", 2022.
    .. [3] N. Belrose et al., "LEACE: Perfect linear concept erasure in closed form",
       2023. There the means are those of a concept, here those of groups in a class.

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(random_state=0)
    >>> clf = AuxiliaryFairnessClassifier(max_epochs=5, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z).predict(X[:3]).shape
    (3,)
    """


@estimator
class AuxiliaryFairnessClassifierCV(LamSearch, AuxiliaryFairnessClassifier):
    """`AuxiliaryFairnessClassifier` whose ``lam`` is chosen by cross-validation.

    In each fold the networks of all values are trained together, in a fraction of the
    time of a `~sklearn.model_selection.GridSearchCV`. They are those of separate fits
    with the same ``random_state``, up to rounding. The chosen value is then fitted to
    all samples.

    Parameters
    ----------
    hidden_layer_sizes, ..., verbose
        Those of `AuxiliaryFairnessClassifier`, except ``lam``.
    lams : int or array-like of float, default=8
        Values of ``lam``, or their number: they then divide the range from 0.05 to 1,
        which is single-task learning, in equal ratios.
    cv : int, cross-validation generator or iterable, default=None
        Folds, as of `~sklearn.model_selection.GridSearchCV`. None: 5 folds.
    performance : str, default="roc_auc"
        Name of a score of scikit-learn, such as "roc_auc_ovr" for several classes.
    disparity : str, default="equalized_odds_difference"
        Name of a metric of groups of `fairtask.metrics`, such as a difference or a
        ratio. If ``positive_classes`` names one of two classes, it is that of this
        class.
    scoring : dict of str to callable, default=None
        Scorers with these two names, such as those of
        `~fairtask.metrics.make_fairness_scoring` with settings, or functions
        ``f(estimator, X, y, sensitive_features)`` of several tasks. None: those of
        `~fairtask.metrics.make_fairness_scoring`.
    budget : float, default=None
        Largest mean disparity over the folds: the best value within it is chosen, see
        `~fairtask.model_selection.best_under_budget`.
    rule : {"least_disparity", "knee_point"}, callable or None, default=None
        Rule of the choice without a ``budget``: a function of
        `fairtask.model_selection`, or a callable from ``cv_results_`` to a position.
        None: "least_disparity", the least disparate value whose performance is within
        one standard error of the best.
    lams_at_once : int, default=None
        Number of networks that are trained together; fewer need less memory. 1: one
        after another. None: all.
    n_jobs : int, default=None
        Number of folds at the same time, see `joblib.Parallel`.

    Attributes
    ----------
    lam_ : float
        The chosen value.
    lams_ : ndarray of shape (n_lams,)
        All values.
    best_index_ : int
        Position of the chosen value.
    cv_results_ : dict
        Scores of each value in each fold, with the keys of a
        `~sklearn.model_selection.GridSearchCV`.
    front_ : DataFrame
        Values that no other beats, with their scores.
    estimator_ : AuxiliaryFairnessClassifier
        Fitted to all samples with the chosen value. The other attributes are its own:
        those of `AuxiliaryFairnessClassifier`.
    n_splits_ : int
        Number of folds.

    See Also
    --------
    sklearn.model_selection.GridSearchCV : Searches over other parameters as well.

    Notes
    -----
    The networks of a fold see the same batches and the same dropout. With
    ``callbacks``, an ``aggregator`` or an optimizer of your own they are trained one
    after another, because these may depend on all weights of a network at once.

    A ``trunk`` or a ``fairness_loss`` of your own must be made of operations that
    `torch.func.vmap` supports; with ``lams_at_once=1`` it need not. The number of
    samples of each group in a fold is up to ``cv``. For a splitter that needs more than
    `X` and `y` pass its folds: ``cv=list(splitter.split(X, y, groups))``.

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifierCV
    >>> from fairtask.datasets import make_biased_classification
    >>> X, y, z = make_biased_classification(n_samples=500, random_state=0)
    >>> search = AuxiliaryFairnessClassifierCV(
    ...     lams=[0.3, 1.0], cv=2, budget=0.2, random_state=0
    ... )
    >>> search.fit(X, y, sensitive_features=z).lam_
    0.3
    """

    lam: ClassVar  # type: ignore[misc]  # no parameter: it is chosen
    _single = AuxiliaryFairnessClassifier
