"""The simulated comparison of a real one: the same loop and update; other models are refused."""

from __future__ import annotations

import json

import pytest
from measured_files import made
from pydantic import BaseModel

pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobasim.gradients import write_measured
from cobatrain.comparison import Plan, predicted, remarks, translation
from cobatrain.config import TrainConfig, load_config

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
    assert (again.code, again.out) == (0, answer.out)
    small = cobatrain(*common, "--out", tmp_path / "r", "--set", "loop.batch_size=50")
    assert (small.code, small.out) == (2, "")
    assert "needs a pool" in small.err


def leaves(kind, prefix=""):
    """Dotted names of all settings, parts that are optional included."""
    for name, field in kind.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from leaves(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_every_setting_is_taken_over_refused_or_without_effect():
    """None is left out in silence; a new setting must find its group."""
    groups = [
        translation.TAKEN_OVER, translation.NAMED, translation.COMPARED, translation.AS_MEASURED,
        translation.WITHOUT_EFFECT, frozenset(translation.ONLY), translation.EVALUATED,
    ]  # fmt: skip
    for name in leaves(TrainConfig):
        own = {name, *(name[:at] for at, sign in enumerate(name) if sign == ".")}
        assert sum(bool(own & group) for group in groups) == 1, name
    known = {part for name in leaves(TrainConfig) for part in (name, name.split(".")[0])}
    for group in groups:
        assert group <= known


REFUSED = {
    "loop.mix": '[{"step": 0, "weights": [1, 0]}]',
    "update.cut_off": "drop",
    "update.deviation": "sample",
    "update.minibatches": "2",
    "update.kl_coef": "0.01",
    "update.weight_decay": "0.1",
    "update.betas": "[0.8, 0.99]",
}


@pytest.mark.parametrize("name", [name for name in translation.ONLY if name in REFUSED])
def test_what_the_world_has_not_is_refused_by_name(tmp_path, name):
    file = written(tmp_path / "g.npz")
    with pytest.raises(InputError, match=f"a measured world has no {name}=") as caught:
        predicted(plan(*SMALL, f"{name}={REFUSED[name]}"), file, 1)
    assert "\n" not in str(caught.value)


def test_first_beliefs_are_refused(tmp_path):
    file = written(tmp_path / "g.npz")
    beliefs = ["loop.first_beliefs=measured", "pass_rates.path=rates.csv"]
    with pytest.raises(InputError, match=r"has no loop\.first_beliefs=measured"):
        predicted(plan(*SMALL, *beliefs), file, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sampling.temperature", "0.5"),
        ("sampling.max_tokens", "4"),
        ("sampling.stop", '["x"]'),
        ("sampling.stop_token_ids", "[3]"),
        ("model.system", "hello"),
        ("model.chat_template_kwargs", '{"enable_thinking": false}'),
        ("model.dtype", "bfloat16"),
        ("update.constant_length", "8"),
    ],
)
def test_what_gradients_depend_on_must_be_as_measured(tmp_path, name, value):
    change = f"{name}={value}"
    more = ["evaluation.exact=true", *SMALL]
    with pytest.raises(InputError, match=f"another {name}: measure again"):
        predicted(plan(*more, change), written(tmp_path / "g.npz"), 1)
    same = predicted(plan(*more, change), written(tmp_path / "h.npz", change), 1)
    assert same.world.num_prompts == 40


@pytest.mark.parametrize("change", ["evaluation.top_p=0.9", "evaluation.temperature=0.6"])
def test_a_policy_that_is_scored_otherwise_than_trained(tmp_path, change):
    file = written(tmp_path / "g.npz")
    with pytest.raises(InputError, match=r"evaluation\.temperature to 1 \(is"):
        predicted(plan(*SMALL, change), file, 1)
    predicted(plan(*SMALL, change, "evaluation.exact=true"), file, 1)  # at that of training


def test_what_has_no_effect_changes_nothing(tmp_path):
    file = written(tmp_path / "g.npz")
    usual = predicted(plan(*SMALL), file, 1)
    changes = [
        "update.clip_low=0.1", "update.loss=gspo", "update.tis_cap=2", "update.micro_tokens=64",
        "evaluation.samples=2", "checkpoint.every=3", "engine.threads=1", "seed=5",
    ]  # fmt: skip
    assert predicted(plan(*SMALL, *changes), file, 1) == usual
    with pytest.raises(InputError, match=r"tis_cap=0\.5, which shrinks"):
        predicted(plan(*SMALL, "update.tis_cap=0.5"), file, 1)


def test_warm_up_is_taken_over(tmp_path):
    file = written(tmp_path / "g.npz")
    assert predicted(plan(*SMALL), file, 1).world.warmup_steps == 0
    assert predicted(plan(*SMALL, "update.warmup_steps=7"), file, 1).world.warmup_steps == 7


def test_what_a_prediction_rests_on_is_said(tmp_path):
    assert remarks(plan().config, written(tmp_path / "g.npz")) == []
    write_measured(made(info={"parameters measured": "layers.1"}), tmp_path / "part.npz")
    own = plan('task.reward={"function": "mine:score"}').config
    part, reward = remarks(own, str(tmp_path / "part.npz"))
    assert "'layers.1' alone" in part
    assert "0 and 1" in reward
    files = f"{written(tmp_path / 'start.npz')},{written(tmp_path / 'late.npz', step=3)}"
    (late,) = remarks(plan(*SMALL).config, files)
    assert "step 3 come too late for a run of 3" in late
