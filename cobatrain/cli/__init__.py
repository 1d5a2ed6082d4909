"""The ``cobatrain`` command: a language model trained with its own budget for every prompt.

    cobatrain prepare CONFIG     make the model of a config, from nothing or from a download
    cobatrain train CONFIG       train; such a model is made first if it is missing
    cobatrain resume DIR         resume from the newest checkpoint
    cobatrain export DIR         its model as a folder that transformers and vLLM load
    cobatrain evaluate CONFIG    held-out accuracy of a model, or of a run (give its folder)
    cobatrain measure CONFIG     its pass rates on all training prompts, next to a run's estimates
    cobatrain gradients CONFIG   what its gradients are made of, as a file for cobasim's worlds
    cobatrain predict CONFIG     what compare would find, from measured gradients
    cobatrain compare CONFIG     allocators x weightings x seeds, resumable, with table and report
    cobatrain benchmark CONFIG   what a step costs in addition to generation and the model

Bad input gives one line on standard error and exit code 2. CONFIG is a YAML file, or the name of
a shipped one: tiny, tiny-compare, smollm2, qwen3-1.7b, qwen2.5-7b.

In: command lines. Out: tables, JSON, exit codes. Only here is anything printed.
"""

from cobatrain.cli.entry import app, main

__all__ = ["app", "main"]
