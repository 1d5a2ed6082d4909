#!/usr/bin/env bash
# DAPO's loss in verl 0.9.1 with budgets: clip-higher, mean over tokens, penalty for overlong
# responses. Its dynamic sampling (algorithm.filter_groups) stays off: budgets refuse it. Further
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
    +trainer.v1.sampler.sampler_kwargs.metric=acc \
    +trainer.v1.sampler.sampler_kwargs.records=runs/verl-dapo-signal \
    algorithm.adv_estimator=grpo \
    algorithm.filter_groups.enable=false \
    data.train_files="$HOME/data/dapo-math-17k.parquet" \
    data.val_files="$HOME/data/aime-2024.parquet" \
    data.train_batch_size=512 \
    data.max_prompt_length=2048 \
    data.max_response_length=8192 \
    actor_rollout_ref.model.path=Qwen/Qwen2.5-7B \
    actor_rollout_ref.actor.optim.lr=1e-6 \
    actor_rollout_ref.actor.ppo_mini_batch_size=32 \
    actor_rollout_ref.actor.use_dynamic_bsz=true \
    actor_rollout_ref.actor.use_kl_loss=false \
    actor_rollout_ref.actor.clip_ratio_low=0.2 \
    actor_rollout_ref.actor.clip_ratio_high=0.28 \
    actor_rollout_ref.actor.loss_agg_mode=token-mean \
    actor_rollout_ref.rollout.name=vllm \
    actor_rollout_ref.rollout.tensor_model_parallel_size=1 \
    actor_rollout_ref.rollout.n=16 \
    reward.reward_manager.name=dapo \
    +reward.reward_kwargs.max_resp_len=8192 \
    +reward.reward_kwargs.overlong_buffer_cfg.enable=true \
    +reward.reward_kwargs.overlong_buffer_cfg.len=4096 \
    +reward.reward_kwargs.overlong_buffer_cfg.penalty_factor=1.0 \
    +reward.reward_kwargs.overlong_buffer_cfg.log=false \
    trainer.project_name=budgets \
    trainer.experiment_name=dapo-signal \
    trainer.logger='["console"]' \
    trainer.n_gpus_per_node=8 \
    trainer.save_freq=20 \
    trainer.test_freq=5 \
    trainer.total_epochs=1 \
    "$@"
