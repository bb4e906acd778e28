"""The methods that are compared.

They are the rows of Table 1 of "Learning fair latent representation with multi-task
deep learning", fairtask's defaults, and fairlearn's methods.
"""

import importlib.metadata
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlearn.reductions import EqualizedOdds
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from fairtask import AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier
from fairtask.baselines import (
    AdversarialClassifier,
    AdversarialImageClassifier,
    GroupSpecificClassifier,
    GroupSpecificImageClassifier,
    RegularizedClassifier,
    RegularizedImageClassifier,
)
from fairtask.experiments._features import RememberingBackbone
from fairtask.experiments._peers import Reduction, SeededAdversarial, ThresholdsPerGroup
from fairtask.experiments._recipes import recipe

__all__ = ["BASELINE", "BUILT_IN", "Method", "Setting", "find_methods"]

ENTRY_POINTS = "fairtask.methods"

BASELINE = "single-task"
"""The method that delta-m is relative to, and that is not ranked."""


@dataclass(frozen=True)
class Setting:
    """The run that an estimator is made for.

    Parameters
    ----------
    preset : {"paper", "tuned", "defaults"}
        Recipe of the networks: the paper's, that of fairtask's defaults with the best
        epoch on the validation part, or the defaults as they are.
    dataset : str
        Name of the data.
    attributes : tuple of str
        Names of the sensitive attributes.
    kind : {"table", "image"}
        Kind of the samples: arrays of shape (n_samples, n_features), or paths.
    seed : int
        Seed of the run.
    lam : float or None, default=None
        Weight of the task. None: the method's own.
    quick : bool, default=False
        Whether to train only as much as is needed to see that all works.
    parameters : mapping, default={}
        Parameters of fairtask's networks, in place of the recipe's. The parameters that
        define a method replace both.
    """

    preset: str
    dataset: str
    attributes: tuple[str, ...]
    kind: str
    seed: int
    lam: float | None = None
    quick: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Method:
    """A row of the tables.

    Parameters
    ----------
    name : str
        Name on the command line and in the tables.
    make : callable
        From a `Setting` to an unfitted classifier with ``fit(X, y)`` and ``predict(X)``
        for labels 0 and 1. ``fit`` may also take ``sensitive_features`` (a data frame
        with a column per attribute), ``X_val``, ``y_val`` and
        ``sensitive_features_val``; ``predict`` may take ``random_state``. Scores come
        from ``predict_proba``, ``decision_function`` or, without either, ``predict``.
        An argument counts only where it has a name: a pipeline, which takes anything,
        is given no groups.
    family : str, default="Yours"
        Heading of the row; the paper calls it the architecture.
    fairness_loss : str, default="-"
        Loss that the method minimises besides that of the task.
    has_lam : bool, default=False
        Whether it follows ``setting.lam``, so that ``ablate`` varies it.
    kinds : tuple of str, default=("table",)
        The kinds of samples it takes: "table", "image".
    note : str, default=""
        Note for below the table.
    groups_at_predict : bool, default=False
        Whether ``predict`` and the method that gives the scores get
        ``sensitive_features``, where they name them. The table says so.

    Examples
    --------
    A file for ``--methods-file``:

    >>> from sklearn.naive_bayes import GaussianNB
    >>> from fairtask.experiments import Method
    >>> METHODS = [Method("naive-bayes", lambda setting: GaussianNB())]
    """

    name: str
    make: Callable[[Setting], Any]
    family: str = "Yours"
    fairness_loss: str = "-"
    has_lam: bool = False
    kinds: tuple[str, ...] = ("table",)
    note: str = ""
    groups_at_predict: bool = False


def find_methods(files: Sequence[str | Path] = ()) -> dict[str, Method]:
    """Return methods by name: built in, of installed packages, and of files.

    A package adds methods by an entry point of the group ``fairtask.methods``, a file
    by a list ``METHODS``. A ValueError is raised if one of them gives no methods, or
    two methods have the same name.
    """
    methods = {method.name: method for method in BUILT_IN}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        _add(methods, entry.value, entry.load())
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"`methods_file` must be a file of Python; got {file}.")
        try:
            found = runpy.run_path(str(file)).get("METHODS")
        except Exception as error:  # the user's file may raise anything
            raise ValueError(f"{file}: {type(error).__name__}: {error}") from error
        _add(methods, str(file), found)
    return methods


def _add(methods: dict[str, Method], source: str, found: Any) -> None:
    """Add the methods found in a source; raise a ValueError if they do not suit."""
    if isinstance(found, Method):
        found = [found]
    if not isinstance(found, list | tuple) or not all(
        isinstance(method, Method) for method in found
    ):
        raise ValueError(
            f"{source}: expected a list of fairtask.experiments.Method (in a file: "
            f"METHODS), found {found!r}."
        )
    for method in found:
        if Path(method.name).name != method.name or method.name in ("", ".."):
            raise ValueError(
                f"{source}: a method's name must be a valid folder name; got "
                f"{method.name!r}."
            )
        if method.name in methods:
            raise ValueError(f"{source}: there is a method {method.name!r} already.")
        methods[method.name] = method


def _network(
    table: type, image: type, preset: str | None = None, **own: Any
) -> Callable[[Setting], Any]:
    """Return a function that makes a network, with the recipe of the setting.

    A `preset` replaces that of the setting. The parameters `own` define the method and
    replace those of the recipe and of the setting.
    """

    def make(setting: Setting) -> Any:
        parameters = {
            **recipe(
                preset or setting.preset,
                setting.dataset,
                setting.attributes,
                setting.kind,
                quick=setting.quick,
            ),
            **setting.parameters,
            **own,
            **({} if setting.lam is None else {"lam": setting.lam}),
        }
        if setting.kind == "table":
            return table(random_state=setting.seed, device="cpu", **parameters)
        if parameters.get("freeze") == "backbone":
            params = parameters.pop("backbone_params", None) or {}
            backbone = RememberingBackbone(parameters["backbone"], params)
            parameters["backbone"] = backbone
        return image(random_state=setting.seed, **parameters)

    return make


AUXILIARY = (AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier)
REGULARIZED = (RegularizedClassifier, RegularizedImageClassifier)
BOTH = ("table", "image")

# The paper compares groups over all classes and inside each batch, with lam=0.5.
IN_A_BATCH: dict[str, Any] = {"group_momentum": 0.0, "lam": 0.5}
ALL_CLASSES: dict[str, Any] = {"parity": "overall", **IN_A_BATCH}


def regularised(loss: str, **own: Any) -> Method:
    """Return the method that penalises the head that predicts by a fairness loss."""
    return Method(
        f"regularised-{loss}",
        _network(*REGULARIZED, fairness_loss=loss, **own),
        family="Regularised single task",
        fairness_loss=loss.upper(),
        has_lam=True,
        kinds=BOTH,
    )


def _auxiliary(loss: str) -> Method:
    return Method(
        f"auxiliary-{loss}",
        _network(
            *AUXILIARY,
            fairness_loss=loss,
            fairness_head="literal",
            representation_weight=0.0,
            **ALL_CLASSES,
        ),
        family="Auxiliary task (paper)",
        fairness_loss=loss.upper(),
        has_lam=True,
        kinds=BOTH,
    )


def _fairtask(name: str, networks: tuple[type, type], note: str, **own: Any) -> Method:
    is_single_task = own.get("lam") == 1
    return Method(
        name,
        _network(*networks, preset="defaults", **own),
        family="fairtask's defaults",
        fairness_loss="-" if is_single_task else "GLD",
        has_lam=not is_single_task,
        kinds=BOTH,
        note=note,
    )


def _peer(name: str, make: Callable[[Setting], Any], note: str, **more: Any) -> Method:
    return Method(name, make, "Peers (fairlearn)", "equalized odds", note=note, **more)


def _boosting(setting: Setting, trees: int = 100) -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(
        max_iter=10 if setting.quick else trees, random_state=setting.seed
    )


def _reduced_regression(setting: Setting) -> Reduction:
    regression = LogisticRegression(max_iter=1000)
    return Reduction(regression, EqualizedOdds(), max_iter=5 if setting.quick else 50)


def _reduced_boosting(setting: Setting) -> Reduction:
    # Full-size trees and fairlearn's 50 iterations take ten minutes a run on Adult.
    trees = _boosting(setting, 30)
    return Reduction(trees, EqualizedOdds(), max_iter=2 if setting.quick else 20)


def _thresholds(setting: Setting) -> ThresholdsPerGroup:
    return ThresholdsPerGroup(_boosting(setting))


def _fairlearn_adversarial(setting: Setting) -> SeededAdversarial:
    epochs = 2 if setting.quick else 50
    return SeededAdversarial(epochs=epochs, random_state=setting.seed)


RANDOMISED = "Draws its predictions; AUC is that of the probabilities of the draw."

BUILT_IN = [
    Method(BASELINE, _network(*AUXILIARY, lam=1.0), family="Single task", kinds=BOTH),
    regularised("bgl", **ALL_CLASSES),
    regularised("dpl", **IN_A_BATCH),
    regularised("fprl", **IN_A_BATCH),
    regularised("tprl", **IN_A_BATCH),
    Method(
        "adversarial",
        _network(AdversarialClassifier, AdversarialImageClassifier, lam=0.5),
        family="Adversarial",
        fairness_loss="CE",
        has_lam=True,
        kinds=BOTH,
    ),
    Method(
        "group-specific",
        _network(GroupSpecificClassifier, GroupSpecificImageClassifier),
        family="Group-specific",
        kinds=BOTH,
    ),
    _auxiliary("bgl"),
    _auxiliary("gld"),
    _auxiliary("glf"),
    _fairtask(
        "fairtask-single-task",
        AUXILIARY,
        "The defaults with lam=1, all epochs.",
        lam=1.0,
    ),
    _fairtask(
        "fairtask",
        AUXILIARY,
        "The defaults, all epochs: the validation part is not used.",
    ),
    _fairtask(
        "fairtask-regularised",
        REGULARIZED,
        "The same loss, on the head that predicts.",
        lam=AuxiliaryFairnessClassifier().lam,
    ),
    Method("boosting", _boosting, family="Peers, unconstrained"),
    _peer(
        "exponentiated-gradient",
        _reduced_regression,
        f"Logistic regression. {RANDOMISED}",
    ),
    _peer(
        "exponentiated-gradient-boosting",
        _reduced_boosting,
        f"30 boosted trees, at most 20 iterations. {RANDOMISED}",
    ),
    _peer(
        "fairlearn-adversarial",
        _fairlearn_adversarial,
        "Learning rate and size of batches: best accuracy on the validation part.",
    ),
    _peer(
        "threshold-optimizer",
        _thresholds,
        f"Boosted trees. {RANDOMISED}",
        groups_at_predict=True,
    ),
]
