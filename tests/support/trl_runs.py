"""Small runs in TRL: a model of 6,000 parameters with random weights, sums, two rewards."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import Qwen3ForCausalLM
from trl import GRPOConfig, GRPOTrainer

from cobatrain.integrations.trl import BudgetGRPOTrainer
from cobatrain.tiny.model import tiny_config, tiny_tokenizer

ROWS = 13
GROUP = 4
PROMPTS = 6  # of a generation batch


def data(rows: int = ROWS) -> Dataset:
    numbers = range(rows)
    prompts = [f"{i}+{i * i}=" for i in numbers]
    return Dataset.from_dict({"prompt": prompts, "answer": [str(i) for i in numbers]})


def right(completions, answer, **rest):
    """0 or 1, more often 1 for some prompts than for others; only the row's own answer counts."""
    firsts = [sum(map(ord, text[:2])) % 7 for text in completions]
    return [float(first <= int(own) % 7) for first, own in zip(firsts, answer, strict=True)]


def form(completions, **rest):
    """A share, and none for an empty completion."""
    return [len(text) / 5 if text else None for text in completions]


def model(seed: int = 0) -> Qwen3ForCausalLM:
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(tiny_config(hidden=16, layers=2, heads=2, intermediate=32, context=32))


def config(folder: Path, **changes: Any) -> GRPOConfig:
    usual = {
        "output_dir": str(folder),
        "num_generations": GROUP,
        "per_device_train_batch_size": GROUP * PROMPTS // 2,
        "gradient_accumulation_steps": 2,
        "max_completion_length": 5,
        "num_train_epochs": 2,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "disable_tqdm": True,
        "gradient_checkpointing": False,
    }
    return GRPOConfig(**(usual | changes))


def trainer(
    folder: Path,
    kind: type[GRPOTrainer] = BudgetGRPOTrainer,
    *,
    settings: dict[str, Any] | None = None,
    source: Path | None = None,
    **changes: Any,
) -> GRPOTrainer:
    """A trainer; ``settings`` are those of its config, ``source`` a folder of its model.

    Making it sets the global seed: train it before you make another.
    """
    given = {
        "args": config(folder, **(settings or {})),
        "train_dataset": data(),
        "processing_class": tiny_tokenizer(),
    }
    start = model() if source is None else Qwen3ForCausalLM.from_pretrained(source)
    return kind(start, **({"reward_funcs": [right, form]} | given | changes))


def weights(run: GRPOTrainer) -> torch.Tensor:
    """All parameters."""
    return torch.cat([parameter.detach().flatten() for parameter in run.model.parameters()])


def logged(run: GRPOTrainer) -> list[dict[str, Any]]:
    """What was logged, but for times and what only budgets have."""
    return [
        {
            name: value
            for name, value in line.items()
            if not name.startswith(("budgets/", "train_")) and "time" not in name
        }
        for line in run.state.log_history
    ]


class Client:
    """In place of a vLLM server: draws of a prompt depend on how many it has given before."""

    made: list[Client] = []

    def __init__(self, **settings: Any) -> None:
        self.asked: list[tuple[int, int]] = []  # prompts and n of each request
        self.given: dict[tuple[int, ...], int] = {}
        self.made.append(self)

    def init_communicator(self, device: Any) -> None:
        """No weights are sent."""

    def update_named_params(self, metadata: Any, parameters: Any) -> None:
        for _ in parameters:
            pass

    def reset_prefix_cache(self) -> None:
        """There is none."""

    def get_server_info(self) -> dict[str, Any]:
        return {"model_config": {"logprobs_mode": "processed_logprobs"}}

    def generate(self, prompts: list[list[int]], n: int, **sampling: Any) -> dict[str, Any]:
        self.asked.append((len(prompts), n))
        completions = [self._draw(tuple(prompt)) for prompt in prompts for _ in range(n)]
        logprobs = [[[-2.5]] * len(tokens) for tokens in completions]
        return {"prompt_ids": prompts, "completion_ids": completions, "logprobs": logprobs}

    def _draw(self, prompt: tuple[int, ...]) -> list[int]:
        self.given[prompt] = number = self.given.get(prompt, 0) + 1
        draws = torch.Generator().manual_seed(sum(prompt) * 1000 + number)
        return torch.randint(2, 14, (4,), generator=draws).tolist()
