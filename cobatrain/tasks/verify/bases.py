"""Numbers with a base, 73_8, whose base math-verify does not read."""

from __future__ import annotations

import re
from dataclasses import dataclass

_BASED = re.compile(
    r"\(?(?P<digits>[0-9][0-9A-Za-z]{0,99})\)?\s*_\s*"
    r"(?:\{\s*)?(?:\\(?:text|mathrm)\s*\{\s*)?\(?(?P<base>\d{1,2}|[a-z]+)\)?\s*\}*",
    re.ASCII,
)
_NAMES = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8}
_NAMES |= {"nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16}
_PLAIN = re.compile(r"[0-9A-Za-z]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Based:
    """A number with its base."""

    digits: str
    base: int

    @property
    def value(self) -> int:
        """The number."""
        return int(self.digits, self.base)

    def is_same(self, answer: str) -> bool | None:
        """Whether an answer is this number; without a base it must have the same digits.

        None if it is neither one nor the other.
        """
        other = as_based(answer)
        if other is not None:
            return self.value == other.value
        if _PLAIN.fullmatch(answer):
            return answer.upper().lstrip("0") == self.digits.upper().lstrip("0")
        return None


def as_based(answer: str) -> Based | None:
    """The number with a base that the whole answer is; None for others, and for wrong digits."""
    match = _BASED.fullmatch(answer)
    if match is None:
        return None
    base = _NAMES.get(match["base"], 0) if match["base"].isalpha() else int(match["base"])
    try:
        int(match["digits"], base)
    except ValueError:
        return None
    return Based(match["digits"], base) if base else None
