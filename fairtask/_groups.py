"""Group membership: the one reduction from samples to groups."""

import torch
from torch import Tensor

__all__ = ["UNKNOWN", "group_means"]

UNKNOWN = -1
"""Code of a sample that belongs to no group."""


def group_means(
    values: Tensor, weights: Tensor, codes: Tensor, n_groups: int
) -> tuple[Tensor, Tensor]:
    """Weighted mean of the values in each group, for each stratum.

    The membership is a dense matrix: there is no branch on the data and no wait for
    the device, ``torch.compile`` and ``torch.func.vmap`` go through it, and sums are
    bitwise reproducible, which scattered additions on a GPU are not.

    Parameters
    ----------
    values : Tensor of shape (n_samples, n_strata)
        Finite numbers.
    weights : Tensor of shape (n_samples, n_strata)
        Weight of each sample in each stratum, at least 0; 0 where it is not in it.
    codes : Tensor of shape (n_samples,), integer
        Group of each sample, 0 to ``n_groups - 1``. A sample with another code, such
        as `UNKNOWN`, belongs to no group.
    n_groups : int
        Number of groups.

    Returns
    -------
    means : Tensor of shape (n_strata, n_groups)
        Mean of each cell, 0 for a cell without weight.
    totals : Tensor of shape (n_strata, n_groups)
        Sum of the weights of each cell.
    """
    groups = torch.arange(n_groups, device=codes.device)
    # Mixed precision would round the sums, and with them the differences.
    with torch.autocast(codes.device.type, enabled=False):
        members = (codes.unsqueeze(-1) == groups).to(weights.dtype)
        totals = weights.mT @ members
        sums = (weights * values).mT @ members
    return sums / torch.where(totals > 0, totals, 1), totals
