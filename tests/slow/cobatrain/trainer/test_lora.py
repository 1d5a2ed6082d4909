"""Training runs of LoRA adapters."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("peft", reason="peft is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from safetensors import safe_open
from training import Interrupted, interrupted_at, plain, weights

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.parallel import checkpoints

SETTINGS = (
    'model.lora={"rank": 4, "targets": ["q_proj", "down_proj"]}', "update.learning_rate=0.003",
    "update.kl_coef=0.01", "loop.steps=8", "engine.subprocess=false",
)  # fmt: skip


def test_a_run_of_adapters_learns_resumes_and_stores_adapters_only(config, tmp_path):
    chosen = config(*SETTINGS)
    trainer.train(chosen, tmp_path / "whole")
    steps = read_run(tmp_path / "whole").steps
    for step in steps[1:]:
        assert step.learner["log_prob_gap_max"] < 1e-3  # the engine has the merged weights
    assert steps[1].learner["kl"] == pytest.approx(0.0, abs=1e-6)
    assert steps[-1].learner["kl"] > 1e-4
    with safe_open(checkpoints(tmp_path / "whole")[-1] / "model.safetensors", "pt") as file:
        assert len(list(file.keys())) == 2 * 2 * 2  # layers, targets, A and B
        assert all(".lora_" in name for name in file.keys())  # noqa: SIM118
    with pytest.raises(Interrupted):
        trainer.train(chosen, tmp_path / "stopped", on_step=interrupted_at(5))
    trainer.train(chosen, tmp_path / "stopped", resume=True)
    assert plain(tmp_path / "stopped") == plain(tmp_path / "whole")
    assert weights(tmp_path / "stopped") == weights(tmp_path / "whole")


def test_a_target_that_the_model_does_not_have_is_refused(config, tmp_path):
    with pytest.raises(InputError, match=r"named 'query'.* down_proj, gate_proj.* v_proj"):
        trainer.train(config('model.lora={"targets": ["query"]}'), tmp_path / "run")
    assert not (tmp_path / "run").exists()
