"""What allocators need beyond pass rates, declared once and checked once."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from cobasim.errors import InputError
from cobasim.plugins import Registry


@dataclass(frozen=True)
class Need:
    """Something that an allocator may declare in ``Allocator.needs``.

    Attributes:
        phrase: what an allocator with this need does, completing "allocator X ...".
        method: the learner's method that serves the need; None: the loop serves it.
        required: whether a learner without the method is refused. Otherwise the allocator does
            without.
    """

    phrase: str
    method: str | None = None
    required: bool = False


NEEDS = Registry(
    "need",
    {
        "beliefs": Need("acts on pass-rate estimates"),
        "evidence": Need("weighs the number of attempts behind each pass rate"),
        "progress": Need("follows the share of the run that is done"),
        "randomness": Need("draws random numbers"),
        "rounds": Need("spends its rollouts in rounds", "rollout_more", required=True),
        "part": Need("trains on a part of its rollouts", "keep", required=True),
        "features": Need(
            "reads a feature vector of every prompt", "prompt_features", required=True
        ),
        "lengths": Need("reads response lengths", "response_tokens"),
        "gradient_norms": Need("reads gradient norms of prompts", "gradient_norms"),
        "parts": Need("reads what gradients are made of", "gradient_parts"),
    },
)


def served_by(learner: object) -> frozenset[str]:
    """The needs that a learner (an object or its class) can serve."""
    return frozenset(
        name
        for name, need in NEEDS.items()
        if need.method is None or callable(getattr(learner, need.method, None))
    )


def check_evidence(allocator: str, needs: Collection[str], *, known: bool) -> None:
    """Raise InputError if an allocator weighs attempts that are not known."""
    if "evidence" in needs and not known:
        raise InputError(
            f"allocator {allocator!r} weighs how many attempts are behind each pass rate, and they "
            "are not known: give attempts, one number for all (--attempts 16) or one for each"
        )


def check_needs(
    allocator: str, needs: Iterable[str], served: Collection[str], learner: str
) -> None:
    """Raise InputError if an allocator requires something that a learner cannot serve.

    Args:
        allocator, learner: names, for the message.
        needs: names in NEEDS.
        served: names in NEEDS, as from ``served_by``.
    """
    for name in sorted(needs):
        need = NEEDS.find(name)
        if need.required and name not in served:
            raise InputError(
                f"allocator {allocator!r} {need.phrase}, but {learner} has no method "
                f"{need.method}: choose another allocator, or add the method "
                "(docs/add-learner.md)"
            )
