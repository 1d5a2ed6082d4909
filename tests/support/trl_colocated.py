"""Budgets in TRL with vLLM in the same process; prints what was generated and logged, as JSON.

On a CPU TRL's own way of loading weights fails within vLLM 0.32 (its layers are packed for the
kernels of the CPU and have no ``weight_loader`` any more), so the weights of each step go the way
that ``cobatrain`` loads them. Everything else is TRL's and vLLM's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen3ForCausalLM
from trl.generation.vllm_generation import VLLMGeneration
from trl_runs import config, data, right

from cobatrain.engines.vllm_worker import WeightSync
from cobatrain.integrations.trl import BudgetGRPOTrainer
from cobatrain.tiny.model import tiny_config, tiny_tokenizer


class Watched(BudgetGRPOTrainer):
    """Keeps the sizes of the groups that vLLM generated for."""

    def __init__(self, *args, **kwargs):
        self.sizes = []
        super().__init__(*args, **kwargs)

    def _generate_single_turn(self, prompt_ids, *args, **kwargs):
        sizes = np.unique([str(ids) for ids in prompt_ids], return_counts=True)[1]
        self.sizes.append(sorted(sizes.tolist()))
        return super()._generate_single_turn(prompt_ids, *args, **kwargs)


def load(self: VLLMGeneration) -> None:
    worker = self.llm.llm_engine.model_executor.driver_worker.worker
    weights = [(name, value.data.clone()) for name, value in self._iter_named_params()]
    WeightSync.cobatrain_load_weights(worker, weights)
    self.llm.reset_prefix_cache()


def main(folder: Path) -> None:
    torch.manual_seed(0)
    small = tiny_config(hidden=64, layers=1, heads=2, intermediate=64, context=32)
    Qwen3ForCausalLM(small).save_pretrained(folder / "model")  # vLLM needs heads of 32
    tiny_tokenizer().save_pretrained(folder / "model")
    settings = {"use_vllm": True, "vllm_mode": "colocate", "vllm_max_model_length": 32}
    settings |= {"vllm_gpu_memory_utilization": 0.1, "max_steps": 5}
    run = Watched(
        str(folder / "model"), right, args=config(folder, **settings), train_dataset=data(),
        processing_class=tiny_tokenizer(), budgets={"allocator": "signal", "low": 2, "high": 9},
    )  # fmt: skip
    run.train()
    logs = [line for line in run.state.log_history if "loss" in line]
    print(json.dumps({"sizes": run.sizes, "logs": logs}))


if __name__ == "__main__":
    VLLMGeneration.sync_weights = load
    main(Path(sys.argv[1]))
