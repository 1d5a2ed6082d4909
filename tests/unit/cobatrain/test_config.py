"""Training configs: those that ship load; what is wrong is one clear error."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobatrain.config import CONFIGS, TrainConfig, difference, load_config


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


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("model.pretrained=smollm2", "did you mean 'smollm2-135m-instruct'"),
        ("model.tiny={}", "both given"),
    ],
)
def test_a_model_is_made_one_known_way(setting, words):
    with pytest.raises(InputError, match=words):
        load_config("smollm2", [setting])


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
