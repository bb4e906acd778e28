"""What is compared: the rows of the paper's Table 1, ours, and the peers."""

import importlib.metadata
import runpy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fairlearn.reductions import EqualizedOdds
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

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
from fairtask.image import AuxiliaryFairnessImageClassifier
from fairtask.tabular import AuxiliaryFairnessClassifier

__all__ = ["BASELINE", "BUILT_IN", "Method", "Setting", "find_methods"]

ENTRY_POINTS = "fairtask.methods"

BASELINE = "single-task"
"""The method that delta-m is relative to, and that is not ranked."""


@dataclass(frozen=True)
class Setting:
    """What a method is made for.

    Parameters
    ----------
    preset : {"paper", "tuned"}
        Recipe of the networks: the paper's, or that of fairtask's defaults.
    dataset : str
        Name of the data.
    attributes : tuple of str
        Names of the sensitive attributes.
    kind : {"table", "image"}
        What the samples are: arrays of shape (n_samples, n_features), or paths.
    seed : int
        Seed of the run.
    lam : float or None, default=None
        Weight of the task. None: the method's own.
    quick : bool, default=False
        Whether to train as little as will do to see that all works.
    parameters : mapping, default={}
        Parameters of fairtask's networks, in place of the recipe's; what makes a
        method the one it is comes before both.
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
        What the command line and the tables call it.
    make : callable
        From a `Setting` to an unfitted classifier with ``fit(X, y)`` and ``predict(X)``
        for labels 0 and 1. ``fit`` may also take ``sensitive_features`` (a data frame
        with a column per attribute), ``X_val``, ``y_val`` and
        ``sensitive_features_val``; ``predict`` may take ``random_state``. Scores come
        from ``predict_proba``, ``decision_function`` or, without either, ``predict``.
        An argument counts only where it has a name: a pipeline, which takes anything,
        is given no groups.
    family : str, default="Yours"
        Heading of the row: what the paper calls architecture.
    fairness_loss : str, default="-"
        What it minimises besides the loss of the task.
    has_lam : bool, default=False
        Whether it follows ``setting.lam``, so that ``ablate`` varies it.
    kinds : tuple of str, default=("table",)
        The kinds of samples it takes: "table", "image".
    note : str, default=""
        What a reader of the table must know.
    groups_at_predict : bool, default=False
        Whether ``predict`` and what gives the scores get ``sensitive_features``, where
        they name them. The table says so.

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
    """Methods by name: built in, of installed packages, and of the user's files.

    A package adds methods by an entry point of the group ``fairtask.methods``, a file
    by a list ``METHODS``.

    Raises
    ------
    ValueError
        If a file or an entry point gives no methods, or two have the same name.
    """
    sources: dict[str, Any] = {"fairtask": list(BUILT_IN)}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        loaded = entry.load()
        sources[entry.value] = [loaded] if isinstance(loaded, Method) else loaded
    for file in files:
        if not Path(file).is_file():
            raise ValueError(f"`methods_file` must be a file of Python; got {file}.")
        try:
            sources[str(file)] = runpy.run_path(str(file)).get("METHODS")
        except Exception as error:  # whatever the user's file may raise
            raise ValueError(f"{file}: {type(error).__name__}: {error}") from error
    methods: dict[str, Method] = {}
    for source, found in sources.items():
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
                    f"{source}: a method's name must do for a folder; got "
                    f"{method.name!r}."
                )
            if method.name in methods:
                raise ValueError(
                    f"{source}: there is a method {method.name!r} already."
                )
            methods[method.name] = method
    return methods


def _network(
    table: type, image: type, preset: str | None = None, **own: Any
) -> Callable[[Setting], Any]:
    """Networks of fairtask, with the recipe of the preset and parameters of their own.

    With `preset` the recipe is that one's, whichever is asked for.
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
            params = parameters.pop("backbone_params", {})
            backbone = RememberingBackbone(parameters["backbone"], params)
            parameters["backbone"] = backbone
        return image(random_state=setting.seed, **parameters)

    return make


OURS = (AuxiliaryFairnessClassifier, AuxiliaryFairnessImageClassifier)
REGULARIZED = (RegularizedClassifier, RegularizedImageClassifier)
BOTH = ("table", "image")

# The paper's: groups are compared over all classes and inside each batch, lam=0.5.
IN_A_BATCH: dict[str, Any] = {"group_momentum": 0.0, "lam": 0.5}
OVERALL: dict[str, Any] = {"parity": "overall", **IN_A_BATCH}


def _regularised(name: str, **own: Any) -> Method:
    return Method(
        f"regularised-{name}",
        _network(*REGULARIZED, fairness_loss=name, **own),
        family="Regularised single task",
        fairness_loss=name.upper(),
        has_lam=True,
        kinds=BOTH,
    )


def _auxiliary(name: str) -> Method:
    return Method(
        f"auxiliary-{name}",
        _network(*OURS, fairness_loss=name, fairness_head="literal", **OVERALL),
        family="Auxiliary task (paper)",
        fairness_loss=name.upper(),
        has_lam=True,
        kinds=BOTH,
    )


def _quick(setting: Setting, few: int, many: int) -> int:
    return few if setting.quick else many


def _boosting(setting: Setting) -> HistGradientBoostingClassifier:
    trees = _quick(setting, 10, 100)
    return HistGradientBoostingClassifier(max_iter=trees, random_state=setting.seed)


def _reduced_regression(setting: Setting) -> Reduction:
    return Reduction(
        LogisticRegression(max_iter=1000),
        EqualizedOdds(),
        max_iter=_quick(setting, 5, 50),
    )


def _reduced_boosting(setting: Setting) -> Reduction:
    # Full-size trees and fairlearn's 50 iterations take ten minutes a run on Adult.
    trees = _quick(setting, 10, 30)
    return Reduction(
        HistGradientBoostingClassifier(max_iter=trees, random_state=setting.seed),
        EqualizedOdds(),
        max_iter=_quick(setting, 2, 20),
    )


def _thresholds(setting: Setting) -> ThresholdsPerGroup:
    return ThresholdsPerGroup(_boosting(setting))


def _fairlearn_adversarial(setting: Setting) -> SeededAdversarial:
    return SeededAdversarial(epochs=_quick(setting, 2, 50), random_state=setting.seed)


RANDOMISED = "Draws its predictions; AUC is that of the probabilities of the draw."

BUILT_IN = [
    Method(BASELINE, _network(*OURS, lam=1.0), family="Single task", kinds=BOTH),
    _regularised("bgl", **OVERALL),
    _regularised("dpl", **IN_A_BATCH),
    _regularised("fprl", **IN_A_BATCH),
    _regularised("tprl", **IN_A_BATCH),
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
    Method(
        "fairtask-single-task",
        _network(*OURS, preset="defaults", lam=1.0),
        family="fairtask's defaults",
        kinds=BOTH,
        note="The defaults with lam=1, all epochs.",
    ),
    Method(
        "fairtask",
        _network(*OURS, preset="defaults"),
        family="fairtask's defaults",
        fairness_loss="GLD",
        has_lam=True,
        kinds=BOTH,
        note="The defaults, all epochs: the validation part is not used.",
    ),
    Method(
        "fairtask-regularised",
        _network(
            *REGULARIZED, preset="defaults", lam=AuxiliaryFairnessClassifier().lam
        ),
        family="fairtask's defaults",
        fairness_loss="GLD",
        has_lam=True,
        kinds=BOTH,
        note="The same loss, on the head that predicts.",
    ),
    Method("boosting", _boosting, family="Peers, unconstrained"),
    Method(
        "exponentiated-gradient",
        _reduced_regression,
        family="Peers (fairlearn)",
        fairness_loss="equalized odds",
        note=f"Logistic regression. {RANDOMISED}",
    ),
    Method(
        "exponentiated-gradient-boosting",
        _reduced_boosting,
        family="Peers (fairlearn)",
        fairness_loss="equalized odds",
        note=f"30 boosted trees, at most 20 iterations. {RANDOMISED}",
    ),
    Method(
        "fairlearn-adversarial",
        _fairlearn_adversarial,
        family="Peers (fairlearn)",
        fairness_loss="equalized odds",
        note="Learning rate and size of batches: best accuracy on the validation part.",
    ),
    Method(
        "threshold-optimizer",
        _thresholds,
        family="Peers (fairlearn)",
        fairness_loss="equalized odds",
        note=f"Boosted trees. {RANDOMISED}",
        groups_at_predict=True,
    ),
]
