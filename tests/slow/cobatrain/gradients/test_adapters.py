"""Measuring a model of which adapters are trained: their gradients, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("peft", reason="peft is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import SMALL

from cobatrain import trainer
from cobatrain.cli.gradients import _sentences
from cobatrain.config import load_config
from cobatrain.exact import exact_log_rates
from cobatrain.gradients import GradientOptions, decide, measure_gradients, plan_cost
from cobatrain.lora import adapters_off

OPTIONS = GradientOptions(
    prompts=60, groups=12, rollouts=8, dim=2048, rank=16, rest=64, plain_rank=8
)
LORA = 'model.lora={"rank": 4, "targets": ["q_proj", "down_proj"]}'


@pytest.fixture(scope="module")
def adapted(model):
    config = load_config("tiny", [*SMALL, f"model.path={model}", "evaluation.prompts=20", LORA])
    with trainer.open_learner(config) as (opened, _):
        yield opened


@pytest.fixture(scope="module")
def found(adapted):
    return measure_gradients(adapted, decide(adapted, OPTIONS))


def test_only_adapters_are_measured_and_it_is_said(adapted, found):
    trained = sum(p.numel() for p in adapted.model.parameters() if p.requires_grad)
    info = found.measured.info
    whole = info["parameters of the model"]
    assert info["parameters"] == trained < whole / 10
    assert info["adapters"] == "LoRA adapters of rank 4"
    said = _sentences(found, 192, 24)[0]
    assert said == (
        f"of {whole:,} parameters {trained:,} were measured: those of the LoRA adapters of rank 4"
    )
    assert plan_cost(adapted, decide(adapted, OPTIONS)).parameters == trained


def test_a_part_of_the_adapters(adapted, found):
    options = GradientOptions(**(vars(OPTIONS) | {"parameters": "lora_B"}))
    part = measure_gradients(adapted, decide(adapted, options))
    said = _sentences(part, 192, 24)[0]
    assert said.endswith("those of the LoRA adapters of rank 4 in whose names lora_B is found")
    # before the first step B is 0, so A moves nothing: B's gradient is the whole one
    squares = [
        np.square(one.measured.plain).sum(axis=1) + one.measured.plain_rest**2
        for one in (found, part)
    ]
    np.testing.assert_allclose(squares[0].mean(), squares[1].mean(), rtol=0.1)


def test_the_rates_are_those_of_the_model_without_adapters(adapted, found):
    """B is 0: the policy is the one that was loaded; exact_log_rates is tested elsewhere."""
    held = found.measured.rate[~found.measured.heldout]
    chosen = decide(adapted, OPTIONS).chosen.pool
    answers = adapted.exact_answers([adapted.task.train[int(i)] for i in chosen])
    with adapters_off(adapted.model):
        rates = np.exp(exact_log_rates(adapted.model, answers, 1.0))
    np.testing.assert_allclose(held, rates, rtol=1e-4, atol=2e-6)
