"""Several objectives instead of a weighted sum: aggregators of torchjd."""

import copy
from typing import Any

import torch
from torch import Tensor

from fairtask._processes import current_processes, sum_over_processes
from fairtask.modules import HeadOutputs, MultiTaskNetwork
from fairtask.objective import Terms

__all__ = ["AggregatedBackward", "check_aggregator"]


def check_aggregator(aggregator: Any) -> Any:
    """Return a copy of an aggregator, or raise if it is none.

    Raises
    ------
    ImportError
        If torchjd is not installed.
    ValueError
        If `aggregator` is not an instance of `torchjd.aggregation.Aggregator`.
    """
    try:
        from torchjd.aggregation import Aggregator
    except ImportError as error:
        raise ImportError(
            "`aggregator` needs torchjd; install it with `pip install torchjd`."
        ) from error
    if not isinstance(aggregator, Aggregator):
        raise ValueError(
            "`aggregator` must be None or an instance of a class of "
            f"torchjd.aggregation, such as PCGrad(); got {aggregator!r}."
        )
    return copy.deepcopy(aggregator)  # some keep a state of one training


class AggregatedBackward:
    """Backward pass in which an aggregator combines the gradients of the trunk.

    The gradients of the weighted task loss and of each attribute's weighted fairness
    loss with respect to the trunk are the rows of a Jacobian, which the aggregator
    turns into one gradient. Heads keep their own gradients.

    Parameters
    ----------
    aggregator : torchjd.aggregation.Aggregator
    """

    def __init__(self, aggregator: Any) -> None:
        self.aggregator = aggregator

    def __call__(
        self, network: MultiTaskNetwork, outputs: HeadOutputs, terms: Terms
    ) -> Tensor:
        """Set the gradients; return the value of the objective."""
        from torchjd.autojac import jac_to_grad, mtl_backward

        trunk: list[Any] = [p for p in network.trunk.parameters() if p.requires_grad]
        mtl_backward(
            terms.weighted, features=outputs.representation, shared_params=trunk
        )
        processes = current_processes()
        if processes is None:
            jac_to_grad(trunk, self.aggregator)
        else:
            # Each process combines the rows of all, and its share will be added up.
            rows = sum_over_processes([weight.jac for weight in trunk])
            for weight, of_all in zip(trunk, rows, strict=True):
                weight.jac = of_all
            jac_to_grad(trunk, self.aggregator)
            for weight in trunk:
                weight.grad /= processes.size
        if terms.head_loss.requires_grad:
            terms.head_loss.backward()
        return torch.stack(terms.weighted).sum().detach()
