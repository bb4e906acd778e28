"""History of a training: the terms of the objective, and the losses of the groups."""

from collections.abc import Sequence
from contextlib import nullcontext

import pandas as pd
import torch
from skorch.history import History
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairtask._labels import Tasks
from fairtask._processes import Processes, sum_over_processes
from fairtask._sensitive import SensitiveAttributes
from fairtask.losses import group_sums

__all__ = ["GroupLossRecorder", "group_cells", "group_table", "history_table"]

REDUCED_AT_ONCE = 16_384
"""Samples whose losses are added up by group at once."""

COUNTS = ("batches", "train_batch_count", "valid_batch_count")


class GroupLossRecorder:
    """Mean task loss of each group inside each class, over the batches of an epoch.

    Batches wait until they hold as many samples as are evaluated at once, so that a
    step does little more than keep its logits.

    Parameters
    ----------
    n_groups : sequence of int
        Number of groups of each attribute.
    processes : Processes, optional
        Processes whose samples are counted.
    """

    def __init__(
        self, n_groups: Sequence[int], processes: Processes | None = None
    ) -> None:
        self.n_groups = n_groups
        self.processes = processes
        self._waiting: list[tuple[list[Tensor], Tensor, Tensor, Tensor | None]] = []
        self._n_waiting = 0
        self._sums: Tensor | int = 0

    def add(
        self,
        logits: Sequence[Tensor],
        y: Tensor,
        groups: Tensor,
        weight: Tensor | None,
    ) -> None:
        """Add a batch; the arguments are those of `Objective.forward`."""
        self._waiting.append(([task.detach() for task in logits], y, groups, weight))
        self._n_waiting += len(y)
        if self._n_waiting >= REDUCED_AT_ONCE:
            self._reduce()

    def means(self) -> list[float]:
        """Means by attribute, task, class and group; NaN for a cell without samples."""
        if self._waiting:
            self._reduce()
        assert isinstance(self._sums, Tensor)
        with self.processes or nullcontext():
            ((losses, weights),) = sum_over_processes([self._sums])
        return (losses / weights).tolist()

    @torch.no_grad()
    def _reduce(self) -> None:
        """Add the waiting batches to the sums."""
        logits, y_parts, group_parts, weight = zip(*self._waiting, strict=True)
        y, groups = torch.cat(y_parts), torch.cat(group_parts)
        columns = []
        for k, parts in enumerate(zip(*logits, strict=True)):
            task, labels = torch.cat(parts), y[:, k]
            losses = cross_entropy(task, labels, reduction="none")
            classes = torch.arange(task.shape[1], device=y.device)
            weights = (labels.unsqueeze(-1) == classes).to(losses.dtype)
            if weight[0] is not None:
                weights = weights * torch.cat(weight).unsqueeze(-1)
            columns += [weights * losses.unsqueeze(-1), weights]
        sums = []
        for s, n_groups in enumerate(self.n_groups):
            by_task = group_sums(columns, groups[:, s], n_groups)
            for losses, weights in zip(by_task[::2], by_task[1::2], strict=True):
                sums.append(torch.stack([losses, weights]).flatten(1))
        self._sums = self._sums + torch.cat(sums, dim=1)
        self._waiting, self._n_waiting = [], 0


def history_table(history: History, terms: Sequence[str]) -> pd.DataFrame:
    """Return a row per epoch, without batches and without marks of the best epoch.

    Parameters
    ----------
    history : skorch.history.History
    terms : sequence of str
        Names of the terms of the objective. A term may have the name that skorch would
        give to such a mark.
    """
    own = {f"{part}_{term}" for part in ("train", "valid") for term in terms}
    epochs = [
        {
            key: value
            for key, value in epoch.items()
            if key in own
            or not (
                key in COUNTS
                or (key.endswith("_best") and key.removesuffix("_best") in epoch)
            )
        }
        for epoch in history
    ]
    return pd.DataFrame(epochs).set_index("epoch")


def group_cells(tasks: Tasks, attributes: SensitiveAttributes) -> pd.MultiIndex:
    """Return attribute, task, class and group of each recorded loss.

    A single task has no name, and no level.
    """
    names: list[tuple[str, ...]] = [(name,) for name in tasks.names] or [()]
    cells = [
        (attribute, *task, label, group)
        for attribute, groups in zip(attributes.names, attributes.groups, strict=True)
        for task, classes in zip(names, tasks.classes, strict=True)
        for label in pd.Series(classes)
        for group in pd.Series(groups)
    ]
    # The order of the cells must be that of the names for pandas, whose look-ups in
    # an unsorted index warn.
    levels = {"attribute": attributes.names}
    if tasks.names:
        levels["task"] = tasks.names
    table = pd.DataFrame(cells, columns=[*levels, "class", "group"], dtype=object)
    for level, values in levels.items():
        table[level] = pd.Categorical(table[level], values)
    index = pd.MultiIndex.from_frame(table)
    return index.set_levels(list(levels.values()), level=list(levels))


def group_table(
    epochs: Sequence[dict[str, list[float]]], index: pd.Index, cells: pd.MultiIndex
) -> pd.DataFrame:
    """Return a row per epoch, a column per part ("train" or "valid") and cell.

    Parameters
    ----------
    epochs : sequence of dict of str to list of float
        Output of `GroupLossRecorder.means` for each part.
    index : Index
        Numbers of the epochs.
    cells : MultiIndex
        Labels of the losses, in order.
    """
    parts = ["train"]
    if any("valid" in epoch for epoch in epochs):
        parts.append("valid")
    # An epoch may lack a part: a continued training may have no validation data,
    # and a callback can end an epoch at its beginning.
    absent = [float("nan")] * len(cells)
    return pd.concat(
        {
            part: pd.DataFrame(
                [epoch.get(part, absent) for epoch in epochs],
                index=index,
                columns=cells,
                dtype=float,
            )
            for part in parts
        },
        axis=1,
        names=["part"],
    )
