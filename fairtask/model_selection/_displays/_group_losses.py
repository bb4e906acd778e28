"""Learning curves of the groups."""

from typing import Any, Literal, Self

import numpy as np
import pandas as pd

from fairtask._validation import check_one_of
from fairtask.model_selection._displays._shared import (
    BESIDE,
    MAX_NAMED,
    group_name,
    make_axes,
    styles,
)

__all__ = ["GroupLossDisplay"]


class GroupLossDisplay:
    """Learning curves of the groups: a panel per attribute and class, a line per group.

    It is made by `from_estimator`.

    Parameters
    ----------
    losses : DataFrame
        A row per epoch; columns with the levels "attribute", "class" and "group" (and
        "task" of several tasks), as ``group_history_`` has them for one part.
    part : str
        For the axes.

    Attributes
    ----------
    axes_ : ndarray of shape (n_attributes, n_classes)
        Where it was drawn.
    figure_ : Figure

    Examples
    --------
    >>> from fairtask import AuxiliaryFairnessClassifier
    >>> from fairtask.datasets import make_biased_classification
    >>> from fairtask.model_selection import GroupLossDisplay
    >>> X, y, z = make_biased_classification(n_samples=1_000, random_state=0)
    >>> clf = AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> clf.fit(X, y, sensitive_features=z)
    AuxiliaryFairnessClassifier(max_epochs=3, random_state=0)
    >>> GroupLossDisplay.from_estimator(clf).axes_.shape
    (1, 2)
    """

    def __init__(self, losses: pd.DataFrame, *, part: str = "train") -> None:
        self.losses = losses
        self.part = part

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        part: Literal["train", "valid"] = "train",
        task: str | None = None,
        ax: Any = None,
    ) -> Self:
        """Draw what the training of an estimator of this package recorded.

        Parameters
        ----------
        estimator : estimator
            Fitted with sensitive features.
        part : {"train", "valid"}, default="train"
            Training samples, as the network was in training; or validation samples.
        task : str, default=None
            One of several tasks. None: the only one.
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.

        Returns
        -------
        display : GroupLossDisplay

        Raises
        ------
        ValueError
            If nothing was recorded for the part, or there are several tasks and none is
            named.
        """
        check_one_of("part", part, ("train", "valid"))
        history = getattr(estimator, "group_history_", None)
        if history is None:
            raise ValueError(
                "`estimator` must be a fitted estimator of this package, which records "
                f"the losses of groups; got {type(estimator).__name__}."
            )
        if not history.shape[1] or part not in history.columns.get_level_values("part"):
            raise ValueError(
                f"`part={part!r}` was not recorded: `fit` needs `sensitive_features`"
                f"{' and validation data' if part == 'valid' else ''}."
            )
        losses = history.xs(part, axis=1, level="part")
        if "task" in losses.columns.names:
            tasks = losses.columns.unique("task").tolist()
            if task not in tasks:
                raise ValueError(f"`task` must be one of {tasks}; got {task!r}.")
            losses = losses.xs(task, axis=1, level="task")
        elif task is not None:
            raise ValueError(f"`task` must be None for one task; got {task!r}.")
        return cls(losses, part=part).plot(ax=ax)

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : array-like of Axes, default=None
            Where to draw, an axes for each panel. None: in a new figure.

        Returns
        -------
        display : GroupLossDisplay
        """
        attributes = self.losses.columns.unique("attribute")
        classes = self.losses.columns.unique("class")
        self.figure_, self.axes_ = make_axes(
            ax, len(attributes), len(classes), size=(4.2, 3.0), sharex=True
        )
        for row, attribute in zip(self.axes_, attributes, strict=True):
            losses: Any = self.losses.xs(attribute, axis=1, level="attribute")
            named = _most_different(losses)
            for panel, c in zip(row, classes, strict=True):
                self._plot_panel(panel, losses.xs(c, axis=1, level="class"), named)
                panel.set_title(f"class {c}", fontsize="medium")
            row[0].set_ylabel(f"{self.part} loss")
            row[-1].legend(
                title=attribute,
                fontsize="small",
                **BESIDE,
            )
        for panel in self.axes_[-1]:
            panel.set_xlabel("epoch")
            panel.xaxis.get_major_locator().set_params(integer=True)
        return self

    def _plot_panel(self, ax: Any, curves: Any, named: list) -> None:
        every = max(1, len(curves) // 8)
        for group in curves.columns:
            if group not in named:
                ax.plot(curves.index, curves[group], color="0.85", linewidth=0.7)
        for group, style in zip(named, styles(len(named)), strict=True):
            ax.plot(
                curves.index,
                curves[group] if group in curves else np.full(len(curves), np.nan),
                label=group_name(group),
                markevery=every,
                markersize=4,
                linewidth=1.2,
                **style,
            )


def _most_different(losses: pd.DataFrame) -> list:
    """Return the groups to name: of many those that end farthest from the middle."""
    last = losses.ffill().iloc[-1].unstack("class")
    farthest = (last - last.median()).abs().max(axis=1).sort_values(ascending=False)
    chosen = set(farthest.index[:MAX_NAMED])
    return [group for group in losses.columns.unique("group") if group in chosen]
