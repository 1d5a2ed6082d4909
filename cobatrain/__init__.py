"""cobatrain: cobasim's rollout-budget allocators, driving a real language-model trainer.

In: configs, model folders, tasks. Out: run folders in cobasim's record format.
Importing this package loads nothing; `cobatrain.cli` loads torch only when a command runs.
"""
