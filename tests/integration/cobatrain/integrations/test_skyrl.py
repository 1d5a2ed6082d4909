"""SkyRL's own training loop with budgets.

Its trainer, advantages, weights in the loss, mini-batches and checkpoints are real; a table of
chances stands for the model and its engines.

Runs where SkyRL is installed (docs/integrations.md says how), and is skipped elsewhere.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("skyrl", reason="skyrl is not installed (docs/integrations.md)")

import torch
from skyrl.backends.skyrl_train.distributed import dispatch as skyrl_dispatch
from skyrl.train import trainer as skyrl_trainer
from skyrl.train.config import (
    AlgorithmConfig,
    GeneratorConfig,
    SamplingParams,
    TrainerConfig,
)

from cobasim.errors import InputError
from cobasim.records import read_run
from cobatrain.integrations import skyrl as ours

PROMPTS, BATCH, MINI, N, RANKS = 24, 6, 2, 4, 2
PASS, FAIL, FIRST = 3, 4, 10  # tokens: of an answer, and of the first prompt
REPEATED = {"env_extras", "env_classes", "prompts", "trajectory_ids"}


class Prompts:
    """PROMPTS prompts; the answer to each is one token."""

    def __len__(self):
        return PROMPTS

    def __getitem__(self, item):
        return [{"role": "user", "content": f"{item}?"}], None, {"answer": item}, str(item)

    def collate_fn(self, items):
        names = ("prompt", "env_class", "env_extras", "uid")
        return [dict(zip(names, item, strict=True)) for item in items]


class Table:
    """Logits (PROMPTS,) of passing: model, optimizer and engine in one."""

    def __init__(self, seed, steps=1):
        self.logits = torch.linspace(-3, 3, PROMPTS, dtype=torch.float64)
        self.gradient = torch.zeros_like(self.logits)
        self.seed, self.turns, self.staged, self.batches = seed, steps, [], []

    # -- the generator --

    async def generate(self, batch):
        step = batch["batch_metadata"].global_step
        self.batches.append(batch)
        rows = []
        for prompt, extra, name in zip(
            batch["prompts"], batch["env_extras"], batch["trajectory_ids"], strict=True
        ):
            at = int(name.instance_id)
            assert prompt[0]["content"] == f"{at}?"
            assert extra == {"answer": at}
            extra["answer"] = "used"  # environments may change their own row, and no other
            rng = np.random.default_rng([self.seed, step, at, name.repetition_id])
            passed = bool(rng.random() < torch.sigmoid(self.logits[at]))
            for turn in range(self.turns):
                last = turn == self.turns - 1
                rows.append((at, PASS if passed else FAIL, float(passed and last), name, last))
        at, token, reward, names, last = map(list, zip(*rows, strict=True))
        return {
            "prompt_token_ids": [[FIRST + prompt] for prompt in at],
            "response_ids": [[one] for one in token],
            "rewards": reward,
            "loss_masks": [[1] for _ in at],
            "stop_reasons": ["stop"] * len(at),
            "rollout_metrics": None,
            "rollout_logprobs": None,
            "trajectory_ids": names if self.turns > 1 else None,
            "is_last_step": last if self.turns > 1 else None,
        }

    # -- what a trainer asks of its workers --

    def get_lcm_dp_size(self):
        return RANKS

    def init_weight_sync_state(self, *_):
        pass

    async def save_weights_for_sampler(self):
        pass

    def empty_cache(self, *_):
        pass

    def finalize_pending_saves(self, *_):
        pass

    def _logprobs(self, data, logits=None):
        prompt, answer = data["sequences"][:, -2] - FIRST, data["sequences"][:, -1]
        chance = torch.sigmoid((self.logits if logits is None else logits)[prompt])
        return prompt, answer, torch.where(answer == PASS, chance, 1 - chance).log()

    def forward_from_staged(self, model, chunks):
        self.before = self.logits
        outputs = [one for chunk in chunks for one in self.forward(model, chunk).loss_fn_outputs]
        return skyrl_dispatch.WorkerOutput(loss_fn_outputs=outputs)

    def forward(self, model, data):
        self.before = self.logits
        outputs = [{"logprobs": [float(one)]} for one in self._logprobs(data)[2]]
        return skyrl_dispatch.WorkerOutput(loss_fn_outputs=outputs)

    def stage_data(self, model, data, boundaries):
        return skyrl_dispatch.MeshDispatch.stage_chunks(RANKS, data, boundaries)

    def forward_backward_from_staged(self, model, chunks):
        self.staged.append(chunks)
        for chunk in chunks:
            prompt, answer, old = self._logprobs(chunk, self.before)
            mine = chunk["loss_mask"].sum(-1) > 0  # and not padding
            assert torch.allclose(chunk["action_log_probs"][mine, -1], old[mine].float())
            weight = (chunk["advantages"] * chunk["loss_mask"]).sum(-1).double()
            slope = (answer == PASS).double() - torch.sigmoid(self.logits[prompt])
            self.gradient.index_add_(0, prompt, weight * slope)
        return skyrl_dispatch.WorkerOutput(metrics={"policy_loss": 0.0})

    def optim_step(self, model):
        self.logits = self.logits + 2.0 * self.gradient
        norm, self.gradient = float(self.gradient.norm()), torch.zeros_like(self.gradient)
        return norm

    def save_checkpoint(self, model, folder, tokenizer):
        torch.save(self.logits, folder + ".pt")

    def load_checkpoint(self, model, folder, **_):
        self.logits = torch.load(folder + ".pt")


@pytest.fixture(autouse=True)
def _in_this_process(monkeypatch):
    monkeypatch.setattr(skyrl_dispatch.ray, "put", lambda chunk: chunk)
    monkeypatch.setattr(skyrl_trainer.RayPPOTrainer, "_cleanup_old_checkpoints", lambda self: None)


def config(tmp_path, epochs=2, **changes):
    algorithm = AlgorithmConfig(use_kl_loss=False, **changes.pop("algorithm", {}))
    generator = GeneratorConfig(
        sampling_params=SamplingParams(max_generate_length=20),
        n_samples_per_prompt=N,
        step_wise_trajectories=changes.pop("step_wise", False),
    )
    trainer = TrainerConfig(
        train_batch_size=BATCH,
        epochs=epochs,
        algorithm=algorithm,
        ckpt_path=str(tmp_path / "checkpoints"),
        **{
            "policy_mini_batch_size": MINI,
            "micro_train_batch_size_per_gpu": 2,
            "resume_mode": "none",
            "eval_interval": -1,
            "ckpt_interval": -1,
            "hf_save_interval": -1,
            **changes,
        },
    )
    cfg = ours.BudgetTrainConfig(trainer=trainer, generator=generator)
    cfg.trainer.placement.colocate_all = False
    cfg.trainer.print_example_interval = 0
    cfg.trainer.enable_ray_gpu_monitor = False
    cfg.generator.inference_engine.enable_ray_prometheus_stats = False
    cfg.data.dataloader.num_workers = 0
    return cfg


def make(cfg, kind=ours.BudgetPPOTrainer, *, turns=1, **kwargs):
    table = Table(seed=1, steps=turns)
    tracker = SimpleNamespace(logged=[], finish=lambda: None)
    tracker.log = lambda numbers, step, commit: tracker.logged.append(numbers)
    tokenizer = SimpleNamespace(pad_token_id=0, eos_token_id=2, decode=str)
    trainer = kind(
        cfg=cfg, tracker=tracker, tokenizer=tokenizer, train_dataset=Prompts(), eval_dataset=None,
        inference_engine_client=None, generator=table, **kwargs,
    )  # fmt: skip
    trainer.dispatch, trainer.table = table, table
    trainer.init_weight_sync_state = lambda: None
    trainer.told = []
    if hasattr(trainer, "ledger"):
        tell = trainer.ledger.tell

        def also(keys, budgets, passes):
            trainer.told.append(
                {int(key): (n, k) for key, n, k in zip(keys, budgets, passes, strict=True)}
            )
            return tell(keys, budgets, passes)

        trainer.ledger.tell = also
    return trainer


def train(cfg, *args, **kwargs):
    trainer = make(cfg, *args, **kwargs)
    asyncio.run(trainer.train())
    return trainer


def tensors(table):
    return [
        {name: value for name, value in chunk.items() if value is not None}
        for chunks in table.staged
        for chunk in chunks
    ]


REDUCTIONS = ["token_mean", "sequence_mean", "seq_mean_token_sum_norm", "prompt_mean"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("estimator", ["grpo", "rloo"])
def test_uniform_equals_the_stock_trainer(tmp_path, reduction, estimator):
    chosen = {"loss_reduction": reduction, "advantage_estimator": estimator, "max_seq_len": 8}
    cfg = config(tmp_path, algorithm=chosen)
    stock = train(cfg, skyrl_trainer.RayPPOTrainer)
    uniform = train(cfg, budgets={"allocator": "uniform"})
    first, second = tensors(stock.table), tensors(uniform.table)
    assert len(first) == len(second) == 8 * BATCH // MINI * RANKS
    for one, other in zip(first, second, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(stock.table.logits, uniform.table.logits)
    numbers = [
        [
            {
                name: value
                for name, value in logged.items()
                if not name.startswith(("timing", "budgets")) and "per_second" not in name
            }
            for logged in trainer.tracker.logged
        ]
        for trainer in (stock, uniform)
    ]
    assert numbers[0] == numbers[1]


def groups(chunks):
    """Rows of a mini-batch by prompt, without padding: prompt -> (answers, weights)."""
    found: dict[int, list[tuple[int, float]]] = {}
    for chunk in chunks:
        for row in range(len(chunk)):
            if chunk["loss_mask"][row].sum() > 0:
                prompt = int(chunk["sequences"][row, -2]) - FIRST
                answer = int(chunk["sequences"][row, -1])
                weight = float(chunk["advantages"][row].sum())
                found.setdefault(prompt, []).append((answer == PASS, weight))
    return {prompt: tuple(map(np.array, zip(*rows, strict=True))) for prompt, rows in found.items()}


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_advantages_and_mini_batches_are_those_of_unequal_groups(tmp_path, reduction):
    chosen = {"loss_reduction": reduction, "advantage_estimator": "grpo", "max_seq_len": 8}
    trainer = train(
        config(tmp_path, algorithm=chosen),
        budgets={"allocator": "signal", "low": 2, "high": 12, "records": tmp_path / "run"},
    )
    records = read_run(tmp_path / "run").steps
    assert len(trainer.told) == len(records) == 8
    per_step = BATCH // MINI
    for number, (told, record) in enumerate(zip(trainer.told, records, strict=True)):
        assert sum(budget for budget, _ in told.values()) == BATCH * N
        assert record.budget_max == max(budget for budget, _ in told.values())
        seen = {}
        for chunks in trainer.table.staged[number * per_step : (number + 1) * per_step]:
            found = groups(chunks)
            assert len(found) == MINI  # whole prompts
            rows = sum(len(passed) for passed, _ in found.values())
            for prompt, (passed, weight) in found.items():
                seen[prompt] = len(passed), passed.sum()
                reward = passed.astype(float)
                advantage = (reward - reward.mean()) / (reward.std(ddof=1) + 1e-6)
                share = {
                    "token_mean": 1 / rows,
                    "sequence_mean": 1 / rows,
                    "seq_mean_token_sum_norm": 1 / rows / 8,
                    "prompt_mean": 1 / MINI / len(passed),
                }[reduction]
                np.testing.assert_allclose(weight, advantage * share, atol=1e-6)
        assert seen == told
    assert sum(record.budget_min < record.budget_max for record in records) >= 3


def test_what_skyrl_logs_beside_the_rollouts_is_dealt_too(tmp_path):
    trainer = make(config(tmp_path), budgets={"allocator": "signal", "high": 12})
    logged = []

    def log(*, prompts, generator_output, **_):
        made = [f"{tokens[0] - FIRST}?" for tokens in generator_output["prompt_token_ids"]]
        logged.append([prompt[0]["content"] for prompt in prompts] == made)

    trainer.trajectory_logger = SimpleNamespace(log=log)
    asyncio.run(trainer.train())
    assert logged == [True] * 8
    for batch in trainer.table.batches:
        assert {len(batch[name]) for name in REPEATED} == {BATCH * N}
        names = [asdict(name) for name in batch["trajectory_ids"]]
        counts: dict[str, int] = {}
        for name in names:
            assert name["repetition_id"] == counts.get(name["instance_id"], 0)
            counts[name["instance_id"]] = name["repetition_id"] + 1
    numbers = trainer.tracker.logged[-1]
    assert 2 <= numbers["budgets/min"] < numbers["budgets/max"] <= 12


def test_step_wise_trajectories_count_once(tmp_path):
    cfg = config(tmp_path, step_wise=True, algorithm={"advantage_estimator": "grpo"})
    trainer = train(cfg, turns=2, budgets={"high": 12})
    assert max(budget for told in trainer.told for budget, _ in told.values()) > N
    for number, told in enumerate(trainer.told):
        assert sum(budget for budget, _ in told.values()) == BATCH * N
        seen = {}
        for chunks in trainer.table.staged[3 * number : 3 * number + 3]:
            for prompt, (passed, _) in groups(chunks).items():
                seen[prompt] = len(passed) / 2, passed.sum() / 2  # two steps each
        assert seen == told


def test_a_resumed_run_equals_an_unbroken_one(tmp_path):
    budgets = {"allocator": "coba", "high": 12}
    # SkyRL itself restores the rest of an epoch, and gives later ones another order
    whole = train(config(tmp_path / "a"), budgets={**budgets, "records": tmp_path / "a" / "run"})
    folder = tmp_path / "b"
    settings = {**budgets, "records": folder / "run"}
    cfg = config(folder, ckpt_interval=6, max_training_steps=7)
    broken = train(cfg, budgets=settings)  # saved after 6 and, at the end, after 7 steps
    broken.ledger.close()
    latest = folder / "checkpoints" / "latest_ckpt_global_step.txt"
    latest.write_text("6")
    resumed = train(config(folder, resume_mode="latest", ckpt_interval=6), budgets=settings)
    assert torch.equal(whole.table.logits, resumed.table.logits)
    assert whole.told == broken.told[:6] + resumed.told
    assert len({budget for told in resumed.told for budget, _ in told.values()}) > 1
    first, second = read_run(tmp_path / "a" / "run").steps, read_run(folder / "run").steps
    assert [replace(step, allocate_ms=None) for step in first] == [
        replace(step, allocate_ms=None) for step in second
    ]
    state = folder / "checkpoints" / "global_step_6" / ours.STATE
    assert json.loads(state.read_text())["settings"]["allocator"] == "coba"
    state.unlink()
    latest.write_text("6")
    resumed.ledger.close()
    with pytest.raises(InputError, match="written without budgets"):
        train(config(folder, resume_mode="latest", ckpt_interval=6), budgets=settings)


def test_rollouts_that_were_not_made_can_be_asked_for_again(tmp_path):
    trainer = make(config(tmp_path), budgets={})
    batch, _ = skyrl_trainer.prepare_generator_input(
        Prompts().collate_fn([Prompts()[i] for i in range(BATCH)]), N, {}, "none", "train", 1
    )

    async def fails(batch):
        raise RuntimeError("engine lost")

    works, trainer.generator = trainer.generator, SimpleNamespace(generate=fails)
    with pytest.raises(RuntimeError, match="engine lost"):
        asyncio.run(trainer.generate(batch))
    trainer.generator = works
    asyncio.run(trainer.generate(batch))
    with pytest.raises(InputError, match="asked again before"):
        asyncio.run(trainer.generate(batch))


@pytest.mark.parametrize(
    ("changes", "budgets", "message"),
    [
        ({"algorithm": {"loss_reduction": "token_mean_legacy"}}, {}, "does not go with budgets"),
        ({}, {"low": 1}, "has nothing to be compared"),
        ({}, {"total": 9}, "leave it out"),
        ({}, {"weighting": "token"}, "leave it out"),
        ({}, {"lo": 2}, r"unknown budgets\.lo"),
        ({}, {"allocator": "dapo"}, "dapo"),
        ({}, {"low": 5}, "cannot be met"),
    ],
)
def test_what_does_not_go_with_budgets_is_refused(tmp_path, changes, budgets, message):
    with pytest.raises(InputError, match=message):
        make(config(tmp_path, **changes), budgets=budgets)


def test_dynamic_sampling_is_refused(tmp_path):
    cfg = config(tmp_path)
    cfg.trainer.algorithm.dynamic_sampling.type = "filter"
    with pytest.raises(InputError, match="dynamic_sampling"):
        make(cfg, budgets={})


def test_an_unknown_skyrl_is_refused():
    with pytest.raises(ImportError, match=r"SkyRL 0\.4\.0 is installed, and this is written for"):
        ours.check_hooks("0.4.0", skyrl_trainer.RayPPOTrainer)

    class Other(skyrl_trainer.RayPPOTrainer):
        async def generate(self, input_batch, more):
            pass

    with pytest.raises(ImportError, match=r"Other\.generate of SkyRL 0\.3\.9 takes .*'more'"):
        ours.check_hooks("0.3.9", Other)


def test_budgets_come_from_the_command_line(tmp_path):
    cfg = ours.BudgetTrainConfig.from_cli_overrides(
        [
            "budgets.allocator=coba",
            "budgets.parameters.tau=8",
            "budgets.passed=0.9",
            "trainer.train_batch_size=6",
            "trainer.enable_ray_gpu_monitor=false",
            "data.dataloader.num_workers=0",
            "generator.inference_engine.enable_ray_prometheus_stats=false",
        ]
    )
    experiment = ours.BudgetExp.__new__(ours.BudgetExp)
    experiment.cfg = cfg
    trainer = experiment.get_trainer(cfg, None, None, Prompts(), None, None, None, None)
    assert trainer.passed == 0.9
    assert trainer.ledger.state_dict()["settings"]["parameters"] == {"tau": 8}
    assert trainer.ledger.limits.total == 6 * cfg.generator.n_samples_per_prompt
