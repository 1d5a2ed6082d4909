"""One way to write an answer to a reference, and whether it is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    """One way to write an answer to a reference, and whether it is right."""

    kind: str
    reference: str
    response: str
    right: bool


def boxed(answer: str) -> str:
    return "\\boxed{" + answer + "}"


def both(kind: str, reference: str, right: list[str], wrong: list[str]) -> Iterator[Form]:
    """Boxed answers, right and wrong."""
    for answer in right:
        yield Form(kind, reference, boxed(answer), True)
    for answer in wrong:
        yield Form(kind, reference, boxed(answer), False)
