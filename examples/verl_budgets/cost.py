"""What asking and telling take of a step of verl: times in its own classes, with the fake agent.

    python examples/verl_budgets/cost.py OUT [GROUP ...]

512 prompts a step, GROUP rollouts of each on average (8 and 16 unless given), as in rehearse.py.
Asking is what ``BudgetAgentLoopManager.generate_sequences`` takes beyond verl's own: keys,
budgets, ``__rollout_n__``. Telling is what ``BudgetReplayBuffer.sample`` takes beyond verl's own:
scores from the TransferQueue, passes, the ledger and its record. No step of a real run is timed: it
needs GPUs.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import ray
import rehearse
import torch
from verl.trainer.ppo.v1.agent_loop_tq import AgentLoopManagerTQ
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from cobasim.budgets import BudgetLedger
from cobatrain.integrations.verl import BudgetAgentLoopManager, BudgetReplayBuffer

BATCH, STEPS = 512, 4
FIRST = 1  # steps left out: until every prompt was seen
SHARE = 0.002  # of a step

TIMED: dict[str, tuple[type, str]] = {
    "manager": (BudgetAgentLoopManager, "generate_sequences"),
    "verl's manager": (AgentLoopManagerTQ, "generate_sequences"),
    "keys": (BudgetAgentLoopManager, "_keys"),
    "ledger.ask": (BudgetLedger, "ask"),
    "buffer": (BudgetReplayBuffer, "sample"),
    "verl's buffer": (ReplayBuffer, "sample"),
    "scores": (BudgetReplayBuffer, "_scores"),
    "ledger.tell": (BudgetLedger, "tell"),
}
"""What is timed, by name: a method of a class."""

ASKED, TOLD = ("keys", "ledger.ask"), ("scores", "ledger.tell")


def timed(times: list[float], method: Callable[..., Any]) -> Callable[..., Any]:
    """The same method, which puts the milliseconds of each call into ``times``."""

    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            times.append(1e3 * (time.perf_counter() - began))

    return call


def measure(folder: Path, group: int) -> dict[str, list[float]]:
    """Milliseconds of each step after the first ones, by name in TIMED, "asking" and "telling"."""
    times: dict[str, list[float]] = {name: [] for name in TIMED}
    plain = {name: getattr(kind, method) for name, (kind, method) in TIMED.items()}
    for name, (kind, method) in TIMED.items():
        setattr(kind, method, timed(times[name], plain[name]))
    try:
        folder.mkdir(parents=True)
        config = rehearse.make_config(
            folder,
            rehearse.write_data(folder / "data.parquet", BATCH),
            f"data.train_batch_size={BATCH}",
            f"actor_rollout_ref.rollout.n={group}",
            "trainer.v1.sampler.sampler_kwargs.high=64",
            f"trainer.total_training_steps={STEPS}",
            "trainer.val_before_train=false",
            "trainer.test_freq=-1",
            "trainer.save_freq=-1",
        )
        rehearse.rehearse(config).agent_loop_manager.budgets.ledger.close()
    finally:
        for name, (kind, method) in TIMED.items():
            setattr(kind, method, plain[name])
    found = {name: values[-(STEPS - FIRST) :] for name, values in times.items()}
    for name, whole, part in (
        ("asking", "manager", "verl's manager"),
        ("telling", "buffer", "verl's buffer"),
    ):
        found[name] = [a - b for a, b in zip(found[whole], found[part], strict=True)]
    return found


def main() -> None:
    """The figures of each GROUP."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/verl-cost").resolve()
    for group in map(int, sys.argv[2:] or (8, 16)):
        found = measure(folder / f"group-{group}", group)
        ms = {name: median(values) for name, values in found.items()}
        both = [a + b for a, b in zip(found["asking"], found["telling"], strict=True)]
        print(
            f"{BATCH} prompts, {BATCH * group:,} rollouts, medians of {STEPS - FIRST} steps in ms:"
        )
        for whole, parts in (("asking", ASKED), ("telling", TOLD)):
            shares = ", ".join(f"{name} {ms[name]:.1f}" for name in parts)
            print(f"  {whole} {ms[whole]:.1f} ({shares})")
        print(
            f"  together {median(both):.1f}, at most {max(both):.1f}: below {SHARE:.1%} of steps "
            f"above {median(both) / 1e3 / SHARE:.0f} s",
            flush=True,
        )


if __name__ == "__main__":
    main()
    ray.shutdown()
