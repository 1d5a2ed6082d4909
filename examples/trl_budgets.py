"""Rollout budgets in TRL's GRPOTrainer: sums of two numbers, a model of 20,000 parameters, a CPU.

    pip install "coba-testbed[trl]"
    python examples/trl_budgets.py
    cobasim explore --runs runs

The model starts from random weights and is too small to learn much; what the example shows is how
budgets are switched on, and what they did. In a script of your own, three things change: the class
of the trainer, ``budgets=``, and that ``num_generations`` is now the mean budget of a prompt.
"""

from __future__ import annotations

import argparse

import torch
from datasets import Dataset
from transformers import Qwen3ForCausalLM
from trl import GRPOConfig

from cobatrain.integrations.trl import BudgetGRPOTrainer
from cobatrain.tiny import tiny_config, tiny_tokenizer


def starts_right(completions: list[str], answer: list[str], **rest: object) -> list[float]:
    """1 if the first digit of the sum is right."""
    return [float(text[:1] == own[:1]) for text, own in zip(completions, answer, strict=True)]


def main() -> None:
    """Train for some steps, and say which prompts got how much."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--allocator", default="signal")
    given = parser.parse_args()

    torch.manual_seed(0)
    model = Qwen3ForCausalLM(tiny_config(hidden=32, layers=2, heads=2, intermediate=64, context=32))
    sums = [(a, b) for a in range(16) for b in range(16)]
    data = Dataset.from_dict(
        {"prompt": [f"{a}+{b}=" for a, b in sums], "answer": [str(a + b) for a, b in sums]}
    )
    trainer = BudgetGRPOTrainer(
        model,
        starts_right,
        args=GRPOConfig(
            "runs/trl-checkpoints",
            num_generations=8,  # the mean budget
            per_device_train_batch_size=128,  # 16 prompts a step
            max_completion_length=2,
            max_steps=given.steps,
            learning_rate=1e-2,
            lr_scheduler_type="constant",
            loss_type="grpo",
            logging_steps=10,
            save_strategy="no",
            report_to=[],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=data,
        processing_class=tiny_tokenizer(),
        budgets={"allocator": given.allocator, "low": 2, "high": 32, "records": "runs/trl"},
        weighting="rollout",
        passed=0.5,
    )
    trainer.train()

    rates = trainer.ledger.rates()
    hardest = sorted(zip(rates.pass_rate, rates.attempts, rates.keys, strict=True))[:3]
    for rate, attempts, row in hardest:
        print(f"{data[row]['prompt']}  believed pass rate {rate:.2f} after {attempts:.0f} attempts")
    print("see every step: cobasim explore --runs runs")


if __name__ == "__main__":
    main()
