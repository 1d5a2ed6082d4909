"""The tables and figures of arXiv 2602.03048, beside the same questions put to the simulation.

One sweep holds all runs: arms (settings) x worlds x loss weightings x allocators x seeds. From its
table come the numbers beside the paper's, how far they agree (``agreement``), what changes when a
suspected reason is changed (ablations), and what the weighting of the loss has to do with it.
Nothing is stored but rows; everything else is computed from them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cobasim.allocation import Limits, Observation, beta_shape
from cobasim.arrays import FloatArray
from cobasim.difficulty import DIFFICULTY_CLASSES, difficulty_class
from cobasim.errors import unknown_name
from cobasim.experiments.benchmark.benchmark import solver_seconds
from cobasim.experiments.reproduction import agreement, paper
from cobasim.experiments.reproduction.paper import (
    COBA,
    GRPO,
    KNAPSACK,
    MIRRORED,
    REFERENCE,
    Case,
    Claim,
    Result,
)
from cobasim.loop import Loop
from cobasim.records import (
    PASS_RATE_BINS,
    Run,
    RunHeader,
    StepRecord,
    own_versions,
    write_atomically,
)
from cobasim.runs.comparison import plan as plan_of
from cobasim.runs.config import ORACLE
from cobasim.runs.sweep import Point, Sweep, claim, run_sweep
from cobasim.scores import (
    LEVEL,
    as_p_values,
    holm,
    mean_interval,
    paired_p_value,
    transition_shares,
)
from cobasim.scores import transition_counts as run_transitions
from cobasim.streams import stream
from cobasim.updates import WEIGHTINGS, expected_group_update, group_weights
from cobasim.whatif import what_if
from cobasim.world import WORLD_DEFAULTS, WORLDS, draw_pass_rates

REPORT, NUMBERS, TIMES = "reproduction.html", "reproduction.json", "solver-times.json"
PAPER_STEPS = 500
BLOCKS = 12  # that a run's records are thinned to


@dataclass(frozen=True)
class Preset:
    """Size of every run, and how many seeds."""

    batch_size: int
    num_prompts: int
    num_heldout: int
    steps: int
    seeds: int
    low: int = 2
    high: int = 128


PRESETS: dict[str, Preset] = {
    "quick": Preset(128, 2048, 1000, 100, 6),
    "full": Preset(512, 17_000, 2000, 500, 8),
}
"""quick: a quarter of the paper's batch; full: the paper's size below 7B."""


@dataclass(frozen=True)
class Model:
    """A model of the paper as a population and a capacity of the world."""

    population: str
    rate: float
    """Learning rate, in units of the world's default."""
    why: str


MODELS: dict[str, Model] = {
    paper.MODELS[0]: Model(
        "math", 1.0, "the world's defaults: heavy at both ends, as a tuned 7B model's pass rates"
    ),
    paper.MODELS[1]: Model(
        "math", 1.5, "the same prompts; a base model has further to go, so it moves faster"
    ),
    paper.MODELS[2]: Model(
        "middling", 1.5, "few hopeless or solved prompts, and the most to gain (best in Table 1)"
    ),
    paper.MODELS[3]: Model(
        "hard", 1.0, "first mean pass rate 0.10: the weakest of the four in Table 1"
    ),
}
"""Chosen before any allocator was compared; the paper reports no first pass rates."""

TABLES = (GRPO, KNAPSACK, "fixed-exploit", "fixed-explore", "linear-decay", COBA, MIRRORED)
"""Allocators of Tables 1 to 3."""
HALF_ARM = "half the budget"


@dataclass(frozen=True)
class Ablation:
    """One suspected reason for a disagreement, and what is changed to test it."""

    name: str
    question: str
    settings: dict[str, Any]
    oracle: bool = False
    rate: float = 1.0
    """Learning rate, in units of the world's default."""


ABLATIONS: tuple[Ablation, ...] = (
    Ablation(
        "true pass rates",
        "Do noisy estimates mislead the allocator (two rollouts that agree make an estimate of 0 "
        "or 1, so the prompt gets two again)? It is shown the truth instead.",
        {},
        oracle=True,
    ),
    Ablation(
        "prompt noise 10",
        "Is the world too kind to concentration? A nuisance gradient shared by all rollouts of a "
        "prompt, as large as one rollout's, which more rollouts do not average out.",
        {"prompt_noise": 10.0},
    ),
    Ablation("prompt noise 30", "The same, three times as large.", {"prompt_noise": 30.0}),
    Ablation(
        "transfer 0.1",
        "Does it take prompts that learn from each other? Hardly any shared features.",
        {"transfer": 0.1},
    ),
    Ablation("transfer 0.9", "Nearly everything is shared.", {"transfer": 0.9}),
    Ablation(
        "learning rate × 4",
        "Do runs go far enough? In the paper the failure rate falls from 0.70 to 0.34, and alpha "
        "with it; by default uniform rises by 10 to 20 points here.",
        {},
        rate=4.0,
    ),
)


@dataclass(frozen=True)
class Arm:
    """Settings that some runs share, relative to the preset and the world."""

    allocators: tuple[str, ...]
    settings: Mapping[str, Any]
    population: str = "math"
    rate: float = 1.0
    rollouts: int = 16  # a prompt, on average
    weightings: tuple[str, ...] = WEIGHTINGS


def arms() -> dict[str, Arm]:
    """Everything that is run, by name; the reference is named as the paper's model."""
    oracles = tuple(ORACLE + name for name in TABLES if name != GRPO)
    three = (GRPO, KNAPSACK, COBA)
    found = {REFERENCE: Arm((*TABLES, *oracles), {})}
    for name, model in MODELS.items():
        if name != REFERENCE:
            found[name] = Arm(three, {}, model.population, model.rate)
    found[HALF_ARM] = Arm(three, {}, rollouts=8)
    for kappa in paper.KAPPAS:
        if kappa != 11:
            found[f"kappa {kappa}"] = Arm((COBA,), {"kappa": float(kappa)})
    for ablation in ABLATIONS:
        if not ablation.oracle:
            found[ablation.name] = Arm(TABLES, ablation.settings, rate=ablation.rate)
    for name in (COBA, KNAPSACK):
        found[_weighed(name)] = Arm((GRPO,), {"weigh_as": name}, weightings=("rollout",))
    return found


def _weighed(name: str) -> str:
    return f"uniform budgets, weights of {name}"


def learning_rate(world: str, steps: int, factor: float = 1.0) -> float:
    """The world's default, scaled so that Adam's path is as long as in the paper's 500 steps."""
    return WORLD_DEFAULTS[world]["learning_rate"] * factor * PAPER_STEPS / steps


def sweep_of(preset: Preset) -> tuple[Sweep, list[tuple[str, str]]]:
    """The plan of all runs, and (world, arm) of each of its points."""
    points: list[Point] = []
    keys = []
    for world in WORLDS:
        for name, arm in arms().items():
            points.append(
                {
                    "world": world,
                    "population": arm.population,
                    "learning_rate": learning_rate(world, preset.steps, arm.rate),
                    "total_budget": arm.rollouts * preset.batch_size,
                    "allocators": arm.allocators,
                    "weightings": arm.weightings,
                    **arm.settings,
                }
            )
            keys.append((world, name))
    chosen = asdict(preset) | {"eval_every": preset.steps}
    return Sweep("quick", {}, chosen, tuple(points)), keys


# --- what a run leaves behind ----------------------------------------------------------------


def details(run: Run, loop: Loop) -> dict[str, Any]:
    """A run's records thinned to BLOCKS, as one text column of its row."""
    kept = [
        {name: value for name, value in vars(step).items() if value not in (None, {})}
        for step in thin(run.steps)
    ]
    return {"thinned": json.dumps(kept, separators=(",", ":"))}


def thin(steps: Sequence[StepRecord], blocks: int = BLOCKS) -> list[StepRecord]:
    """At most ``blocks`` records: of each block the last step, its counts by pass rate summed.

    Kept: step, rollouts, alpha and beta (means), the largest budget, the last evaluation.
    """
    updates = [step for step in steps if step.step > 0]
    found = []
    for part in np.array_split(np.arange(len(updates)), min(blocks, len(updates))):
        block = [updates[i] for i in part]
        counted = [step.bins for step in block if step.bins is not None]
        evaluated = [step.evaluation for step in block if step.evaluation is not None]
        found.append(
            StepRecord(
                step=block[-1].step,
                rollouts=block[-1].rollouts,
                alpha=_mean([step.alpha for step in block]),
                beta=_mean([step.beta for step in block]),
                budget_max=max((step.budget_max or 0 for step in block), default=0),
                bins={
                    name: np.sum([bins[name] for bins in counted], axis=0).tolist()
                    for name in counted[0]
                }
                if counted
                else None,
                evaluation=evaluated[-1] if evaluated else None,
            )
        )
    return found


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


Key = tuple[str, str, str, str]  # world, weighting, arm, allocator


class Table:
    """Rows of the sweep by world, weighting, arm and allocator."""

    def __init__(self, rows: Iterable[Mapping[str, Any]], keys: Sequence[tuple[str, str]]) -> None:
        self.rows: dict[Key, dict[int, Mapping[str, Any]]] = {}
        for row in rows:
            world, arm = keys[row["point"]]
            key = world, row["weighting"], arm, row["allocator"]
            self.rows.setdefault(key, {})[row["seed"]] = row

    def accuracy(
        self, world: str, weighting: str, arm: str, allocator: str, column: str = "final_heldout"
    ) -> dict[int, float]:
        """Accuracy in % by seed."""
        rows = self.rows[world, weighting, arm, allocator]
        return {seed: 100 * row[column] for seed, row in sorted(rows.items())}

    def runs(self, world: str, weighting: str, arm: str, allocator: str) -> list[Run]:
        """The thinned runs, one a seed."""
        found = []
        for seed, row in sorted(self.rows[world, weighting, arm, allocator].items()):
            header = RunHeader(
                source="sim", created="", versions={}, seed=seed, allocator=allocator,
                estimator="", weighting=weighting, world=world,
            )  # fmt: skip
            steps = [StepRecord.from_dict(step) for step in json.loads(row["thinned"])]
            found.append(Run(header, tuple(steps), Path()))
        return found


# --- the paper's questions, put to the table --------------------------------------------------


def stages(run: Run) -> list[StepRecord]:
    """Thinned records of the early (first epoch over), middle and late run."""

    def mostly_seen(step: StepRecord) -> bool:
        return step.bins is not None and 2 * step.bins["prompts"][-1] < sum(step.bins["prompts"])

    last = len(run.steps) - 1
    first = next((i for i, step in enumerate(run.steps) if mostly_seen(step)), 0)
    return [run.steps[i] for i in (first, (first + last) // 2, last)]


def peak(step: StepRecord) -> tuple[float, float] | None:
    """(middle of the pass-rate bin with the largest mean budget in %, that mean); None: unseen."""
    if step.bins is None:
        return None
    prompts, rollouts = (np.array(step.bins[name][:-1]) for name in ("prompts", "rollouts"))
    mean = np.where(prompts > 0, rollouts / np.maximum(prompts, 1), 0.0)
    if not mean.any():
        return None
    middles = np.array([0.0, *(10.0 * k + 5.0 for k in range(len(PASS_RATE_BINS) - 3)), 100.0])
    best = int(mean.argmax())
    return float(middles[best]), float(mean[best])


def values_of(result: Result, table: Table, world: str, weighting: str) -> agreement.Values:
    """The simulated {case: {seed: number}} of a table or figure; cases without a number miss."""
    found: dict[Case, dict[int, float]] = {}
    for case in result.numbers:
        group, entry = case
        arm, allocator = REFERENCE, entry
        if result.key == "table-1":
            arm = group
        elif result.key == "figure-6":
            arm = HALF_ARM if group == paper.HALF else REFERENCE
        elif result.key == "figure-8" and entry != GRPO:
            arm, allocator = (REFERENCE if entry == "kappa 11" else entry), COBA
        if result.key in ("figure-4", "figure-5"):
            runs = table.runs(world, weighting, REFERENCE, group)
            place = paper.STAGES.index(entry)
            numbers = {run.header.seed: _at_stage(result.key, stages(run)[place]) for run in runs}
        elif result.key == "figure-7":
            runs = table.runs(world, weighting, REFERENCE, allocator)
            numbers = {run.header.seed: _ends_easy(run, group) for run in runs}
        else:
            numbers = dict(table.accuracy(world, weighting, arm, allocator))
        known = {seed: value for seed, value in numbers.items() if value is not None}
        if known:
            found[case] = known
    return found


def _at_stage(key: str, step: StepRecord) -> float | None:
    if key == "figure-5":
        return step.alpha
    found = peak(step)
    return None if found is None else found[0]


def _ends_easy(run: Run, group: str) -> float | None:
    counts = run_transitions(run)
    if counts is None:
        return None
    share = float(transition_shares(counts)[DIFFICULTY_CLASSES.index(group), -1])
    return None if np.isnan(share) else 100 * share


def measured(result: Result, values: agreement.Values) -> Result:
    """The result without groups that the simulation has no number for (an empty class)."""
    kept = {
        group
        for group, entries in result.groups.items()
        if all((group, entry) in values for entry in entries)
    }
    return replace(
        result,
        numbers={case: value for case, value in result.numbers.items() if case[0] in kept},
        claims=tuple(c for c in result.claims if c.left[0] in kept and c.right[0] in kept),
    )


def beside(result: Result, values: agreement.Values) -> dict[str, Any]:
    """One table in one world under one weighting: cells, order and claims."""
    known = measured(result, values)
    judged = agreement.judge(known, values)
    middle = centred(values, across=result.across)
    return {
        "cells": [
            {
                "group": case[0],
                "entry": case[1],
                **asdict(mean_interval(list(seeds.values()))),
                "centred": asdict(mean_interval(list(middle[case].values()))),
            }
            for case, seeds in values.items()
        ],
        "order": agreement.order_agreement(known, values) if known.numbers else None,
        "claims": [asdict(one) for one in judged],
        "counts": agreement.counts(judged),
    }


def centred(values: agreement.Values, across: bool) -> agreement.Values:
    """Values minus the mean of their group (``across``: of all cases) in the same seed.

    Seeds differ in their prompts far more than allocators differ within a seed.
    """
    found: dict[Case, dict[int, float]] = {}
    for case, seeds in values.items():
        peers = [other for one, other in values.items() if across or one[0] == case[0]]
        found[case] = {
            seed: value - float(np.mean([other[seed] for other in peers if seed in other]))
            for seed, value in seeds.items()
        }
    return found


def contrasts() -> Result:
    """The claims of Tables 1 to 3 on the reference model that involve CoBA, or are against GRPO."""
    tables = [paper.RESULTS[key] for key in ("table-1", "table-2", "table-3")]
    numbers = {
        case: value
        for table in tables
        for case, value in table.numbers.items()
        if case[0] == REFERENCE
    }
    chosen = tuple(
        claim
        for table in tables
        for claim in table.claims
        if claim.left[0] == REFERENCE and (claim.left[1] == COBA or claim.right[1] == GRPO)
    )
    return Result("contrasts", "Claims of Tables 1 to 3 on the reference model", numbers, chosen)


BASE = "as it is"


def ablations(table: Table, world: str, weighting: str) -> dict[str, Any]:
    """The contrasts under every ablation, and how far each ablation moves them.

    A contrast is measured in % of uniform's rise over the run, so that a world in which everything
    moves less does not look like one in which allocators differ less. A change is that under the
    ablation minus as it is, paired by seed; its p-value is Holm-adjusted over all changes of this
    world and weighting, and None where uniform does not rise.
    """
    result = contrasts()

    def values(arm: str, oracle: bool) -> agreement.Values:
        return {
            case: table.accuracy(
                world, weighting, arm, ORACLE + case[1] if oracle and case[1] != GRPO else case[1]
            )
            for case in result.numbers
        }

    relative: dict[str, list[FloatArray]] = {}
    found: dict[str, Any] = {}
    for name, arm, oracle in (
        (BASE, REFERENCE, False),
        *((one.name, REFERENCE if one.oracle else one.name, one.oracle) for one in ABLATIONS),
    ):
        own = values(arm, oracle)
        first = table.accuracy(world, weighting, arm, GRPO, "first_heldout")
        rise = np.array([own[REFERENCE, GRPO][seed] - first[seed] for seed in first])
        scale = np.where(rise > 0, rise, np.nan) / 100
        judged = [asdict(one) for one in agreement.judge(result, own)]
        relative[name] = [_gap(one, own) / scale for one in result.claims]
        found[name] = {"rise": asdict(mean_interval(rise)), "claims": judged}
        for one, share in zip(judged, relative[name], strict=True):
            one["share"] = float(share.mean()) if np.isfinite(share).all() else None
    changes = [
        (name, place, relative[name][place] - relative[BASE][place])
        for name in list(found)[1:]
        for place in range(len(result.claims))
    ]
    p_values = [
        paired_p_value(change, np.zeros_like(change)) if np.isfinite(change).all() else None
        for _, _, change in changes
    ]
    adjusted = holm(as_p_values(p_values))
    for (name, place, change), p, value in zip(changes, p_values, adjusted, strict=True):
        known = np.isfinite(change).all()
        found[name]["claims"][place]["change"] = {
            "mean": float(change.mean()) if known else None,
            "p_value": None if p is None else value,
        }
    return found


def _gap(one: Claim, values: agreement.Values) -> FloatArray:
    """Left minus right (seeds,)."""
    return np.array([values[one.left][s] - values[one.right][s] for s in sorted(values[one.left])])


def reasons(
    found: Mapping[str, Any], other: Mapping[str, Any], weighting: str
) -> list[dict[str, Any]]:
    """What turns round, brings nearer or moves away each contrast, by the tests of ``ablations``.

    other: the same world under the other weighting, which is a tested reason as well.
    """
    rows = []
    others = {one["claim"]: one for one in other[BASE]["claims"]}
    second = next(name for name in WEIGHTINGS if name != weighting)
    for place, base in enumerate(found[BASE]["claims"]):
        tried = {one.name: found[one.name]["claims"][place] for one in ABLATIONS}
        moved = {
            name: one["change"]["mean"]
            for name, one in tried.items()
            if one["change"]["p_value"] is not None and one["change"]["p_value"] < LEVEL
        }
        status = {name: one["status"] for name, one in tried.items()}
        status[f"loss per {second}"] = others[base["claim"]]["status"]
        row = {
            "claim": base["claim"],
            "status": base["status"],
            "paper": base["paper"],
            "mean": base["mean"],
            "high": base["high"],
            "share": base["share"],
            "agrees under": [n for n, one in status.items() if one == agreement.AGREES],
            "disagrees under": [n for n, one in status.items() if one == agreement.DISAGREES],
            "nearer": {name: value for name, value in moved.items() if value > 0},
            "further": {name: value for name, value in moved.items() if value < 0},
        }
        row["likeliest"] = _likeliest(row)
        rows.append(row | {"words": _reason_words(row)})
    return rows


def _likeliest(row: Mapping[str, Any]) -> str | None:
    """The tested reason that explains most of a claim that fails; None if none does.

    Candidates: the other weighting, where it makes the claim agree, and ablations that bring the
    claim nearer beyond the noise and make it agree or close at least half of the gap.
    """
    if row["status"] == agreement.AGREES or row["share"] is None:
        return None
    half = abs(min(row["share"], 0.0)) / 2
    turned, nearer = row["agrees under"], row["nearer"]
    found = [name for name, value in nearer.items() if name in turned or value >= half > 0]
    weighting = [name for name in turned if name.startswith("loss per")]
    return str(max(found, key=nearer.__getitem__)) if found else next(iter(weighting), None)


def _reason_words(row: Mapping[str, Any]) -> str:
    half = "" if row["high"] is None else f" ± {row['high'] - row['mean']:.2f}"
    text = (
        f"paper {signed(row['paper'])}, simulated {signed(row['mean'])}{half} points: "
        f"{row['status']}. "
    )
    if row["status"] == agreement.AGREES:
        lost = row["disagrees under"]
        return text + (
            f"It is turned round by: {', '.join(lost)}." if lost else "No tested change turns it."
        )
    turned = row["agrees under"]
    text += (
        f"It agrees under: {', '.join(turned)}." if turned else "No tested change makes it agree."
    )
    nearer = sorted(row["nearer"].items(), key=lambda item: -item[1])
    if nearer:
        shown = ", ".join(f"{name} ({signed(value, 0)} %)" for name, value in nearer)
        text += f" Nearer to the paper in units of uniform's rise, beyond the noise: {shown}."
    else:
        text += " In units of uniform's rise none of the ablations brings it nearer."
    likeliest = row["likeliest"]
    return text + (
        f" Likeliest of the tested reasons: {likeliest}."
        if likeliest
        else " None of the tested reasons explains it."
    )


def reason_counts(why: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each tested reason: how many contrasts it makes agree or disagree, brings nearer or away.

    why: ``reasons`` by world and weighting. Nearer and further: None for the weighting.
    """
    rows = []
    for name in (*(one.name for one in ABLATIONS), "the other weighting of the loss"):
        counted = {"made to agree": 0, "made to disagree": 0, "nearer": 0, "further": 0}
        for by_weighting in why.values():
            for weighting, found in by_weighting.items():
                other = next(one for one in WEIGHTINGS if one != weighting)
                key = name if name in [one.name for one in ABLATIONS] else f"loss per {other}"
                for row in found:
                    agrees, fails = key in row["agrees under"], key in row["disagrees under"]
                    counted["made to agree"] += agrees and row["status"] != agreement.AGREES
                    counted["made to disagree"] += fails and row["status"] != agreement.DISAGREES
                    counted["nearer"] += key in row["nearer"]
                    counted["further"] += key in row["further"]
        absent = (
            {} if name in [one.name for one in ABLATIONS] else {"nearer": None, "further": None}
        )
        rows.append({"reason": name, **counted, **absent})
    return rows


def conditions(tried: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Counts of contrasts by status as it is and under each ablation, by world and weighting."""
    return [
        {
            "condition": name,
            "world": world,
            "weighting": weighting,
            **{
                status: sum(one["status"] == status for one in found[name]["claims"])
                for status in agreement.STATUSES
            },
        }
        for world, by_weighting in tried.items()
        for weighting, found in by_weighting.items()
        for name in found
    ]


def signed(value: float, digits: int = 2) -> str:
    """A number with its sign, for prose."""
    return f"{value:+.{digits}f}".replace("-", "−")


# --- the weighting of the loss ----------------------------------------------------------------

SPENDERS = (GRPO, KNAPSACK, COBA)
SIGNALS = ("signal", "signal to noise", "signal to prompt noise")


def pulls(preset: Preset, batches: int = 16) -> list[dict[str, Any]]:
    """Expected move of each prompt's logit, and the noise around it, without any training.

    ``batches`` batches of true pass rates from "math"; budgets by allocators that know them;
    weights w of the loss per rollout, per prompt, or another allocator's. By class: M w_i E[u_i]
    (``expected_group_update``), mean over its prompts. "signal": sum_i w_i E[u_i]. "signal to
    noise": over the standard deviation of the nuisance gradients of rollouts, sum_i w_i^2
    P(mixed) / B_i; "signal to prompt noise": of those that a prompt's rollouts share, sum_i w_i^2
    E[u_i^2]. These three in units of uniform's. Means over batches with 95 % intervals.
    """
    size = preset.batch_size
    limits = Limits(16 * size, preset.low, preset.high)
    found: dict[tuple[str, str], dict[str, list[float]]] = {}
    for batch in range(batches):
        p = draw_pass_rates(stream(batch, 0), size, "math")
        obs = Observation(p, np.full(size, 1e6), 1.0 - float(p.mean()))
        classes = difficulty_class(p)
        budgets = {one.allocator: one.budgets for one in what_if(obs, limits, SPENDERS)}
        cases = [
            (name, weighting, budgets[name], group_weights(budgets[name], weighting))
            for name in SPENDERS
            for weighting in WEIGHTINGS
        ] + [
            (_weighed(name), "rollout", budgets[GRPO], group_weights(budgets[name], "rollout"))
            for name in SPENDERS[1:]
        ]
        base: FloatArray | None = None
        for name, weighting, spent, weights in cases:
            pull = weights * expected_group_update(p, spent)
            mixed = 1.0 - p**spent - (1.0 - p) ** spent
            square = p * (1.0 - p) * (spent - 1) / spent  # E[u^2] of std-normalised advantages
            noise = np.sqrt([(weights**2 @ (mixed / spent)), (weights**2 @ square)])
            numbers = pull.sum() / np.array([1.0, *noise])
            base = numbers if base is None else base  # uniform comes first
            place = found.setdefault((name, weighting), {})
            for key, value in zip(SIGNALS, numbers / base, strict=True):
                place.setdefault(key, []).append(float(value))
            for number, key in enumerate(DIFFICULTY_CLASSES):
                mine = classes == number
                if mine.any():
                    place.setdefault(key, []).append(size * float(pull[mine].mean()))
    return [
        {
            "allocator": allocator,
            "weighting": weighting,
            **{name: asdict(mean_interval(values)) for name, values in numbers.items()},
        }
        for (allocator, weighting), numbers in found.items()
    ]


def pull_words(rows: Sequence[Mapping[str, Any]]) -> str:
    """What ``pulls`` says of CoBA, in words."""
    by = {(row["allocator"], row["weighting"]): row for row in rows}
    cases = (
        ("its budgets, loss per rollout", by[COBA, "rollout"]),
        ("its budgets, loss per prompt", by[COBA, "prompt"]),
        ("uniform budgets, its weights", by[_weighed(COBA), "rollout"]),
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


def decomposition(table: Table, world: str, name: str) -> dict[str, Any]:
    """An allocator's gain over uniform, taken apart into where rollouts go and what counts.

    both: per rollout; budgets only: its budgets, every prompt counts alike (per prompt); weights
    only: uniform budgets, its weights in the loss; together: both minus the two alone. Points.
    """
    base = table.accuracy(world, "rollout", REFERENCE, GRPO)
    parts = {
        "both": table.accuracy(world, "rollout", REFERENCE, name),
        "budgets only": table.accuracy(world, "prompt", REFERENCE, name),
        "weights only": table.accuracy(world, "rollout", _weighed(name), GRPO),
    }
    gains = {part: np.array([own[s] - base[s] for s in base]) for part, own in parts.items()}
    gains["together"] = gains["both"] - gains["budgets only"] - gains["weights only"]
    p_values = [paired_p_value(gain, np.zeros_like(gain)) for gain in gains.values()]
    adjusted = holm(as_p_values(p_values))
    found: dict[str, Any] = {
        part: asdict(mean_interval(gain)) | {"p_value": None if p is None else value}
        for (part, gain), p, value in zip(gains.items(), p_values, adjusted, strict=True)
    }
    return found | {"words": _decomposition_words(name, found)}


def _decomposition_words(name: str, found: Mapping[str, Any]) -> str:
    def shown(part: str) -> str:
        one = found[part]
        half = "" if one["high"] is None else f" ± {one['high'] - one['mean']:.2f}"
        clear = one["p_value"] is not None and one["p_value"] < LEVEL
        return f"{signed(one['mean'])}{half}{'' if clear else ' (inside the noise)'}"

    text = (
        f"{name} per rollout is {shown('both')} points from uniform. Its budgets alone, every "
        f"prompt counting alike, give {shown('budgets only')}; its weights alone, on uniform "
        f"budgets, give {shown('weights only')}; the two together add {shown('together')}."
    )
    both, alone = found["both"]["mean"], found["budgets only"]["mean"]
    if found["both"]["p_value"] is not None and found["both"]["p_value"] < LEVEL:
        if both > 0:
            kept = f"{100 * alone / both:.0f} %" if alone > 0 else "nothing"
            text += f" Of its gain, {kept} remains when a prompt's weight is taken out."
        else:
            text += " There is no gain to explain."
    return text


# --- all of it --------------------------------------------------------------------------------


def table_4(out: Path) -> dict[str, Any]:
    """Run times of the solvers at the paper's size, measured once per folder."""
    file = out / TIMES
    if not file.exists():
        write_atomically(file, json.dumps(solver_seconds(*paper.TABLE_4_SIZE)) + "\n")
    seconds = json.loads(file.read_text())
    published = paper.TABLE_4["dp"] / paper.TABLE_4["heap"]
    ratio = seconds["dp"] / seconds["heap"]
    return {
        "title": "Table 4: run time of the solvers",
        "prompts": paper.TABLE_4_SIZE[0],
        "rollouts": paper.TABLE_4_SIZE[1],
        "paper": paper.TABLE_4,
        "seconds": seconds,
        "dp over heap": {"paper": published, "here": ratio},
        "status": agreement.AGREES if ratio > 1 else agreement.DISAGREES,
        "words": (
            f"The heap is {ratio:.0f} times as fast as the dynamic program here (paper: "
            f"{published:.0f} times), and the threshold solver "
            f"{seconds['heap'] / seconds['threshold']:.0f} times as fast as the heap. The dynamic "
            f"program is vectorised here ({seconds['dp']:.2f} s against {paper.TABLE_4['dp']:.0f} "
            "s), which is why its distance is smaller. One measurement on one machine, no seeds."
        ),
    }


def alphas() -> list[dict[str, float]]:
    """Alpha by Equations 6 and 7 at the failure rates of Figure 4's panels, beside the paper's."""
    published = paper.RESULTS["figure-5"].numbers
    return [
        {
            "failure rate": rate,
            "paper": published[COBA, stage],
            "formula": beta_shape(rate, kappa=11.0)[0],
        }
        for stage, rate in paper.FAILURE_RATES.items()
    ]


def build(table: Table, preset: Preset) -> dict[str, Any]:
    """Every section but the times, from the sweep's rows."""
    results: dict[str, Any] = {}
    for key, result in paper.RESULTS.items():
        published = centred({case: {0: v} for case, v in result.numbers.items()}, result.across)
        simulated = {
            world: {
                weighting: beside(result, values_of(result, table, world, weighting))
                for weighting in WEIGHTINGS
            }
            for world in WORLDS
        }
        results[key] = {
            "title": result.title,
            "unit": result.unit,
            "paper": [
                {"group": case[0], "entry": case[1], "value": value, "centred": published[case][0]}
                for case, value in result.numbers.items()
            ],
            "simulated": simulated,
        }
    tried = {
        world: {weighting: ablations(table, world, weighting) for weighting in WEIGHTINGS}
        for world in WORLDS
    }
    why = {
        world: {
            one: reasons(tried[world][one], tried[world][two], one)
            for one, two in (WEIGHTINGS, WEIGHTINGS[::-1])
        }
        for world in WORLDS
    }
    largest = {
        world: {
            weighting: asdict(
                mean_interval(
                    [
                        max(step.budget_max or 0 for step in run.steps)
                        for run in table.runs(world, weighting, REFERENCE, COBA)
                    ]
                )
            )
            for weighting in WEIGHTINGS
        }
        for world in WORLDS
    }
    pulled = pulls(preset)
    return {
        "results": results,
        "peak budget": {"paper": list(paper.FIGURE_4_PEAK), "simulated": largest},
        "alphas": alphas(),
        "ablations": tried,
        "reasons": why,
        "reason counts": reason_counts(why),
        "conditions": conditions(tried),
        "loss weighting": {
            "pulls": pulled,
            "words": pull_words(pulled),
            "decomposition": {
                world: {name: decomposition(table, world, name) for name in (COBA, KNAPSACK)}
                for world in WORLDS
            },
        },
    }


def summary(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per table or figure, world and weighting: tau and counts of claims, and in words."""
    rows = []
    for key, result in results.items():
        for world, by_weighting in result["simulated"].items():
            for weighting, found in by_weighting.items():
                order, counted = found["order"], found["counts"]
                tau = None if order is None else order["tau"]
                rows.append(
                    {
                        "result": key, "title": result["title"], "world": world,
                        "weighting": weighting, "tau": tau, **counted,
                        "words": _summary_words(tau, counted),
                    }
                )  # fmt: skip
    return rows


def _summary_words(tau: float | None, counted: Mapping[str, int]) -> str:
    total = sum(counted.values())
    if not total:
        return "not measured"
    plural = {agreement.AGREES: "agree", agreement.DISAGREES: "disagree"}
    parts = [
        f"{number} of {total} {plural.get(name, name)}"
        for name, number in counted.items()
        if number
    ]
    return ", ".join(parts) + ("" if tau is None else f"; tau {signed(tau)}")


def best_condition(rows: Sequence[Mapping[str, Any]]) -> str:
    """Under which condition most contrasts agree, in words; ``rows`` of ``conditions``."""
    best = max(rows, key=lambda row: row[agreement.AGREES] - row[agreement.DISAGREES])
    total = sum(best[name] for name in agreement.STATUSES)
    return (
        f"Of the {total} claims on the reference model that were put to every condition, most "
        f"agree in the {best['world']} world with the loss per {best['weighting']}, "
        f"{best['condition']}: {best[agreement.AGREES]} agree, {best[agreement.DISAGREES]} "
        "disagree."
    )


def headline(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One sentence per world and weighting over all tables and figures."""
    lines = []
    for world in WORLDS:
        for weighting in WEIGHTINGS:
            mine = [r for r in rows if r["world"] == world and r["weighting"] == weighting]
            counted = {name: sum(row[name] for row in mine) for name in agreement.STATUSES}
            taus = [row["tau"] for row in mine if row["tau"] is not None]
            failing = [r["title"].split(":")[0] for r in mine if r[agreement.DISAGREES]]
            text = (
                f"{world} world, loss per {weighting}: of {sum(counted.values())} claims of the "
                f"paper {counted[agreement.AGREES]} agree, {counted[agreement.DISAGREES]} "
                f"disagree and {counted[agreement.NOISE]} are inside the noise"
            )
            text += f"; mean tau {signed(float(np.mean(taus)))}." if taus else "."
            text += f" Claims that disagree are in {', '.join(failing)}." if failing else ""
            lines.append(text)
    return lines


def find_preset(name: str) -> Preset:
    """The preset of a name. Raises InputError."""
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    return PRESETS[name]


def reproduce(
    preset: Preset,
    out: Path,
    *,
    command: str,
    jobs: int | None = None,
    on_finished: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Run what is missing below ``out``, and write the numbers (JSON) and the report (HTML).

    Raises InputError if ``out`` holds another preset's runs, or anything else.
    """
    from cobasim.experiments.reproduction.page import write_page

    sweep, keys = sweep_of(preset)
    claim(sweep, out)
    found = run_sweep(sweep, out, jobs=jobs, on_finished=on_finished, measure=details)
    table = Table(found.to_pylist(), keys)
    content = build(table, preset)
    rows = summary(content["results"])
    content = {
        "source": paper.SOURCE,
        "command": command,
        "versions": own_versions(),
        "preset": asdict(preset),
        "seeds": list(range(preset.seeds)),
        "runs": distinct_runs(sweep),
        "models": {name: asdict(model) for name, model in MODELS.items()},
        "learning rates": {world: learning_rate(world, preset.steps) for world in WORLDS},
        "headline": [*headline(rows), best_condition(content["conditions"])],
        "summary": rows,
        **content,
        "table-4": table_4(out),
    }
    write_atomically(out / NUMBERS, json.dumps(content, indent=1, allow_nan=False) + "\n")
    write_page(out / REPORT, content, table)
    return content


def distinct_runs(sweep: Sweep) -> int:
    """Runs that are really done: equal configs are done once."""
    return len(
        {one.model_dump_json() for point in sweep.points for one in plan_of(sweep.config(point))}
    )
