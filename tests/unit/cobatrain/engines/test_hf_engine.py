"""The transformers engine: exact budgets, honest log-probabilities after every sync, seeds."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from engine_setup import (
    BUDGETS,
    EOS,
    PROMPTS,
    SAMPLING,
    SEEDS,
    SMALL,
    TOKENIZER,
    check_form,
    config_for,
    ending_at,
    largest_difference,
    load,
    shake,
)
from log_probs import log_probs_of, next_token_log_probs
from scipy import stats

from cobatrain.engines import EngineError, SamplingConfig, make_engine
from cobatrain.engines.model_folder import end_token_ids, stored_names
from cobatrain.engines.weights import named_weights
from cobatrain.tiny import build_tiny


def test_padding_and_batch_size_change_no_log_probability(tiny_folders, hf_engine):
    model = load(tiny_folders[False])
    rollouts = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    together = log_probs_of(model, PROMPTS, rollouts, temperature=0.7)
    alone = log_probs_of(model, PROMPTS, rollouts, temperature=0.7, max_tokens_per_batch=1)
    for row, (p, tokens) in enumerate(zip(rollouts.prompt, rollouts.tokens, strict=True)):
        with torch.no_grad():  # plain reference: one unpadded sequence
            logits = model(input_ids=torch.tensor([[*PROMPTS[p], *tokens]])).logits[0]
        table = (logits / 0.7).log_softmax(-1)
        first = len(PROMPTS[p]) - 1
        plain = [float(table[first + k, t]) for k, t in enumerate(tokens)]
        assert together[row] == pytest.approx(plain, abs=1e-5)
        assert alone[row] == pytest.approx(plain, abs=1e-5)


def test_log_probabilities_carry_a_gradient(tiny_folders):
    model = load(tiny_folders[False])
    ids = torch.tensor([PROMPTS[0]])
    next_token_log_probs(model, ids, torch.ones_like(ids)).sum().backward()
    assert float(model.model.layers[0].mlp.up_proj.weight.grad.abs().sum()) > 0
    with pytest.raises(ValueError, match="temperature"):
        next_token_log_probs(model, ids, torch.ones_like(ids), temperature=0.0)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_hf_log_probs_equal_the_models_after_each_sync(tiny_folders, tied, temperature):
    model = load(tiny_folders[tied])
    sampling = SamplingConfig(max_tokens=8, temperature=temperature)
    with make_engine(config_for("transformers"), tiny_folders[tied]) as engine:
        for step in range(3):
            rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS + step, sampling)
            check_form(rollouts, PROMPTS, BUDGETS, sampling)
            assert largest_difference(model, PROMPTS, rollouts, temperature) < 1e-4
            shake(model, step)
            assert largest_difference(model, PROMPTS, rollouts, temperature) > 1e-2  # can fail
            assert engine.sync(model) >= 0


def test_hf_seeds_budgets_and_batches(tiny_folders, hf_engine):
    full = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    same = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    other = hf_engine.generate(PROMPTS, BUDGETS, SEEDS + 1, SAMPLING)
    assert full.tokens == same.tokens
    assert full.tokens != other.tokens
    # rollout j of a prompt depends neither on the budget nor on the other prompts
    alone = hf_engine.generate([PROMPTS[2]], np.array([20]), SEEDS[2:3], SAMPLING)
    assert alone.tokens[:8] == [t for p, t in zip(full.prompt, full.tokens, strict=True) if p == 2]
    assert len({tuple(t) for t in alone.tokens}) > 10
    # nor on how the work is cut into batches
    with make_engine(config_for("transformers", max_num_seqs=3), tiny_folders[False]) as small:
        assert small.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens == full.tokens


def test_unseeded_hf_never_repeats_itself(tiny_folders):
    """Neither from call to call, nor from engine to engine."""
    prompts, budgets, seeds = [PROMPTS[1]], np.array([64]), np.array([3])
    drawn = []
    for _engine in range(2):
        torch.manual_seed(1)
        with make_engine(config_for("transformers", seeded=False), tiny_folders[False]) as engine:
            for _call in range(2):
                drawn.append(engine.generate(prompts, budgets, seeds, SAMPLING).tokens)
    assert all(one != other for one, other in combinations(drawn, 2))


def test_hf_first_tokens_follow_the_softmax(tiny_folders, hf_engine):
    model = load(tiny_folders[False])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double()
    n = 4000
    for temperature in (1.0, 0.5):
        sampling = SamplingConfig(max_tokens=1, temperature=temperature)
        rollouts = hf_engine.generate([PROMPTS[0]], np.array([n]), np.array([1]), sampling)
        counts = np.bincount([t[0] for t in rollouts.tokens], minlength=len(logits))
        expected = (logits / temperature).softmax(-1).numpy() * n
        assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
        flat = np.full(len(logits), n / len(logits))
        assert stats.chisquare(counts, flat).pvalue < 1e-4  # the test can tell them apart


def test_hf_stops_at_tokens_and_strings(hf_engine):
    budgets, stop_id = np.full(len(PROMPTS), 20), 4
    by_id = SamplingConfig(max_tokens=12, stop_token_ids=(stop_id,))
    rollouts = hf_engine.generate(PROMPTS, budgets, SEEDS, by_id)
    assert rollouts.finished.any()
    for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
        assert finished == (tokens[-1] in (stop_id, EOS))
        assert stop_id not in tokens[:-1]
    by_text = SamplingConfig(max_tokens=12, stop=(TOKENIZER.decode([stop_id]),))
    assert hf_engine.generate(PROMPTS, budgets, SEEDS, by_text).tokens == rollouts.tokens


def test_hf_stops_at_the_ends_of_the_model_and_of_the_tokenizer(tiny_folders, tmp_path):
    folder = ending_at(4, tiny_folders[False], tmp_path / "model")
    assert end_token_ids(tiny_folders[False]) == (EOS,)
    assert end_token_ids(folder) == tuple(sorted((EOS, 4)))
    budgets, sampling = np.full(len(PROMPTS), 20), SamplingConfig(max_tokens=12)
    with make_engine(config_for("transformers"), folder) as engine:
        rollouts = engine.generate(PROMPTS, budgets, SEEDS, sampling)
    last = {tokens[-1] for tokens in rollouts.tokens}
    assert {EOS, 4} <= last
    for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
        assert finished == (tokens[-1] in (4, EOS))
        assert 4 not in tokens[:-1]


def test_hf_greedy_ignores_the_seed(tiny_folders, hf_engine):
    greedy = SamplingConfig(max_tokens=5, temperature=0.0)
    rollouts = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, greedy)
    assert rollouts.tokens == hf_engine.generate(PROMPTS, BUDGETS, SEEDS + 9, greedy).tokens
    assert largest_difference(load(tiny_folders[False]), PROMPTS, rollouts) < 1e-4


def test_nothing_asked_gives_nothing(hf_engine):
    none = hf_engine.generate([], np.array([], dtype=int), np.array([], dtype=int), SAMPLING)
    zero = hf_engine.generate(PROMPTS[:2], np.array([0, 0]), np.array([0, 1]), SAMPLING)
    assert len(none) == len(zero) == 0


def test_sync_refuses_another_model(tmp_path, tiny_folders, hf_engine):
    deeper, _ = build_tiny(tmp_path, seed=0, **(SMALL | {"layers": 3}))
    with pytest.raises(ValueError, match="unknown"):
        hf_engine.sync(deeper)
    partial = dict(named_weights(load(tiny_folders[False])))
    partial.pop("model.norm.weight")
    with pytest.raises(ValueError, match="1 missing"):
        hf_engine.sync(partial)


@pytest.mark.parametrize("tied", [False, True])
def test_weights_have_the_names_of_the_checkpoint(tiny_folders, tied):
    weights = dict(named_weights(torch.compile(load(tiny_folders[tied])), torch.bfloat16))
    assert set(weights) == stored_names(tiny_folders[tied])
    assert ("lm_head.weight" in weights) is not tied
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}


def test_a_closed_engine_says_so(tiny_folders):
    engine = make_engine(config_for("transformers"), tiny_folders[False])
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
