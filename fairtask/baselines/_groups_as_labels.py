"""What methods share that predict the groups themselves."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from fairtask._groups import UNKNOWN
from fairtask._training import Samples

__all__ = ["group_cross_entropy", "n_known_groups"]


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


def n_known_groups(samples: Samples, attribute: int) -> int:
    """Return the number of groups of an attribute that occur."""
    codes = samples.sensitive.codes[:, attribute]
    return len(np.unique(codes[codes != UNKNOWN]))
