"""What the weighting of the loss has to do with it: by expectation, and by runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cobasim.allocation import Limits, Observation
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.experiments.reproduction.agreement import NOISE, STATUS_WORDS
from cobasim.experiments.reproduction.paper import COBA, GRPO, REFERENCE
from cobasim.experiments.reproduction.plan import MEAN_ROLLOUTS, SPENDERS, Preset, weights_arm
from cobasim.experiments.reproduction.rows import Combination, SimulatedRuns
from cobasim.experiments.reproduction.words import half_width, signed
from cobasim.scores import LEVEL, as_p_values, holm, mean_interval, paired_p_value
from cobasim.streams import stream
from cobasim.updates import WEIGHTINGS, expected_group_update, group_weights
from cobasim.whatif import Outcome, what_if
from cobasim.world import draw_pass_rates

SIGNALS = ("signal", "signal to noise", "signal to prompt noise")


def known_batch(preset: Preset, number: int = 0) -> tuple[Observation, list[Outcome]]:
    """A batch with known pass rates, drawn from "math", and what each of SPENDERS does with it."""
    size = preset.batch_size
    p = draw_pass_rates(stream(number, 0), size, "math")
    obs = Observation(p, np.full(size, 1e6), 1.0 - float(p.mean()))
    limits = Limits(MEAN_ROLLOUTS * size, preset.low, preset.high)
    return obs, what_if(obs, limits, SPENDERS)


def pulls(preset: Preset, batches: int = 16) -> list[dict[str, Any]]:
    """Expected move of each prompt's logit, and the noise around it, without any training.

    Budgets of ``batches`` batches of true pass rates (``known_batch``); weights w of the loss per
    rollout, per prompt, or another allocator's. By difficulty class: M w_i E[u_i]
    (``expected_group_update``), mean over its prompts. "signal": sum_i w_i E[u_i]. "signal to
    noise": divided by the standard deviation of the rollouts' noise gradients, the root of
    sum_i w_i^2 P(mixed) / B_i; "signal to prompt noise": divided by that of the gradients which a
    prompt's rollouts share, the root of sum_i w_i^2 E[u_i^2]. These three in units of uniform's.
    Means over batches with 95 % intervals.
    """
    collected: dict[tuple[str, str], dict[str, list[float]]] = {}
    for number in range(batches):
        obs, outcomes = known_batch(preset, number)
        p, classes = obs.pass_rate, difficulty_class(obs.pass_rate)
        base: FloatArray | None = None
        for key, spent, weights in _cases({o.allocator: o.budgets for o in outcomes}):
            pull = weights * expected_group_update(p, spent)
            signals = _signals(p, spent, weights, pull)
            base = signals if base is None else base  # uniform comes first
            columns = collected.setdefault(key, {})
            for name, value in zip(SIGNALS, signals / base, strict=True):
                columns.setdefault(name, []).append(float(value))
            for place, name in enumerate(DIFFICULTY_CLASSES):
                mine = classes == place
                if mine.any():
                    columns.setdefault(name, []).append(p.size * float(pull[mine].mean()))
    return [
        {
            "allocator": allocator,
            "weighting": weighting,
            **{name: asdict(mean_interval(values)) for name, values in columns.items()},
        }
        for (allocator, weighting), columns in collected.items()
    ]


def _cases(
    budgets: Mapping[str, IntArray],
) -> Iterator[tuple[tuple[str, str], IntArray, FloatArray]]:
    """((allocator or arm, weighting), budgets, weights of prompts in the loss); uniform first."""
    for name in SPENDERS:
        for weighting in WEIGHTINGS:
            yield (name, weighting), budgets[name], group_weights(budgets[name], weighting)
    for name in SPENDERS[1:]:
        weights = group_weights(budgets[name], "rollout")
        yield (weights_arm(name), "rollout"), budgets[GRPO], weights


def _signals(p: FloatArray, spent: IntArray, weights: FloatArray, pull: FloatArray) -> FloatArray:
    """Signal, signal to noise, signal to prompt noise: (3,)."""
    mixed = 1.0 - p**spent - (1.0 - p) ** spent
    square = p * (1.0 - p) * (spent - 1) / spent  # E[u^2] of std-normalised advantages
    noise = np.sqrt([(weights**2 @ (mixed / spent)), (weights**2 @ square)])
    return np.asarray(pull.sum() / np.array([1.0, *noise]))


def pull_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What ``pulls`` says of CoBA, in words."""
    by_case = {(row["allocator"], row["weighting"]): row for row in rows}
    cases = (
        ("its budgets, loss per rollout", by_case[COBA, "rollout"]),
        ("its budgets, loss per prompt", by_case[COBA, "prompt"]),
        ("uniform budgets, its weights", by_case[weights_arm(COBA), "rollout"]),
    )
    return (
        "CoBA against uniform, in units of uniform's: "
        + "; ".join(
            f"{name}: signal {row['signal']['mean']:.2f}, signal to noise "
            f"{row['signal to noise']['mean']:.2f}, signal to prompt noise "
            f"{row['signal to prompt noise']['mean']:.2f}"
            for name, row in cases
        )
        + (
            ". Adam's step has about the same length whatever the gradient's, so signal to noise "
            "decides how straight it goes."
        )
    )


def decomposition(
    table: Mapping[Combination, SimulatedRuns], world: str, name: str
) -> dict[str, Any]:
    """An allocator's gain over uniform, split into where rollouts go and what counts in the loss.

    both: per rollout; budgets only: its budgets, every prompt counts alike (per prompt); weights
    only: uniform budgets, its weights in the loss; together: both minus the two alone. Points.
    """
    per_rollout, per_prompt = table[world, "rollout"], table[world, "prompt"]
    base = per_rollout.accuracy(REFERENCE, GRPO)
    parts = {
        "both": per_rollout.accuracy(REFERENCE, name),
        "budgets only": per_prompt.accuracy(REFERENCE, name),
        "weights only": per_rollout.accuracy(weights_arm(name), GRPO),
    }
    gains = {
        part: np.array([own[seed] - base[seed] for seed in base]) for part, own in parts.items()
    }
    gains["together"] = gains["both"] - gains["budgets only"] - gains["weights only"]
    p_values = [paired_p_value(gain, np.zeros_like(gain)) for gain in gains.values()]
    adjusted = holm(as_p_values(p_values))
    split: dict[str, Any] = {
        part: asdict(mean_interval(gain)) | {"p_value": None if p is None else value}
        for (part, gain), p, value in zip(gains.items(), p_values, adjusted, strict=True)
    }
    return split | {"words": _decomposition_words(name, split)}


def _decomposition_words(name: str, split: Mapping[str, Any]) -> str:
    def shown(part: str) -> str:
        gain = split[part]
        noise = "" if significant(gain) else f" ({STATUS_WORDS[NOISE]})"
        return f"{signed(gain['mean'])}{half_width(gain)}{noise}"

    text = (
        f"{name} per rollout is {shown('both')} points from uniform. Its budgets alone, every "
        f"prompt counting alike, give {shown('budgets only')}; its weights alone, on uniform "
        f"budgets, give {shown('weights only')}; the two together add {shown('together')}."
    )
    both, alone = split["both"]["mean"], split["budgets only"]["mean"]
    if not significant(split["both"]):
        return text
    if both <= 0:
        return f"{text} There is no gain to explain."
    kept = f"{100 * alone / both:.0f} %" if alone > 0 else "nothing"
    return f"{text} Of its gain, {kept} remains when a prompt's weight is taken out."


def significant(gain: Mapping[str, Any]) -> bool:
    """Whether the test of a gain in ``decomposition`` rejects zero."""
    return gain["p_value"] is not None and bool(gain["p_value"] < LEVEL)
