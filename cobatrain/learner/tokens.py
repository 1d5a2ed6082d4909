"""The token ids of a task's prompts, and the prompts that leave no room for a completion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.tasks import Prompt, Task, check_disjoint, format_prompt

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokens = dict[str, list[int]]
"""Token ids by what the model is shown, ``Prompt.shown``."""

_LISTED = 5  # prompts that an error names


def fitting_prompts(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Task, Tokens]:
    """The task with the prompts that fit, and their tokens.

    A prompt fits if it has tokens and leaves room for a completion of ``sampling.max_tokens``.
    Where ``task.overlong`` is "skip", the others are left out, counted and noted. Raises InputError
    for them if it is "error", and if nothing is left of train or of a held-out set.
    """
    tokens, overlong = _tokens(task, tokenizer, config)
    if overlong and task.overlong == "error":
        raise _error(overlong, len(tokens) + len(overlong), config)
    return (_without(task, set(overlong)) if overlong else task), tokens


def prompt_tokens(task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig) -> Tokens:
    """Token ids of every prompt of a task, with the chat template if it has one.

    Raises InputError, whatever ``task.overlong`` says, for prompts that have no tokens or leave no
    room for a completion of ``sampling.max_tokens``: all are counted, the first five are named.
    """
    tokens, overlong = _tokens(task, tokenizer, config)
    if overlong:
        raise _error(overlong, len(tokens) + len(overlong), config)
    return tokens


def _tokens(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Tokens, dict[str, tuple[Prompt, int]]]:
    """(tokens of the prompts that fit; the others by what is shown, with their lengths)."""
    tokens: Tokens = {}
    overlong: dict[str, tuple[Prompt, int]] = {}
    for prompt in chain(task.train, *task.heldout.values()):
        key = prompt.shown
        if key in tokens or key in overlong:
            continue
        model = config.model
        text = format_prompt(
            prompt, tokenizer, system=model.system, template_kwargs=model.chat_template_kwargs
        )
        special = not getattr(tokenizer, "chat_template", None)  # a template brings its own
        ids = [int(token) for token in tokenizer(text, add_special_tokens=special)["input_ids"]]
        if 0 < len(ids) <= _room(config):
            tokens[key] = ids
        else:
            overlong[key] = prompt, len(ids)
    return tokens, overlong


def _room(config: TrainConfig) -> int:
    """The most tokens of a prompt."""
    return config.engine.max_model_len - config.sampling.max_tokens


def _without(task: Task, overlong: set[str]) -> Task:
    """The task without some prompts, which are counted."""

    def kept(prompts: Iterable[Prompt]) -> tuple[Prompt, ...]:
        return tuple(prompt for prompt in prompts if prompt.shown not in overlong)

    train = kept(task.train)
    heldout = {name: kept(prompts) for name, prompts in task.heldout.items()}
    lost = [len(task.train) - len(train)]
    lost += [len(task.heldout[name]) - len(prompts) for name, prompts in heldout.items()]
    words = ", ".join(f"{n} of {name}" for name, n in zip(["train", *heldout], lost, strict=True))
    return check_disjoint(
        replace(
            task,
            train=train,
            heldout=heldout,
            counts={**task.counts, "overlong": sum(lost)},
            notes=(*task.notes, f"prompts without room for a completion left out: {words}"),
            data_sets=tuple(
                account.without("leave no room for a completion", n)
                for account, n in zip(task.data_sets, lost, strict=False)  # none: not from files
            ),
        )
    )


def _error(
    overlong: dict[str, tuple[Prompt, int]], prompts: int, config: TrainConfig
) -> InputError:
    """The error for prompts that do not fit."""
    named = [
        f"{prompt.text[:60]!r} ({prompt.source}) has {length} tokens"
        for prompt, length in list(overlong.values())[:_LISTED]
    ]
    leave = "leaves" if len(overlong) == 1 else "leave"
    more = [f"and {len(overlong) - _LISTED} more"] if len(overlong) > _LISTED else []
    return InputError(
        f"{len(overlong)} of {prompts} prompts {leave} no room for a completion: with "
        f"sampling.max_tokens = {config.sampling.max_tokens} a prompt needs between 1 and "
        f"{_room(config)} tokens, as engine.max_model_len is {config.engine.max_model_len}; raise "
        "it, lower max_tokens, or leave them out (task.overlong: skip):\n  "
        + "\n  ".join([*named, *more])
    )
