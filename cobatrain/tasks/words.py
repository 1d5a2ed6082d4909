"""One-step arithmetic and comparisons in words, for a model that reads: `What is 7 + 7?` -> `14`.

A level is a kind of pairs as in the arithmetic ladder, `2+1`, or `2>2` and `2<2` for the larger
and the smaller of two numbers; with `story` before it, a word problem about the same pairs. The
pairs of a kind are split once, so what is held out is so in either wording.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field

from cobasim.arrays import BoolArray, IntArray
from cobatrain.tasks.ladder import LadderConfig, LadderTask, Level, make_ladder
from cobatrain.tasks.operands import MAX_DIGITS, answers, parsed_kind, split_pairs
from cobatrain.tasks.verify import NumberMatch

LEVELS = ("1+1", "2+1", "1*1", "2-1", "2>2", "2<2", "story 2+1", "story 2-1")
"""The default ladder."""

_STORY = "story "

_QUESTIONS = {
    "+": "What is {a} + {b}?",
    "-": "What is {a} - {b}?",
    "*": "What is {a} times {b}?",
    ">": "Which number is larger, {a} or {b}?",
    "<": "Which number is smaller, {a} or {b}?",
}
_STORIES = {
    "+": (
        "Ann has {a} apples and buys {b} more. How many apples does she have now?",
        "There are {a} cars in a street, and {b} more arrive. How many cars are there?",
        "Tom reads {a} pages today and {b} pages tomorrow. How many pages does he read?",
        "A team has {a} points and wins {b} more. How many points does it have?",
    ),
    "-": (
        "Ann has {a} apples and eats {b} of them. How many apples are left?",
        "There are {a} cars in a street, and {b} of them leave. How many cars are there now?",
        "Tom has a book of {a} pages and reads {b} of them. How many pages are left?",
        "A shop has {a} lamps and sells {b} of them. How many lamps does it have now?",
    ),
    "*": (
        "There are {a} boxes with {b} pens in each. How many pens are there?",
        "Ann buys {a} books for {b} dollars each. How many dollars does she pay?",
        "Tom walks {a} miles a day for {b} days. How many miles does he walk?",
        "A hall has {a} rows of {b} seats. How many seats are there?",
    ),
}
_PLURAL = 2  # the least number in a story


def _parts(level: str) -> tuple[str, str]:
    """(kind of pairs, operation) of a level."""
    kind = level.removeprefix(_STORY)
    return kind, kind[1]


class WordsConfig(LadderConfig):
    """Settings of the ladder in words."""

    kind: Literal["words"] = "words"
    levels: tuple[str, ...] = LEVELS
    train_size: int = Field(default=512, ge=1)
    heldout_size: int = Field(default=128, ge=1)
    small_levels: Literal["repeat", "shrink"] = "shrink"

    @classmethod
    def check_level(cls, level: str) -> None:
        """Raise ValueError unless it is a kind of pairs, for a story one with + - or *."""
        parts = parsed_kind(level.removeprefix(_STORY))
        known = _STORIES if level.startswith(_STORY) else _QUESTIONS
        below_zero = parts is not None and parts[1] == "-" and parts[0] < parts[2]
        if parts is None or parts[1] not in known or below_zero:
            raise ValueError(
                f"unknown level in words {level!r}: expected digits, operation, digits such as "
                f"'2+1' or '2>2', with + - * > or < and at most {MAX_DIGITS} digits together; or "
                "'story 2+1', with + - or *; no answer is below 0"
            )


def _usable(level: str, pairs: IntArray) -> BoolArray:
    """Which pairs (n, 2) make a question: no negative answer, no tie, no story of 1 apples."""
    _, sign = _parts(level)
    left, right = pairs.T
    least = _PLURAL if level.startswith(_STORY) else 0
    usable: BoolArray = (left >= least) & (right >= least)
    if sign == "-":
        usable &= left >= right
    if sign in "<>":
        usable &= left != right
    return usable


def _asked(level: str, seed: int, pairs: IntArray) -> list[tuple[str, str]]:
    """(text, answer) of pairs (n, 2); a pair has one story."""
    _, sign = _parts(level)
    ways = _STORIES[sign] if level.startswith(_STORY) else (_QUESTIONS[sign],)
    which = (pairs @ [1, 2] + seed % len(ways)) % len(ways)
    right = answers(sign, pairs)
    return [
        (ways[way].format(a=a, b=b), str(answer))
        for (a, b), way, answer in zip(pairs.tolist(), which.tolist(), right.tolist(), strict=True)
    ]


def _level(name: str, fraction: float, seed: int) -> Level:
    train, heldout = split_pairs(_parts(name)[0], fraction, seed)
    return Level(
        name,
        train[_usable(name, train)],
        heldout[_usable(name, heldout)],
        partial(_asked, name, seed),
        {"choice": True} if _parts(name)[1] in "<>" else {},
    )


def make_words(config: WordsConfig, seed: int) -> LadderTask:
    """The ladder in words of a config and a seed.

    Reward: 1 if the number that the response states last (or as its answer) is the right one, else
    0; in comparisons, the number that it states first. See ``make_ladder`` for what is repeated.
    """
    levels = [_level(name, config.heldout_fraction, seed) for name in config.levels]
    return make_ladder("words", config, levels, NumberMatch(), seed)
