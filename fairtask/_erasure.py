"""Erasure: the groups' means become equal inside each class, in closed form."""

from collections.abc import Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from fairtask._data import SampleDataset
from fairtask._net import FairnessNet
from fairtask.losses import FairnessLoss
from fairtask.losses._fairness_loss import cell_members
from fairtask.modules import MeanErasure, MultiTaskNetwork
from fairtask.objective import cross_entropies

__all__ = ["erase", "erase_means"]

RIDGE = 1e-4
"""Share of the mean variance that is added to each variance of the covariance."""

STEPS = 100
"""Most steps of L-BFGS for the task heads."""


def erase_means(
    net: FairnessNet,
    dataset: SampleDataset,
    losses: Sequence[Sequence[FairnessLoss]],
) -> None:
    """Set the erasure of a trained net, and fit its task heads to the result.

    Parameters
    ----------
    net : FairnessNet
        Its network has an erasure.
    dataset : SampleDataset
        The training samples.
    losses : sequence of S sequences of K FairnessLoss
        The losses of each attribute on each task; they say what is compared.
    """
    (h,) = net.evaluate(dataset, lambda network, X, _: [network.trunk(X)])
    strata = [[loss.strata().unique(dim=0) for loss in each] for each in losses]
    with net.threads():
        erase(net.module_, h.to(net.device), dataset.target, strata)


def erase(
    network: MultiTaskNetwork,
    h: Tensor,
    target: Mapping[str, Tensor],
    strata: Sequence[Sequence[Tensor]],
) -> None:
    """Do the same, given the output of the trunk and the strata of each loss."""
    y, groups = target["y"].cpu(), target["groups"].cpu()
    n_groups = (groups.amax(0) + 1).tolist()
    members = [
        cell_members(of_task.T[y[:, k]], groups[:, s], n_groups[s]).double()
        for s, of_attribute in enumerate(strata)
        for k, of_task in enumerate(of_attribute)
    ]
    weight = target.get("group_weight")
    if weight is not None:
        members = [cells * weight.cpu().double()[:, None, None] for cells in members]
    erasure = cast(MeanErasure, network.erasure)
    erasure.removed.copy_(_removal(h.cpu().double(), members))
    _fit_heads(network.task_heads, erasure(h).detach(), target)


def _removal(h: Tensor, members: Sequence[Tensor]) -> Tensor:
    r"""Return the matrix Q for which h - h Q has cells with equal means.

    NOTE: with the differences :math:`D` between the cells' means and that of the large
    cells of their stratum, and the covariance S inside the cells,

    .. math:: Q = S^{-1} D^\top (D S^{-1} D^\top + N)^{-1} D

    Without N it is the oblique projection on the span of D that changes h least in the
    Mahalanobis distance. N is 0 for a cell of at least p samples. The mean of a smaller
    one of n samples is mostly noise, of a squared length of p / n: it is N. It must not
    move the mean of the stratum, or else it is in the differences of the large cells.

    A unit that varies in few samples becomes 0. Where it does not vary, as in most new
    samples, it would hold nothing but a multiple of the score that is erased.
    """
    strata = [cells for each in members for cells in each.unbind(1) if cells.any()]
    if not strata:
        return h.new_zeros(h.shape[1], h.shape[1])
    few = min(h.shape[1], len(h) // 10)
    live = (h != h.median(0).values).sum(0) > few
    Q = torch.diag((~live).to(h))
    h, n_features = h[:, live], int(live.sum())
    covariance = h.new_zeros(n_features, n_features)
    differences, noise = [], []
    for cells in strata:
        totals = cells.sum(0)
        cells, totals = cells[:, totals > 0], totals[totals > 0]
        means = (cells.T @ h) / totals[:, None]
        sizes = totals.square() / cells.square().sum(0)
        is_large = sizes >= n_features
        shares = totals * is_large if is_large.any() else totals
        differences.append(means - (shares @ means) / shares.sum())
        noise.append(torch.where(is_large, 0, n_features / sizes))
        inside = h - (cells > 0).to(h) @ means
        covariance += (cells.sum(1, keepdim=True) * inside).T @ inside / totals.sum()
    covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
    D = torch.cat(differences)
    whitened = torch.linalg.solve(covariance / len(differences), D.T)
    # The differences of a stratum add up to zero: there is no inverse. Means that are
    # equal but for rounding errors have no direction to remove.
    inverse = torch.linalg.pinv(
        D @ whitened + torch.cat(noise).diag(), hermitian=True, rtol=1e-10, atol=1e-10
    )
    Q[live.nonzero(), live.nonzero().T] = whitened @ inverse @ D
    return Q


def _fit_heads(heads: nn.ModuleList, h: Tensor, target: Mapping[str, Tensor]) -> None:
    """Fit the task heads to a representation that does not change any more.

    The penalty on their weights is that of scikit-learn's logistic regression.
    """
    y, weight = target["y"], target.get("task_weight")
    optimizer = torch.optim.LBFGS(
        heads.parameters(), max_iter=STEPS, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        optimizer.zero_grad()
        losses = cross_entropies([head(h) for head in heads], y, weight)
        squares = [w.square().sum() for w in heads.parameters() if w.ndim > 1]
        total = torch.stack(losses).sum() + torch.stack(squares).sum() / (2 * len(h))
        total.backward()
        return total

    optimizer.step(loss)
    optimizer.zero_grad()
