"""Group membership: the one reduction from samples to groups."""

import torch
from torch import Tensor

__all__ = ["UNKNOWN", "group_means"]

UNKNOWN = -1
"""Code of a sample that belongs to no group."""


def group_means(values: Tensor, codes: Tensor, n_groups: int) -> tuple[Tensor, Tensor]:
    """Mean of the values in each group.

    The membership is a dense matrix: there is no branch on the data and no wait for
    the device, ``torch.compile`` and ``torch.func.vmap`` go through it, and sums are
    bitwise reproducible, which scattered additions on a GPU are not.

    Parameters
    ----------
    values : Tensor of shape (n_samples,)
        One finite number per sample.
    codes : Tensor of shape (n_samples,), integer
        Group of each sample, 0 to ``n_groups - 1``. A sample with another code, such
        as `UNKNOWN`, belongs to no group.
    n_groups : int
        Number of groups.

    Returns
    -------
    means : Tensor of shape (n_groups,)
        Mean of each group, 0 for a group without samples.
    counts : Tensor of shape (n_groups,)
        Number of samples of each group, in the dtype of `values`.
    """
    groups = torch.arange(n_groups, device=codes.device)
    members = (codes.unsqueeze(-1) == groups).to(values.dtype)
    counts = members.sum(0)
    return values @ members / counts.clamp_min(1), counts
