"""Bad settings and bad batches of an update are refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")

from small_updates import gpt2, make_batch

from cobasim.errors import InputError
from cobasim.settings import validated
from cobatrain.update import UpdateConfig, make_optimiser, update


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"advantage": "dr_grpo"}, "did you mean 'dr-grpo'"),
        ({"loss": "gsp"}, "did you mean 'gspo'"),
        ({"old_log_probs": "engines"}, "did you mean 'engine'"),
        ({"minibatches": 0}, "minibatches: .* greater than or equal to 1, got 0"),
        ({"micro_tokens": 0}, "micro_tokens: .* greater than or equal to 1, got 0"),
        ({"logit_chunk": 0}, "logit_chunk: .* greater than or equal to 1, got 0"),
        ({"constant_length": 0}, "constant_length: .* greater than or equal to 1, got 0"),
        ({"max_grad_norm": math.nan}, "max_grad_norm: .*, got nan"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: .* greater than 0, got 0"),
        ({"tis_cap": -1.0}, "tis_cap: .* greater than 0, got -1"),
        ({"kl_coef": -0.1}, "kl_coef: .* greater than or equal to 0, got -0.1"),
        ({"clip_low": 1.5}, "clip_low: .* less than or equal to 1, got 1.5"),
        ({"clip_low": 0.0}, "clip_low: .* greater than 0, got 0"),
        ({"dual_clip": 1.0}, "dual_clip: .* greater than 1, got 1"),
        ({"clip_high": 0.0}, "clip_high: .* greater than 0, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: .* greater than 0, got 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_refused(change, match):
    with pytest.raises(InputError, match=match):
        validated(UpdateConfig, change)


def test_a_bad_batch_is_refused():
    good = make_batch([2], mixed=[0])
    with pytest.raises(InputError, match="rewards has 1 entries for 2 responses"):
        replace(good, rewards=np.ones(1))
    with pytest.raises(InputError, match=r"rollout 1 has .* 0 sampled tokens"):
        replace(good, responses=[good.responses[0], []], log_probs=[good.log_probs[0], []])
    with pytest.raises(InputError, match=r"rollout 0 has .* log-probs"):
        replace(good, log_probs=[[0.0] * 20, good.log_probs[1]])
    with pytest.raises(InputError, match="temperature must be above 0"):
        replace(good, temperature=0.0)
    model = gpt2()
    optimiser = make_optimiser(model, 0.1)
    with pytest.raises(InputError, match="did you mean 'token'"):
        update(model, optimiser, good, UpdateConfig(), weighting="tokens")
    with pytest.raises(InputError, match="constant_length goes with"):
        update(model, optimiser, good, UpdateConfig(constant_length=9), weighting="token")
    with pytest.raises(InputError, match="reference"):
        update(model, optimiser, good, UpdateConfig(kl_coef=0.1))
    with pytest.raises(InputError, match="mini-batches"):
        update(model, optimiser, good, UpdateConfig(minibatches=3))
    with pytest.raises(InputError, match="must be finite"):
        update(model, optimiser, replace(good, rewards=np.array([0, math.nan])), UpdateConfig())
