"""A training run from config to last step: cobasim's loop around a language model, crash-safe.

In: a config, a folder, the processes that torchrun started.
Out: records, samples and checkpoints in the folder; prints nothing.
"""

from cobatrain.learner import SAMPLES, SampleFile
from cobatrain.trainer.data_account import TASK_FILE, account_lines, smaller_sets
from cobatrain.trainer.exporting import export
from cobatrain.trainer.folder import BAD_BATCH, check_new, run_header
from cobatrain.trainer.number_types import warn_of_slow_bfloat16
from cobatrain.trainer.opening import open_learner
from cobatrain.trainer.preparation import prepare, prepare_if_missing
from cobatrain.trainer.run import train
from cobatrain.trainer.stopping import Stopped

__all__ = [
    "BAD_BATCH",
    "SAMPLES",
    "TASK_FILE",
    "SampleFile",
    "Stopped",
    "account_lines",
    "check_new",
    "export",
    "open_learner",
    "prepare",
    "prepare_if_missing",
    "run_header",
    "smaller_sets",
    "train",
    "warn_of_slow_bfloat16",
]
