"""A tiny model, prompts and checks that tests of engines share."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from log_probs import log_probs_of
from transformers import AutoModelForCausalLM, AutoTokenizer

from cobatrain.engines import EngineConfig, Rollouts, SamplingConfig
from cobatrain.tiny import build_tiny, encode, tiny_tokenizer

SMALL = {"hidden": 64, "layers": 2, "heads": 2, "intermediate": 128, "context": 512}


TOKENIZER = tiny_tokenizer()


EOS = TOKENIZER.eos_token_id


PROMPTS = [encode(TOKENIZER, text) for text in ("12+7=", "3*4=", "100-99=", "5", "8888*77=")]


BUDGETS = np.array([3, 0, 8, 1, 5])


SEEDS = np.array([5, 6, 7, 8, 9])


SAMPLING = SamplingConfig(max_tokens=8)


def config_for(name: str, **changes) -> EngineConfig:
    base = {"subprocess": False, "max_model_len": 512, "threads": 1}
    return EngineConfig(name=name, **(base | changes))


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder).requires_grad_(True)


def shake(model, seed: int, scale: float = 0.05) -> None:
    """Change every weight, as an optimiser step would, only more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(noise.to(parameter.device), alpha=scale)


def largest_difference(model, prompts, rollouts: Rollouts, temperature: float = 1.0) -> float:
    expected = log_probs_of(model, prompts, rollouts, temperature)
    assert [len(e) for e in expected] == [len(v) for v in rollouts.log_probs]
    return max(
        abs(a - b)
        for e, v in zip(expected, rollouts.log_probs, strict=True)
        for a, b in zip(e, v, strict=True)
    )


def check_form(rollouts: Rollouts, prompts, budgets, sampling) -> None:
    """What every engine promises about the form of its answer."""
    assert np.array_equal(np.bincount(rollouts.prompt, minlength=len(prompts)), budgets)
    assert np.all(np.diff(rollouts.prompt) >= 0)
    assert rollouts.prompt_tokens == [list(p) for p in prompts]
    assert len(rollouts) == len(rollouts.log_probs) == len(rollouts.finished) == budgets.sum()
    for tokens, values, finished in zip(
        rollouts.tokens, rollouts.log_probs, rollouts.finished, strict=True
    ):
        assert 1 <= len(tokens) == len(values) <= sampling.max_tokens
        assert all(v <= 0 for v in values)
        assert EOS not in tokens[:-1]
        if not sampling.stop and not sampling.stop_token_ids:
            assert finished == (tokens[-1] == EOS)
        if not finished:
            assert len(tokens) == sampling.max_tokens


def ending_at(token: int, folder: Path, out: Path) -> Path:
    """A copy of a model folder whose tokenizer ends at another token than the model declares."""
    shutil.copytree(folder, out)
    tokenizer = AutoTokenizer.from_pretrained(out)
    tokenizer.eos_token = tokenizer.convert_ids_to_tokens(token)
    tokenizer.save_pretrained(out)
    return out


LARGE = {"prompt_tokens": [PROMPTS[0]], "sampling": SamplingConfig(max_tokens=400)}


def long_call(engine):
    """Generate for many seconds."""
    return engine.generate(budgets=np.array([4000]), seeds=np.array([1]), **LARGE)


def tied_and_not(factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Model folders by `tied`."""
    made = {}
    for tied in (False, True):
        made[tied] = factory.mktemp(f"tied-{tied}")
        build_tiny(made[tied], seed=0, tied=tied, **SMALL)
    return made
