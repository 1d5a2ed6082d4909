"""What budgets cost in TRL: steps of stock and budget trainers in turn, and the parts alone.

    python docs/real/trl/cost.py [--rounds 6] [--allocator signal]

Prints medians of processor time and of wall time, and the median over rounds of each step's time
over that of the stock trainer in the same round, with its quartiles: a machine's speed drifts. A
step of the tiny model has 64 prompts and 512 rollouts of at most 8 tokens: far shorter than a real
one, so the share of asking and telling is far larger than in practice. The parts are therefore
measured for 512 prompts and 8,192 rollouts too, without a model.
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

from cobasim.budgets import BudgetLedger
from cobatrain.integrations.trl.groups import Groups, advantages, count_passes
from cobatrain.integrations.trl.rows import Numbered

STEPS = 3  # in a turn; the first is not counted
PARTS = ("_prompts", "_ask", "_deal", "_advantages", "_tell")


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


def timed(run: Any, spent: list[float]) -> None:
    """Add what each generation batch spends on budgets, in processor seconds."""
    for name in PARTS:
        part = getattr(run, name)

        def measured(*args: Any, part: Any = part, first: bool = name == PARTS[0]) -> Any:
            began = time.process_time()
            try:
                return part(*args)
            finally:
                took = time.process_time() - began
                spent.append(took) if first else spent.__setitem__(-1, spent[-1] + took)

        setattr(run, name, measured)


def in_turn(rounds: int, allocator: str, folder: Path) -> None:
    """Steps of stock, uniform and the allocator, in turn."""
    arms = {
        arm: trainer(arm, 0, folder, max_steps=STEPS) for arm in ("stock", "uniform", allocator)
    }
    clocks: dict[str, list[tuple[float, float]]] = {arm: [] for arm in arms}
    spent: dict[str, list[float]] = {arm: [] for arm in arms}
    for arm, run in arms.items():
        if arm != "stock":
            timed(run, spent[arm])
    for _ in range(rounds):
        for arm, run in arms.items():
            clock = Clock()
            run.add_callback(clock)
            run.train()
            run.remove_callback(clock)
            clocks[arm] += clock.steps[1:]
    print(f"a step of 64 prompts and 512 rollouts, {len(clocks['stock'])} steps each, medians:")
    stock = np.array(clocks["stock"]).reshape(rounds, -1, 2)
    for arm in arms:
        times = np.array(clocks[arm])
        own = np.median(times, axis=0)
        ratio = times.reshape(rounds, -1, 2).mean(axis=1) / stock.mean(axis=1) - 1
        first, middle, last = np.quantile(ratio[:, 0], (0.25, 0.5, 0.75))
        line = f"  {arm:8} processor {own[0]:.3f} s, wall {own[1]:.3f} s"
        if arm != "stock":
            line += f"; to stock {middle:+.1%} (quartiles {first:+.1%} to {last:+.1%})"
        if spent[arm]:
            asked = statistics.median(spent[arm])
            line += f", budgets {1e3 * asked:.2f} ms = {asked / own[0]:.2%} of the step"
        print(line)


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
    given = parser.parse_args()
    torch.set_num_threads(1)
    parts(given.allocator)
    with tempfile.TemporaryDirectory() as scratch:
        in_turn(given.rounds, given.allocator, Path(scratch))


if __name__ == "__main__":
    main()
