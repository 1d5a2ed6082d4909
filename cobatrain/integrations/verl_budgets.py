"""What budgets in verl are made of, without verl: settings, a plan, what is asked and told.

In: verl's config as plain nested values; keys of prompts; uids and scores of rollouts. Out:
budgets, metrics, a file in verl's checkpoint. ``cobatrain.integrations.verl`` hangs it into verl.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from cobasim.allocation import find_allocator
from cobasim.arrays import IntArray
from cobasim.budgets import BudgetLedger
from cobasim.errors import InputError
from cobasim.files import write_atomically
from cobasim.settings import Frozen, validated

HOME: Final = "cobatrain.integrations.verl"
"""Where verl finds the three classes."""

SETTINGS: Final = "trainer.v1.sampler.sampler_kwargs"
"""Where verl's config holds the settings: its place for arguments of a sampler of yours."""

HOOKS: Final = {
    "trainer.v1.sampler.custom_sampler.path": f"pkg://{HOME}",
    "trainer.v1.sampler.custom_sampler.name": "BudgetReplayBuffer",
    "actor_rollout_ref.rollout.agent.agent_loop_manager_class": f"{HOME}.BudgetAgentLoopManager",
    "trainer.checkpoint_callback_class": f"{HOME}.SaveBudgets",
}
"""What must be set in verl's config. Classes of your own that inherit from ours will do, too."""

WEIGHTINGS: Final = {
    "token-mean": "token",
    "token-sum": "token",
    "seq-mean-token-sum": "token",
    "seq-mean-token-sum-norm": "token",
    "seq-mean-token-mean": "rollout",
}
"""What counts equally in the loss, by ``loss_agg_mode`` (``agg_loss`` of verl 0.9.1)."""

FILE: Final = "budgets.json"
"""In each checkpoint folder of verl, beside ``data.pt``."""


class VerlBudgetSettings(Frozen):
    """Settings below ``trainer.v1.sampler.sampler_kwargs`` of verl's config.

    Attributes:
        allocator, estimator, parameters, estimator_parameters, window, seed, records: those of
            BudgetLedger.
        low, high: bounds of each budget. A group of one rollout would get its raw reward as its
            advantage, so ``low`` is at least 2.
        steps: of the whole run, for allocators that follow its progress; None: verl's number.
        key: what tells prompts apart: their messages ("text"), or data source and
            ``extra_info.index`` of the row ("index").
        metric: what a rollout is judged by: its "reward" (before a KL penalty), or a number of this
            name that the reward function returns, such as "acc".
        passed: the least value of ``metric`` that is a pass.
        fresh: begin without beliefs where the checkpoint that is resumed holds none.
    """

    allocator: str = "signal"
    estimator: str | None = None
    low: int = 2
    high: int = 64
    parameters: dict[str, Any] = Field(default_factory=dict)
    estimator_parameters: dict[str, float] = Field(default_factory=dict)
    window: int = 3
    steps: int | None = None
    seed: int = 0
    records: str | None = None
    key: Literal["text", "index"] = "text"
    metric: str = "reward"
    passed: float = 0.5
    fresh: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run of verl is to do with budgets.

    Attributes:
        settings: as given.
        prompts: M, of each step.
        total: rollouts of each step: what verl would make without budgets.
        weighting: of the loss, for the records.
        steps: of the whole run, if the allocator needs it and verl knows it.
        model: its path, for the records.
    """

    settings: VerlBudgetSettings
    prompts: int
    total: int
    weighting: str
    steps: int | None
    model: str | None

    def ledger(self, *, steps: int | None = None, records: str | None = None) -> BudgetLedger:
        """A new ledger. Raises InputError as BudgetLedger does."""
        own = self.settings
        return BudgetLedger(
            self.total,
            allocator=own.allocator,
            estimator=own.estimator,
            low=own.low,
            high=own.high,
            parameters=own.parameters,
            estimator_parameters=own.estimator_parameters,
            window=own.window,
            steps=self.steps if steps is None else steps,
            weighting=self.weighting,
            seed=own.seed,
            records=records,
            model=self.model,
        )


def read_plan(config: Mapping[str, Any]) -> Plan:
    """The plan of a run, from verl's whole config as plain nested values.

    Raises InputError, in one line, for hooks that are not set, for settings that cannot be used,
    and for what verl does that budgets cannot go along with.
    """
    for name, wanted in HOOKS.items():
        found = _at(config, name)
        if not found:
            raise InputError(f"budgets in verl need {name}={wanted}, and it is not set")
        if name.endswith(".path") and not str(found).startswith("pkg://"):
            raise InputError(
                f"{name} must be {wanted}, got {found!r}: verl loads a file as a module of its "
                "own, beside the one that asks for budgets"
            )
    _check_served(config)
    given = _at(config, SETTINGS) or {}
    own = _settings(given)
    prompts, group = (
        _at(config, "data.train_batch_size"),
        _at(config, "actor_rollout_ref.rollout.n"),
    )
    mode = _at(config, "actor_rollout_ref.actor.loss_agg_mode")
    if mode not in WEIGHTINGS:
        raise InputError(
            f"actor_rollout_ref.actor.loss_agg_mode={mode}: known are {', '.join(WEIGHTINGS)}"
        )
    steps = own.steps
    if steps is None and "progress" in find_allocator(own.allocator).needs:
        known = _at(config, "actor_rollout_ref.actor.optim.total_training_steps")
        known = known or _at(config, "trainer.total_training_steps")
        steps = known if known and known > 0 else None
    plan = Plan(
        own,
        prompts,
        prompts * group,
        WEIGHTINGS[mode],
        steps,
        _at(config, "actor_rollout_ref.model.path"),
    )
    trial = plan.ledger(steps=steps or 1)  # verl counts the steps after it has read its data
    try:
        trial.limits.for_batch(prompts)
    except InputError as error:
        raise InputError(
            f"data.train_batch_size={prompts} and actor_rollout_ref.rollout.n={group}: {error} "
            f"({SETTINGS}.low, .high)"
        ) from None
    return plan


def _settings(given: Mapping[str, Any]) -> VerlBudgetSettings:
    try:
        own = validated(VerlBudgetSettings, dict(given))
    except InputError as error:
        raise InputError(f"{SETTINGS}: {error}") from None
    if own.low < 2:
        raise InputError(
            f"{SETTINGS}.low must be at least 2, got {own.low}: verl takes the raw reward of a "
            "group of one rollout as its advantage"
        )
    return own


def _check_served(config: Mapping[str, Any]) -> None:
    """Raise InputError for what verl would do behind the back of budgets."""
    for name, allowed, reason in SERVED:
        found = _at(config, name)
        if found not in (None, *allowed):
            shown = str(found).lower() if isinstance(found, bool) else found
            wanted = str(allowed[0]).lower()
            raise InputError(f"{name}={shown} {reason}: set it to {wanted}")
    model = "reward.reward_model"
    if _at(config, f"{model}.enable") and not _at(config, f"{model}.enable_resource_pool"):
        raise InputError(
            f"{model}.enable=true without a resource pool of its own gives rewards only after the "
            f"batch was taken: set {model}.enable_resource_pool=true"
        )


SERVED: Final[tuple[tuple[str, tuple[Any, ...], str], ...]] = (
    ("trainer.use_v1", (True,), "is verl's old trainer, which has no place for budgets"),
    (
        "trainer.v1.trainer_mode",
        ("sync",),
        "starts rollouts of the next steps before the outcomes of this one are known",
    ),
    ("trainer.v1.sync.parameter_sync_step", (1,), "trains on parts of a batch"),
    (
        "algorithm.filter_groups.enable",
        (False,),
        "goes on sampling prompts until enough groups are mixed, so no total can be kept",
    ),
    (
        "trainer.v1.sampler.sync_refill_failed_groups",
        (False,),
        "samples further prompts in place of failed ones, so no total can be kept",
    ),
    (
        "skip.rollout_tq.enable",
        (False,),
        "replays stored rollouts, for which no budget was asked",
    ),
)
"""Settings of verl, the values that budgets go along with, and what is wrong with others."""


def _at(config: Mapping[str, Any], name: str) -> Any:
    """What a dotted name holds; None where there is none."""
    found: Any = config
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def text_key(messages: Any) -> str:
    """The key of a prompt by what it says: 32 hexadecimal digits.

    Args:
        messages: texts, numbers, and lists and dicts of them, as verl's ``raw_prompt``.

    Raises InputError for anything else, such as images.
    """
    try:
        text = json.dumps(messages, sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"a prompt is more than text ({error}): set {SETTINGS}.key=index, and give each row of "
            "the data an extra_info.index of its own"
        ) from None
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def index_key(source: Any, extra: Any) -> str:
    """The key of a prompt by the row of the data that it came from: ``SOURCE/INDEX``.

    Raises InputError if ``extra``, verl's ``extra_info``, has no index (verl itself takes 0 then).
    """
    index = extra.get("index") if isinstance(extra, Mapping) else None
    if index is None:
        raise InputError(
            f"{SETTINGS}.key=index, and a row of {source!r} has no extra_info.index: number the "
            "rows, or set key=text"
        )
    return f"{source}/{index}"


def told_apart(keys: Sequence[str]) -> tuple[list[str], int]:
    """Distinct keys, and how many had come before in the batch.

    verl makes a group of each row of a batch. A prompt that comes twice in a batch, as it may where
    one epoch ends and the next begins, therefore counts as a prompt of its own the second time.
    """
    seen: Counter[str] = Counter()
    distinct = []
    for key in keys:
        seen[key] += 1
        distinct.append(key if seen[key] == 1 else f"{key}#{seen[key]}")
    return distinct, len(keys) - len(seen)


@dataclass(frozen=True)
class Told:
    """What became of a batch: numbers for verl's log, and groups that must not be trained on."""

    metrics: dict[str, float]
    alone: frozenset[str]
    """uids of which failures left one rollout."""


class PromptBudgets:
    """The ledger of a run of verl, asked and told by uids.

    verl draws a new uid for a prompt at each visit; beliefs go by keys that stay.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.ledger = plan.ledger(records=plan.settings.records)
        self._asked: dict[str, tuple[str, int]] = {}  # uid -> key, budget
        self._copies = 0

    def ask(self, uids: Sequence[str], keys: Sequence[str]) -> IntArray:
        """Budgets (M,) of the prompts of a batch, which sum to the plan's total.

        Raises InputError as ``BudgetLedger.ask``, and for a batch of another size.
        """
        if len(uids) != self.plan.prompts:
            raise InputError(
                f"asked for budgets of {len(uids)} prompts, not data.train_batch_size="
                f"{self.plan.prompts}: verl and {HOME} do not fit together"
            )
        distinct, copies = told_apart(keys)
        budgets = self.ledger.ask(distinct)
        self._copies = copies
        self._asked = {
            uid: (key, budget)
            for uid, key, budget in zip(uids, distinct, budgets.tolist(), strict=True)
        }
        return budgets

    def tell(self, uids: Sequence[str], scores: ArrayLike, prompts: int) -> Told:
        """The outcomes of the last ask.

        Args:
            uids: (R,) of the prompts of all rollouts that were made.
            scores: (R,) what they are judged by.
            prompts: how many verl trains on.

        Raises InputError, and changes nothing, for rollouts that nobody asked for, scores that are
        not finite, and a batch that was split.
        """
        if not self._asked:
            raise InputError(
                "rollouts came for which no budgets were asked: is "
                f"actor_rollout_ref.rollout.agent.agent_loop_manager_class={HOME}"
                ".BudgetAgentLoopManager?"
            )
        if prompts != len(self._asked):
            raise InputError(
                f"verl trains on {prompts} prompts of a batch of {len(self._asked)} at a time; "
                "budgets need whole batches"
            )
        values = np.asarray(scores, dtype=np.float64)
        names, group = np.unique(np.asarray(uids, dtype=str), return_inverse=True)
        if strange := [name for name in names.tolist() if name not in self._asked]:
            raise InputError(
                f"rollouts of prompt {strange[0]} came, which is not in the last batch asked for"
            )
        if not np.isfinite(values).all():
            at = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(
                f"the {self.plan.settings.metric} of a rollout of prompt {uids[at]} is {values[at]}"
            )
        made = np.bincount(group, minlength=names.size)
        passes = np.bincount(group[values >= self.plan.settings.passed], minlength=names.size)
        keys, budgets = zip(*(self._asked[name] for name in names.tolist()), strict=True)
        if (over := np.flatnonzero(made > np.array(budgets))).size:
            at = int(over[0])
            raise InputError(
                f"verl made {made[at]} rollouts of a prompt with a budget of {budgets[at]}: this "
                "verl does not read __rollout_n__, so budgets have no effect"
            )
        record = self.ledger.tell(keys, made, passes, learner={"score": float(values.mean())})
        missing, copies = self.plan.total - values.size, self._copies
        self._asked, self._copies = {}, 0
        metrics = {
            "budgets/rollouts": float(values.size),
            "budgets/failed_rollouts": float(missing),
            "budgets/repeated_prompts": float(copies),
            "budgets/smallest": float(record.budget_min or 0),
            "budgets/largest": float(record.budget_max or 0),
            "budgets/gini": float(record.budget_gini or 0.0),
            "budgets/failure_rate": float(record.failure_rate or 0.0),
            "budgets/mixed_share": float(record.mixed_share or 0.0),
            "budgets/allocate_ms": float(record.allocate_ms or 0.0),
        }
        return Told(metrics, frozenset(names[made == 1].tolist()))

    def save(self, folder: Path) -> None:
        """Write what changes to ``folder/budgets.json``."""
        state = self.ledger.state_dict()
        write_atomically(folder / FILE, json.dumps(state, default=np.ndarray.tolist))

    def restore(self, folder: Path) -> None:
        """Go on from ``folder/budgets.json``.

        Raises InputError if there is none (unless the settings say ``fresh``), or if it is another
        run's.
        """
        path = folder / FILE
        if not path.is_file():
            if self.plan.settings.fresh:
                return
            raise InputError(
                f"{folder} holds no {FILE}: resume from a checkpoint that was saved with "
                f"trainer.checkpoint_callback_class={HOME}.SaveBudgets, or begin without beliefs "
                f"with +{SETTINGS}.fresh=true"
            )
        try:
            state = json.loads(path.read_text())
        except ValueError as error:
            raise InputError(f"{path} cannot be read: {error}") from None
        self.ledger.load_state_dict(state)
