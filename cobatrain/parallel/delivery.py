"""One rank reads a model, all get it: a part at a time, so that nobody else holds it whole.

In: a model that is filled on rank 0 and may be empty (on torch's meta device) on the others.
Out: the same model, filled on every rank, on its device.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.distributed as dist
from torch import Tensor, nn

from cobasim.errors import InputError
from cobatrain.parallel.ranks import Ranks, together


class Delivery:
    """Rank 0's parameters and buffers on their way to the models of all ranks. Collective.

    Types are those of rank 0, and what rank 0 shares between modules (tied embeddings) is shared
    everywhere. Raises InputError if this rank's model has other names or shapes than rank 0's, and
    PeerError if another rank's has.
    """

    def __init__(self, model: nn.Module, ranks: Ranks, device: torch.device) -> None:
        self._model, self._device = model, device
        self._waiting = dict(_tensors(model))
        own = {name: tuple(tensor.shape) for name, tensor in self._waiting.items()}
        shapes, self._sent = ranks.gather((own, self._described()))[0]
        together(ranks, lambda: _check_same(own, shapes))

    def deliver(self, prefix: str = "") -> None:
        """Fill, in place, what has a name that starts so and was not delivered yet. Collective.

        Raises InputError if a part shares a tensor with another part.
        """
        filled: dict[str, Tensor] = {}
        for name in [name for name in self._waiting if name.startswith(prefix)]:
            holder, dtype = self._sent[name]
            tensor = self._waiting.pop(name)
            if holder == name:
                filled[name] = self._received(tensor, dtype)
            elif holder not in filled:
                raise InputError(
                    f"{name} is {holder}, in another layer: such a model cannot be sharded; set "
                    "parallel: replicate"
                )
            if tensor is not filled[holder]:
                owner, _, last = name.rpartition(".")
                setattr(self._model.get_submodule(owner), last, filled[holder])

    def _received(self, tensor: Tensor, dtype: torch.dtype) -> Tensor:
        if tensor.is_meta:
            made = torch.empty(tensor.shape, dtype=dtype, device=self._device)
            if isinstance(tensor, nn.Parameter):
                made = nn.Parameter(made, requires_grad=tensor.requires_grad)
            tensor = made
        else:
            tensor.data = tensor.data.to(self._device, dtype).contiguous()
        dist.broadcast(tensor.data, src=0)
        return tensor

    def _described(self) -> dict[str, tuple[str, torch.dtype]]:
        """Of every tensor the name under which it comes first, and its type."""
        known: dict[int, str] = {}
        return {
            name: (known.setdefault(id(tensor), name), tensor.dtype)
            for name, tensor in self._waiting.items()
        }


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers under all their names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _check_same(own: dict[str, tuple[int, ...]], first: dict[str, tuple[int, ...]]) -> None:
    wrong = sorted({name for name, _ in own.items() ^ first.items()})
    if wrong:
        raise InputError(
            f"this rank's model is not rank 0's: {len(wrong)} tensors differ, such as {wrong[0]}; "
            "give all machines the same model folder"
        )
