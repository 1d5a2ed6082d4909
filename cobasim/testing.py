"""The contract of an allocator, as one function that any test can call. Needs numpy only.

from cobasim.testing import check_allocator

def test_my_allocator():
    check_allocator(MyAllocator)
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator

import numpy as np
from numpy.typing import ArrayLike

from cobasim.allocation import Allocator, Limits, Observation, make_allocator
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError, unknown_name

RULES: dict[str, str] = {
    "kind": "is an Allocator whose parameters are frozen",
    "budgets": "gives whole budgets within the bounds whose sum is exactly the total",
    "input": "leaves the observation as it was",
    "deterministic": "depends on nothing but the observation and the limits",
    "infeasible": "raises InputError for a total that the bounds do not allow",
    "equals": "gives prompts that look the same the same, but for a remainder",
    "order": "does not care for the order of the prompts, but for a remainder",
}
"""What ``check_allocator`` holds an allocator to, by the name under which it can be exempted."""

MILLION = 1_000_000


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
    """Hold an allocator to the contract of ``Allocator``; AssertionError at the first breach.

    Args:
        factory: makes the allocator (a class will do), or its name or import path.
        low: the smallest lower bound that it must be able to work with; below it, it may also
            raise InputError.
        slack: rollouts by which equal prompts, or one prompt at two places of the batch, may
            differ: what does not divide must go somewhere.
        exempt: names in RULES that this allocator is not held to, such as "order" for one that
            deals by position.
        samples: random batches, beside the degenerate ones.
        seed: of the random batches.
        million: also measure a batch of a million prompts (seconds, see ``Checked``).
        max_seconds_at_a_million: fail when that takes longer; implies ``million``. A time
            belongs to one machine: do not set it where others run the test.

    What an allocator says of itself in its class attributes counts as said. One that needs rounds
    is driven round by round, with outcomes drawn from the rates as given, and one that is not
    ``exact`` may skip prompts and spend another total; both are not held to "equals" and "order".
    One that needs features needs a learner: only "kind" and "infeasible" are checked.

    Raises InputError for an unknown rule. Whatever the allocator raises where it should answer is
    an AssertionError too.
    """
    for rule in exempt:
        if rule not in RULES:
            raise unknown_name("rule", rule, RULES)
    make = factory if callable(factory) else lambda: make_allocator(factory)
    trial = _Trial(make, low=low, slack=slack, rules=frozenset(RULES) - set(exempt))
    trial.kind()
    rng = np.random.default_rng(seed)
    if "features" in getattr(trial.allocator, "needs", ()):
        trial.infeasible()
        return Checked(0)
    for obs, limits in (*_degenerate(low), *_random(rng, samples, low)):
        trial.batch(obs, limits)
    trial.memory()
    trial.infeasible()
    trial.below_low()
    trial.order(rng)
    seconds = None
    if million or max_seconds_at_a_million is not None:
        seconds = trial.seconds(rng)
        if max_seconds_at_a_million is not None and seconds > max_seconds_at_a_million:
            raise AssertionError(
                f"{trial.name}: a million prompts took {seconds:.2f} s, more than "
                f"{max_seconds_at_a_million:g} s"
            )
    return Checked(trial.batches, seconds)


def observation(
    pass_rate: ArrayLike,
    attempts: ArrayLike = 16.0,
    *,
    failure_rate: float | None = 0.5,
    progress: float = 0.0,
) -> Observation:
    """An observation for tests: rates (m,), and the rollouts behind them, (m,) or one number."""
    p = np.asarray(pass_rate, dtype=np.float64)
    tried = np.broadcast_to(np.asarray(attempts, dtype=np.float64), p.shape).copy()
    return Observation(p, tried, failure_rate, progress)


def _degenerate(low: int) -> Iterator[tuple[Observation, Limits]]:
    """Batches of one kind: one prompt, all at an end, all equal, unseen; every sort of total."""
    batches: list[list[float]] = [
        [0.3], [0.0], [1.0], [0.0] * 7, [1.0] * 7, [0.5] * 6, [0.0, 1.0] * 4,
        [1e-300] * 3, [1.0 - 1e-16] * 3, [0.0, 0.0, 0.4, 1.0],
    ]  # fmt: skip
    for rates in batches:
        m = len(rates)
        partly = np.where(np.arange(m) % 2 == 0, 16.0, 0.0)
        for attempts in (np.full(m, 16.0), np.zeros(m), partly, np.full(m, 0.3)):
            for failure_rate in (None, 0.0, 0.4, 1.0):
                obs = observation(rates, attempts, failure_rate=failure_rate, progress=0.5)
                for total in {m * low, m * low + 1, m * (low + 3) + 1, m * (low + 7)}:
                    yield obs, Limits(min(total, m * (low + 7)), low, low + 7)
                yield obs, Limits(m * low, low, low)
                yield obs, Limits(m * (low + 3), low, 10**9)


def _random(
    rng: np.random.Generator, samples: int, low: int
) -> Iterator[tuple[Observation, Limits]]:
    """Batches as a run has them: measured rates with many ties, some prompts unseen."""
    for number in range(samples):
        m = int(rng.integers(1, 80))
        attempts = rng.choice([0.0, 0.3, 2.0, 16.0, 128.0], m)
        if number % 2:
            attempts = np.maximum(attempts, 2.0)  # none unseen
        true = rng.beta(0.35, 0.8, m)
        rolled = np.maximum(attempts, 1.0).astype(np.int64)
        rates = rng.binomial(rolled, true) / rolled if number % 3 else true
        rates = np.where(attempts > 0.0, rates, 0.5)
        least = low + int(rng.integers(0, 4))
        high = least + int(rng.integers(0, 60))
        limits = Limits(int(rng.integers(m * least, m * high + 1)), least, high)
        failure_rate = None if number % 5 == 0 else float(rng.random())
        plain = observation(
            rates, attempts, failure_rate=failure_rate, progress=float(rng.random())
        )
        if number % 4 == 3:  # with the evidence, as a posterior keeps it
            passes = rates * attempts
            beta = passes + 1.0, attempts - passes + 1.0
            plain = dataclasses.replace(plain, posterior=beta)
        yield plain, limits


class _Trial:
    """One allocator before its judges."""

    def __init__(
        self, make: Callable[[], Allocator], *, low: int, slack: int, rules: frozenset[str]
    ) -> None:
        self.make, self.low, self.slack, self.rules = make, low, slack, rules
        self.allocator = make()
        self.name = type(self.allocator).__name__
        self.exact = bool(getattr(self.allocator, "exact", True))
        self.in_rounds = "rounds" in getattr(self.allocator, "needs", ())
        if self.in_rounds or not self.exact:
            self.rules = rules - {"equals", "order"}
        self.batches = 0
        self.kept: list[tuple[Observation, Limits, IntArray]] = []

    def fails(self, rule: str, what: str, case: tuple[Observation, Limits] | None = None) -> None:
        """Raise, unless exempt."""
        if rule not in self.rules:
            return
        where = ""
        if case is not None:
            obs, limits = case
            where = (
                f"\n  limits: {limits}\n  pass_rate: {_short(obs.pass_rate)}\n  attempts: "
                f"{_short(obs.attempts)}\n  failure_rate: {obs.failure_rate}, progress: "
                f"{obs.progress:.3g}"
            )
        raise AssertionError(
            f"{self.name}: {what}\n  rule {rule!r}: an allocator {RULES[rule]}{where}"
        )

    def kind(self) -> None:
        """An Allocator, and frozen."""
        kind = type(self.allocator)
        if not isinstance(self.allocator, Allocator):
            self.fails("kind", "is no subclass of cobasim.allocation.Allocator")
        params = vars(kind).get("__dataclass_params__")  # of the class itself, not inherited
        if params is None or not params.frozen:
            self.fails(
                "kind", "its class lacks the decorator @dataclass(frozen=True, kw_only=True)"
            )

    def ask(self, obs: Observation, limits: Limits) -> IntArray:
        """The budgets, when there is an answer at all."""
        try:
            return self.answer(self.allocator, obs, limits)
        except Exception as error:
            self.fails(
                "budgets", f"raised {type(error).__name__}: {error}, though the total is feasible",
                (obs, limits),
            )  # fmt: skip
            raise

    def answer(self, allocator: Allocator, obs: Observation, limits: Limits) -> IntArray:
        """The budgets at once, or the sum of all rounds."""
        if not self.in_rounds:
            return allocator(obs, limits)
        m, luck = obs.pass_rate.size, np.random.default_rng(0)
        own = dataclasses.replace(
            obs, prompts=np.arange(m), memory=allocator.memory(m), rng=np.random.default_rng(1)
        )
        spent = np.zeros(m, dtype=np.int64)
        steps = allocator.rounds(own, limits)
        try:
            budgets = next(steps)
            while True:
                spent = spent + budgets
                budgets = steps.send(luck.binomial(budgets, obs.pass_rate))
        except StopIteration:
            return spent

    def batch(self, obs: Observation, limits: Limits) -> IntArray:
        """One batch: the budgets are allowed, equal prompts get equal ones, nothing is changed."""
        case = (obs, limits)
        before = [array.copy() for array in _arrays(obs)]
        budgets = self.ask(obs, limits)
        self.batches += 1
        if not all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(before, _arrays(obs), strict=True)
        ):
            self.fails("input", "changed the arrays of the observation in place", case)
        if not isinstance(budgets, np.ndarray) or budgets.dtype.kind != "i":
            found = getattr(budgets, "dtype", type(budgets).__name__)
            self.fails("budgets", f"gave {found} instead of a numpy array of whole numbers", case)
        m = obs.pass_rate.size
        if budgets.shape != (m,):
            self.fails("budgets", f"gave shape {budgets.shape}, expected ({m},)", case)
        if self.exact and int(budgets.sum()) != limits.total:
            self.fails("budgets", f"spent {budgets.sum()} rollouts, not {limits.total}", case)
        least = limits.low if self.exact else 0
        if budgets.min() < least or (self.exact and budgets.max() > limits.high):
            self.fails(
                "budgets",
                f"gave {budgets.min()} to {budgets.max()} rollouts, outside {least} to "
                f"{limits.high}",
                case,
            )
        if not np.array_equal(budgets, self.ask(obs, limits)):
            self.fails("deterministic", "gave other budgets when asked again", case)
        self._equals(obs, limits, budgets)
        shape = self.allocator.shape(obs)
        if shape is not None and not (len(shape) == 2 and min(shape) > 0.0):
            self.fails("kind", f"shape() must be None or two numbers above 0, got {shape}", case)
        if self.batches % 17 == 1:
            self.kept.append((obs, limits, budgets))
        return budgets

    def _equals(self, obs: Observation, limits: Limits, budgets: IntArray) -> None:
        """Prompts with the same evidence differ by no more than the slack; so do unseen ones.

        Rates inside (0, 1) within 1e-9 of an end are not judged: there the second rollout is
        worth as much as the first to the last bit, and any split is as good as any other.
        """
        edge = np.minimum(obs.pass_rate, 1.0 - obs.pass_rate)
        judged = ~obs.seen | (edge == 0.0) | (edge > 1e-9)
        # what is not judged is a kind of its own each
        rate = np.where(
            judged, np.where(obs.seen, obs.pass_rate, -1.0), -2.0 - np.arange(edge.size)
        )
        seen = np.stack([rate, obs.attempts, *(obs.posterior or ())])
        _, group = np.unique(seen, axis=1, return_inverse=True)
        group = group.reshape(-1)
        most = np.full(group.max() + 1, -1, dtype=np.int64)
        least = np.full(group.max() + 1, np.iinfo(np.int64).max, dtype=np.int64)
        np.maximum.at(most, group, budgets)
        np.minimum.at(least, group, budgets)
        worst = int((most - least).argmax())
        if most[worst] - least[worst] > self.slack:
            self.fails(
                "equals",
                f"gave {least[worst]} to {most[worst]} rollouts to prompts that look the same "
                f"(the {worst + 1}th kind: prompts {_short(np.flatnonzero(group == worst))}); "
                f"allowed is a difference of {self.slack}",
                (obs, limits),
            )

    def memory(self) -> None:
        """Later batches have left no trace, and a second instance agrees."""
        other = self.make()
        for obs, limits, budgets in self.kept:
            if not np.array_equal(self.answer(self.allocator, obs, limits), budgets):
                self.fails("deterministic", "remembers other batches", (obs, limits))
            if not np.array_equal(self.answer(other, obs, limits), budgets):
                self.fails("deterministic", "two instances disagree", (obs, limits))

    def infeasible(self) -> None:
        """Totals below m low or above m high."""
        low, high = self.low, self.low + 8
        for attempts in ([16.0] * 4, [0.0] * 4, [16.0, 0.0, 16.0, 0.0]):
            for rates in ([0.2, 0.5, 0.9, 0.4], [0.0] * 4, [0.0, 0.5, 1.0, 0.2]):
                obs = observation(rates, attempts)
                for total in (-3, 4 * low - 1, 4 * high + 1, 10**12):
                    limits = Limits(total, low, high)
                    try:
                        self.allocator(obs, limits)
                    except InputError:
                        continue
                    except Exception as error:
                        self.fails(
                            "infeasible", f"raised {type(error).__name__}: {error}", (obs, limits)
                        )
                        continue
                    self.fails("infeasible", "answered", (obs, limits))

    def below_low(self) -> None:
        """With a smaller lower bound than it promises: right, or refused."""
        for low in range(self.low):
            obs, limits = observation([0.2, 0.5, 0.0, 0.9]), Limits(4 * low + 9, low, low + 30)
            try:
                self.answer(self.allocator, obs, limits)
            except InputError:
                continue
            except Exception as error:
                self.fails("budgets", f"raised {type(error).__name__}: {error}", (obs, limits))
                continue
            self.batch(obs, limits)

    def order(self, rng: np.random.Generator) -> None:
        """All seen and all different: budgets move with their prompts."""
        for m, high in ((2, 9), (11, 30), (64, 128)):
            for _ in range(4):
                rates = rng.permutation(np.arange(1, m + 1) / (m + 1.1))
                obs = observation(rates, failure_rate=float(rng.random()))
                limits = Limits(
                    int(rng.integers(m * self.low, m * (self.low + 12))), self.low, high
                )
                limits = Limits(min(limits.total, m * high), self.low, high)
                move = rng.permutation(m)
                moved = observation(rates[move], failure_rate=obs.failure_rate)
                here, there = self.batch(obs, limits)[move], self.batch(moved, limits)
                if (worst := int(np.abs(here - there).max())) > self.slack:
                    self.fails(
                        "order",
                        f"a prompt's budget changed by {worst} rollouts when the batch was "
                        f"shuffled; allowed is {self.slack}",
                        (obs, limits),
                    )

    def seconds(self, rng: np.random.Generator) -> float:
        """Seconds for a million prompts, 16 rollouts each on average, bounds low .. 128."""
        rates = rng.binomial(16, rng.beta(0.35, 0.8, MILLION)) / 16
        obs, limits = observation(rates, failure_rate=0.6), Limits(16 * MILLION, self.low, 128)
        began = time.perf_counter()
        budgets = self.ask(obs, limits)
        took = time.perf_counter() - began
        if self.exact and int(budgets.sum()) != limits.total:
            self.fails("budgets", f"spent {budgets.sum()} rollouts, not {limits.total}")
        return took


def _arrays(obs: Observation) -> list[FloatArray]:
    return [obs.pass_rate, obs.attempts, *(obs.posterior or ())]


def _short(array: FloatArray | IntArray) -> str:
    return np.array2string(array, threshold=16, edgeitems=6, precision=4, max_line_width=10**6)
