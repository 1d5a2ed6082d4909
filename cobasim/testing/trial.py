"""One allocator on trial: each rule of the contract as a method that raises AssertionError."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np

from cobasim.allocation import Allocator, Limits, Observation
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.testing.batches import Batch, observation

RULES: dict[str, str] = {
    "kind": "is an Allocator whose parameters are frozen",
    "budgets": "gives whole budgets within the bounds that sum to exactly the total",
    "input": "does not change the observation",
    "deterministic": "depends on nothing but the observation and the limits",
    "infeasible": "raises InputError for a total that the bounds do not allow",
    "equals": "gives equal budgets to prompts that look the same, up to a remainder",
    "order": "does not depend on the order of the prompts, up to a remainder",
}
"""What ``check_allocator`` holds an allocator to, by the name under which it can be exempted."""

MILLION = 1_000_000


class Trial:
    """One allocator, the rules that it is held to, and what it has answered so far."""

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

    def fails(self, rule: str, what: str, batch: Batch | None = None) -> None:
        """Raise AssertionError, unless the rule is exempt."""
        if rule not in self.rules:
            return
        where = "" if batch is None else _shown(*batch)
        raise AssertionError(
            f"{self.name}: {what}\n  rule {rule!r}: an allocator {RULES[rule]}{where}"
        )

    def check_kind(self) -> None:
        """It is an Allocator, and frozen."""
        kind = type(self.allocator)
        if not isinstance(self.allocator, Allocator):
            self.fails("kind", "is not a subclass of cobasim.allocation.Allocator")
        params = vars(kind).get("__dataclass_params__")  # of the class itself, not inherited
        if params is None or not params.frozen:
            self.fails(
                "kind", "its class lacks the decorator @dataclass(frozen=True, kw_only=True)"
            )

    def ask(self, obs: Observation, limits: Limits) -> IntArray:
        """The budgets; an exception breaks the rule "budgets"."""
        try:
            return self.answer(self.allocator, obs, limits)
        except Exception as error:
            self.fails(
                "budgets", f"raised {type(error).__name__}: {error}, though the total is feasible",
                (obs, limits),
            )  # fmt: skip
            raise

    def answer(self, allocator: Allocator, obs: Observation, limits: Limits) -> IntArray:
        """The budgets, or the sum of all rounds."""
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

    def check_batch(self, obs: Observation, limits: Limits) -> IntArray:
        """One batch: the budgets are allowed, equal prompts get equal ones, nothing is changed."""
        batch = obs, limits
        before = [array.copy() for array in _arrays(obs)]
        budgets = self.ask(obs, limits)
        self.batches += 1
        if not all(
            np.array_equal(old, new, equal_nan=True)
            for old, new in zip(before, _arrays(obs), strict=True)
        ):
            self.fails("input", "changed the arrays of the observation in place", batch)
        self._check_budgets(batch, budgets)
        if not np.array_equal(budgets, self.ask(obs, limits)):
            self.fails("deterministic", "gave different budgets when asked again", batch)
        self._check_equals(batch, budgets)
        shape = self.allocator.shape(obs)
        if shape is not None and not (len(shape) == 2 and min(shape) > 0.0):
            self.fails("kind", f"shape() must be None or two numbers above 0, got {shape}", batch)
        if self.batches % 17 == 1:
            self.kept.append((obs, limits, budgets))
        return budgets

    def _check_budgets(self, batch: Batch, budgets: IntArray) -> None:
        """An array of whole numbers within the bounds, with the right sum."""
        obs, limits = batch
        if not isinstance(budgets, np.ndarray) or budgets.dtype.kind != "i":
            kind = getattr(budgets, "dtype", type(budgets).__name__)
            self.fails("budgets", f"gave {kind} instead of a numpy array of whole numbers", batch)
        m = obs.pass_rate.size
        if budgets.shape != (m,):
            self.fails("budgets", f"gave shape {budgets.shape}, expected ({m},)", batch)
        if self.exact and int(budgets.sum()) != limits.total:
            self.fails("budgets", f"spent {budgets.sum()} rollouts, not {limits.total}", batch)
        least = limits.low if self.exact else 0
        if budgets.min() < least or (self.exact and budgets.max() > limits.high):
            self.fails(
                "budgets",
                f"gave {budgets.min()} to {budgets.max()} rollouts, outside {least} to "
                f"{limits.high}",
                batch,
            )

    def _check_equals(self, batch: Batch, budgets: IntArray) -> None:
        """Prompts with the same evidence differ by no more than the slack; so do unseen ones.

        Rates inside (0, 1) but within 1e-9 of an end are not judged: there the second rollout is
        worth as much as the first to the last bit, and any split is as good as any other.
        """
        obs, _ = batch
        edge = np.minimum(obs.pass_rate, 1.0 - obs.pass_rate)
        judged = ~obs.seen | (edge == 0.0) | (edge > 1e-9)
        # a prompt that is not judged is the only one of its kind
        rate = np.where(
            judged, np.where(obs.seen, obs.pass_rate, -1.0), -2.0 - np.arange(edge.size)
        )
        evidence = np.stack([rate, obs.attempts, *(obs.posterior or ())])
        _, kind = np.unique(evidence, axis=1, return_inverse=True)
        kind = kind.reshape(-1)
        most = np.full(kind.max() + 1, -1, dtype=np.int64)
        least = np.full(kind.max() + 1, np.iinfo(np.int64).max, dtype=np.int64)
        np.maximum.at(most, kind, budgets)
        np.minimum.at(least, kind, budgets)
        worst = int((most - least).argmax())
        if most[worst] - least[worst] > self.slack:
            self.fails(
                "equals",
                f"gave {least[worst]} to {most[worst]} rollouts to prompts that look the same "
                f"(prompts {_short(np.flatnonzero(kind == worst))}); the allowed difference is "
                f"{self.slack}",
                batch,
            )

    def check_memory(self) -> None:
        """Later batches have left no trace, and a second instance agrees."""
        other = self.make()
        for obs, limits, budgets in self.kept:
            if not np.array_equal(self.answer(self.allocator, obs, limits), budgets):
                self.fails("deterministic", "remembers other batches", (obs, limits))
            if not np.array_equal(self.answer(other, obs, limits), budgets):
                self.fails("deterministic", "two instances disagree", (obs, limits))

    def check_infeasible(self) -> None:
        """Totals below m low or above m high are refused."""
        low, high = self.low, self.low + 8
        for attempts in ([16.0] * 4, [0.0] * 4, [16.0, 0.0, 16.0, 0.0]):
            for rates in ([0.2, 0.5, 0.9, 0.4], [0.0] * 4, [0.0, 0.5, 1.0, 0.2]):
                obs = observation(rates, attempts)
                for total in (-3, 4 * low - 1, 4 * high + 1, 10**12):
                    self._check_refusal(obs, Limits(total, low, high))

    def _check_refusal(self, obs: Observation, limits: Limits) -> None:
        try:
            self.allocator(obs, limits)
        except InputError:
            return
        except Exception as error:
            what = f"raised {type(error).__name__} instead of InputError: {error}"
        else:
            what = "answered, though the total is impossible"
        self.fails("infeasible", what, (obs, limits))

    def check_below_low(self) -> None:
        """With a smaller lower bound than it promises, it answers correctly or refuses."""
        for low in range(self.low):
            obs, limits = observation([0.2, 0.5, 0.0, 0.9]), Limits(4 * low + 9, low, low + 30)
            try:
                self.answer(self.allocator, obs, limits)
            except InputError:
                continue
            except Exception as error:
                self.fails("budgets", f"raised {type(error).__name__}: {error}", (obs, limits))
                continue
            self.check_batch(obs, limits)

    def check_order(self, rng: np.random.Generator) -> None:
        """Where all prompts are seen and different, budgets move with their prompts."""
        for m, high in ((2, 9), (11, 30), (64, 128)):
            for _ in range(4):
                rates = rng.permutation(np.arange(1, m + 1) / (m + 1.1))
                obs = observation(rates, failure_rate=float(rng.random()))
                total = int(rng.integers(m * self.low, m * (self.low + 12)))
                limits = Limits(min(total, m * high), self.low, high)
                move = rng.permutation(m)
                moved = observation(rates[move], failure_rate=obs.failure_rate)
                here = self.check_batch(obs, limits)[move]
                there = self.check_batch(moved, limits)
                if (worst := int(np.abs(here - there).max())) > self.slack:
                    self.fails(
                        "order",
                        f"a prompt's budget changed by {worst} rollouts when the batch was "
                        f"shuffled; the allowed difference is {self.slack}",
                        (obs, limits),
                    )

    def seconds_at_a_million(self, rng: np.random.Generator) -> float:
        """Seconds for a million prompts, 16 rollouts each on average, bounds low .. 128."""
        rates = rng.binomial(16, rng.beta(0.35, 0.8, MILLION)) / 16
        obs, limits = observation(rates, failure_rate=0.6), Limits(16 * MILLION, self.low, 128)
        began = time.perf_counter()
        budgets = self.ask(obs, limits)
        took = time.perf_counter() - began
        if self.exact and int(budgets.sum()) != limits.total:
            self.fails("budgets", f"spent {budgets.sum()} rollouts, not {limits.total}")
        return took


def _shown(obs: Observation, limits: Limits) -> str:
    """A batch in a message."""
    return (
        f"\n  limits: {limits}\n  pass_rate: {_short(obs.pass_rate)}\n  attempts: "
        f"{_short(obs.attempts)}\n  failure_rate: {obs.failure_rate}, progress: "
        f"{obs.progress:.3g}"
    )


def _arrays(obs: Observation) -> list[FloatArray]:
    return [obs.pass_rate, obs.attempts, *(obs.posterior or ())]


def _short(array: FloatArray | IntArray) -> str:
    return np.array2string(array, threshold=16, edgeitems=6, precision=4, max_line_width=10**6)
