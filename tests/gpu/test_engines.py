"""Engines on a GPU: honest log-probs after every sync, seeds, sleep and wake."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from engine_setup import BUDGETS, PROMPTS, SAMPLING, SEEDS, check_form, config_for, shake
from log_probs import log_probs_of
from optional import needs_vllm
from transformers import AutoModelForCausalLM

from cobatrain.engines import make_engine


def largest_gap(model, rollouts) -> float:
    """Between the engine's log-probs and the model's, in nats."""
    ours = log_probs_of(model, PROMPTS, rollouts)
    return max(
        float(np.abs(np.array(mine) - np.array(theirs)).max(initial=0.0))
        for mine, theirs in zip(ours, rollouts.log_probs, strict=True)
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_transformers_samples_what_the_model_says(tiny, dtype):
    model = AutoModelForCausalLM.from_pretrained(tiny).cuda()
    with make_engine(config_for("transformers", dtype=dtype), tiny) as engine:
        for step in range(3):
            rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
            check_form(rollouts, PROMPTS, BUDGETS, SAMPLING)
            gap = largest_gap(model, rollouts)
            print(f"{dtype}: largest gap {gap:.2g} nats")
            assert gap < (1e-3 if dtype == "float32" else 0.5)
            shake(model, step, 0.02)
            assert engine.sync(model) >= 0
        again = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens
        assert engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens == again
        alone = engine.generate(PROMPTS[2:3], BUDGETS[2:3], SEEDS[2:3], SAMPLING).tokens
        if dtype == "float32":  # coarser numbers depend on the neighbours in a batch
            assert alone == again[3:11]


@needs_vllm
@pytest.mark.parametrize("level", [1, 2])
def test_vllm_sleeps_and_wakes(tiny, level):
    model = AutoModelForCausalLM.from_pretrained(tiny).cuda()
    config = config_for(
        "vllm",
        dtype="float32",
        sleep_level=level,
        gpu_memory_utilization=0.3,
        max_model_len=64,
        subprocess=True,
    )
    with make_engine(config, tiny) as engine:
        engine.sync(model)
        free = []
        for step in range(2):
            rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
            assert largest_gap(model, rollouts) < 1e-2
            awake = torch.cuda.mem_get_info()[0]
            engine.sleep()
            free.append(torch.cuda.mem_get_info()[0] - awake)
            shake(model, step, 0.02)
            engine.sync(model)
        print(f"level {level}: sleep freed {[f'{x / 2**30:.1f}' for x in free]} GiB")
        assert min(free) > 0.2 * torch.cuda.get_device_properties(0).total_memory
