"""What is refused, by name and before a model is loaded, and what a ledger is given."""

from __future__ import annotations

import pytest

pytest.importorskip("trl", reason="TRL is not installed")

from datasets import Dataset

from cobasim.errors import InputError
from cobatrain.integrations.trl import BudgetGRPOTrainer
from cobatrain.integrations.trl.compatibility import GRPOConfig
from cobatrain.integrations.trl.settings import check_config, generations, make_ledger

DATA = Dataset.from_dict({"prompt": [f"{i}+{i}=" for i in range(10)]})


VLLM = {"use_vllm": True, "vllm_mode": "server"}


def reward(completions, **rest):
    return [0.0] * len(completions)


def config(**changes):
    fixed = {"use_cpu": True, "bf16": False, "report_to": []}
    usual = {"num_generations": 4, "per_device_train_batch_size": 16, "output_dir": "nowhere"}
    return GRPOConfig(**(usual | fixed | changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budgets": {"allocator": "reinforce-ada"}}, "reinforce-ada"),
        ({"budgets": {"allocator": "greso"}}, "chooses|skip|use uniform"),
        ({"budgets": {"allocator": "siganl"}}, "did you mean 'signal'"),
        ({"budgets": {"hihg": 64}}, "did you mean 'high'"),
        ({"budgets": {"total": 64}}, "generation batch"),
        ({"budgets": {"weighting": "prompt"}}, "weighting= to the trainer"),
        ({"budgets": {"low": 1}}, "low must be at least 2"),
        ({"budgets": {"low": 5}}, "num_generations=4 .*between low=5"),
        ({"budgets": {"high": 3}}, "num_generations=4"),
        ({"budgets": "coba"}, "dict of settings"),
        ({"weighting": "token"}, "weighting"),
        ({"passed": True}, "passed must be"),
        ({"passed": float("nan")}, "passed must be"),
        ({"passed": {}}, "passed must be"),
        ({"args": {"multi_objective_aggregation": "normalize_then_sum"}}, "normalize_then_sum"),
        ({"args": {"loss_type": "new"}}, "loss_type 'new'"),
        ({"args": VLLM | {"generation_kwargs": {"seed": 5}}}, "{'seed': 5}.*same tokens"),
        ({"args": VLLM | {"generation_kwargs": '{"n": 4}'}}, "{'n': 4}.*wrong prompts"),
        ({"args": VLLM | {"generation_kwargs": {"use_beam_search": True}}}, "use_beam_search"),
        ({"args": {"accelerator_config": {"split_batches": True}}}, "split_batches"),
        ({"args": {"per_device_train_batch_size": 44}}, "10 rows, a generation batch 11 prompts"),
        ({"args": None}, "GRPOConfig"),
        ({"train_dataset": DATA.to_iterable_dataset()}, "IterableDataset"),
        ({"train_dataset": None}, "NoneType"),
        ({"rollout_func": reward}, "rollout_func"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_before_the_model_is_loaded(changes, said):
    args = changes.pop("args", {})
    given = {"args": None if args is None else config(**args), "train_dataset": DATA}
    with pytest.raises(InputError, match=said) as caught:
        BudgetGRPOTrainer("no-such-model", reward, **(given | changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        VLLM,
        VLLM | {"generation_kwargs": {"top_k": 3, "stop": ["."]}},
        {"generation_kwargs": {"seed": 5}},  # transformers takes no notice of it
    ],
)
def test_other_settings_of_the_generation_are_taken(changes):
    check_config(config(**changes), "rollout")


def test_the_ledger_follows_from_the_config():
    given = config(max_steps=7, gradient_accumulation_steps=3, loss_type="dapo", seed=5)
    ledger = make_ledger({"allocator": "linear-decay"}, given, "rollout", 10)
    settings = ledger.state_dict()["settings"]
    assert (settings["total"], settings["seed"], settings["steps"]) == (48, 5, 7)
    assert settings["weighting"] == "token"  # what counts alike in TRL's own loss
    assert make_ledger({}, given, "prompt", 10).state_dict()["settings"]["weighting"] == "prompt"
    assert make_ledger({}, given, "rollout", 10).state_dict()["settings"]["steps"] is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"max_steps": 7, "steps_per_generation": 2, "num_iterations": 2}, 2),
        ({"num_train_epochs": 3}, 6),
        ({"num_train_epochs": 2.5, "steps_per_generation": 2, "gradient_accumulation_steps": 4}, 3),
    ],
)
def test_generations_of_a_run_are_counted(changes, expected):
    assert generations(config(**changes), rows=10) == expected
