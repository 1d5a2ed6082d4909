"""Budgets in the real verl, in an environment of its own: ``.ci/verl`` makes it and runs this.

Real are Ray, the TransferQueue, agent-loop workers, the task runner and the training loop with its
replay buffer, advantages and checkpoints; examples/verl_budgets says what stands for the model.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from repository import ROOT

if importlib.util.find_spec("verl") is None:
    pytest.skip("verl is not installed: .ci/verl tests it", allow_module_level=True)

EXAMPLE = ROOT / "examples" / "verl_budgets"
sys.path.insert(0, str(EXAMPLE))

import rehearse
import torch
from fake_agent import chance, outcome
from omegaconf import OmegaConf
from verl.trainer.ppo.core_algos import get_adv_estimator_fn

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain.integrations.verl import (
    HOOKS,
    BudgetReplayBuffer,
    SaveBudgets,
    check_signatures,
    check_version,
    plan_of,
)
from cobatrain.integrations.verl_budgets import text_key

M, TOTAL, STEPS = rehearse.BATCH, rehearse.BATCH * rehearse.GROUP, 12


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return rehearse.write_data(tmp_path_factory.mktemp("data") / "data.parquet")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The example, twelve steps: its folder, trainer, and records as they were then."""
    folder = tmp_path_factory.mktemp("run")
    given, sys.argv = sys.argv, ["rehearse.py", str(folder)]
    try:
        rehearse.main()
    finally:
        sys.argv = given
    trainer = rehearse.RehearsedTrainer.last
    trainer.agent_loop_manager.budgets.ledger.close()
    return SimpleNamespace(
        folder=folder,
        trainer=trainer,
        batches=trainer.actor_rollout_wg.batches,
        steps=read_run(folder / "records").steps,
    )


def groups(batch):
    """Rows of each prompt that the actor got, by index; padding left out."""
    found = {}
    for row, (extra, tag) in enumerate(zip(batch["extra_info"], batch["tags"], strict=True)):
        if not tag.get("is_padding", False):
            found.setdefault(extra["index"], []).append(row)
    return found


def scores(batch):
    return np.array([float(row.sum()) for row in batch["rm_scores"]])


def test_every_step_spends_exactly_the_total_without_padding(unbroken):
    assert len(unbroken.batches) == STEPS
    unequal = 0
    for batch in unbroken.batches:
        sizes = [len(rows) for rows in groups(batch).values()]
        assert sum(sizes) == len(batch["keys"]) == TOTAL
        assert len(sizes) == M
        assert min(sizes) >= 2
        assert max(sizes) <= 24
        unequal += len(set(sizes)) > 1
    assert unequal >= STEPS - 4  # the first visits of 24 prompts are alike


def test_rollouts_of_a_prompt_are_its_own_and_scored_once(unbroken):
    for step, batch in enumerate(unbroken.batches, 1):
        got = scores(batch)
        for index, rows in groups(batch).items():
            sessions = [int(batch["keys"][row].rsplit("_", 2)[1]) for row in rows]
            assert sorted(sessions) == list(range(len(rows)))
            assert len({batch["uid"][row] for row in rows}) == 1
            for row, session in zip(rows, sessions, strict=True):
                assert got[row] == outcome(index, rehearse.PROMPTS, step, session)[0]


def test_advantages_of_unequal_groups_are_those_of_a_plain_reference(unbroken):
    for batch in unbroken.batches:
        got = scores(batch)
        for rows in groups(batch).values():
            mean, deviation = got[rows].mean(), got[rows].std(ddof=1)
            for row in rows:
                expected = (got[row] - mean) / (deviation + 1e-6)
                mask = np.array(batch["response_mask"][row], dtype=float)
                np.testing.assert_allclose(
                    np.array(batch["advantages"][row]), expected * mask, atol=1e-5
                )


def test_the_ledger_is_told_what_came_and_beliefs_move(unbroken):
    assert [record.step for record in unbroken.steps] == list(range(1, STEPS + 1))
    assert [record.rollouts for record in unbroken.steps] == [
        TOTAL * (step + 1) for step in range(STEPS)
    ]
    for record, batch in zip(unbroken.steps, unbroken.batches, strict=True):
        got = scores(batch)
        rates = [got[rows].mean() for rows in groups(batch).values()]
        assert record.failure_rate == pytest.approx(1 - np.mean(rates))
        assert "asked_rollouts" not in record.learner
    known = unbroken.trainer.agent_loop_manager.budgets.ledger.rates()
    assert len(known.keys) == rehearse.PROMPTS
    assert (known.attempts > 0).all()
    believed = dict(zip(known.keys, known.pass_rate, strict=True))
    for index in range(rehearse.PROMPTS):
        key = text_key([{"role": "user", "content": f"Question {index}?"}])
        assert believed[key] == pytest.approx(chance(index, rehearse.PROMPTS), abs=0.35)
    assert min(believed.values()) < 0.2
    assert max(believed.values()) > 0.8
    mixed, other = np.zeros(2), np.zeros(2)
    for batch in unbroken.batches[6:]:
        for index, rows in groups(batch).items():
            (mixed if 0 < chance(index, rehearse.PROMPTS) < 1 else other)[:] += len(rows), 1
    assert mixed[0] / mixed[1] > 1.2 * other[0] / other[1]  # prompts that teach get more


def test_a_resumed_run_is_the_unbroken_one(unbroken):
    config = rehearse.make_config(
        unbroken.folder,
        unbroken.folder / "data.parquet",
        "trainer.resume_mode=resume_path",
        f"trainer.resume_from_path={unbroken.folder}/checkpoints/global_step_6",
        "trainer.val_before_train=false",
    )
    trainer = rehearse.rehearse(config)
    trainer.agent_loop_manager.budgets.ledger.close()
    resumed = trainer.actor_rollout_wg.batches
    assert len(resumed) == 6
    for batch, whole in zip(resumed, unbroken.batches[6:], strict=True):
        spent, before = groups(batch), groups(whole)
        assert {index: len(rows) for index, rows in spent.items()} == {
            index: len(rows) for index, rows in before.items()
        }
    assert [
        replace(record, allocate_ms=None) for record in read_run(unbroken.folder / "records").steps
    ] == [replace(record, allocate_ms=None) for record in unbroken.steps]


def test_failed_rollouts_are_not_told_and_a_group_of_one_is_not_trained_on(tmp_path):
    data = rehearse.write_data(tmp_path / "data.parquet", fails={3: 1, 5: 0, 7: 2})
    trainer = rehearse.rehearse(
        rehearse.make_config(
            tmp_path,
            data,
            "trainer.total_training_steps=3",
            "trainer.save_freq=-1",
            "trainer.val_before_train=false",
            "+trainer.v1.sampler.sampler_kwargs.metric=acc",
            "+trainer.v1.sampler.sampler_kwargs.key=index",
            "trainer.v1.sampler.sampler_kwargs.allocator=uniform",
        )
    )
    ledger = trainer.agent_loop_manager.budgets.ledger
    ledger.close()
    sizes = {}
    for batch in trainer.actor_rollout_wg.batches:
        assert len(batch["keys"]) % 24 == 0  # verl pads
        sizes |= {index: len(rows) for index, rows in groups(batch).items()}
    assert sizes == {
        index: 2 if index == 7 else 6 for index in range(rehearse.PROMPTS) if index not in (3, 5)
    }
    assert ledger.rates().keys[0].startswith("rehearsal/")
    assert ledger.rollouts == 3 * TOTAL - 5 - 6 - 4
    told = [record.learner.get("asked_rollouts") for record in read_run(tmp_path / "records").steps]
    assert set(told) <= {None, TOTAL}
    assert TOTAL in told


# -- without Ray ---------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["grpo.sh", "dapo.sh"])
def test_the_commands_are_a_config_that_budgets_accept(script):
    text = (EXAMPLE / script).read_text()
    found = re.findall(r"^    (\S+=.*?) \\$", text, re.MULTILINE)
    with rehearse.initialize_config_module("verl.trainer.config", version_base=None):
        config = rehearse.compose(
            "ppo_trainer", [setting.replace('"$HOME', "/home").replace('"', "") if "HOME" in setting
                            else setting.replace("'", "") for setting in found]
        )  # fmt: skip
    plan = plan_of(config)
    assert plan.total == 512 * config.actor_rollout_ref.rollout.n
    assert plan.weighting == ("rollout" if script == "grpo.sh" else "token")


def test_each_class_checks_the_whole_config(data, tmp_path):
    config = rehearse.make_config(tmp_path, data)
    assert plan_of(config).total == TOTAL
    for name, other in {
        "trainer.v1.sampler.custom_sampler.name": "ReplayBuffer",
        "actor_rollout_ref.rollout.agent.agent_loop_manager_class": (
            "verl.trainer.ppo.v1.AgentLoopManagerTQ"
        ),
        "trainer.checkpoint_callback_class": (
            "verl.trainer.ppo.checkpoint_callback.CheckpointCallback"
        ),
    }.items():
        changed = config.copy()
        OmegaConf.update(changed, name, other)
        kind = HOOKS[name].rpartition(".")[2]
        with pytest.raises(InputError, match=f"is no cobatrain.integrations.verl.{kind}"):
            SaveBudgets(changed)


def test_a_buffer_of_no_trainer_is_refused():
    with pytest.raises(InputError, match="belongs into verl's trainer"):
        BudgetReplayBuffer("sync", {}, None, "drop", {})


def test_another_verl_is_refused_by_name():
    with pytest.raises(ImportError, match=r"0\.9\.1; found verl 0\.9\.2"):
        check_version("0.9.2")

    def kv_clear(keys, partition): ...

    with pytest.raises(ImportError, match=r"takes \(keys partition\), where verl 0.9.1 takes"):
        check_signatures([(kv_clear, "keys partition_id")])


ESTIMATORS = ["grpo", "grpo_vectorized", "grpo_passk", "rloo", "rloo_vectorized", "opo"]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_verls_estimators_take_each_group_for_itself(name):
    """Advantages of unequal groups in one batch are those of each group alone."""
    rng = np.random.default_rng(3)
    sizes = [2, 3, 5, 8, 2]
    index = np.repeat([f"uid-{at}" for at in range(5)], sizes)[rng.permutation(sum(sizes))]
    rewards = torch.zeros(index.size, 4)
    rewards[:, -1] = torch.tensor(rng.random(index.size))
    estimate = get_adv_estimator_fn(name)

    def advantages(rows):
        mask = torch.ones(len(rows), 4)
        return estimate(
            token_level_rewards=rewards[rows].clone(),
            response_mask=mask,
            index=index[rows],
            config={"norm_adv_by_std_in_grpo": True},
        )[0]

    whole = advantages(np.arange(index.size))
    for uid in np.unique(index):
        rows = np.flatnonzero(index == uid)
        torch.testing.assert_close(whole[rows], advantages(rows), atol=1e-5, rtol=1e-5)
