"""Rollouts packed behind their prompt: nothing lost, and the numbers of separate rows."""

from __future__ import annotations

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st
from small_updates import SIZES, assert_same, fast_gradient, gemma2, gpt2, make_batch, qwen3

from cobasim.errors import InputError
from cobatrain.update import UpdateConfig, pack, pad, pieces, token_log_probs
from cobatrain.update.packing import TESTED, longest_row

LAW = settings(deadline=None, max_examples=60)
ROLLOUTS = st.lists(st.tuples(st.integers(0, 5), st.integers(1, 30)), max_size=40)


def small(kind):
    """A tiny model of an architecture, in float64."""
    if kind == "qwen3":
        return qwen3().double()
    config, model = {
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM),
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM),
    }[kind]
    torch.manual_seed(0)
    return model(config(**SIZES)).double().eval()


@LAW
@given(
    rollouts=ROLLOUTS,
    prompts=st.lists(st.integers(1, 50), min_size=6, max_size=6),
    limit=st.integers(1, 300),
    longest=st.integers(0, 120),
    always=st.booleans(),
)
def test_every_rollout_once_and_within_the_limits(rollouts, prompts, limit, longest, always):
    group = np.array([g for g, _ in rollouts], dtype=np.int64)
    responses = np.array([n for _, n in rollouts], dtype=np.int64)
    before = np.array(prompts)[group]
    plan = pieces(before, responses, group, limit, longest, always)
    assert sorted(int(j) for piece in plan for j in piece.rows) == list(range(len(rollouts)))
    for piece in plan:
        assert piece.positions <= limit or len(piece.rows) == 1
        if piece.row_of is None:
            continue
        lengths = []
        for row in range(piece.row_of.max() + 1):
            held = piece.rows[piece.row_of == row]
            assert len(set(group[held])) == 1
            lengths.append(before[held[0]] + (responses[held] - 1).sum())
            assert lengths[-1] <= longest or len(held) == 1
        assert (piece.tokens, piece.positions) == (sum(lengths), max(lengths) * len(lengths))
    if not always:
        alone = pieces(before, responses, group, limit)
        assert sum(x.positions for x in plan) <= sum(x.positions for x in alone)


@pytest.mark.parametrize("kind", TESTED)
@pytest.mark.parametrize("limit", [25, 4096])
def test_log_probs_and_gradients_are_those_of_separate_rows(kind, limit):
    model = small(kind)
    batch = make_batch([1, 2, 7, 4, 3], mixed=[1, 2, 4])
    plan = pieces(batch.prompt_lengths, batch.lengths, batch.group, limit, 20, always=True)
    assert any(len(piece.rows) > piece.row_of.max() + 1 for piece in plan)
    given_ = (batch.prompts, batch.responses, batch.log_probs)
    with torch.no_grad():
        for piece in plan:
            plain = pad(*given_, piece.rows)
            packed = pack(*given_, piece)
            assert torch.equal(packed.mask, plain.mask)
            for one, other in zip(
                token_log_probs(model, packed, 0.8), token_log_probs(model, plain, 0.8), strict=True
            ):
                torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    for checkpointing in (False, True):
        config = UpdateConfig(micro_tokens=limit, gradient_checkpointing=checkpointing)
        found = [
            fast_gradient(
                copy.deepcopy(model), batch, config.model_copy(update={"shared_prompts": shared})
            )
            for shared in (True, False)
        ]
        assert_same(found[0][1], found[1][1], 1e-6)  # rotary angles are float32
        assert found[0][0]["tokens_trained"] == found[1][0]["tokens_trained"]


def test_the_gradient_is_the_same_to_the_bit_each_time_also_with_threads():
    """Many responses meet in the last state of their prompt: their order must not be chance."""
    responses, log_probs = [[2, 3, 4]] * 800, [[0.0] * 3] * 800
    lengths = np.full(800, 10), np.full(800, 3)
    [piece] = pieces(*lengths, np.zeros(800), 10**6, 10**6, always=True)
    packed = pack([[1] * 10] * 800, responses, log_probs, piece).packed
    states = torch.randn(*packed.tokens.shape, 64, requires_grad=True)
    weight = torch.randn(2400, 64)
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(4)
    try:
        for _ in range(8):
            [gradient] = torch.autograd.grad((packed.predicting(states) * weight).sum(), states)
            found.append(gradient)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, found[0]) for gradient in found)


def test_it_is_done_where_it_pays_and_was_tested():
    prompts, responses, group = np.full(64, 40), np.full(64, 10), np.repeat(np.arange(8), 8)
    packed = pieces(prompts, responses, group, 4096, 1000)
    assert sum(piece.positions for piece in packed) == 8 * (40 + 8 * 9)
    one_each = pieces(prompts, responses, np.arange(64), 4096, 1000)
    assert all(piece.row_of is None for piece in one_each)
    model = qwen3()
    assert longest_row(model, None) == longest_row(model, True) == 3 * SIZES["hidden_size"]
    assert longest_row(model, False) == 0
    assert longest_row(gpt2(), None) == 0  # not tested on real weights
    assert longest_row(gpt2(), True) > 0
    model.config.use_sliding_window, model.config.sliding_window = True, 8
    for other in (gemma2(), model):
        assert longest_row(other, None) == 0
        with pytest.raises(InputError, match=r"update\.shared_prompts needs"):
            longest_row(other, True)
