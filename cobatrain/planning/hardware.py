"""The machine that a plan is made for, and what is assumed of it."""

from __future__ import annotations

from dataclasses import dataclass

from cobasim.errors import InputError

GIB = 2**30

FREE = 0.05
"""Share of a card's memory that a plan keeps free: an assumption, for what no formula here knows (a
card has less than its name says, the allocator's blocks do not pack)."""


@dataclass(frozen=True)
class Hardware:
    """``gpus`` equal cards in ``nodes`` equal machines, one process a card.

    Raises InputError for a value that no machine has.
    """

    gpus: int = 1
    gib: float = 80.0
    """Memory of a card, GiB."""
    tflops: float = 989.0
    """Peak of dense bfloat16 products, 1e12 operations a second; the default is an H100 SXM's."""
    efficiency: float = 0.35
    """Share of that peak which training reaches: an assumption."""
    bandwidth: float = 3.35
    """Of a card's memory, TB a second; the default is an H100 SXM's."""
    nodes: int = 1
    """Machines."""

    def __post_init__(self) -> None:
        if self.gpus < 1:
            raise InputError(f"--gpus is {self.gpus}: a plan needs at least one GPU")
        if self.nodes < 1 or self.gpus % self.nodes:
            raise InputError(
                f"--nodes is {self.nodes}: expected machines among which --gpus {self.gpus} can be "
                "divided evenly"
            )
        for name, value in (
            ("--gpu-gib", self.gib),
            ("--peak-tflops", self.tflops),
            ("--bandwidth", self.bandwidth),
        ):
            if not 0 < value < float("inf"):
                raise InputError(f"{name} is {value:g}: expected a number above 0")
        if not 0 < self.efficiency <= 1:
            raise InputError(f"--efficiency is {self.efficiency:g}: expected a share in (0, 1]")

    @property
    def bytes(self) -> int:
        """Memory of a card."""
        return int(self.gib * GIB)

    @property
    def usable(self) -> int:
        """Bytes of a card that a plan may use."""
        return int((1 - FREE) * self.bytes)

    @property
    def flops(self) -> float:
        """Operations a second and card that training is assumed to reach."""
        return self.tflops * 1e12 * self.efficiency
