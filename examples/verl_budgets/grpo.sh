#!/usr/bin/env bash
# GRPO in verl 0.9.1 with budgets: 8 GPUs, GSM8K as verl's own examples prepare it. Further
# arguments override. Not run here, for want of GPUs: see docs/verl.md for what was.
set -euo pipefail
python3 -m verl.trainer.main_ppo \
    +actor_rollout_ref.rollout.agent.agent_loop_manager_class=cobatrain.integrations.verl.BudgetAgentLoopManager \
    trainer.v1.sampler.custom_sampler.path=pkg://cobatrain.integrations.verl \
    trainer.v1.sampler.custom_sampler.name=BudgetReplayBuffer \
    trainer.checkpoint_callback_class=cobatrain.integrations.verl.SaveBudgets \
    +trainer.v1.sampler.sampler_kwargs.allocator=signal \
    +trainer.v1.sampler.sampler_kwargs.low=2 \
    +trainer.v1.sampler.sampler_kwargs.high=64 \
    +trainer.v1.sampler.sampler_kwargs.records=runs/verl-grpo-signal \
    algorithm.adv_estimator=grpo \
    data.train_files="$HOME/data/gsm8k/train.parquet" \
    data.val_files="$HOME/data/gsm8k/test.parquet" \
    data.train_batch_size=512 \
    data.max_prompt_length=512 \
    data.max_response_length=1024 \
    actor_rollout_ref.model.path=Qwen/Qwen3-1.7B \
    actor_rollout_ref.actor.optim.lr=1e-6 \
    actor_rollout_ref.actor.ppo_mini_batch_size=128 \
    actor_rollout_ref.actor.use_dynamic_bsz=true \
    actor_rollout_ref.actor.use_kl_loss=false \
    actor_rollout_ref.actor.loss_agg_mode=seq-mean-token-mean \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.n=8 \
    trainer.project_name=budgets \
    trainer.experiment_name=grpo-signal \
    trainer.logger='["console"]' \
    trainer.n_gpus_per_node=8 \
    trainer.save_freq=20 \
    trainer.test_freq=5 \
    trainer.total_epochs=15 \
    "$@"
