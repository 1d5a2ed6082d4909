"""Budgets inside TRL: the stock trainer where groups are equal, exact and resumable where not."""

from __future__ import annotations

import json
import math
import runpy
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("trl", reason="TRL is not installed")

import torch
from children import environment
from repository import ROOT
from trl import GRPOTrainer
from trl_runs import (
    GROUP,
    PROMPTS,
    ROWS,
    Client,
    data,
    form,
    logged,
    model,
    trainer,
    weights,
)

from cobasim.budgets import RewardRange
from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain.integrations.trl import BudgetGRPOTrainer

SIGNAL = {"allocator": "signal", "low": 2, "high": 9}
TOTAL = GROUP * PROMPTS


class Watched(BudgetGRPOTrainer):
    """Keeps what each generation batch had and gave."""

    def __init__(self, *args, **kwargs):
        self.seen = []
        super().__init__(*args, **kwargs)

    def _calculate_rewards(self, inputs, *args, **kwargs):
        rewards = super()._calculate_rewards(inputs, *args, **kwargs)
        if self.model.training:
            self.seen.append(
                {"answers": [int(row["answer"]) for row in inputs], "rewards": rewards}
            )
            assert len({id(row) for row in inputs}) == len(inputs)
        return rewards

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        if self.model.training:
            self.seen[-1]["advantages"] = output["advantages"]
        return output


LOSSES = [
    {"loss_type": "grpo", "scale_rewards": "group"},
    {"loss_type": "dapo", "scale_rewards": "batch", "num_iterations": 2},
    {"loss_type": "dr_grpo", "scale_rewards": "none", "beta": 0.1},
    {"loss_type": "bnpo", "steps_per_generation": 4, "per_device_train_batch_size": 6},
    {"loss_type": "cispo", "scale_rewards": "batch", "mask_truncated_completions": True},
    {"loss_type": "sapo", "scale_rewards": "none", "reward_weights": [1.0, 0.3]},
    {"loss_type": "luspo", "importance_sampling_level": "sequence"},
    {"loss_type": "vespo", "scale_rewards": "group", "shuffle_dataset": False},
]


def some(completions, **rest):
    """No reward for a third of what is said, and for an empty completion."""
    codes = [sum(map(ord, text)) for text in completions]
    return [float(code % 5 < 2) if code % 3 else None for code in codes]


def few(completions, **rest):
    """NaN for half of it."""
    codes = [sum(map(ord, text)) for text in completions]
    return [code % 7 / 7 if code % 2 else math.nan for code in codes]


@pytest.mark.parametrize("settings", LOSSES, ids=lambda settings: settings["loss_type"])
def test_uniform_budgets_are_the_stock_trainer_to_the_bit(settings, tmp_path):
    if "beta" in settings:  # TRL loads the reference model from where the model came from
        model().save_pretrained(tmp_path / "model")
    source = tmp_path / "model" if "beta" in settings else None
    patchy = settings["loss_type"] in ("grpo", "cispo")
    more = {"reward_funcs": [some, few]} if patchy else {}
    stock = trainer(tmp_path, GRPOTrainer, settings=settings, source=source, **more)
    before = weights(stock)
    stock.train()
    weighting = "prompt" if settings["loss_type"] in ("grpo", "dapo") else "rollout"
    own = trainer(
        tmp_path, settings=settings, source=source,
        budgets={"allocator": "uniform"}, weighting=weighting, **more,
    )  # fmt: skip
    own.train()
    unjudged = [
        np.isnan(rewards).sum() for rewards in zip(*own._logs["rewards"].values(), strict=True)
    ]
    assert not patchy or set(unjudged) == {0, 1, 2}
    assert torch.equal(weights(own), weights(stock))
    assert not torch.equal(weights(own), before)
    assert logged(own) == logged(stock)
    assert list(own._logs["advantages"]) == list(stock._logs["advantages"])
    assert list(own._logs["completion"]) == list(stock._logs["completion"])
    assert own.ledger.step == 4
    assert (own.ledger.rollouts < 4 * TOTAL) == patchy  # rollouts without a reward do not count


def reference(rewards, answers, weighting):
    """Advantages by plain loops, and the groups' sizes."""
    totals = [sum(r for r in row if not math.isnan(r)) for row in rewards.tolist()]
    unscored = [all(math.isnan(r) for r in row) for row in rewards.tolist()]
    sizes = {own: answers.count(own) for own in answers}
    result = []
    for k, own in enumerate(answers):
        group = [totals[j] for j in range(len(answers)) if answers[j] == own and not unscored[j]]
        std = np.std(group, ddof=1) if len(group) > 1 else math.nan
        value = (totals[k] - np.mean(group)) / (std + 1e-4) if not unscored[k] else 0.0
        weight = TOTAL / PROMPTS / sizes[own] if weighting == "prompt" else 1.0
        result.append(0.0 if math.isnan(value) else weight * value)
    return result, sizes


def test_a_batch_that_no_function_judges_is_trained_on_and_changes_no_belief(tmp_path):
    def judge(completions, **rest):
        judge.calls += 1
        return [None if judge.calls == 2 else float(len(text) > 2) for text in completions]

    judge.calls = 0
    run = trainer(tmp_path, reward_funcs=judge, budgets=SIGNAL)
    run.train()
    assert run.state.global_step == judge.calls == 4
    assert run.ledger.step == 3
    assert run.ledger.rollouts == 3 * TOTAL


def test_kinds_of_rows_may_have_a_function_each(tmp_path):
    def even(completions, answer, **rest):
        return [
            float(len(c) > 2) if int(a) % 2 == 0 else None
            for c, a in zip(completions, answer, strict=True)
        ]

    def odd(completions, answer, **rest):
        return [
            float(len(c) > 3) if int(a) % 2 else None
            for c, a in zip(completions, answer, strict=True)
        ]

    run = trainer(
        tmp_path, reward_funcs=[even, odd], budgets=SIGNAL, passed={"even": 1.0, "odd": 1.0}
    )
    run.train()
    assert run.ledger.rollouts == 4 * TOTAL
    assert set(run.ledger.rates().attempts > 0) == {True}


@pytest.mark.parametrize("weighting", ["rollout", "prompt"])
def test_unequal_groups_have_exact_totals_and_their_own_advantages(weighting, tmp_path):
    records = tmp_path / "records"
    run = trainer(
        tmp_path, Watched, weighting=weighting, budgets=SIGNAL | {"records": records},
        settings={"num_train_epochs": 4, "eval_strategy": "epoch", "num_generations_eval": 2,
                  "per_device_eval_batch_size": 4},
        eval_dataset=data(4), passed={"right": 1.0},
    )  # fmt: skip
    run.train()
    assert len(run.seen) == 8
    shapes = set()
    for k, (batch, step) in enumerate(zip(run.seen, read_run(records).steps, strict=True), 1):
        expected, sizes = reference(batch["rewards"], batch["answers"], weighting)
        np.testing.assert_allclose(batch["advantages"], expected, rtol=1e-4, atol=1e-4)
        assert len(batch["answers"]) == TOTAL
        assert len(sizes) == PROMPTS
        assert min(sizes.values()) >= 2
        shapes.add(tuple(sorted(sizes.values())))
        passes = dict.fromkeys(sizes, 0)
        for own, (reward, _) in zip(batch["answers"], batch["rewards"].tolist(), strict=True):
            passes[own] += reward == 1.0
        assert step.rollouts == k * TOTAL
        failures = [1 - passes[own] / sizes[own] for own in sizes]
        assert step.failure_rate == pytest.approx(np.mean(failures))
    assert len(shapes) > 3
    assert run.ledger.rollouts == 8 * TOTAL
    assert set(run.ledger.rates().keys) <= set(range(ROWS))
    lines = [line for line in run.state.log_history if "eval_reward" in line]
    assert len(lines) == 4
    assert all("budgets/max" in line for line in run.state.log_history if "loss" in line)


def test_a_rollout_without_a_reward_counts_for_no_belief(tmp_path):
    def silent(completions, answer, **rest):
        return [None if int(own) % 2 else 1.0 for own in answer]

    run = trainer(
        tmp_path, Watched, budgets=SIGNAL | {"records": tmp_path / "records"},
        settings={"max_steps": 2},
    )  # fmt: skip
    run.reward_funcs, run.reward_func_names = [silent], ["silent"]
    run.reward_processing_classes, run.reward_weights = [None], torch.ones(1)
    run.train()
    found = run.ledger.rates()
    for key, attempts in zip(found.keys, found.attempts, strict=True):
        assert (attempts == 0) == bool(key % 2)
    scored = 0
    for step, batch in zip(read_run(tmp_path / "records").steps, run.seen, strict=True):
        scored += sum(own % 2 == 0 for own in batch["answers"])
        assert step.rollouts == scored
        assert step.learner["asked_rollouts"] == TOTAL
    assert not any(np.abs(batch["advantages"]).sum() for batch in run.seen)


def test_resuming_in_either_epoch_and_between_them_is_the_unbroken_run(tmp_path):
    """Two updates a generation, so that odd steps are between two generations; four an epoch."""
    settings = {"num_iterations": 2, "save_strategy": "steps", "save_steps": 1}
    budgets = SIGNAL | {"records": tmp_path / "records"}
    whole = trainer(tmp_path, settings=settings, budgets=budgets)
    whole.train()
    assert whole.state.global_step == 8
    whole.ledger.close()
    final = known(whole)
    for at in (7, 6, 5, 4, 3, 2):
        resumed = trainer(tmp_path, settings=settings, budgets=budgets)
        resumed.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{at}"))
        assert torch.equal(weights(resumed), weights(whole))
        assert known(resumed) == final
        resumed.ledger.close()
        assert [step.step for step in read_run(tmp_path / "records").steps] == [1, 2, 3, 4]


def known(run):
    """What a ledger knows, to compare."""
    return json.dumps(run.ledger.state_dict(), default=np.ndarray.tolist)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    settings = {"save_strategy": "steps", "save_steps": 1, "max_steps": 1}
    trainer(tmp_path, GRPOTrainer, settings=settings).train()
    checkpoint = str(tmp_path / "checkpoint-1")
    with pytest.raises(InputError, match="not saved by a BudgetGRPOTrainer"):
        trainer(tmp_path, settings=settings).train(resume_from_checkpoint=checkpoint)
    trainer(tmp_path, settings=settings).train()
    shuffled = data().shuffle(seed=3)
    with pytest.raises(InputError, match="another train_dataset"):
        trainer(tmp_path, settings=settings, train_dataset=shuffled).train(
            resume_from_checkpoint=checkpoint
        )
    with pytest.raises(InputError, match="allocator='signal'"):
        trainer(tmp_path, settings=settings, budgets={"allocator": "coba"}).train(
            resume_from_checkpoint=checkpoint
        )


def test_a_failure_between_asking_and_telling_leaves_the_ledger_as_it_was(tmp_path):
    run = trainer(tmp_path, settings={"max_steps": 1}, budgets=SIGNAL)

    def broken(completions, **rest):
        raise OSError("the judge is away")

    run.reward_funcs[1] = broken
    with pytest.raises(OSError, match="judge"):
        run.train()
    assert run.ledger.step == 0
    run.reward_funcs[1] = form
    run.train()
    assert run.ledger.step == 1


def test_a_vllm_server_gets_every_rollout_as_a_prompt_of_its_own(tmp_path, monkeypatch):
    pytest.importorskip("vllm", reason="vllm is not installed")
    monkeypatch.setattr("trl.generation.vllm_generation.VLLMClient", Client)
    settings = {"use_vllm": True, "vllm_mode": "server", "max_steps": 2}
    Client.made.clear()
    stock = trainer(tmp_path, GRPOTrainer, settings=settings)
    stock.train()
    same = trainer(tmp_path, settings=settings, budgets={"allocator": "uniform"})
    same.train()
    own = trainer(tmp_path, Watched, settings=settings | {"max_steps": 4}, budgets=SIGNAL)
    own.train()
    told = [client.asked for client in Client.made]
    assert told == [[(PROMPTS, GROUP)] * 2, [(TOTAL, 1)] * 2, [(TOTAL, 1)] * 4]
    assert torch.equal(weights(same), weights(stock))
    assert logged(same) == logged(stock)
    drawn = Client.made[-1].given  # every prompt as often as its budgets say
    sizes = sorted(np.unique([b["answers"] for b in own.seen], return_counts=True)[1].tolist())
    assert sorted(drawn.values()) == sizes


def test_vllm_in_the_same_process_generates_for_unequal_groups(tmp_path):
    pytest.importorskip("vllm", reason="vllm is not installed")
    program = ROOT / "tests" / "support" / "trl_colocated.py"
    cheap = {"OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1", "TORCH_COMPILE_DISABLE": "1"}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        capture_output=True, text=True, timeout=300, env=environment(**cheap),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [sum(sizes) for sizes in found["sizes"]] == [TOTAL] * 5
    assert max(max(sizes) for sizes in found["sizes"]) > min(min(sizes) for sizes in found["sizes"])
    for sizes, line in zip(found["sizes"], found["logs"], strict=True):
        assert [line["budgets/min"], line["budgets/max"]] == [sizes[0], sizes[-1]]
        # vLLM had this step's weights: its log-probs are the trainer's
        assert line["sampling/sampling_logp_difference/max"] < 0.05


def test_rewards_of_a_range_give_beliefs_by_their_spread(tmp_path):
    def share(completions, **rest):
        return [len(set(text)) / 5 for text in completions]

    run = trainer(
        tmp_path, Watched, settings={"max_steps": 3}, reward_funcs=share,
        budgets=SIGNAL | {"records": str(tmp_path / "run")}, passed=RewardRange(0.0, 1.0),
    )  # fmt: skip
    run.train()
    for batch, step in zip(run.seen, read_run(tmp_path / "run").steps, strict=True):
        rewards = batch["rewards"][:, 0].double().numpy()
        starts = np.flatnonzero(np.diff(batch["answers"], prepend=-1))
        rates = []
        for group in np.split(rewards, starts[1:]):
            n, away = group.size, np.sqrt(0.25 - group.var())
            p = 0.5 + away if group.mean() > 0.5 else 0.5 - away
            few = 1 if np.ptp(group) else 0
            rates.append(np.clip(np.rint(n * p), few, n - few) / n)
        assert step.failure_rate == pytest.approx(1 - np.mean(rates))


def test_two_ranks_have_one_ledger_and_equal_weights(tmp_path):
    program = ROOT / "tests" / "support" / "trl_ranks.py"
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        capture_output=True, text=True, timeout=300, env=environment(OMP_NUM_THREADS="1"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [torch.load(tmp_path / f"found.{rank}.pt", weights_only=True) for rank in range(2)]
    for name in ("unbroken", "resumed", "uniform", "stock"):
        assert torch.equal(ranks[0][name], ranks[1][name])
    assert torch.equal(ranks[0]["uniform"], ranks[0]["stock"])
    assert torch.equal(ranks[0]["resumed"], ranks[0]["unbroken"])
    assert not torch.equal(ranks[0]["unbroken"], ranks[0]["stock"])
    assert [rank["has ledger"] for rank in ranks] == [True, False]
    for first, second in zip(ranks[0]["answers"], ranks[1]["answers"], strict=True):
        assert len(first) == len(second) == TOTAL // 2
        numbers, sizes = np.unique(first + second, return_counts=True)
        assert numbers.size == PROMPTS
        assert sizes.min() >= 2
    assert ranks[1]["error"].startswith("rank 0 failed: InputError: asked again")
    assert ranks[0]["error"].startswith("asked again")


def test_the_example_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["trl_budgets.py", "--steps", "3"])
    runpy.run_path(str(ROOT / "examples" / "trl_budgets.py"), run_name="__main__")
    assert "cobasim explore --runs runs" in capsys.readouterr().out
    steps = read_run(tmp_path / "runs" / "trl").steps
    assert [step.rollouts for step in steps] == [128, 256, 384]
