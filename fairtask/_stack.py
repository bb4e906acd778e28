"""Several models of one form, computed at once."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.func import functional_call, vmap

__all__ = ["ModuleStack"]


class ModuleStack(nn.Module):
    """Copies of a module, each with weights and buffers of its own.

    Parameters
    ----------
    module : nn.Module
        Its weights and buffers become those of all copies, along a new first dimension.
    n_copies : int
    in_dims : tuple
        Of each input, the dimension along which each copy has its own, or None for an
        input that they share; see `torch.func.vmap`. They share named inputs.
    shares_constants : bool, default=False
        Whether the copies share the buffers that are not saved. Results of these and of
        shared inputs are then computed once.
    """

    def __init__(
        self,
        module: nn.Module,
        n_copies: int,
        *,
        in_dims: tuple,
        shares_constants: bool = False,
    ) -> None:
        super().__init__()
        saved = set(module.state_dict())
        self.module = module
        self.in_dims = in_dims
        self.own = [
            name
            for name, _, _ in _tensors(module)
            if name in saved or not shares_constants
        ]
        self._replace(
            module, lambda tensor: tensor.expand(n_copies, *tensor.shape).clone()
        )

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call each copy; results have the copies along their first dimension."""
        tensors = {name: place[key] for name, place, key in _tensors(self.module)}

        def call(own: dict[str, Tensor], *args: Any) -> Any:
            return functional_call(self.module, own, args, kwargs, tie_weights=False)

        # NOTE: with "same", dropout is that of a model that is trained alone.
        call_all = vmap(call, in_dims=(0, *self.in_dims), randomness="same")
        return call_all({name: tensors[name] for name in self.own}, *args)

    def copy(self, i: int) -> nn.Module:
        """Return copy number `i` as a module by itself."""
        module = copy.deepcopy(self.module)
        self._replace(module, lambda tensor: tensor[i].clone())
        return module

    def _replace(self, module: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
        """Change the tensors of the copies; weights that are shared stay shared."""
        changed: dict[int, tuple[Tensor, Tensor]] = {}
        for name, place, key in _tensors(module):
            if name in self.own:
                before = place[key]
                if id(before) not in changed:
                    changed[id(before)] = before, _like(before, change(before.detach()))
                place[key] = changed[id(before)][1]


def _tensors(module: nn.Module) -> Iterator[tuple[str, dict, str]]:
    """Yield the name of each weight and buffer, and where it can be replaced."""
    for prefix, part in list(module.named_modules()):
        for place in (part._parameters, part._buffers):
            for key, tensor in list(place.items()):
                if tensor is not None:
                    yield f"{prefix}.{key}" if prefix else key, place, key


def _like(before: Tensor, tensor: Tensor) -> Tensor:
    """Return a parameter if the tensor before was one."""
    if isinstance(before, nn.Parameter):
        return nn.Parameter(tensor, before.requires_grad)
    return tensor
