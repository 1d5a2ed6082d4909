"""What the trainer costs in addition to generation and the model, measured in one run.

In: a config. Out: medians of the phases of a step, and their limits. Keeps nothing on disk.

Real steps of the training loop, records and samples included, with the engine, task and model of
a config. Every prompt is given a drawn pass rate beforehand, so that the allocator sees what it
sees after the first epoch: known prompts and unequal budgets. Held-out evaluation is left out;
a checkpoint is timed by itself and charged at the rate at which the config saves.

Beside them: an update over a bare forward and backward of the same rollouts (``bare_seconds``),
tokens per second, and the peak of memory.

Departure: forward and backward are timed by hooks around the model's ``forward`` and around
``Tensor.backward``. The loss between the two (softmax, ratio, weights), padding, advantages,
gradient clipping and the optimiser's step all count as overhead here.
"""

from cobatrain.benchmark.overheads import LIMITS, Figure, Overheads, StepSeconds
from cobatrain.benchmark.run import measure

__all__ = ["LIMITS", "Figure", "Overheads", "StepSeconds", "measure"]
