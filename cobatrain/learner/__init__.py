"""The language model as a learner of cobasim's loop: engine, verifier and GRPO update.

In: a policy, an engine, a task, a config; prompts and budgets of each step.
Out: passes of each prompt, metrics of each update, held-out accuracies. Knows no run folder.
"""

from cobatrain.learner.heldout import evaluated
from cobatrain.learner.learner import LanguageModelLearner, SyncError
from cobatrain.learner.policy import load_policy, load_reference
from cobatrain.learner.sampler import Sampled, Sampler, SampleRequest
from cobatrain.learner.samples import SAMPLES, Sample, SampleFile
from cobatrain.learner.tokens import fitting_prompts, prompt_tokens

__all__ = [
    "SAMPLES",
    "LanguageModelLearner",
    "Sample",
    "SampleFile",
    "SampleRequest",
    "Sampled",
    "Sampler",
    "SyncError",
    "evaluated",
    "fitting_prompts",
    "load_policy",
    "load_reference",
    "prompt_tokens",
]
