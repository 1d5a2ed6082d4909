"""One function that holds an allocator to its contract."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection

import numpy as np

from cobasim.allocation import Allocator, make_allocator
from cobasim.errors import unknown_name
from cobasim.testing.batches import degenerate_batches, random_batches
from cobasim.testing.trial import RULES, Trial


@dataclasses.dataclass(frozen=True)
class Checked:
    """What ``check_allocator`` did: batches allocated, and seconds for a million prompts."""

    batches: int
    seconds_at_a_million: float | None = None


def check_allocator(
    factory: Callable[[], Allocator] | str,
    *,
    low: int = 1,
    slack: int = 1,
    exempt: Collection[str] = (),
    samples: int = 60,
    seed: int = 0,
    million: bool = False,
    max_seconds_at_a_million: float | None = None,
) -> Checked:
    """Hold an allocator to the contract of ``Allocator``.

    Args:
        factory: makes the allocator (a class works too), or its name or import path.
        low: the smallest lower bound that it must be able to work with; below it, it may also
            raise InputError.
        slack: rollouts by which equal prompts, or one prompt at two places of the batch, may
            differ: a remainder that cannot be shared equally must go somewhere.
        exempt: names in RULES that this allocator is not held to, such as "order" for one that
            deals by position.
        samples: number of random batches, in addition to the degenerate ones.
        seed: of the random batches.
        million: also time a batch of a million prompts (``Checked.seconds_at_a_million``).
        max_seconds_at_a_million: fail if that takes longer; implies ``million``. A time belongs
            to one machine: do not set it in tests that run elsewhere.

    The class attributes of an allocator are taken at their word. One that needs rounds is driven
    round by round, with outcomes drawn from the rates as given. One that is not ``exact`` may skip
    prompts and spend another total. Neither is held to "equals" and "order". One that needs
    features needs a learner: only "kind" and "infeasible" are checked.

    Raises AssertionError at the first broken rule; an exception of the allocator where it should
    answer counts as one. Raises InputError for an unknown name in ``exempt``.
    """
    for rule in exempt:
        if rule not in RULES:
            raise unknown_name("rule", rule, RULES)
    make = factory if callable(factory) else lambda: make_allocator(factory)
    trial = Trial(make, low=low, slack=slack, rules=frozenset(RULES) - set(exempt))
    trial.check_kind()
    rng = np.random.default_rng(seed)
    if "features" in getattr(trial.allocator, "needs", ()):
        trial.check_infeasible()
        return Checked(0)
    for obs, limits in (*degenerate_batches(low), *random_batches(rng, samples, low)):
        trial.check_batch(obs, limits)
    trial.check_memory()
    trial.check_infeasible()
    trial.check_below_low()
    trial.check_order(rng)
    seconds = None
    if million or max_seconds_at_a_million is not None:
        seconds = trial.seconds_at_a_million(rng)
        if max_seconds_at_a_million is not None and seconds > max_seconds_at_a_million:
            raise AssertionError(
                f"{trial.name}: a million prompts took {seconds:.2f} s, more than "
                f"{max_seconds_at_a_million:g} s"
            )
    return Checked(trial.batches, seconds)
