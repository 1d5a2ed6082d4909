"""Pass rates computed from log-probs are those that sampling finds."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from training import Interrupted, interrupted_at, plain

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain import trainer
from cobatrain.exact import check_exact, exact_log_rates
from cobatrain.tasks import make_task


@pytest.fixture
def opened(config):
    with trainer.open_learner(config("evaluation.exact=true", "evaluation.pool=true")) as (it, _):
        yield it


def rates_of(learner, prompts) -> np.ndarray:
    config, answers = learner.config, learner.exact_answers(prompts)
    return np.exp(exact_log_rates(learner.model, answers, config.sampling.temperature))


def test_sampling_finds_the_computed_rates(opened):
    rates = rates_of(opened, opened.task.train[:300])
    assert rates.min() > 0
    assert rates.max() < 1
    passes = opened.measure(np.arange(300), 64)
    spread = np.sqrt(64 * rates * (1 - rates))
    scores = (passes - 64 * rates) / np.maximum(spread, 0.3)
    assert abs(passes.sum() - 64 * rates.sum()) < 5 * np.sqrt((spread**2).sum())
    assert np.abs(scores).max() < 6
    assert (scores**2).mean() < 1.4


def test_evaluation_without_noise_in_a_run(config, tmp_path):
    chosen = config("evaluation.exact=true", "evaluation.pool=true", "loop.steps=4")
    trainer.train(chosen, tmp_path / "run")
    steps = read_run(tmp_path / "run").steps
    first = steps[0].evaluation
    assert first["sets"]["arithmetic"]["exact"] is True
    assert first["sets"]["arithmetic"]["samples"] == 0
    assert 0 < first["pool"] < 1
    # nothing was visited yet: every estimate is 0.5
    assert (first["estimate_seen"], first["estimate_correlation"]) == (0.0, None)
    with trainer.open_learner(chosen) as (learner, _):
        again = learner.evaluate()
        assert again["heldout"] == first["heldout"]  # the same to the last bit: nothing is drawn
        rates = rates_of(learner, learner.task.train)
        assert again["pool"] == pytest.approx(rates.mean())
        np.testing.assert_allclose(learner.evaluated_pass_rates(), rates, rtol=1e-6)
        assert first["estimate_error"] == pytest.approx(np.abs(0.5 - rates).mean())
    last = steps[-1].evaluation
    assert last["estimate_seen"] == 4 * 24 / 1200
    assert 0 < last["estimate_error_seen"] < 0.3
    assert last["estimate_correlation_seen"] > 0.3
    sampled = config("evaluation.samples=64")
    with trainer.open_learner(sampled) as (learner, _):
        scores = learner.evaluate()["sets"]["arithmetic"]
    assert scores["accuracy"] == pytest.approx(first["heldout"], abs=0.02)
    k = first["sets"]["arithmetic"]["pass_at"]
    assert k["1"] == pytest.approx(first["heldout"])
    assert k["4"] > k["1"]


def test_estimates_against_the_truth_survive_a_resume(config, tmp_path):
    """They follow from beliefs and weights, which a resumed run has as the unbroken one."""
    settings = ["evaluation.exact=true", "evaluation.pool=true", "loop.eval_every=2"]
    chosen = config(*settings, "loop.steps=6", "loop.estimator=posterior", "task.train_size=100")
    trainer.train(chosen, tmp_path / "whole")
    with pytest.raises(Interrupted):
        trainer.train(chosen, tmp_path / "stopped", on_step=interrupted_at(5))
    trainer.train(chosen, tmp_path / "stopped", resume=True)
    assert plain(tmp_path / "stopped") == plain(tmp_path / "whole")
    evaluated = [x.evaluation for x in read_run(tmp_path / "whole").steps if x.evaluation]
    assert len({scores["estimate_error"] for scores in evaluated}) == len(evaluated) == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["evaluation.pool=true"], "evaluation.pool needs evaluation.exact"),
        (["evaluation.exact=true", "sampling.max_tokens=2"], "could never finish"),
    ],
)
def test_settings_that_cannot_be(config, settings, words):
    with pytest.raises(InputError, match=words), trainer.open_learner(config(*settings)):
        pass


def test_a_task_with_a_judge_has_no_exact_rates():
    pytest.importorskip("reasoning_gym", reason="reasoning-gym is not installed")
    sources = [{"name": "leg_counting"}]
    task = make_task(
        {"kind": "reasoning-gym", "sources": sources, "train_size": 20, "heldout_size": 5}, 0
    )
    with pytest.raises(InputError, match="not an exact match"):
        check_exact(task)
