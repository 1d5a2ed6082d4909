"""Plans: yes or no, the first change, time, and the runs that are refused."""

from __future__ import annotations

import json
import re

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")

from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.config import load_config
from cobatrain.planning import (
    GIB,
    Hardware,
    advise,
    check_room,
    engine_memory,
    make_plan,
    model_shape,
    refuse_hopeless,
)

SHAPES = {name: model_shape(load_config(name)) for name in ("qwen3-1.7b", "qwen2.5-7b")}


def plan(name, changes=(), gpus=8, gib=80.0, **lengths):
    return make_plan(load_config(name, changes), SHAPES[name], Hardware(gpus, gib), **lengths)


@pytest.mark.parametrize("name", SHAPES)
def test_the_qwen_configs_fit_on_eight_cards(name):
    made = plan(name)
    assert made.fits
    assert made.verdict.startswith("fits: ")
    assert made.config.update.micro_tokens >= made.config.engine.max_model_len


@settings(max_examples=15, deadline=None)
@given(
    name=st.sampled_from(sorted(SHAPES)),
    gpus=st.sampled_from([1, 2, 8]),
    gib=st.floats(8, 200),
    parallel=st.sampled_from(["shard", "replicate"]),
    level=st.integers(0, 2),
    tokens=st.sampled_from([8192, 65536]),
)
def test_advice_fits_when_it_is_followed(name, gpus, gib, parallel, level, tokens):
    changes = [
        f"parallel={parallel}", f"engine.sleep_level={level}", f"update.micro_tokens={tokens}"
    ]  # fmt: skip
    made = plan(name, changes, gpus, gib)
    advice = advise(made)
    if made.fits:
        assert advice is None
        return
    assert made.verdict.startswith("does not fit: ")
    if advice is not None:
        more = [int(text.split()[1]) for text in advice.changes if text.startswith("--gpus ")]
        followed = [text for text in advice.changes if not text.startswith("--gpus ")]
        assert plan(name, [*changes, *followed], *(more or [gpus]), gib).fits
        for left_out in followed:  # nothing in it is needless
            rest = [text for text in followed if text != left_out]
            assert not plan(name, [*changes, *rest], *(more or [gpus]), gib).fits


def test_a_plan_leaves_a_twentieth_of_the_card_free():
    """The same peak on cards that have it whole, almost whole, and with room to spare."""
    config = ["engine.name=transformers"]  # its share does not depend on the card
    needed = plan("qwen3-1.7b", config).peak.total / GIB
    for factor, words in ((0.99, r"\)$"), (1.01, "less than 5 % free$"), (1.04, "less than 5 %")):
        made = plan("qwen3-1.7b", config, gib=factor * needed)
        assert not made.fits
        assert re.match(f"does not fit: .*{words}", made.verdict)
        assert advise(made).changes
    assert plan("qwen3-1.7b", config, gib=1.06 * needed).fits


def test_the_first_change_for_replicas_is_to_shard():
    made = plan("qwen2.5-7b", ["parallel=replicate"])
    assert not made.fits
    assert advise(made).changes == ("parallel=shard",)


def test_replicas_on_several_machines_are_to_be_sharded_inside_each_first():
    config, shape = load_config("qwen2.5-7b", ["parallel=replicate"]), SHAPES["qwen2.5-7b"]
    assert advise(make_plan(config, shape, Hardware(16, nodes=2))).changes == ("parallel=hybrid",)
    asleep = load_config("qwen2.5-7b", ["engine.sleep_level=1"])
    one, two = (make_plan(asleep, shape, Hardware(gpus)).host for gpus in (8, 16))
    both = make_plan(asleep, shape, Hardware(16, nodes=2)).host
    assert both == one != two  # a machine has its own engines only
    assert one["loading"] == 4 * shape.parameters  # rank 0 reads, the others are sent their parts


def test_a_model_that_no_machine_holds_has_no_advice():
    assert advise(plan("qwen2.5-7b", gib=0.5)) is None


def test_the_peak_is_the_largest_moment_and_json_says_the_same():
    made = plan("qwen3-1.7b", ["update.kl_coef=0.1"])
    values = json.loads(json.dumps(made.to_json()))
    assert values["peak"]["bytes"] == max(one["bytes"] for one in values["moments"])
    for one in values["moments"]:
        assert one["bytes"] == sum(one["parts"].values())
    assert any("reference" in one["parts"] for one in values["moments"])


def test_a_sleeping_engine_is_gone_from_the_update():
    awake, asleep = (plan("qwen3-1.7b", [f"engine.sleep_level={level}"]) for level in (0, 1))
    taken = int(0.45 * 80 * GIB)
    for before, after in zip(awake.moments, asleep.moments, strict=True):
        saved = before.total - after.total
        assert saved == (taken if before.name.startswith("update") else 0)
    assert asleep.host["sleep"] > plan("qwen3-1.7b", ["engine.sleep_level=2"]).host["sleep"] == 0


def test_an_engine_without_room_for_one_rollout_does_not_fit():
    made = plan("qwen2.5-7b", ["engine.gpu_memory_utilization=0.15"])
    assert made.cache_short
    assert not made.fits
    assert "engine" in made.verdict
    assert "gpu_memory_utilization" in advise(made).changes[0]


def test_the_cache_holds_what_is_left_beside_the_weights():
    config, shape = load_config("qwen3-1.7b"), SHAPES["qwen3-1.7b"]
    memory = engine_memory(config, shape, 8, 80 * GIB)
    assert memory.cache_token == 2 * 2 * 28 * 8 * 128  # keys and values, bfloat16
    assert memory.weights + memory.cache < memory.awake
    assert memory.cache_tokens * memory.cache_token <= memory.cache


def test_operations_of_a_step_are_six_for_each_parameter_and_token():
    """Eight with checkpointing; attention adds to it and grows with the length."""
    short = {"prompt_tokens": 1, "response_tokens": 1}
    off = plan("qwen3-1.7b", ["update.gradient_checkpointing=false"], **short)
    on = plan("qwen3-1.7b", **short)
    counted = off.shape.products * off.step.tokens
    assert off.step.update_flops == pytest.approx(6 * counted, rel=1e-3)
    assert on.step.update_flops == pytest.approx(8 * counted, rel=1e-3)
    long = plan("qwen3-1.7b").step
    assert long.update_flops / long.tokens > on.step.update_flops / on.step.tokens


def test_time_falls_with_gpus_and_speed():
    config, shape = load_config("qwen3-1.7b"), SHAPES["qwen3-1.7b"]
    base = make_plan(config, shape, Hardware(8)).step
    assert make_plan(config, shape, Hardware(16)).step.seconds < base.seconds
    faster = make_plan(config, shape, Hardware(8, efficiency=0.7, bandwidth=6.7)).step
    assert faster.update_seconds == pytest.approx(base.update_seconds / 2)
    assert faster.generation_seconds == pytest.approx(base.generation_seconds / 2)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gpus": 0}, "at least one GPU"),
        ({"gpus": 8, "nodes": 3}, "--nodes is 3"),
        ({"nodes": 0}, "--nodes is 0"),
        ({"gib": -3.0}, "--gpu-gib is -3"),
        ({"gib": float("nan")}, "--gpu-gib is nan"),
        ({"tflops": 0.0}, "--peak-tflops"),
        ({"bandwidth": float("inf")}, "--bandwidth"),
        ({"efficiency": 1.5}, r"share in \(0, 1\]"),
    ],
)
def test_machines_that_do_not_exist(values, message):
    with pytest.raises(InputError, match=message):
        Hardware(**values)


@pytest.mark.parametrize(
    ("changes", "lengths", "message"),
    [
        ((), {"prompt_tokens": 0}, "--prompt-tokens is 0"),
        ((), {"response_tokens": 9000}, "--response-tokens is 9000, but sampling.max_tokens"),
        ((), {"prompt_tokens": 9000}, "longer than"),
        (("engine.tensor_parallel_size=16",), {}, "8 GPUs"),
    ],
)
def test_plans_that_cannot_be(changes, lengths, message):
    with pytest.raises(InputError, match=message):
        plan("qwen3-1.7b", changes, **lengths)


def test_only_what_is_certain_is_refused():
    with pytest.raises(InputError, match=r"alone take 113\.5 of 80\.0 GiB.*first: set"):
        refuse_hopeless(plan("qwen2.5-7b", gpus=1))
    hardly = plan("qwen2.5-7b", gpus=2)
    assert not hardly.fits
    refuse_hopeless(hardly)


def test_training_is_refused_on_a_card_that_is_too_small(monkeypatch):
    class Card:
        total_memory = 24 * GIB

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda place: Card)
    config = load_config("qwen3-1.7b", ["model.device=cuda"])
    with pytest.raises(InputError, match=r"25\.6 of 24\.0 GiB"):
        check_room(config, 1)
    check_room(config, 8)  # sharded


def test_on_a_cpu_it_is_a_warning(monkeypatch):
    said = []
    config = load_config("qwen3-1.7b", ["model.device=cpu"])
    monkeypatch.setattr("os.sysconf", lambda name: 2**30 if "PHYS" in name else 16)
    check_room(config, 1, said.append)
    assert len(said) == 1
    assert said[0].startswith("warning: ")
    check_room(load_config("qwen3-1.7b", ["model.path=models/unknown"]), 1, said.append)
    check_room(load_config("tiny", ["model.device=cpu"]), 1, said.append)
    assert len(said) == 1
