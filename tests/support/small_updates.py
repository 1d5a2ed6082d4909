"""Tiny models and batches of random rollouts for tests of the policy update."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import numpy as np
import torch
import transformers

from cobatrain.update import Batch, update

VOCABULARY = 13


UNIFORM = [4, 4, 4]


UNEQUAL = [1, 2, 7, 4, 3]


SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8,
    "max_position_embeddings": 64, "initializer_range": 0.3,
}  # fmt: skip


def gpt2(seed=0):
    """A tiny model that computes in float64 throughout."""
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=8, n_layer=2, n_head=2, initializer_range=0.5
    )
    return transformers.GPT2LMHeadModel(config).double().eval()


def qwen3(seed=0, tied=False):
    """A tiny Qwen3, float32."""
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        **SIZES,
        tie_word_embeddings=tied,
    )
    return transformers.Qwen3ForCausalLM(config).eval()


def gemma2(seed=0):
    """A tiny Gemma 2, float32, whose logits are capped after its output layer."""
    torch.manual_seed(seed)
    config = transformers.Gemma2Config(
        **SIZES,
        final_logit_softcapping=2.0,
        attn_implementation="eager",
    )
    return transformers.Gemma2ForCausalLM(config).eval()


def make_batch(budgets, seed=0, mixed=None, spread=0.3):
    """Rollouts of random tokens and lengths; log-probs as of an engine that differs a lot.

    ``mixed`` lists the groups that get both outcomes (as far as they have two rollouts); the
    others get one outcome. None: at random.
    """
    rng = np.random.default_rng([seed, 11])
    group = np.repeat(np.arange(len(budgets)), budgets)
    prompts = [rng.integers(0, VOCABULARY, rng.integers(1, 6)).tolist() for _ in budgets]
    responses = [rng.integers(0, VOCABULARY, rng.integers(1, 9)).tolist() for _ in group]
    rewards = rng.integers(0, 2, len(group)).astype(float)
    if mixed is not None:
        for i in range(len(budgets)):
            rewards[group == i] = float(i % 2)
            if i in mixed:
                rewards[np.flatnonzero(group == i)[0]] = 1.0 - i % 2
    log_probs = [
        (-math.log(VOCABULARY) + spread * rng.standard_normal(len(row))).tolist()
        for row in responses
    ]
    return Batch([prompts[i] for i in group], responses, log_probs, rewards, group)


def poison(batch, j, value):
    log_probs = [list(row) for row in batch.log_probs]
    log_probs[j][0] = value
    return replace(batch, log_probs=log_probs)


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fast_gradient(model, batch, config, **kwargs):
    """The gradient that ``update`` uses: SGD with learning rate 1, unclipped, moves by minus it."""
    model = copy.deepcopy(model)
    before = flat(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    metrics = update(model, optimiser, batch, changed(config, max_grad_norm=None), **kwargs)
    return metrics, before - flat(model)


def changed(config, **changes):
    return config.model_copy(update=changes)


def assert_same(one, other, tolerance=1e-9):
    """Equal up to ``tolerance`` of the gradient's own size."""
    assert other.norm() > 1e-3, "a gradient of zero proves nothing"
    assert (one - other).norm() <= tolerance * other.norm()


def momentum(model):
    """Has state, and is linear: AdamW would blow up rounding where the exact gradient is zero."""
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
