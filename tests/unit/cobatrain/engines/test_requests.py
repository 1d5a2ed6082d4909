"""Requests and configs of engines."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from engine_setup import SAMPLING, config_for
from hypothesis import given
from hypothesis import strategies as st

from cobatrain import engines
from cobatrain.engines import EngineConfig, EngineError, make_engine
from cobatrain.engines.model_folder import end_token_ids
from cobatrain.engines.requests import checked_request


@given(st.lists(st.integers(-3, 5), min_size=1, max_size=5), st.integers(1, 6))
def test_budgets_must_be_one_nonnegative_integer_per_prompt(budgets, m):
    prompts, seeds, array = [[1]] * m, np.zeros(m, dtype=int), np.array(budgets)
    if len(budgets) == m and min(budgets) >= 0:
        checked = checked_request(prompts, array, seeds, SAMPLING, 64)
        assert np.array_equal(checked.budgets, array)
    else:
        with pytest.raises(ValueError, match="budgets"):
            checked_request(prompts, array, seeds, SAMPLING, 64)


@pytest.mark.parametrize(
    ("prompts", "budgets", "seeds", "message"),
    [
        ([[1], []], [1, 1], [0, 0], "prompt 1 has no tokens"),
        ([[1], [1] * 60], [1, 1], [0, 0], "exceeds max_model_len = 64"),
        ([[1]], [1.5], [0], "expected .1,. integers"),
        ([[1]], [1], [-1], "seeds contains -1"),
    ],
)
def test_bad_requests_are_named(prompts, budgets, seeds, message):
    with pytest.raises(ValueError, match=message):
        checked_request(prompts, np.array(budgets), np.array(seeds), SAMPLING, 64)


def test_a_folder_without_model_is_named(tmp_path):
    for name in ("transformers", "vllm") if importlib.util.find_spec("vllm") else ("transformers",):
        with pytest.raises(ValueError, match=r"no config\.json"):
            make_engine(config_for(name), tmp_path)
    with pytest.raises(ValueError, match=r"no config\.json"):
        end_token_ids(tmp_path)


def test_a_missing_vllm_names_the_install_command_and_the_fallback(monkeypatch, tiny_folders):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "vllm" else real(name, *a)
    )
    with pytest.raises(EngineError, match=r"requirements/train-cpu\.txt.*transformers"):
        make_engine(EngineConfig(name="vllm"), tiny_folders[False])


def test_every_named_engine_is_registered():
    assert set(engines.ENGINES) == {"vllm", "transformers"}
    with pytest.raises(ValueError, match="name"):
        EngineConfig(name="sglang")
    with pytest.raises(ValueError, match="budgets"):
        EngineConfig(budgets=3)
