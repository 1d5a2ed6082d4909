"""Ask for budgets, tell what came of them: all that lies between is kept here.

The trainer owns prompts, rollouts and updates; the ledger owns beliefs, the capability window, the
allocator's memory and the records. It is the step of ``cobasim.loop`` seen from the other side and
shares its ``Account``: with the same prompts and outcomes both give the same budgets.
"""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike

from cobasim.account import Account
from cobasim.allocation import Limits, Observation, check_spent, check_whole, make_estimator
from cobasim.arrays import FloatArray, IntArray
from cobasim.budgets.counts import as_numbers, as_outcomes, as_shares
from cobasim.budgets.keys import KeyPool, as_keys
from cobasim.budgets.recording import SOURCE, Recording
from cobasim.budgets.serving import build
from cobasim.errors import InputError, unknown_name
from cobasim.records import RunHeader, StepRecord

WEIGHTINGS: Final = ("rollout", "prompt", "token")
ROOM: Final = 1024  # prompts that there is room for at first; doubled when it is used up


@dataclass(frozen=True)
class Rates:
    """What is believed of all n prompts that were ever asked for.

    Attributes:
        keys: of the prompts, in the order in which they first came.
        pass_rate: (n,) estimates in [0, 1].
        attempts: (n,) rollouts behind each estimate, possibly discounted; 0 = unseen.
    """

    keys: list[Hashable]
    pass_rate: FloatArray
    attempts: FloatArray


@dataclass(frozen=True)
class _Asked:
    """Budgets (m,) for prompts (m,) whose outcomes are not told yet."""

    prompts: IntArray
    budgets: IntArray
    limits: Limits
    seconds: float
    rng: np.random.Generator | None  # as the allocator left it

    def state_dict(self) -> dict[str, Any]:
        """As plain values and arrays."""
        return {
            "prompts": self.prompts.copy(),
            "budgets": self.budgets.copy(),
            "total": self.limits.total,
            "seconds": self.seconds,
            "rng": None if self.rng is None else self.rng.bit_generator.state,
        }


class BudgetLedger:
    """Budgets for a trainer of your own: ``ask`` before the rollouts, ``tell`` after them.

    Prompts go by keys: any hashables, such as uids, dataset indices or hashes of the text. New ones
    join the pool as they come, unseen. Equal keys (1, 1.0 and True, too) are one prompt.

    Args:
        total: rollouts to spend on a batch, unless ``ask`` is given another total.
        allocator: a name in ``usable_allocators()``, or the import path ``module:Class`` of your
            own.
        estimator: the rule of pass rates, a name in ESTIMATORS; None: that of the allocator.
        low, high: bounds of each budget.
        parameters, estimator_parameters: those of allocator and estimator.
        window: steps in the moving average of the failure rate.
        steps: of the whole run; only allocators that follow its progress need it.
        weighting: what counts equally in your loss: each "rollout", "prompt" or "token".
        seed: of allocators that draw lots; told apart by it in tables, too.
        records: a folder for the run's records, which the app shows live (docs/records.md); None:
            none are written. With several processes, give it to one of them.
        model: name of the model, for the records.

    Raises InputError for settings that cannot be used and for allocators that a ledger cannot
    serve; for ``records`` as ``Recording``.
    """

    def __init__(
        self,
        total: int,
        *,
        allocator: str = "signal",
        estimator: str | None = None,
        low: int = 2,
        high: int = 64,
        parameters: Mapping[str, Any] | None = None,
        estimator_parameters: Mapping[str, float] | None = None,
        window: int = 3,
        steps: int | None = None,
        weighting: str = "rollout",
        seed: int = 0,
        records: str | os.PathLike[str] | None = None,
        model: str | None = None,
    ) -> None:
        if weighting not in WEIGHTINGS:
            raise unknown_name("weighting", weighting, WEIGHTINGS)
        self.limits = Limits(_whole("total", total, 1), low, high)
        steps = None if steps is None else _whole("steps", steps, 1)
        self._allocator = build(allocator, parameters or {}, steps)
        self._settings: dict[str, Any] = {
            "total": self.limits.total,
            "low": self.limits.low,
            "high": self.limits.high,
            "allocator": allocator,
            "parameters": dict(parameters or {}),
            "estimator": estimator or self._allocator.estimator,
            "estimator_parameters": dict(estimator_parameters or {}),
            "window": _whole("window", window, 1),
            "steps": steps,
            "weighting": weighting,
            "seed": _whole("seed", seed, 0),
        }
        self._pool = KeyPool()
        self._account = self._new_account(0)
        self._asked: _Asked | None = None
        _keep_arrays_of_an_ask()
        self._recording = None if records is None else Recording(Path(records), self._header(model))

    @property
    def step(self) -> int:
        """Steps told so far."""
        return self._account.step

    @property
    def rollouts(self) -> int:
        """Rollouts told so far."""
        return self._account.rollouts

    def ask(self, keys: Any, total: int | None = None) -> IntArray:
        """Budgets (m,) for the prompts of the next batch.

        Args:
            keys: m distinct keys; m may differ from batch to batch.
            total: rollouts to spend on this batch; None: the ledger's.

        Returns int64 rollouts, low <= B_i <= high, which sum to exactly the total.

        Raises InputError, and changes nothing, if the outcomes of the last batch were not told, for
        keys that cannot be used, and for a total that these prompts cannot be given.
        """
        if self._asked is not None:
            raise InputError(
                f"asked again before the outcomes of step {self.step + 1} "
                f"({self._asked.prompts.size} prompts) were told: call tell(keys, budgets, passes) "
                "after the rollouts of each ask, or withdraw() if they were not made"
            )
        if self._recording is not None:
            self._recording.ready()
        distinct = as_keys(keys)
        limits = self.limits
        if total is not None:
            limits = replace(limits, total=_whole("total", total, 1))
        limits.for_batch(len(distinct))
        prompts, new = self._pool.number(distinct)
        if len(self._pool) + len(new) > self._account.num_prompts:
            self._account.resize(max(ROOM, 2 * self._account.num_prompts, 2 * len(new)))
        obs = self._observe(prompts, self._rng())
        name = type(self._allocator).__name__
        began = time.perf_counter()
        budgets = self._allocator(obs, limits)
        seconds = time.perf_counter() - began
        check_whole(name, budgets, prompts.size)
        check_spent(name, budgets, limits, exact=True)
        budgets = budgets.astype(np.int64)
        self._pool.add(new)
        self._asked = _Asked(prompts, budgets, limits, seconds, obs.rng)
        return budgets.copy()

    def tell(
        self,
        keys: Any,
        budgets: ArrayLike,
        passes: ArrayLike,
        *,
        learner: Mapping[str, float] | None = None,
        evaluation: Mapping[str, float] | None = None,
    ) -> StepRecord:
        """The outcomes of the last ask: one step is done, beliefs follow, a record is written.

        What is told counts, whatever was asked for: where a trainer dropped rollouts, or made more,
        give the numbers that it has. A prompt that is left out, or has a budget of 0, keeps its
        beliefs. If the sum differs from what was asked for, the record says so
        (``learner.asked_rollouts``).

        Args:
            keys: of prompts of the last ask, in any order.
            budgets: (m,) rollouts that were made of each.
            passes: (m,) how many of them passed; where rewards are not 0 or 1, you choose the
                threshold.
            learner: further numbers for the record, such as {"loss": 0.1, "grad_norm": 0.5}.
            evaluation: accuracies as shares of 0 to 1 after this step, such as {"heldout": 0.4}.

        Returns the record of the step.

        Raises InputError, and changes nothing, if nothing was asked for, for keys that were not in
        the last ask, and for counts that cannot be. OSError if the record cannot be written; the
        outcomes count all the same.
        """
        asked = self._asked
        if asked is None:
            raise InputError("told without having asked: call ask(keys) before the rollouts")
        if self._recording is not None:
            self._recording.ready()
        distinct = as_keys(keys)
        told, passed = as_outcomes(budgets, passes, len(distinct))
        numbers = as_numbers("learner", learner) or {}
        accuracies = as_shares("evaluation", evaluation)
        place = self._places(asked, distinct)
        tried, right = np.zeros((2, asked.prompts.size), dtype=np.int64)
        tried[place], right[place] = told, passed
        if not np.array_equal(tried, asked.budgets):
            numbers["asked_rollouts"] = float(asked.limits.total)
        obs = self._observe(asked.prompts, asked.rng)
        shape = self._allocator.shape(obs)
        self._allocator.learn(obs, asked.limits, tried, right)
        known = self._account.count(obs, tried, right, shape)
        self._asked = None
        record = StepRecord(
            **known, allocate_ms=1e3 * asked.seconds, learner=numbers, evaluation=accuracies
        )
        if self._recording is not None:
            self._recording.append(record)
        return record

    def withdraw(self) -> None:
        """Drop the last ask, whose rollouts were not made; no step is counted.

        Asking for the same prompts again gives the same budgets. Raises InputError if nothing was
        asked for.
        """
        if self._asked is None:
            raise InputError("there is no ask to withdraw")
        self._asked = None

    def rates(self) -> Rates:
        """What is believed of every prompt that was asked for."""
        belief = self._account.estimator.estimate(np.arange(len(self._pool)))
        return Rates(self._pool.keys, belief.pass_rate, belief.attempts)

    # -- checkpoints ----------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes, as plain values and numpy arrays, for your checkpoint.

        Keys are stored as they are. As JSON (arrays as lists) it can be loaded, too, if the keys
        are texts, numbers or tuples of them.
        """
        self._account.resize(len(self._pool))  # no more rows than there are keys
        return {
            "settings": dict(self._settings),
            "keys": self._pool.keys,
            "asked": None if self._asked is None else self._asked.state_dict(),
            **self._account.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore ``state_dict``; after one between ask and tell comes tell, or withdraw.

        Records of later steps are cut off the folder.

        Raises InputError, and changes nothing, for the state of a ledger with other settings, or
        anything else.
        """
        try:
            self._check_settings(state["settings"])
            pool = KeyPool(map(_key, state["keys"]))
            account = self._new_account(len(pool))
            if len(pool):
                account.load_state_dict(state)
                account.remember(self._allocator)
            asked = self._restored(state["asked"])
        except InputError:
            raise
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"not the state of a BudgetLedger ({type(error).__name__}: {error}): give what "
                "state_dict() returned"
            ) from None
        if self._recording is not None:
            self._recording.resume(account.step)
        self._pool, self._account, self._asked = pool, account, asked

    def close(self) -> None:
        """Hand the records to the disk and let others write there; closing twice is harmless."""
        if self._recording is not None:
            self._recording.close()

    def __enter__(self) -> BudgetLedger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- parts ----------------------------------------------------------------------------------

    def _new_account(self, num_prompts: int) -> Account:
        own = self._settings
        estimator = make_estimator(own["estimator"], num_prompts, **own["estimator_parameters"])
        steps, total = own["steps"], own["total"]
        return Account(
            estimator,
            num_prompts,
            window=own["window"],
            seed=own["seed"],
            share_spent=None if steps is None else lambda made, _: made / (steps * total),
            weighting=own["weighting"],
        )

    def _rng(self) -> np.random.Generator | None:
        return self._account.rng() if "randomness" in self._allocator.needs else None

    def _observe(self, prompts: IntArray, rng: np.random.Generator | None) -> Observation:
        memory = self._account.remember(self._allocator)
        return self._account.observe(prompts, memory, rng=rng)

    def _places(self, asked: _Asked, keys: list[Hashable]) -> IntArray:
        """Where keys (m,) are in the last ask. Raises InputError for one that is not."""
        numbers = self._pool.find(keys)
        order = np.argsort(asked.prompts)
        ordered = asked.prompts[order]
        found = np.minimum(np.searchsorted(ordered, numbers), order.size - 1)
        foreign = np.flatnonzero(ordered[found] != numbers)
        if foreign.size:
            at = int(foreign[0])
            raise InputError(
                f"key {keys[at]!r} (entry {at}, counting from 0) was not in the last ask: tell of "
                "the prompts that were asked for, by the same keys"
            )
        return order[found]

    def _check_settings(self, stored: Mapping[str, Any]) -> None:
        for name, own in self._settings.items():
            if stored[name] != own:
                raise InputError(
                    f"the state is of a ledger with {name}={stored[name]!r}, this one has "
                    f"{name}={own!r}: make it with the same settings"
                )

    def _restored(self, state: Mapping[str, Any] | None) -> _Asked | None:
        if state is None:
            return None
        rng = None
        if state["rng"] is not None:
            rng = np.random.default_rng()
            rng.bit_generator.state = state["rng"]
        return _Asked(
            np.array(state["prompts"], dtype=np.int64),
            np.array(state["budgets"], dtype=np.int64),
            replace(self.limits, total=state["total"]),
            float(state["seconds"]),
            rng,
        )

    def _header(self, model: str | None) -> RunHeader:
        own = self._settings
        return RunHeader.create(
            source=SOURCE,
            seed=own["seed"],
            allocator=own["allocator"],
            estimator=own["estimator"],
            weighting=own["weighting"],
            world=model,
            config={
                "loop": {
                    "steps": own["steps"],
                    "batch_size": None,  # as the trainer asks
                    "total_budget": own["total"],
                    "low": own["low"],
                    "high": own["high"],
                    "window": own["window"],
                    "estimator_parameters": own["estimator_parameters"],
                },
                "parameters": own["parameters"],
            },
        )


def _keep_arrays_of_an_ask() -> None:
    """Free an array of 16 MiB that was never written to.

    After that glibc takes arrays of up to this size from memory that it keeps, instead of mapping
    each anew (its threshold follows what is freed, up to 32 MiB: mallopt(3)); otherwise a fifth to
    a third of an ask in a small process are page faults. Other C libraries do nothing of the kind.
    """
    np.empty(2**24, dtype=np.uint8)


def _whole(name: str, given: Any, least: int) -> int:
    """A whole number of at least ``least``. Raises InputError."""
    try:
        if isinstance(given, (bool, np.bool_)) or (number := operator.index(given)) < least:
            raise TypeError
    except TypeError:
        raise InputError(
            f"{name} must be a whole number of at least {least}, got {given!r}"
        ) from None
    return number


def _key(stored: Any) -> Hashable:
    """A key as it was: JSON knows no tuples, and no key is a list."""
    return tuple(map(_key, stored)) if isinstance(stored, (list, tuple)) else stored
