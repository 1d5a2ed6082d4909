"""The answer in words, and as settings of the trainer in use."""

from __future__ import annotations

import json
from collections.abc import Callable

from cobasim.errors import unknown_name
from cobasim.experiments.advice.advice import LEAST_GAIN, MOST_HARM, Advice, Option
from cobasim.experiments.advice.known_runs import LEVEL, chooses
from cobasim.runs import BASELINE

MANY = 0.5
"""Share of groups without two outcomes from which they deserve a sentence."""
TELLING = 0.1
"""Share of the spread from which a measurement is said to tell something."""


def lines(advice: Advice) -> list[str]:
    """The answer in about ten sentences, the recommendation first."""
    return [
        *_recommendation(advice),
        *_doubt(advice),
        _weighting(advice),
        _settings(advice),
        _silent(advice),
        _narrowing(advice),
        _basis(advice),
        _pair(advice),
        *advice.case.notes,
    ]


def _recommendation(advice: Advice) -> list[str]:
    name = advice.recommended
    best = max(advice.options, key=lambda option: option.mean)
    if name == BASELINE:
        return [
            "Stay with uniform budgets: no allocator is expected to gain at least "
            f"{LEAST_GAIN:g} points with at most a {100 * MOST_HARM:.0f} % chance of a loss.",
            f"The best of the others is {best.allocator}: {difference(best)} against uniform.",
        ]
    option = advice.option(name)
    return [
        f"Use {name} with its own estimator, {option.estimator}: {difference(option)} against "
        f"uniform.{_saving(option)}"
    ]


def difference(option: Option) -> str:
    """The expected difference with its interval and the chance that it hurts."""
    return (
        f"{option.mean:+.1f} points of held-out accuracy expected ({option.low:+.1f} to "
        f"{option.high:+.1f}, {100 * LEVEL:.0f} %), chance of a loss {_percent(option.hurts)}"
    )


def _percent(share: float) -> str:
    return "under 1 %" if share < 0.01 else f"{100 * min(share, 0.99):.0f} %"


def _saving(option: Option) -> str:
    if option.saved is None or abs(option.saved) < 0.005:
        return ""
    more = "fewer" if option.saved > 0 else "more"
    share = f"{100 * abs(option.saved):.0f} %"
    return f" At uniform's final accuracy that is about {share} {more} rollouts."


def _doubt(advice: Advice) -> list[str]:
    worst = min(advice.options, key=lambda option: option.low)
    if worst.hurts < 1 - MOST_HARM or worst.mean > -LEAST_GAIN:
        return []
    return [f"Keep away from {worst.allocator}: {difference(worst)}."]


def _weighting(advice: Advice) -> str:
    given = advice.case.weighting
    other = "rollout" if given == "prompt" else "prompt"
    if advice.recommended == BASELINE:
        same = "" if given == "token" else f"; uniform is the same per {other}"
        return (
            f"The numbers are for a loss weighted per {given}{same}. For the others, give "
            f"--weighting {other}."
        )
    return (
        f"This holds for a loss weighted per {given}: ask again with --weighting {other} before "
        "you change it, as that can turn the order of allocators round."
    )


def _settings(advice: Advice) -> str:
    case = advice.case
    return (
        f"Planned: {case.batch_size:,} prompts and {case.total_budget:,} rollouts a step (bounds "
        f"{case.low} to {case.high}), {case.steps:,} steps, so that each of {case.prompts:,} "
        f"prompts comes up {case.visits:.1f} times; uniform gains {advice.uniform[0]:.0f} points "
        f"there ({advice.uniform[1]:.0f} to {advice.uniform[2]:.0f})."
    )


def _silent(advice: Advice) -> str:
    (_, _, share), *classes = advice.silent
    text = f"Under uniform {100 * share:.0f} % of the groups teach nothing at the start"
    worst = [f"{100 * s:.0f} % at pass rates {name}" for name, _, s in classes if s >= MANY]
    return text + (f": {', '.join(worst)}." if worst else ".")


def _narrowing(advice: Advice) -> str:
    if advice.case.measured is not None:
        return (
            "What would narrow this most is a short pair of real runs, uniform and the allocator, "
            "with the same seed: the error of such predictions is most of the interval."
        )
    costs = {
        "gradients": "measuring gradients (cobatrain gradients CONFIG --out FILE, then "
        "--measured FILE), which costs some tens of training steps (it says how many first)",
        "uniform run": "a short uniform run (--run FOLDER), since how fast the model learns is "
        "not known",
    }
    name = max(advice.narrows, key=lambda key: advice.narrows[key])
    told = f"It would explain {100 * advice.narrows[name]:.0f} % of the spread of the answer."
    if advice.narrows[name] < TELLING:
        told = "In the simulated worlds neither it nor anything else tells much."
    return f"What would narrow this most: {costs[name]}. {told}"


def _basis(advice: Advice) -> str:
    if advice.case.measured is not None:
        return (
            "Basis: a world made of the measured gradients, and how far such predictions were from "
            "real runs of one small model (docs/advise.md)."
        )
    used, tried = advice.worlds
    return (
        f"Basis: {used} of {tried} simulated worlds, those that fit what is known of the model, "
        "and how far such predictions were from real runs (docs/advise.md)."
    )


def _pair(advice: Advice) -> str:
    named = advice.recommended
    shown = advice.options if named == BASELINE else (advice.option(named),)
    pair = max(option.pair for option in shown)
    return (
        f"Intervals are those of a mean over many seeds: one pair of runs scatters by another "
        f"{pair:.1f} points around it (90 %, the median of the real conditions)."
    )


# -- settings for trainers ---------------------------------------------------------------------


def check_trainer(trainer: str) -> None:
    """Raise InputError for a name that is not in TRAINERS."""
    if trainer not in TRAINERS:
        raise unknown_name("trainer", trainer, TRAINERS)


def snippet(advice: Advice, trainer: str) -> str:
    """What to write in a trainer. Raises InputError as ``check_trainer``."""
    check_trainer(trainer)
    if advice.recommended == BASELINE:
        return "# uniform: leave your trainer as it is"
    return TRAINERS[trainer](advice)


def _cobatrain(advice: Advice) -> str:
    case = advice.case
    return "\n".join(
        [
            f"allocator: {advice.recommended}",
            f"weighting: {case.weighting}",
            f"loop: {{batch_size: {case.batch_size}, total_budget: {case.total_budget}, "
            f"low: {case.low}, high: {case.high}}}",
        ]
    )


def _for_ledgers(advice: Advice) -> tuple[str, str]:
    """Allocator that a ledger can serve, and a remark where it is not the recommended one."""
    if not chooses(advice.recommended):
        return advice.recommended, ""
    return "signal", (
        f"# {advice.recommended} chooses prompts, which needs the trainer's sampler: this sets "
        "budgets only\n"
    )


def _ledger(advice: Advice) -> str:
    name, remark = _for_ledgers(advice)
    case = advice.case
    return remark + (
        f"ledger = BudgetLedger(total={case.total_budget}, allocator={json.dumps(name)}, "
        f"low={case.low}, high={case.high})\n"
        "budgets = ledger.ask(keys)  # before the rollouts\n"
        "ledger.tell(keys, budgets, passes)  # after them"
    )


def _trl(advice: Advice) -> str:
    name, remark = _for_ledgers(advice)
    case = advice.case
    return remark + (
        f"args = GRPOConfig(num_generations={round(case.mean_budget)})  # and your own settings\n"
        "trainer = BudgetGRPOTrainer(model, reward, args=args, train_dataset=data,\n"
        f"    budgets=dict(allocator={json.dumps(name)}, low={max(2, case.low)}, "
        f"high={case.high}),\n"
        f"    weighting={json.dumps(case.simulated_weighting)})"
    )


def _verl(advice: Advice) -> str:
    name, remark = _for_ledgers(advice)
    case = advice.case
    own = "cobatrain.integrations.verl"
    budgets = {"allocator": name, "low": max(2, case.low), "high": case.high}
    words = [
        f"+actor_rollout_ref.rollout.agent.agent_loop_manager_class={own}.BudgetAgentLoopManager",
        f"trainer.v1.sampler.custom_sampler.path=pkg://{own}",
        "trainer.v1.sampler.custom_sampler.name=BudgetReplayBuffer",
        f"trainer.checkpoint_callback_class={own}.SaveBudgets",
        *(f"+trainer.v1.sampler.sampler_kwargs.{key}={value}" for key, value in budgets.items()),
        f"data.train_batch_size={case.batch_size}",
        f"actor_rollout_ref.rollout.n={round(case.mean_budget)}",
    ]
    return remark + " \\\n".join(words)


TRAINERS: dict[str, Callable[[Advice], str]] = {
    "cobatrain": _cobatrain,
    "trl": _trl,
    "verl": _verl,
    "ledger": _ledger,
}
"""Trainers with a snippet."""
