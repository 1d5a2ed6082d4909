"""Training that cannot start or must stop says why."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from children import children_of, gone
from training import started, wait_for

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.engines import EngineError
from cobatrain.learner import LanguageModelLearner, SyncError
from cobatrain.update import NonFiniteError


def test_a_stale_engine_is_noticed(config, tmp_path, monkeypatch):
    from cobatrain.engines.hf_engine import HfEngine

    real, count = HfEngine.sync, [0]

    def sync_once(self, model):
        count[0] += 1
        return real(self, model) if count[0] == 1 else 0.0

    monkeypatch.setattr(HfEngine, "sync", sync_once)
    chosen = config("update.learning_rate=0.02", "log_prob_bound=0.01")
    with pytest.raises(SyncError, match="log_prob_bound"):
        trainer.train(chosen, tmp_path / "run")
    assert len(read_run(tmp_path / "run").steps) >= 2  # what was done is kept


def test_nan_stops_with_the_batch_saved(config, tmp_path, monkeypatch):
    real = LanguageModelLearner.rollout

    def poisoned(self, prompts, budgets):
        passes = real(self, prompts, budgets)
        if self.step == 2:
            with torch.no_grad():
                next(self.model.parameters()).mul_(float("nan"))
        return passes

    monkeypatch.setattr(LanguageModelLearner, "rollout", poisoned)
    with pytest.raises(NonFiniteError):
        trainer.train(config(), tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "bad_batch.json").read_text())
    assert len(saved["rewards"]) == len(saved["responses"]) == 192
    assert read_run(tmp_path / "run").steps[-1].step == 2


@pytest.mark.parametrize(("name", "what"), [("dapo", "trains on a part"), ("vip-gp", "features")])
def test_an_allocator_that_the_learner_cannot_serve_is_refused(config, name, what):
    with pytest.raises(InputError, match=what):
        config(allocator=name)


def test_bad_models_and_prompts_are_refused(config, tmp_path, model):
    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (broken / name).unlink()
    with pytest.raises(InputError, match="tokenizer"):
        trainer.train(config(f"model.path={broken}"), tmp_path / "a")
    with pytest.raises(InputError, match="not a folder"):
        trainer.train(
            config(f"model.path={tmp_path / 'nowhere'}", "model.tiny=null"), tmp_path / "b"
        )
    with pytest.raises(InputError, match="max_model_len"):
        trainer.train(config("engine.max_model_len=4", "sampling.max_tokens=2"), tmp_path / "c")
    with pytest.raises(InputError, match="only 1200 prompts"):
        trainer.train(config("loop.batch_size=1300", "loop.total_budget=5200"), tmp_path / "d")
    with pytest.raises(EngineError, match=r"did not (start|answer to 'start')"):
        trainer.train(
            config("engine.subprocess=true", "engine.start_timeout=0.001"), tmp_path / "e"
        )
    assert not list(tmp_path.glob("?"))  # nothing was begun


def test_two_processes_never_write_one_run(config, tmp_path):
    chosen = config("loop.steps=400", "loop.eval_every=400", "checkpoint.every=2")
    out = tmp_path / "run"
    process = subprocess.Popen(started(chosen, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 4, process)
        with pytest.raises(InputError, match="another process"):
            trainer.train(load_config(out), out, resume=True)
    finally:
        process.kill()
        process.wait(30)


def test_engine_processes_do_not_outlive_the_trainer(config, tmp_path):
    chosen = config("engine.subprocess=true", "loop.steps=200")
    out = tmp_path / "run"
    process = subprocess.Popen(started(chosen, out), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(out / "steps.jsonl", 2, process)
        children = children_of(process.pid)
        assert children
        process.send_signal(signal.SIGKILL)
        process.wait(30)
        assert all(gone(pid, 20.0) for pid in children)
    finally:
        process.kill()
