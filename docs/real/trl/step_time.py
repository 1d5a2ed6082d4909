"""The time of a training step in cobatrain and in TRL's GRPOTrainer, in turn, in one sitting.

    python docs/real/trl/step_time.py [--config tiny-compare] [--rounds 6] [--steps 2] [--set a.b=c]
    python docs/real/trl/step_time.py --config smollm2 --rounds 3 \
        --set update.bf16=false --set engine.dtype=float32

The same model, prompts, equal groups, maximum length and optimiser, each trainer with a copy of its
own, on a CPU in one process. Both generate by transformers and use one thread, unless told
otherwise. TRL trains on every row; cobatrain leaves out groups without signal, and runs a prompt
once for its rollouts. Prints the median wall time of a step, tokens of responses, and the ratio to
TRL's in the same round, with its quartiles. The first step of a turn is not counted.
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
from cost import Clock
from datasets import Dataset
from tiny import MODEL, settings_of
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from cobasim.allocation import make_allocator
from cobasim.loop import Loop
from cobatrain.config import TrainConfig, load_config
from cobatrain.learner import LanguageModelLearner
from cobatrain.tasks import format_prompt, make_task
from cobatrain.trainer import open_learner, prepare_if_missing


def stock(config: TrainConfig, steps: int, folder: Path) -> Any:
    """TRL's trainer of a config."""
    task = make_task(config.task, config.task_seed)
    tokenizer = AutoTokenizer.from_pretrained(config.model.path, padding_side="left")
    shown = [format_prompt(prompt, tokenizer, system=config.model.system) for prompt in task.train]

    def reward(completions: list[str], number: list[int], **rest: Any) -> list[float]:
        passed: list[float] = task.score([task.train[i] for i in number], completions).tolist()
        return passed

    settings = settings_of(config, 0, folder) | {"max_steps": steps}
    return GRPOTrainer(
        AutoModelForCausalLM.from_pretrained(config.model.path, dtype=torch.float32),
        reward,
        args=GRPOConfig(**settings),
        train_dataset=Dataset.from_dict({"prompt": shown, "number": list(range(len(shown)))}),
        processing_class=tokenizer,
    )


def steps_of_trl(trainer: Any) -> list[tuple[float, float]]:
    """Seconds and tokens of each step but the first, of one turn."""
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    trainer.remove_callback(clock)
    rows = trainer.args.per_device_train_batch_size * trainer.args.gradient_accumulation_steps
    lengths = [log["completions/mean_length"] for log in trainer.state.log_history if "loss" in log]
    return [(wall, rows * n) for (_, wall), n in zip(clock.steps, lengths, strict=True)][1:]


def steps_of_ours(loop: Loop, steps: int) -> list[tuple[float, float]]:
    """The same of cobatrain."""
    found, allocator = [], make_allocator("uniform")
    for _ in range(steps):
        began = time.perf_counter()
        record = loop.advance(allocator)
        found.append((time.perf_counter() - began, float(record.learner["tokens"])))
    return found[1:]


def in_turn(config: TrainConfig, rounds: int, steps: int, folder: Path) -> None:
    """Turns of both, and what they took."""
    trl = stock(config, steps, folder)
    spent: dict[str, list[list[tuple[float, float]]]] = {"TRL": [], "cobatrain": []}
    with open_learner(config) as (learner, _):
        assert isinstance(learner, LanguageModelLearner)
        endless = config.loop.model_copy(update={"steps": 10**9, "eval_every": 10**9})
        loop = Loop(learner, endless, seed=config.seed, estimator=config.estimator)
        for _ in range(rounds):
            spent["TRL"].append(steps_of_trl(trl))
            spent["cobatrain"].append(steps_of_ours(loop, steps))
    size = config.loop
    print(f"a step of {size.batch_size} prompts and {size.total_budget} rollouts, medians:")
    for name, turns in spent.items():
        times, tokens = np.array(turns).reshape(-1, 2).T
        print(f"  {name:9} {np.median(times):.2f} s, {np.median(tokens):,.0f} tokens")
    ours, theirs = (np.array(spent[name])[..., 0].mean(axis=1) for name in ("cobatrain", "TRL"))
    ratios = (ours / theirs).tolist()
    low, high = np.quantile(ratios, (0.25, 0.75))
    print(f"  cobatrain / TRL {statistics.median(ratios):.2f} (quartiles {low:.2f} to {high:.2f})")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--config", default="tiny-compare")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=3, help="in a turn; the first is not counted")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    known = [f"model.path={MODEL}"] if given.config == "tiny-compare" else []
    settings = [*known, "allocator=uniform", "engine.name=transformers", "engine.subprocess=false"]
    config = load_config(given.config, [*settings, "model.device=cpu", *given.settings])
    prepare_if_missing(config, say=print)
    with tempfile.TemporaryDirectory() as scratch:
        in_turn(config, given.rounds, given.steps, Path(scratch))


if __name__ == "__main__":
    main()
