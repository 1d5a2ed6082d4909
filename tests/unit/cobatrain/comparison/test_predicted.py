"""The simulated comparison of a real one: the same loop and update; other models are refused."""

from __future__ import annotations

import json

import pytest
from measured_files import made

pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobasim.gradients import write_measured
from cobatrain.comparison import Plan, predicted
from cobatrain.config import load_config

MODEL = "model.path=models/tiny"
SMALL = ["loop.batch_size=16", "loop.total_budget=128", "loop.steps=3", "task.train_size=40"]


def written(path, *changes, step=0, **more):
    config = load_config("tiny-compare", [MODEL, *changes]).model_dump(mode="json")
    write_measured(made(info={"config": config, "step": step}, **more), path)
    return str(path)


def plan(*settings, allocators=("uniform", "coba"), weightings=("rollout", "prompt")):
    return Plan(load_config("tiny-compare", [MODEL, *settings]), allocators, weightings, (0,))


def test_loop_and_update_are_those_of_the_plan(tmp_path):
    file = written(tmp_path / "g.npz")
    settings = [*SMALL, "update.learning_rate=3e-5", "update.advantage=dr-grpo", "loop.high=32"]
    found = predicted(plan(*settings), file, 5)
    assert (found.seeds, found.allocators) == (5, ("uniform", "coba"))
    assert (found.loop.batch_size, found.loop.total_budget, found.loop.steps) == (16, 128, 3)
    assert found.loop.high == 32
    assert found.world.num_prompts == 40
    assert found.world.learning_rate == 3e-5
    assert found.world.update == "dr-grpo"
    assert found.world.clip_norm == 1.0
    free = predicted(plan(*SMALL, "update.max_grad_norm=null"), file, 1)
    assert free.world.clip_norm > 1e100
    fitted = predicted(plan(*SMALL), file, 1, {"learning_rate": 1.0})
    assert fitted.world.learning_rate == 1.0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["model.path=models/other"], "measured on the model models/tiny, not models/other"),
        (['task.levels=["1+1"]'], r"another task \(levels differ\)"),
        (["task_seed=3"], "task_seed 0"),
        (["sampling.temperature=0.5"], "another sampling.temperature"),
    ],
)
def test_another_model_or_task(tmp_path, settings, words):
    file = written(tmp_path / "g.npz")
    with pytest.raises(InputError, match=words) as caught:
        predicted(plan(*SMALL, *settings), file, 1)
    assert "\n" not in str(caught.value)


def test_what_a_measured_world_cannot_do(tmp_path):
    file = written(tmp_path / "g.npz")
    with pytest.raises(InputError, match="not per token"):
        predicted(plan(*SMALL, weightings=("rollout", "token")), file, 1)
    write_measured(made(), tmp_path / "old.npz")
    with pytest.raises(InputError, match="does not say what it was measured on"):
        predicted(plan(*SMALL), str(tmp_path / "old.npz"), 1)
    with pytest.raises(InputError, match="no such file"):
        predicted(plan(*SMALL), str(tmp_path / "none.npz"), 1)


def test_the_command_prints_the_table_of_a_comparison(cobatrain, tmp_path):
    file = written(tmp_path / "g.npz")
    more = [x for s in (MODEL, *SMALL) for x in ("--set", s)]
    common = ["predict", "tiny-compare", "--measured", file, "--seeds", 2, "--jobs", 1, *more]
    answer = cobatrain(*common, "--out", tmp_path / "p")
    assert answer.code == 0, answer.err
    assert "coba" in answer.out
    assert (tmp_path / "p" / "report.html").exists()
    plain = cobatrain(*common, "--out", tmp_path / "q", "--json")
    assert {row["allocator"] for row in json.loads(plain.out)["rows"]} >= {"uniform", "coba"}
    again = cobatrain(*common, "--out", tmp_path / "p")
    assert again.code == 2
    small = cobatrain(*common, "--out", tmp_path / "r", "--set", "loop.batch_size=50")
    assert (small.code, small.out) == (2, "")
    assert "needs a pool" in small.err
