"""Code of docs/integrations.md: the trap, and the snippets against stand-ins for the trainers."""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from documents import block

from cobasim.budgets import BudgetLedger
from cobasim.errors import InputError

PAGE = "docs/integrations.md"


@pytest.fixture
def stand_in(monkeypatch):
    """Put modules with these names in place of a trainer's."""

    def add(name, **names):
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            known = ".".join(parts[:end])
            if known not in sys.modules:
                monkeypatch.setitem(sys.modules, known, ModuleType(known))
        for key, value in names.items():
            setattr(sys.modules[name], key, value)
        if len(parts) > 1:
            setattr(sys.modules[".".join(parts[:-1])], parts[-1], sys.modules[name])

    return add


def test_the_trap(capsys):
    scope: dict = {}
    exec(block(PAGE, "<!-- the trap -->"), scope)
    assert capsys.readouterr().out.strip() == block(PAGE, "<!-- output of the trap -->").strip(
        "`\n"
    )
    assert scope["budgets"].sum() == scope["rewards"].size == scope["n"] * scope["batch"]
    of_own_prompt = np.bincount(scope["row"], scope["right"])
    np.testing.assert_allclose(of_own_prompt, 0, atol=1e-12)


class Source:
    """slime's data source, as far as the page says: n samples of each prompt of a pool of 6."""

    def __init__(self, args):
        self.args, self.at, self.sample_index, self.sample_group_index = args, 0, 0, 0

    def get_samples(self, count):
        groups = []
        for _ in range(count):
            group = []
            for _ in range(self.args.n_samples_per_prompt):
                sample = SimpleNamespace(
                    prompt=f"prompt {self.at % 6}", group_index=self.sample_group_index,
                    index=self.sample_index, reward=None,
                )  # fmt: skip
                sample.get_reward_value = lambda args, sample=sample: sample.reward
                group.append(sample)
                self.sample_index += 1
            self.at += 1
            self.sample_group_index += 1
            groups.append(group)
        return groups


def test_slime(stand_in):
    rng = np.random.default_rng(0)
    chance = {f"prompt {i}": i / 5 for i in range(6)}

    class State:
        def __init__(self, args):
            self.sampling_params = {"temperature": 1.0}

        def reset(self):
            pass

    async def generate_group(args, group, sampling_params):
        for sample in group:
            reward = float(rng.random() < chance[sample.prompt])
            sample.get_reward_value = lambda args, reward=reward: reward
        return group

    stand_in(
        "slime.rollout.sglang_rollout", GenerateState=State, generate_and_rm_group=generate_group,
        generate_rollout=lambda *args, evaluation: "evaluated" if evaluation else None,
    )  # fmt: skip
    stand_in("slime.rollout.base_types", RolloutFnTrainOutput=SimpleNamespace)
    stand_in("slime.rollout.data_source", RolloutDataSource=Source)
    stand_in("slime.utils.async_utils", run=asyncio.run)
    scope: dict = {}
    exec(block(PAGE, "<!-- slime -->"), scope)

    args = SimpleNamespace(
        rollout_batch_size=3, n_samples_per_prompt=8, grpo_std_normalization=True
    )
    source, sizes, seen = scope["BudgetData"](args), set(), []
    assert scope["generate"](args, 0, source, evaluation=True) == "evaluated"
    for step in range(6):
        groups = scope["generate"](args, step, source).samples
        assert sum(map(len, groups)) == 24
        sizes |= {len(group) for group in groups}
        samples = [sample for group in groups for sample in group]
        seen += [sample.index for sample in samples]
        raw, rewards = scope["group_rewards"](args, samples)
        assert raw == [sample.get_reward_value(args) for sample in samples]
        for group, own, made in zip(
            groups, *(np.split(values, np.cumsum([len(g) for g in groups])[:-1])
                      for values in (raw, rewards)), strict=True,
        ):  # fmt: skip
            assert len({sample.prompt for sample in group}) == 1
            expected = (own - own.mean()) / (own.std(ddof=1) + 1e-6)
            np.testing.assert_allclose(made, expected, atol=1e-9)
    assert len(sizes) > 1
    assert len(seen) == len(set(seen))  # no index is given twice
    assert scope["LEDGER"].step == 6


def test_openrlhf(stand_in):
    class Samples:
        def _dispatch_prompts_to_vllm(self, prompts, labels, *, images=None, **kwargs):
            count = kwargs.get("n_samples_per_prompt", 4)
            return [(*row, count) for row in zip(prompts, labels, images, strict=True)]

    stand_in("openrlhf.trainer.ppo_utils.samples_generator", SamplesGenerator=Samples)
    scope: dict = {}
    exec(block(PAGE, "<!-- openrlhf -->"), scope)
    samples = scope["BudgetSamples"]()
    samples.ledger = BudgetLedger(total=12, allocator="signal", low=2, high=8)
    prompts, labels = ["a", "b", "c"], [1, 2, 3]
    refs = samples._dispatch_prompts_to_vllm(prompts, labels, temperature=1.0)
    assert refs == [("a", 1, None, 4), ("b", 2, None, 4), ("c", 3, None, 4)]
    shown = samples._dispatch_prompts_to_vllm(["z"], [9], images=[None], n_samples_per_prompt=16)
    assert shown == [("z", 9, None, 16)]  # evaluation asks no ledger
    with pytest.raises(InputError, match="asked again before"):
        samples._dispatch_prompts_to_vllm(["d"], [4])  # what dynamic filtering would do
    samples.ledger.tell(prompts, [4, 4, 4], [0, 2, 4])
    counts = [ref[-1] for ref in samples._dispatch_prompts_to_vllm(prompts, labels)]
    assert sum(counts) == 12
    assert counts[1] == max(counts) > 4
