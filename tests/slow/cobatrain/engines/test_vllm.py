"""Real vLLM engines: exact budgets, honest log-probabilities after every sync, seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from adapted import adapted
from engine_setup import (
    BUDGETS,
    EOS,
    PROMPTS,
    SAMPLING,
    SEEDS,
    TOKENIZER,
    check_form,
    config_for,
    ending_at,
    largest_difference,
    load,
    shake,
)
from optional import needs_vllm
from scipy import stats

from cobatrain.engines import SamplingConfig, make_engine


@needs_vllm
@pytest.mark.parametrize("tied", [False, True])
def test_vllm_log_probs_equal_the_models_after_each_sync(tiny_folders, tied):
    """Inside and outside the trainer: the same tokens, and the training model's log-probs.

    One prompt is longer than a cache block (128 tokens on a CPU), so that a prefix kept over a sync
    would show; the difference before each sync shows that a stale weight would, too.
    """
    rng = np.random.default_rng(0)
    long_prompt = [1, *rng.integers(3, len(TOKENIZER), size=300).tolist()]
    prompts, budgets, seeds = [*PROMPTS, long_prompt], np.append(BUDGETS, 4), np.append(SEEDS, 4)
    tokens = {}
    for inside in (True, False):
        model = load(tiny_folders[tied])
        tokens[inside] = []
        torch.manual_seed(1)
        state = torch.get_rng_state()
        with make_engine(config_for("vllm", subprocess=not inside), tiny_folders[tied]) as engine:
            for step in range(4):
                rollouts = engine.generate(prompts, budgets, seeds, SAMPLING)
                check_form(rollouts, prompts, budgets, SAMPLING)
                assert largest_difference(model, prompts, rollouts) < 1e-3
                tokens[inside].append(rollouts.tokens)
                shake(model, step)
                assert largest_difference(model, prompts, rollouts) > 1e-2
                assert engine.sync(model) >= 0
            again = [engine.generate(prompts, budgets, seeds, SAMPLING).tokens for _ in range(2)]
            assert again[0] == again[1]
            assert engine.generate(prompts, budgets, seeds + 10, SAMPLING).tokens != again[0]
            more = engine.generate(prompts[2:3], np.array([20]), seeds[2:3], SAMPLING)
            at = np.flatnonzero(rollouts.prompt == 2)
            assert more.tokens[:8] == [again[0][i] for i in at]
        assert torch.equal(torch.get_rng_state(), state)  # the trainer's randomness is its own
    assert tokens[True] == tokens[False]


@needs_vllm
def test_vllm_samples_from_merged_adapters(tiny_folders):
    pytest.importorskip("peft", reason="peft is not installed")
    model = adapted(load(tiny_folders[True]), learned=0.1)
    with make_engine(config_for("vllm"), tiny_folders[True]) as engine:
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) > 1e-2
        engine.sync(model)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-3


@needs_vllm
def test_vllm_samples_as_told(tiny_folders):
    model = load(tiny_folders[False])
    with make_engine(config_for("vllm"), tiny_folders[False]) as engine:
        for temperature in (1.0, 0.5):
            n, sampling = 4000, SamplingConfig(max_tokens=1, temperature=temperature)
            rollouts = engine.generate([PROMPTS[0]], np.array([n]), np.array([1]), sampling)
            assert largest_difference(model, [PROMPTS[0]], rollouts, temperature) < 1e-3
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double()
            expected = (logits / temperature).softmax(-1).numpy() * n
            counts = np.bincount([t[0] for t in rollouts.tokens], minlength=len(logits))
            assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
        stop = SamplingConfig(max_tokens=12, stop_token_ids=(4,))
        rollouts = engine.generate(PROMPTS, BUDGETS * 4, SEEDS, stop)
        for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
            assert finished == (tokens[-1] in (4, EOS))
        text = SamplingConfig(max_tokens=12, stop=(TOKENIZER.decode([4]),))
        assert engine.generate(PROMPTS, BUDGETS * 4, SEEDS, text).tokens == rollouts.tokens
        greedy = SamplingConfig(max_tokens=5, temperature=0.0)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, greedy)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-3
        with pytest.raises(ValueError, match="missing"):
            engine.sync({"lm_head.weight": model.lm_head.weight})


@needs_vllm
def test_vllm_stops_where_the_other_engine_does(tiny_folders, tmp_path):
    """At the end tokens of the model's configs and at that of its tokenizer."""
    folder = ending_at(4, tiny_folders[False], tmp_path / "model")
    with make_engine(config_for("vllm"), folder) as engine:
        rollouts = engine.generate(PROMPTS, BUDGETS * 4, SEEDS, SamplingConfig(max_tokens=12))
    assert {EOS, 4} <= {tokens[-1] for tokens in rollouts.tokens}
    for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
        assert finished == (tokens[-1] in (4, EOS))
        assert not {EOS, 4} & set(tokens[:-1])


@needs_vllm
def test_unseeded_vllm_never_repeats_itself(tiny_folders):
    """Neither from call to call, nor from engine to engine, whatever the trainer draws itself."""
    prompts, budgets, seeds = [PROMPTS[1]], np.array([64]), np.array([3])
    drawn = []
    for _engine in range(2):
        torch.manual_seed(1)
        state = torch.get_rng_state()
        config = config_for("vllm", seeded=False)
        with make_engine(config, tiny_folders[False]) as engine:
            for _call in range(2):
                drawn.append(engine.generate(prompts, budgets, seeds, SAMPLING).tokens)
        assert torch.equal(torch.get_rng_state(), state)
    assert all(one != other for one, other in combinations(drawn, 2))
