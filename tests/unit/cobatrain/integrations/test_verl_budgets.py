"""Budgets in verl, as far as they need no verl: the plan in its config, what is asked and told."""

from __future__ import annotations

import copy
import importlib.util
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from documents import block
from hypothesis import given, settings
from hypothesis import strategies as st
from repository import ROOT

from cobasim.budgets import BudgetLedger, usable_allocators
from cobasim.data import MeasuredRates
from cobasim.errors import InputError
from cobasim.experiments import advice
from cobasim.records import read_run
from cobatrain.integrations.verl_budgets import (
    FILE,
    HOOKS,
    SETTINGS,
    PromptBudgets,
    index_key,
    read_plan,
    text_key,
    told_apart,
)

M, N = 6, 4


def config(**changes):
    """What a plan reads of verl's config; ``changes`` by dotted name."""
    values = {
        "data": {"train_batch_size": M},
        "actor_rollout_ref": {
            "rollout": {"n": N, "agent": {}},
            "actor": {"loss_agg_mode": "token-mean", "optim": {"total_training_steps": -1}},
            "model": {"path": "some/model"},
        },
        "algorithm": {"filter_groups": {"enable": False}},
        "reward": {"reward_model": {"enable": False, "enable_resource_pool": False}},
        "skip": {"rollout_tq": {"enable": False}},
        "trainer": {
            "use_v1": True,
            "total_training_steps": None,
            "v1": {
                "trainer_mode": "sync",
                "sync": {},
                "sampler": {
                    "sync_refill_failed_groups": False,
                    "custom_sampler": {},
                    "sampler_kwargs": {},
                },
            },
        },
    }
    for name, value in {**HOOKS, **changes}.items():
        place = values
        *parts, last = name.split(".")
        for part in parts:
            place = place[part]
        place[last] = value
    return values


def with_settings(**given):
    return config(**{"trainer.v1.sampler.sampler_kwargs": given})


def test_the_total_is_what_verl_would_make():
    plan = read_plan(config())
    assert (plan.prompts, plan.total, plan.weighting) == (M, M * N, "token")
    assert plan.model == "some/model"
    assert plan.settings.allocator == "signal"


@pytest.mark.parametrize("name", HOOKS)
def test_a_missing_hook_is_named_with_what_it_should_be(name):
    with pytest.raises(InputError) as found:
        read_plan(config(**{name: None}))
    assert str(found.value) == f"budgets in verl need {name}={HOOKS[name]}, and it is not set"


REFUSED = {
    "trainer.v1.sampler.custom_sampler.path": ("cobatrain/integrations/verl.py", "pkg://"),
    "trainer.use_v1": (False, "use_v1=false is .*old trainer.*true"),
    "trainer.v1.trainer_mode": ("separate_async", "=separate_async starts rollouts.*sync"),
    "trainer.v1.sync": ({"parameter_sync_step": 2}, "parameter_sync_step=2 trains on parts.*1"),
    "algorithm.filter_groups.enable": (
        True,
        "enable=true goes on.*no total can be kept: set it to false",
    ),
    "trainer.v1.sampler.sync_refill_failed_groups": (True, "no total can be kept"),
    "skip.rollout_tq.enable": (True, "replays stored rollouts"),
    "reward.reward_model.enable": (True, "enable_resource_pool=true"),
    "actor_rollout_ref.actor.loss_agg_mode": ("mean", "token-mean, "),
    "actor_rollout_ref.rollout.n": (1, "6 rollouts cannot be met.*rollout.n=1|rollout.n=1.*6 roll"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_budgets_cannot_go_along_with_is_refused_in_one_line(name):
    value, message = REFUSED[name]
    with pytest.raises(InputError, match=message) as found:
        read_plan(config(**{name: value}))
    assert "\n" not in str(found.value)
    assert name.rpartition(".")[2] in str(found.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"alocator": "coba"}, "unknown setting 'alocator': did you mean 'allocator'"),
        ({"low": 1}, "low must be at least 2, got 1: verl takes the raw reward"),
        ({"low": 5}, "24 rollouts cannot be met"),
        ({"high": 3}, "24 rollouts cannot be met"),
        ({"allocator": "dapo"}, "^allocator 'dapo' .*: use uniform"),
        ({"allocator": "signal-skip"}, "^allocator 'signal-skip' .*: use uniform"),
        ({"estimator": "best"}, "best"),
        ({"key": "uid"}, "key: .*'uid'"),
        ({"passed": float("nan")}, "passed: "),
    ],
)
def test_bad_settings_are_one_line(given, message):
    with pytest.raises(InputError, match=message) as found:
        read_plan(with_settings(**given))
    assert "\n" not in str(found.value)


def test_a_large_model_of_rewards_is_served_from_its_own_pool():
    own = {"reward.reward_model": {"enable": True, "enable_resource_pool": True}}
    assert read_plan(config(**own)).total == M * N


def test_an_allocator_that_follows_progress_gets_the_steps_that_verl_counted():
    chosen = with_settings(allocator="linear-decay")
    assert read_plan(chosen).steps is None  # before verl has read its data
    chosen["actor_rollout_ref"]["actor"]["optim"]["total_training_steps"] = 50
    assert read_plan(chosen).steps == 50
    assert read_plan(with_settings()).steps is None  # others can go on for longer
    assert read_plan(with_settings(allocator="linear-decay", steps=9)).steps == 9


def test_a_plan_changes_nothing_of_the_config():
    given = with_settings(parameters={})
    before = copy.deepcopy(given)
    read_plan(given)
    assert given == before


# -- keys ----------------------------------------------------------------------------------------


MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.text()})
)


@given(MESSAGES, MESSAGES)
@settings(max_examples=30)
def test_prompts_have_the_same_key_if_they_say_the_same(one, other):
    assert (text_key(one) == text_key(other)) == (one == other)
    assert text_key(one) == text_key([dict(reversed(message.items())) for message in one])


def test_a_prompt_with_an_image_needs_an_index():
    with pytest.raises(InputError, match=r"more than text.*key=index"):
        text_key([{"role": "user", "content": [{"image": object()}]}])
    assert index_key("geometry", {"index": 7}) == "geometry/7"
    for extra in (None, {}, {"split": "train"}):
        with pytest.raises(InputError, match=r"no extra_info\.index"):
            index_key("geometry", extra)


@given(st.lists(st.sampled_from("abcd"), min_size=1))
def test_prompts_that_come_twice_are_told_apart(keys):
    distinct, copies = told_apart(keys)
    assert len(set(distinct)) == len(keys)
    assert copies == len(keys) - len(set(keys))
    assert [name.partition("#")[0] for name in distinct] == keys


# -- asked and told ------------------------------------------------------------------------------


def step(budgets, rng, number):
    """One batch as verl would have it: new uids, rollouts in any order."""
    keys = [f"prompt {at}" for at in rng.choice(20, M, replace=False)]
    uids = [f"uid-{number}-{at}" for at in range(M)]
    given = budgets.ask(uids, keys)
    scores = rng.random(given.sum()) < 0.5
    order = rng.permutation(given.sum())
    return np.repeat(uids, given)[order], scores[order].astype(float), keys, given


@given(seed=st.integers(0, 2**32 - 1), name=st.sampled_from(usable_allocators()))
@settings(max_examples=10)
def test_uids_and_scores_come_to_what_a_ledger_is_told(seed, name):
    rng = np.random.default_rng(seed)
    budgets = PromptBudgets(read_plan(with_settings(allocator=name, steps=4, seed=5)))
    plain = BudgetLedger(M * N, allocator=name, steps=4, weighting="token", seed=5)
    for number in range(4):
        uids, scores, keys, given = step(budgets, rng, number)
        assert given.sum() == M * N
        assert given.min() >= 2
        np.testing.assert_array_equal(given, plain.ask(keys))
        told = budgets.tell(uids.tolist(), scores, M)
        passes = [int(scores[uids == f"uid-{number}-{at}"].sum()) for at in range(M)]
        record = plain.tell(keys, given, passes)
        assert told.metrics["budgets/failure_rate"] == record.failure_rate
        assert told.alone == frozenset()
    np.testing.assert_array_equal(budgets.ledger.rates().pass_rate, plain.rates().pass_rate)


def test_failed_rollouts_are_counted_and_groups_of_one_named():
    budgets = PromptBudgets(read_plan(with_settings(allocator="uniform")))
    uids = [f"uid-{at}" for at in range(M)]
    budgets.ask(uids, uids)
    made = ["uid-0"] + ["uid-1"] * 2 + ["uid-2"] * 4  # nothing is left of the others
    told = budgets.tell(made, np.ones(len(made)), M)
    assert told.alone == {"uid-0"}
    assert told.metrics["budgets/failed_rollouts"] == M * N - 7
    rates = budgets.ledger.rates()
    assert dict(zip(rates.keys, rates.attempts > 0, strict=True)) == {
        uid: uid in made for uid in uids
    }


@pytest.mark.parametrize(
    ("made", "score", "prompts", "message"),
    [
        (["uid-0"] * 5, 1.0, M, "5 rollouts of a prompt with a budget of 4.*no effect"),
        (["other"], 1.0, M, "prompt other came, which is not in the last batch"),
        (["uid-0"], float("nan"), M, "the reward of a rollout of prompt uid-0 is nan"),
        (["uid-0"], 1.0, M // 2, "trains on 3 prompts of a batch of 6"),
    ],
)
def test_outcomes_that_cannot_be_are_refused_and_change_nothing(made, score, prompts, message):
    budgets = PromptBudgets(read_plan(with_settings(allocator="uniform")))
    uids = [f"uid-{at}" for at in range(M)]
    budgets.ask(uids, uids)
    with pytest.raises(InputError, match=message):
        budgets.tell(made, np.full(len(made), score), prompts)
    assert budgets.ledger.step == 0
    budgets.tell(uids, np.ones(M), M)


def test_asking_twice_and_telling_unasked_are_errors():
    budgets = PromptBudgets(read_plan(config()))
    uids = [f"uid-{at}" for at in range(M)]
    with pytest.raises(InputError, match="no budgets were asked"):
        budgets.tell(uids, np.ones(M), M)
    with pytest.raises(InputError, match=r"of 5 prompts, not data.train_batch_size=6"):
        budgets.ask(uids[1:], uids[1:])
    budgets.ask(uids, uids)
    with pytest.raises(InputError, match="asked again before the outcomes of step 1"):
        budgets.ask(uids, uids)


def test_a_checkpoint_goes_on_as_if_there_had_been_no_break(tmp_path):
    plan = read_plan(with_settings(allocator="coba", records=str(tmp_path / "records")))
    rng = np.random.default_rng(0)
    unbroken = PromptBudgets(plan)
    for number in range(6):
        if number == 3:
            unbroken.save(tmp_path)
            then = copy.deepcopy(rng)
        uids, scores, *_ = step(unbroken, rng, number)
        unbroken.tell(uids.tolist(), scores, M)
    unbroken.ledger.close()
    whole = [record.failure_rate for record in read_run(tmp_path / "records").steps]
    resumed = PromptBudgets(plan)
    with pytest.raises(InputError, match="holds 6 steps of this run"):
        step(resumed, copy.deepcopy(then), 3)
    resumed.restore(tmp_path)
    for number in range(3, 6):
        uids, scores, *_ = step(resumed, then, number)
        resumed.tell(uids.tolist(), scores, M)
    resumed.ledger.close()
    assert [record.failure_rate for record in read_run(tmp_path / "records").steps] == whole
    for name, state in resumed.ledger.state_dict().items():
        assert json.dumps(state, default=np.ndarray.tolist) == json.dumps(
            unbroken.ledger.state_dict()[name], default=np.ndarray.tolist
        )


def test_a_checkpoint_without_budgets_is_refused_unless_told(tmp_path):
    with pytest.raises(InputError, match=r"holds no budgets.json.*fresh=true"):
        PromptBudgets(read_plan(config())).restore(tmp_path)
    fresh = PromptBudgets(read_plan(with_settings(fresh=True)))
    fresh.restore(tmp_path)
    assert fresh.ledger.step == 0
    (tmp_path / FILE).write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        fresh.restore(tmp_path)
    other = PromptBudgets(read_plan(with_settings(allocator="uniform")))
    other.save(tmp_path)
    with pytest.raises(InputError, match="allocator='uniform'"):
        fresh.restore(tmp_path)


@pytest.mark.skipif(importlib.util.find_spec("verl") is not None, reason="verl is installed")
def test_without_verl_the_hooks_say_what_to_install():
    code = "import cobatrain.integrations.verl_budgets, sys; assert 'torch' not in sys.modules\n"
    code += "import cobatrain.integrations.verl"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    last = found.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError: cobatrain.integrations.verl needs verl 0.9.1")
    assert last.endswith("pip install 'verl[verl-core]==0.9.1'")


def test_advice_prints_the_settings_that_verl_needs():
    rates = np.linspace(0.05, 0.95, 64)
    pool = MeasuredRates(rates, None, np.arange(64), "rates.csv", 64, "p")
    case = advice.of_pass_rates(pool, advice.Sizes(8, 64, visits=2.0))
    answer = advice.advise(case, advice.Effort(tried=2, kept=1, seeds=1), jobs=1)
    text = advice.snippet(replace(answer, recommended="signal"), "verl")
    for name, wanted in HOOKS.items():
        assert f"{name}={wanted}" in text
    assert f"+{SETTINGS}.allocator=signal" in text


# -- the page ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["grpo.sh", "dapo.sh"])
def test_the_page_has_the_commands_in_full(name):
    text = (ROOT / "examples" / "verl_budgets" / name).read_text()
    command = block("docs/verl.md", f"<!-- verl command: {name} -->")
    assert command == text[text.index("python3") :]
