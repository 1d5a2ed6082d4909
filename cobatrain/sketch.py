"""Gradients of millions of numbers as a few thousand, with their inner products kept.

A count sketch (Charikar, Chen, Farach-Colton 2002): coordinate i is multiplied by a random sign
and added to a random bucket of D. For any two vectors, E <Sx, Sy> = <x, y>, with variance at most
(|x|^2 |y|^2 + <x, y>^2) / D. Here a parameter is cut into rows of D coordinates, and each row is
shifted by a random number of buckets: two coordinates of one row never meet, any other two meet
with chance 1/D, which is what the bound needs, and a row is added at the speed of memory.

Sketches are linear: those of whole parameters, on whichever rank they are, add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from cobasim.arrays import RealArray
from cobasim.errors import InputError

GATHERED = 2**24
"""Coordinates that are looked up at once on a GPU: 128 MiB of places."""


class CountSketch:
    """Sketches the gradient of a list of parameters, one parameter at a time.

    Signs and shifts follow from the seed and the parameter's place. They are drawn once and kept, a
    byte for each coordinate: a quarter of a gradient. Drawing them for every gradient would take
    longer than the gradient.

    Args:
        sizes: number of coordinates of each parameter, in order.
        dim: D, the number of buckets.
        seed: fixes signs and shifts.
    """

    def __init__(self, sizes: Sequence[int], dim: int, seed: int) -> None:
        if dim < 1:
            raise InputError(f"a sketch needs at least one number, got --dim {dim}")
        self.sizes, self.dim, self.seed = tuple(sizes), dim, seed
        self._drawn: dict[int, tuple[Tensor, Tensor]] = {}

    def zeros(self, count: int = 1, device: torch.device | str = "cpu") -> Tensor:
        """An empty sketch of ``count`` gradients, (count, D)."""
        return torch.zeros((count, self.dim), dtype=torch.float32, device=device)

    def add(self, sketch: Tensor, number: int, gradient: Tensor) -> None:
        """Add gradients of parameter ``number``, (count, size), to their sketches (count, D)."""
        size = gradient.shape[1]
        if size != self.sizes[number]:
            raise ValueError(f"parameter {number} has {self.sizes[number]} numbers, got {size}")
        signs, shifts = self.drawn(number, gradient.device)
        add = add_rows if gradient.device.type == "cpu" else add_gathered
        add(sketch, gradient, signs, shifts)

    def sketch(self, gradients: Iterable[Tensor]) -> Tensor:
        """The sketch (1, D) of the gradients of all parameters, in order."""
        total: Tensor | None = None
        for number, gradient in enumerate(gradients):
            if total is None:
                total = self.zeros(device=gradient.device)
            self.add(total, number, gradient.reshape(1, -1).float())
        return self.zeros() if total is None else total

    def sketch_and_square(self, gradients: Iterable[Tensor]) -> tuple[RealArray, float]:
        """The sketch (D,) of the gradients of all parameters, and their squared length itself.

        Gradients are taken one at a time, so a generator keeps only one of them in memory.
        """
        square = 0.0

        def measured() -> Iterator[Tensor]:
            nonlocal square
            for gradient in gradients:
                square += float(gradient.float().square().sum())
                yield gradient

        total = self.sketch(measured()).cpu().numpy()[0]
        return total, square

    def drawn(self, number: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Signs (size,) and shifts (rows,) of a parameter."""
        if number not in self._drawn:
            size = self.sizes[number]
            rng = torch.Generator().manual_seed((self.seed * 1_000_003 + number) % 2**63)
            signs = torch.randint(0, 2, (size,), generator=rng, dtype=torch.int8).mul_(2).sub_(1)
            shifts = torch.randint(0, self.dim, (-(-size // self.dim),), generator=rng)
            self._drawn[number] = signs.to(device), shifts.to(device)
        return self._drawn[number]


def add_rows(sketch: Tensor, gradient: Tensor, signs: Tensor, shifts: Tensor) -> None:
    """Row by row: at the speed of memory on a CPU, thousands of small kernels on a GPU."""
    dim, size = sketch.shape[1], gradient.shape[1]
    for row, shift in enumerate(shifts.tolist()):
        part = slice(row * dim, min((row + 1) * dim, size))
        signed = gradient[:, part] * signs[part]
        head = min(dim - shift, signed.shape[1])  # before the row wraps around
        sketch[:, shift : shift + head] += signed[:, :head]
        if signed.shape[1] > head:
            sketch[:, : signed.shape[1] - head] += signed[:, head:]


def add_gathered(sketch: Tensor, gradient: Tensor, signs: Tensor, shifts: Tensor) -> None:
    """Many rows at a time, each bucket reading its coordinate: the same up to rounding.

    Sums have a fixed order, which adding into buckets on a GPU would not.
    """
    count, dim = sketch.shape
    columns = torch.arange(dim, device=sketch.device)
    rows = max(1, GATHERED // (dim * count))
    for start in range(0, len(shifts), rows):
        some = slice(start * dim, (start + rows) * dim)
        signed = gradient[:, some] * signs[some]
        lines = -(-signed.shape[1] // dim)
        signed = torch.nn.functional.pad(signed, (0, lines * dim - signed.shape[1]))
        source = (columns - shifts[start : start + rows, None]) % dim  # (lines, dim)
        table = signed.view(count, lines, dim)
        sketch += table.gather(2, source.expand(count, lines, dim)).sum(dim=1)
