"""What methods share that predict the groups themselves."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = ["group_cross_entropy"]


def group_cross_entropy(
    logits: Tensor, groups: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy of predicted groups over the known ones; 0 without any."""
    known = (groups >= 0).to(logits.dtype)
    if weight is not None:
        known = known * weight
    losses = cross_entropy(logits, groups.clamp_min(0), reduction="none")
    total = known.sum()
    return (known * losses).sum() / torch.where(total > 0, total, 1)
