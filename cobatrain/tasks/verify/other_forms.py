"""A reference answer in another form, by which a task checks that it can be met at all."""

from __future__ import annotations

from cobatrain.tasks.verify.equality import expected
from cobatrain.tasks.verify.words import rewrapped, speaks


def other_forms(answer: str) -> tuple[str, ...]:
    r"""Spellings of an answer that differ from the reference; itself if it states none.

    A number becomes a fraction: 6 is \frac{12}{2}. Words are set in \text{...}, or are taken out of
    it. The rest is put in braces, so that both must be parsed to be equal.
    """
    gold = expected(answer)
    if gold is None:
        return (answer,)
    if gold.number is not None:
        top, bottom = 2 * gold.number.numerator, 2 * gold.number.denominator
        return (f"\\frac{{{top}}}{{{bottom}}}",)
    if gold.based is not None:
        digits, base = gold.based.digits, gold.based.base
        braced = f"{digits}_{{{base}}}"
        return (f"{digits}_{base}" if gold.text == braced else braced,)
    if gold.words is not None or speaks(gold.text):
        return (rewrapped(gold.text),)
    return (f"{{{gold.text}}}", f"\\displaystyle {gold.text}")
