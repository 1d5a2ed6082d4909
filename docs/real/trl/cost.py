"""What budgets cost in TRL: steps of stock and budget trainers in turn, and the parts alone.

    python docs/real/trl/cost.py [--rounds 6] [--allocator signal] [--seed 0]

In each round every trainer has a turn of three steps, in an order drawn anew; the first step of a
turn is not counted. Prints medians of processor time and of wall time, and the processor time of
all steps over that of the stock trainer, with the 95 % interval of a bootstrap over rounds: a
machine's speed drifts, and a round is short. With it, the quartiles of that ratio over the rounds.
Then what a generation batch spends on budgets, apart: asking and telling, and dealing and
advantages, which the stock trainer has in another form.

A step of the tiny model has 64 prompts and 512 rollouts of at most 8 tokens: far shorter than a
real one, so the share of budgets is far larger than in practice. The parts are therefore measured
for 512 prompts and 8,192 rollouts too, without a model.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from tiny import trainer
from transformers import TrainerCallback

from cobasim.arrays import FloatArray
from cobasim.budgets import BudgetLedger
from cobatrain.integrations.trl.groups import Groups, advantages, count_passes
from cobatrain.integrations.trl.rows import Numbered

STEPS = 3  # in a turn; the first is not counted
PARTS = {
    "ask": ("_ask",),
    "tell": ("_tell",),
    "deal": ("_prompts", "_deal"),
    "advantages": ("_advantages",),
}
"""Methods of a budget trainer by what they are for; each runs once a generation batch."""
RESAMPLES = 10_000


class Clock(TrainerCallback):
    """Times of every step, as (processor, wall)."""

    def __init__(self) -> None:
        self.steps: list[tuple[float, float]] = []

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        """The step begins."""
        self._began = time.process_time(), time.perf_counter()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        """It is done."""
        now = time.process_time(), time.perf_counter()
        self.steps.append((now[0] - self._began[0], now[1] - self._began[1]))


def timed(run: Any) -> dict[str, list[float]]:
    """Processor seconds of each method of PARTS, one for every generation batch to come."""
    spent: dict[str, list[float]] = {}
    for name in (name for names in PARTS.values() for name in names):
        part, own = getattr(run, name), spent.setdefault(name, [])

        def measured(*args: Any, part: Any = part, own: list[float] = own) -> Any:
            began = time.process_time()
            try:
                return part(*args)
            finally:
                own.append(time.process_time() - began)

        setattr(run, name, measured)
    return spent


def interval(own: FloatArray, stock: FloatArray, rng: np.random.Generator) -> FloatArray:
    """The 95 % interval (2,) of sum(own) / sum(stock); rounds (r,) are drawn in pairs."""
    drawn = rng.integers(own.size, size=(RESAMPLES, own.size))
    return np.quantile(own[drawn].sum(axis=1) / stock[drawn].sum(axis=1), (0.025, 0.975))


def in_turn(rounds: int, allocator: str, seed: int, folder: Path) -> None:
    """Steps of stock, uniform and the allocator, in an order drawn anew in each round."""
    rng = np.random.default_rng(seed)
    names = ("stock", "uniform", allocator)
    arms = {arm: trainer(arm, 0, folder, max_steps=STEPS) for arm in names}
    spent = {arm: timed(run) for arm, run in arms.items() if arm != "stock"}
    steps: dict[str, list[list[tuple[float, float]]]] = {arm: [] for arm in arms}
    for _ in range(rounds):
        for arm in rng.permutation(names).tolist():
            clock = Clock()
            arms[arm].add_callback(clock)
            arms[arm].train()
            arms[arm].remove_callback(clock)
            steps[arm].append(clock.steps[1:])
    print(
        f"a step of 64 prompts and 512 rollouts, {rounds} rounds of {STEPS - 1} steps each, "
        f"order drawn with seed {seed}:"
    )
    times = {arm: np.array(own) for arm, own in steps.items()}  # (rounds, steps, 2)
    stock = times["stock"][..., 0].sum(axis=1)
    for arm in arms:
        middle = np.median(times[arm], axis=(0, 1))
        print(f"  {arm:8} processor {middle[0]:.3f} s, wall {middle[1]:.3f} s (medians)")
        if arm == "stock":
            continue
        own = times[arm][..., 0].sum(axis=1)
        low, high = interval(own, stock, rng) - 1
        first, last = np.quantile(own / stock, (0.25, 0.75)) - 1
        print(
            f"    to stock {own.sum() / stock.sum() - 1:+.2%} (95 % interval {low:+.2%} to "
            f"{high:+.2%}; quartiles of rounds {first:+.1%} to {last:+.1%})"
        )
        costs = {part: cost(spent[arm], PARTS[part], middle[0]) for part in PARTS}
        print("    " + ", ".join(f"{part} {costs[part]}" for part in PARTS))
        both = cost(spent[arm], PARTS["ask"] + PARTS["tell"], middle[0])
        rest = cost(spent[arm], PARTS["deal"] + PARTS["advantages"], middle[0])
        print(f"    ask + tell {both} of the step; deal + advantages {rest}")


def cost(spent: dict[str, list[float]], names: tuple[str, ...], step: float) -> str:
    """The median that these methods take together, in ms and as a share of a step.

    Without the first batch of each turn, as the steps are.
    """
    counted = np.array([spent[name] for name in names]).reshape(len(names), -1, STEPS)[..., 1:]
    median = float(np.median(counted.sum(axis=0)))
    return f"{1e3 * median:.2f} ms = {median / step:.3%}"


def parts(allocator: str, prompts: int = 512, mean: int = 16, repeats: int = 20) -> None:
    """Asking, dealing, advantages and telling at the paper's size, without a model."""
    rng = np.random.default_rng(0)
    size = 17_000
    rows = Numbered(Dataset.from_dict({"prompt": ["how much is that?"] * size}))
    ledger = BudgetLedger(prompts * mean, allocator=allocator, high=128)
    chance = rng.beta(0.5, 0.5, size)
    names = ("ask", "deal", "advantages", "tell")
    spent: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(repeats):
        chosen = rng.choice(size, prompts, replace=False)
        marks = [time.process_time()]
        groups = Groups(chosen, ledger.ask(chosen))
        marks.append(time.process_time())
        rows.__getitems__(groups.rows(0, groups.group.size).tolist()[: groups.group.size // 2])
        marks.append(time.process_time())
        rewards = torch.tensor(rng.random(groups.group.size) < chance[groups.prompts][groups.group])
        rewards = rewards.float()
        between = time.process_time()
        advantages(rewards, groups, "group")
        marks.append(time.process_time() - between + marks[-1])
        between = time.process_time()
        ledger.tell(chosen, *count_passes(rewards[:, None], rewards, groups, 0.5, ["reward"]))
        marks.append(time.process_time() - between + marks[-1])
        for name, took in zip(names, np.diff(marks), strict=True):
            spent[name].append(took)
    medians = {name: 1e3 * statistics.median(times) for name, times in spent.items()}
    print(f"parts for {prompts} prompts and {prompts * mean} rollouts, processor time in ms:")
    print("  " + ", ".join(f"{name} {took:.2f}" for name, took in medians.items()))
    both = medians["ask"] + medians["tell"]
    print(f"  ask + tell {both:.2f} ms: below 0.2 % of steps of more than {both / 2:.1f} s")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--allocator", default="signal")
    parser.add_argument("--seed", type=int, default=0, help="of the order and the bootstrap")
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts(given.allocator)
    with tempfile.TemporaryDirectory() as scratch:
        in_turn(given.rounds, given.allocator, given.seed, Path(scratch))


if __name__ == "__main__":
    main()
