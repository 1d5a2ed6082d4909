"""The constraint of the allocation problem: a total, and bounds for every prompt; kept or not."""

from __future__ import annotations

import operator
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import IntArray
from cobasim.errors import InputError


@dataclass(frozen=True)
class Limits:
    """``sum_i B_i = total`` with ``low <= B_i <= high`` for each prompt.

    Attributes:
        total: rollouts to spend on the batch.
        low: the fewest rollouts that a prompt gets (>= 0).
        high: the most rollouts that a prompt gets (>= low).

    Raises InputError when the three contradict each other or are no whole numbers.
    """

    total: int
    low: int = 2
    high: int = 128

    def __post_init__(self) -> None:
        for name in ("total", "low", "high"):
            given = getattr(self, name)
            try:
                if isinstance(given, (bool, np.bool_)):
                    raise TypeError
                object.__setattr__(self, name, operator.index(given))
            except TypeError:
                raise InputError(f"{name} must be a whole number, got {given!r}") from None
        if self.low < 0:
            raise InputError(f"low must be at least 0, got {self.low}")
        if self.low > self.high:
            raise InputError(
                f"low ({self.low}) is above high ({self.high}): swap them or widen the bounds"
            )

    def for_batch(self, num_prompts: int) -> Limits:
        """The same limits with ``high`` lowered to what one of ``num_prompts`` prompts can get.

        Raises InputError when ``num_prompts`` prompts cannot be given exactly ``total``.
        """
        least, most = num_prompts * self.low, num_prompts * self.high
        if not least <= self.total <= most:
            raise InputError(
                f"a total of {self.total} rollouts cannot be met: {num_prompts} prompts with "
                f"{self.low} to {self.high} rollouts each can spend {least} to {most}; "
                "change the total or the bounds"
            )
        return Limits(self.total, self.low, min(self.high, self.low + self.total - least))


def check_whole(name: str, asked: IntArray, size: int) -> int:
    """The least budget of what an allocator gave; InputError unless they are (m,) whole, >= 0."""
    whole = isinstance(asked, np.ndarray) and asked.dtype.kind in "iu"
    if not whole or asked.shape != (size,) or (least := int(asked.min())) < 0:
        raise InputError(f"{name} must give {size} whole budgets >= 0, got {asked!r}")
    return least


def check_spent(name: str, budgets: IntArray, limits: Limits, exact: bool) -> None:
    """Raise InputError unless an allocator spent (m,) what it says it spends."""
    total, least, most = int(budgets.sum()), int(budgets.min()), int(budgets.max())
    if most > limits.high:
        raise InputError(f"{name} gave a prompt {most} rollouts, above high ({limits.high})")
    if exact and (total != limits.total or least < limits.low):
        raise InputError(
            f"{name} spent {total} rollouts, at least {least} on each prompt, where a total of "
            f"{limits.total} and at least {limits.low} were asked for: correct it, or set "
            "`exact = False`"
        )
