"""The task and model of ``tiny-compare`` as TRL takes them; for the scripts beside this file.

M = 64 prompts, 512 rollouts a step, one update a step, AdamW at a constant 1e-4, clip 0.2 and 0.28,
gradient norm at most 1: as the config. TRL differs in dividing by the sample std of a group (plus
1e-4), and in training on every row, also where all rewards are equal.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import GRPOConfig, GRPOTrainer

from cobatrain.config import TrainConfig, load_config
from cobatrain.engines import SamplingConfig
from cobatrain.exact import exact_answers, exact_log_rates
from cobatrain.integrations.trl import BudgetGRPOTrainer
from cobatrain.tasks import make_task

MODEL = Path(__file__).parent.parent / "measured" / "model"
"""What ``cobatrain prepare tiny`` made; held-out accuracy 33.1 %."""
CONFIG = load_config("tiny-compare")
TASK = make_task(CONFIG.task, CONFIG.task_seed)


def data() -> Dataset:
    """The 2,048 training prompts."""
    return Dataset.from_dict(
        {
            "prompt": [prompt.shown for prompt in TASK.train],
            "number": list(range(len(TASK.train))),
        }
    )


def reward(completions: list[str], number: list[int], **rest: Any) -> list[float]:
    """The task's own."""
    passed: list[float] = TASK.score([TASK.train[i] for i in number], completions).tolist()
    return passed


def settings_of(config: TrainConfig, seed: int, folder: Path) -> dict[str, Any]:
    """What TRL is told of a config."""
    loop, update = config.loop, config.update
    return {
        "output_dir": str(folder),
        "seed": seed,
        "num_generations": loop.total_budget // loop.batch_size,
        "per_device_train_batch_size": loop.total_budget // 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": config.sampling.max_tokens,
        "temperature": config.sampling.temperature,
        "learning_rate": update.learning_rate,
        "lr_scheduler_type": "constant",
        "epsilon": update.clip_low,
        "epsilon_high": update.clip_high,
        "max_grad_norm": update.max_grad_norm,
        "loss_type": "grpo",
        "max_steps": loop.steps,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "gradient_checkpointing": False,
        "disable_tqdm": True,
    }


def trainer(arm: str, seed: int, folder: Path, records: Path | None = None, **changes: Any) -> Any:
    """The trainer of an arm: "stock", or the name of an allocator."""
    loop, settings = CONFIG.loop, settings_of(CONFIG, seed, folder)
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    given = {
        "args": GRPOConfig(**(settings | changes)),
        "train_dataset": data(),
        "processing_class": AutoTokenizer.from_pretrained(MODEL, padding_side="left"),
    }
    if arm == "stock":
        return GRPOTrainer(model, reward, **given)
    budgets = {"allocator": arm, "low": loop.low, "high": loop.high, "records": records}
    return BudgetGRPOTrainer(model, reward, budgets=budgets, weighting="rollout", **given)


def accuracy(model: torch.nn.Module) -> float:
    """Held-out accuracy: the mean true pass rate of the held-out prompts, computed."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    prompts = [prompt for part in TASK.heldout.values() for prompt in part]
    tokens = {prompt.shown: tokenizer(prompt.shown)["input_ids"] for prompt in prompts}
    sampling = SamplingConfig(max_tokens=CONFIG.sampling.max_tokens)
    answers = exact_answers(prompts, tokens, tokenizer, [tokenizer.eos_token_id], sampling)
    return float(np.exp(exact_log_rates(model, answers, CONFIG.sampling.temperature)).mean())
