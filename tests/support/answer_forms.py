"""A thousand ways to write an answer, right and wrong by construction, and who judges them how.

Run as a program, it compares our verdicts with those of stock math-verify and prints the table of
docs/tasks.md, and every disagreement: ``python tests/support/answer_forms.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

from expression_forms import (
    algebra,
    choices,
    collections,
    equations,
    exponents,
    others,
    roots,
    words,
)
from form import Form, boxed
from number_forms import (
    bases,
    decimals,
    fractions,
    other_numbers,
    plain_integers,
    prose,
    side_by_side,
    units,
    written_integers,
)


def forms() -> Iterator[Form]:
    """All forms."""
    for make in (
        plain_integers,
        written_integers,
        prose,
        other_numbers,
        decimals,
        fractions,
        side_by_side,
        units,
        bases,
        exponents,
        roots,
        algebra,
        collections,
        words,
        equations,
        choices,
        others,
    ):
        yield from make()


def stock_verdicts(given: list[Form]) -> list[bool]:
    """math-verify with its defaults, in this process: these responses are ours, not a model's."""
    from math_verify import parse, verify

    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return [bool(verify(parse(boxed(form.reference)), parse(form.response))) for form in given]


def our_verdicts(given: list[Form]) -> list[bool]:
    """The judge of tasks from files, with its defaults."""
    from cobatrain.tasks import Prompt, Verifier
    from cobatrain.tasks.verify import MathJudge

    with Verifier(MathJudge(), workers=2) as verifier:
        prompts = [Prompt("q", form.reference, "level", "source") for form in given]
        rewards = verifier.score(prompts, [form.response for form in given])
    return [bool(reward) for reward in rewards]


HEADING = (
    "| kind of answer | forms | both right | only ours right | only stock right | both wrong |\n"
    "|---|---|---|---|---|---|"
)


def table(given: list[Form], ours: list[bool], stock: list[bool]) -> list[str]:
    """Rows of the table, one a kind, and the sum."""
    counts: dict[str, list[int]] = {}
    for form, own, theirs in zip(given, ours, stock, strict=True):
        row = counts.setdefault(form.kind, [0, 0, 0, 0])
        row[2 * (own != form.right) + (theirs != form.right)] += 1
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    return [
        f"| {kind} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} | {row[3]} |"
        for kind, row in counts.items()
    ]


def main() -> None:
    given = list(forms())
    ours, stock = our_verdicts(given), stock_verdicts(given)
    print(HEADING, *table(given, ours, stock), sep="\n")
    print("\nDisagreements and errors (ours, stock: + passed, - did not):")
    for form, own, theirs in zip(given, ours, stock, strict=True):
        if own != theirs or own != form.right:
            marks = "".join("+" if passed else "-" for passed in (own, theirs))
            should = "right" if form.right else "wrong"
            print(f"{marks} {should}: {form.kind}: {form.reference!r} <- {form.response!r}")


if __name__ == "__main__":
    main()
