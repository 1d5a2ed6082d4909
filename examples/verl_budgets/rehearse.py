"""Budgets in verl's own training loop on a CPU, without a language model.

    python examples/verl_budgets/rehearse.py OUT

Real are: verl's config and task runner, Ray, the TransferQueue, agent-loop workers, data loader,
replay buffer, batching, advantages and checkpoint folders. In place of the model are an agent that
draws outcomes (fake_agent.py) and an actor that is told to update and does nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
for folder in (str(ROOT), str(HERE)):  # Ray's workers take them over
    if folder not in sys.path:
        sys.path.insert(0, folder)
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(HERE), os.environ.get("PYTHONPATH", "")])
os.environ.setdefault("RAY_worker_niceness", "0")  # else they starve on a busy machine
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")

import pyarrow as pa
import pyarrow.parquet as pq
import ray
import torch
import transfer_queue
from hydra import compose, initialize_config_module
from omegaconf import DictConfig
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, Qwen3Config
from verl.trainer.main_ppo import TaskRunnerV1
from verl.trainer.ppo.v1.trainer_base import TRAINER_REGISTRY
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

PROMPTS, BATCH, GROUP = 24, 8, 6


def write_data(path: Path, prompts: int = PROMPTS, fails: dict[int, int] | None = None) -> Path:
    """A parquet file as verl reads it; ``fails``: from which session on rollouts of a row fail."""
    rows = [
        {
            "data_source": "rehearsal",
            "prompt": [{"role": "user", "content": f"Question {index}?"}],
            "reward_model": {"style": "rule", "ground_truth": "1"},
            "extra_info": {
                "index": index,
                "prompts": prompts,
                "fails": (fails or {}).get(index, 10**6),
            },
        }
        for index in range(prompts)
    ]
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def write_model(folder: Path) -> Path:
    """What verl reads of a model's folder here: a config, and a tokenizer that knows no words."""
    words = {"[PAD]": 0, "[UNK]": 1, "[EOS]": 2}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="[UNK]")),
        pad_token="[PAD]",
        unk_token="[UNK]",
        eos_token="[EOS]",
    )
    tokenizer.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    tokenizer.save_pretrained(folder)
    Qwen3Config(architectures=["Qwen3ForCausalLM"], vocab_size=8).save_pretrained(folder)
    return folder


def make_config(folder: Path, data: Path, *overrides: str) -> DictConfig:
    """verl's own config with what a rehearsal changes, and with budgets; then ``overrides``."""
    hooks = "cobatrain.integrations.verl"
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose(
            "ppo_trainer",
            overrides=[
                # budgets: what a run of yours adds
                f"+actor_rollout_ref.rollout.agent.agent_loop_manager_class={hooks}.BudgetAgentLoopManager",
                f"trainer.v1.sampler.custom_sampler.path=pkg://{hooks}",
                "trainer.v1.sampler.custom_sampler.name=BudgetReplayBuffer",
                f"trainer.checkpoint_callback_class={hooks}.SaveBudgets",
                "+trainer.v1.sampler.sampler_kwargs.allocator=signal",
                "+trainer.v1.sampler.sampler_kwargs.high=24",
                f"+trainer.v1.sampler.sampler_kwargs.records={folder}/records",
                # the rest of the run
                f"data.train_files={data}",
                f"data.val_files={data}",
                f"data.train_batch_size={BATCH}",
                "data.dataloader_num_workers=0",
                "data.filter_overlong_prompts=false",
                "data.seed=1",
                "algorithm.adv_estimator=grpo",
                "algorithm.rollout_correction.bypass_mode=true",
                f"actor_rollout_ref.model.path={write_model(folder / 'model')}",
                "+actor_rollout_ref.model.override_config.attn_implementation=eager",
                "actor_rollout_ref.actor.ppo_mini_batch_size=4",
                "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=4",
                f"actor_rollout_ref.rollout.n={GROUP}",
                "actor_rollout_ref.rollout.name=vllm",
                "actor_rollout_ref.rollout.prompt_length=8",
                "actor_rollout_ref.rollout.response_length=8",
                "actor_rollout_ref.rollout.agent.num_workers=1",
                "actor_rollout_ref.rollout.agent.default_agent_loop=fake",
                f"actor_rollout_ref.rollout.agent.agent_loop_config_path={HERE}/agent.yaml",
                "transfer_queue.backend.SimpleStorage.num_data_storage_units=1",
                "trainer.device=cpu",
                "trainer.n_gpus_per_node=1",
                "trainer.logger=[]",
                "trainer.total_epochs=100",
                "trainer.total_training_steps=12",
                "trainer.save_freq=6",
                f"trainer.default_local_dir={folder}/checkpoints",
                *overrides,
            ],
        )


class FakeActor:
    """Stands for verl's workers with the model: updates nothing, and keeps what it was given."""

    def __init__(self) -> None:
        self._dispatch_info = {"actor": [0]}  # one data-parallel rank
        self.batches: list[dict[str, Any]] = []

    def update_actor(self, batch: Any) -> dict[str, Any]:
        """Where the policy would be updated."""
        fields = ["uid", "extra_info", "rm_scores", "advantages", "response_mask"]
        data = transfer_queue.kv_batch_get(batch.keys, batch.partition_id, select_fields=fields)
        found = {name: list(data[name]) for name in fields}
        self.batches.append({"keys": list(batch.keys), "tags": list(batch.tags), **found})
        return {"metrics": {"mfu": [0.0], "grad_norm": [0.0]}}

    def save_checkpoint(self, path: str, *_: Any, **__: Any) -> None:
        """An empty folder."""
        Path(path).mkdir(parents=True, exist_ok=True)

    def load_checkpoint(self, **_: Any) -> None:
        """Nothing to load."""


class RehearsedTrainer(PPOTrainerSync):  # type: ignore[misc]
    """verl's synchronous trainer without models."""

    last: RehearsedTrainer

    def _setup(self) -> None:
        RehearsedTrainer.last = self
        self.replay_buffer.poll_interval = 0.05  # verl looks every 2 s
        self._init_tokenizer()
        self._init_dataloader()
        self._init_dump_executor()
        self.actor_rollout_wg = FakeActor()
        self.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 1)
        self.reward_loop_manager = SimpleNamespace(reward_loop_worker_handles=[])
        self.teacher_model_manager = self.distillation_config = None
        self.llm_server_manager = SimpleNamespace(get_client=lambda: None)
        self.checkpoint_manager = SimpleNamespace(
            update_weights=lambda *_: None, sleep_replicas=lambda: None
        )
        self._load_checkpoint()


def rehearse(config: DictConfig) -> RehearsedTrainer:
    """Run verl's task runner in this process; its trainer, once it has ended."""
    TRAINER_REGISTRY["sync"] = RehearsedTrainer
    if not ray.is_initialized():
        ray.init(
            num_cpus=4,
            include_dashboard=False,
            runtime_env={"env_vars": {"TRANSFER_QUEUE_ENABLE": "1", "OMP_NUM_THREADS": "1"}},
        )
    TaskRunnerV1.__ray_metadata__.modified_class().run(config)
    return RehearsedTrainer.last


def main() -> None:
    """Twelve steps, and what they spent."""
    torch.set_num_threads(1)
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/verl-rehearsal").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    trainer = rehearse(make_config(folder, write_data(folder / "data.parquet")))
    rates = trainer.agent_loop_manager.budgets.ledger.rates()
    print(f"{len(rates.keys)} prompts, mean pass rate {rates.pass_rate.mean():.2f}")
    print(f"records: cobasim explore --runs {folder}")


if __name__ == "__main__":
    main()
    ray.shutdown()
