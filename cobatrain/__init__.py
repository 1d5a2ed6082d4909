"""cobatrain: the same rollout-budget allocators, driving a real language-model trainer."""
