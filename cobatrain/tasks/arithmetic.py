"""The built-in arithmetic ladder: `12+7=` -> `19`, graded by operation and number of digits."""

from __future__ import annotations

from functools import partial
from typing import Literal

from cobasim.arrays import IntArray
from cobatrain.tasks.ladder import LadderConfig, LadderTask, Level, make_ladder
from cobatrain.tasks.operands import MAX_DIGITS, answers, parsed_kind, split_pairs
from cobatrain.tasks.verify import ExactMatch

LEVELS = ("1+1", "1-1", "1*1", "2+1", "2-1", "2*1", "2+2", "2-2", "2*2", "3+2", "3-2", "3*2")
"""The default ladder: digits of the left operand, operation, digits of the right operand."""


class ArithmeticConfig(LadderConfig):
    """Settings of the arithmetic ladder."""

    kind: Literal["arithmetic"] = "arithmetic"
    levels: tuple[str, ...] = LEVELS

    @classmethod
    def check_level(cls, level: str) -> None:
        """Raise ValueError unless it is digits, operation, digits."""
        parts = parsed_kind(level)
        if parts is None or parts[1] not in "+-*":
            raise ValueError(
                f"unknown arithmetic level {level!r}: expected digits, operation, digits such as "
                f"'2+1' or '3*2', with + - or * and at most {MAX_DIGITS} digits together"
            )


def _asked(sign: str, pairs: IntArray) -> list[tuple[str, str]]:
    """(text, answer) of pairs (n, 2)."""
    right = answers(sign, pairs).tolist()
    return [(f"{a}{sign}{b}=", str(c)) for (a, b), c in zip(pairs.tolist(), right, strict=True)]


def make_arithmetic(config: ArithmeticConfig, seed: int) -> LadderTask:
    """The arithmetic ladder of a config and a seed.

    Reward: 1 if the response, stripped of white space, is the canonical integer (no leading zeros,
    no plus sign, no "-0"), else 0. See ``make_ladder`` for what is repeated.
    """
    levels = [
        Level(name, *split_pairs(name, config.heldout_fraction, seed), partial(_asked, name[1]))
        for name in config.levels
    ]
    return make_ladder("arithmetic", config, levels, ExactMatch(), seed)
