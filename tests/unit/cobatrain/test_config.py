"""Training configs: those that ship load; what is wrong is one clear error."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobatrain.comparison import Plan
from cobatrain.config import CONFIGS, TrainConfig, difference, load_config
from cobatrain.evaluation import pass_at_k, summarise
from cobatrain.update import token_weights


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_configs_that_ship_load(path):
    config = load_config(path)
    assert load_config(path.stem) == config
    assert TrainConfig.model_validate(config.model_dump(mode="json")) == config
    assert config.sampling.max_tokens < config.engine.max_model_len


@pytest.mark.parametrize(
    ("name", "prompts", "steps"), [("qwen3-1.7b", 512, 500), ("qwen2.5-7b", 256, 1000)]
)
def test_the_papers_settings(name, prompts, steps):
    config = load_config(name)
    assert (config.loop.batch_size, config.loop.steps) == (prompts, steps)
    assert config.loop.total_budget == 16 * prompts
    assert (config.loop.low, config.loop.high) == (2, 128)
    assert config.update.learning_rate == 1e-6
    assert config.update.kl_coef == 0
    assert config.update.clip_high > config.update.clip_low
    assert (config.sampling.max_tokens, config.sampling.temperature) == (4096, 1.0)
    assert (config.evaluation.samples, config.evaluation.top_p) == (16, 0.9)


def test_settings_change_the_config():
    config = load_config(
        "tiny", ["loop.steps=7", "engine.name=transformers", "task.levels=[\"1+1\"]"],
        allocator="knapsack", seed=3,
    )  # fmt: skip
    assert (config.loop.steps, config.engine.name, config.seed) == (7, "transformers", 3)
    assert config.task["levels"] == ["1+1"]
    assert config.allocator == "knapsack"
    changed = difference(config, load_config("tiny").model_dump(mode="json"))
    assert changed == ["allocator", "engine.name", "loop.steps", "seed", "task.levels"]


def test_a_setting_that_a_stored_config_lacks_counts_as_its_default():
    """Runs of before a setting was added can be resumed."""
    config = load_config("tiny")
    stored = config.model_dump(mode="json")
    del stored["update"]["skip_no_signal"], stored["update"]["logit_chunk"]
    assert TrainConfig.model_validate(stored) == config
    assert difference(config, stored) == []
    assert difference(load_config("tiny", ["update.logit_chunk=1000"]), stored) == [
        "update.logit_chunk"
    ]


@pytest.mark.parametrize(
    ("settings", "chosen", "message"),
    [
        (["lop.steps=3"], {}, "lop"),
        (["loop.stepz=3"], {}, "did you mean 'loop.steps'"),
        (["loop.steps=0"], {}, "loop.steps"),
        (["loop.total_budget=3"], {}, "can spend 128 to 8192"),
        (["loop.low=9", "loop.high=8"], {}, "low"),
        (["loop.steps"], {}, "name=value"),
        (["seed.x=3"], {}, "seed"),
        (["update.advantage=grop"], {}, "did you mean 'grpo'"),
        (["update.kl_coef=-0.1"], {}, "kl_coef"),
        (["update.constant_length=9"], {"weighting": "token"}, "constant_length goes with"),
        (['track=["tensorbord"]'], {}, "did you mean 'tensorboard'"),
        (["sampling.top_p=0.9"], {}, "top_p must be 1"),
        (["sampling.temperature=0"], {}, "above 0"),
        (["task.kind=aritmetic"], {}, "did you mean 'arithmetic'"),
        (['task.levels=["9+9"]'], {}, "level"),
        ([], {"allocator": "cobra"}, "did you mean 'coba'"),
        ([], {"weighting": "rolout"}, "rollout"),
        (['parameters={"kapa": 3}'], {}, "did you mean 'kappa'"),
    ],
)
def test_what_is_wrong_is_refused(settings, chosen, message):
    with pytest.raises(InputError, match=message):
        load_config("tiny", settings, **chosen)


@pytest.mark.parametrize("text", ["", "a: [", "- 1\n- 2\n", "\x00"])
def test_files_that_are_no_configs(tmp_path, text):
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        load_config(path)
    with pytest.raises(InputError, match="one of qwen"):
        load_config(tmp_path / "missing.yaml")


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_success(samples, data):
    correct = data.draw(st.integers(0, samples))
    k = data.draw(st.integers(1, samples))
    subsets = list(combinations([1] * correct + [0] * (samples - correct), k))
    expected = np.mean([any(subset) for subset in subsets])
    assert pass_at_k(samples, np.array([correct]), k)[0] == pytest.approx(expected)


def test_evaluation_scores():
    rewards = np.array([[1, 1, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=float)
    scores = summarise(rewards, ["a", "b", "a"], at=(2,))
    assert scores["accuracy"] == pytest.approx(0.5)
    assert scores["low"] < 0.5 < scores["high"]
    assert scores["pass_at"] == pytest.approx({"1": 0.5, "2": (5 / 6 + 0 + 1) / 3, "4": 2 / 3})
    assert scores["levels"] == pytest.approx({"a": 0.75, "b": 0.0})


def runs(weightings, *settings):
    return set(Plan(load_config("tiny", settings), ("uniform", "coba"), weightings, (0,)).runs())


def test_uniform_runs_once_only_where_weightings_cannot_differ():
    both = ("rollout", "prompt")
    coba = {(weighting, "coba", 0) for weighting in both}
    assert runs(both) == coba | {("rollout", "uniform", 0)}
    assert runs(both[::-1]) == coba | {("prompt", "uniform", 0)}
    # 500 rollouts over 64 prompts: groups of 7 and 8
    uneven = {(weighting, "uniform", 0) for weighting in both}
    assert runs(both, "loop.total_budget=500") == coba | uneven
    # per token, long responses weigh more
    token = {("token", name, 0) for name in ("uniform", "coba")}
    assert runs((*both, "token")) == coba | {("rollout", "uniform", 0)} | token


def test_groups_of_one_size_weigh_the_same_per_rollout_and_per_prompt():
    lengths = np.array([3, 1, 4, 1, 5, 9])
    even, uneven = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 0, 1, 2, 2])
    for group, alike in ((even, True), (uneven, False)):
        one, other = (token_weights(group, lengths, name) for name in ("rollout", "prompt"))
        assert np.allclose(one, other) == alike
    assert not np.allclose(*(token_weights(even, lengths, name) for name in ("rollout", "token")))


@pytest.mark.parametrize(
    ("allocators", "weightings"),
    [((), ("rollout",)), (("coba",), ()), (("coba", "coba"), ("rollout",))],
)
def test_comparisons_of_nothing_are_refused(allocators, weightings):
    with pytest.raises(InputError, match=r"at least one|twice"):
        Plan(load_config("tiny"), allocators, weightings, (0,))
