"""The token ids of a task's prompts, and the prompts that a run cannot use.

A prompt cannot be used if the model's chat template refuses it, if it has no tokens, or if it
leaves no room for a completion of ``sampling.max_tokens``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.tasks import (
    LeftOut,
    Prompt,
    Task,
    TemplateRefusal,
    check_disjoint,
    format_prompt,
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Tokens = dict[str, list[int]]
"""Token ids by what the model is shown, ``Prompt.shown``."""

_LISTED = 5  # prompts that an error names


OVERLONG = "leave no room for a completion"
REFUSED = "refused by the chat template"


@dataclass(frozen=True)
class _Unusable:
    """A prompt that cannot be used."""

    prompt: Prompt
    reason: str
    why: str

    def __str__(self) -> str:
        return f"{self.prompt.text[:60]!r} ({self.prompt.source}): {self.why}"


def fitting_prompts(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Task, Tokens]:
    """The task with the prompts that can be used, and their tokens.

    Where ``task.overlong`` and ``task.refused`` are "skip", the others are left out, counted and
    named in ``left_out``; the same ones whenever it is called. Raises InputError for them where it
    is "error", and if nothing is left of train or of a held-out set.
    """
    tokens, unusable = _tokens(task, tokenizer, config)
    fatal = {OVERLONG: task.overlong == "error", REFUSED: task.refused == "error"}
    _refuse([one for one in unusable.values() if fatal[one.reason]], task, config)
    return (_without(task, unusable) if unusable else task), tokens


def prompt_tokens(task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig) -> Tokens:
    """Token ids of every prompt of a task, with the chat template if it has one.

    Raises InputError, whatever the task's settings say, for prompts that cannot be used: all are
    counted, the first are named.
    """
    tokens, unusable = _tokens(task, tokenizer, config)
    _refuse(unusable.values(), task, config)
    return tokens


def _tokens(
    task: Task, tokenizer: PreTrainedTokenizerBase, config: TrainConfig
) -> tuple[Tokens, dict[str, _Unusable]]:
    """(tokens of the prompts that can be used; the others), by what is shown."""
    tokens: Tokens = {}
    unusable: dict[str, _Unusable] = {}
    model, room = config.model, _room(config)
    for prompt in chain(task.train, *task.heldout.values()):
        key = prompt.shown
        if key in tokens or key in unusable:
            continue
        try:
            text = format_prompt(
                prompt, tokenizer, system=model.system, template_kwargs=model.chat_template_kwargs
            )
        except TemplateRefusal as refusal:
            unusable[key] = _Unusable(prompt, REFUSED, refusal.why)
            continue
        special = not getattr(tokenizer, "chat_template", None)  # a template brings its own
        ids = [int(token) for token in tokenizer(text, add_special_tokens=special)["input_ids"]]
        if 0 < len(ids) <= room:
            tokens[key] = ids
        else:
            unusable[key] = _Unusable(prompt, OVERLONG, f"{len(ids)} tokens")
    return tokens, unusable


def _room(config: TrainConfig) -> int:
    """The most tokens of a prompt."""
    return config.engine.max_model_len - config.sampling.max_tokens


def _without(task: Task, unusable: dict[str, _Unusable]) -> Task:
    """The task without some prompts, which are counted and named."""

    def kept(prompts: Iterable[Prompt]) -> tuple[Prompt, ...]:
        return tuple(prompt for prompt in prompts if prompt.shown not in unusable)

    sets = {"train": task.train, **task.heldout}
    counts, accounts = dict(task.counts), task.data_sets
    left_out = []
    for name, reason in (("overlong", OVERLONG), ("refused", REFUSED)):
        shown = {key for key, one in unusable.items() if one.reason == reason}
        if not shown:
            continue
        lost = [sum(prompt.shown in shown for prompt in prompts) for prompts in sets.values()]
        counts[name] = sum(lost)
        named = tuple(str(one) for one in unusable.values() if one.reason == reason)
        left_out.append(LeftOut(reason, dict(zip(sets, lost, strict=True)), named))
        accounts = tuple(
            account.without(reason, n)
            for account, n in zip(accounts, lost, strict=False)  # none: not from files
        )
    return check_disjoint(
        replace(
            task,
            train=kept(task.train),
            heldout={name: kept(prompts) for name, prompts in task.heldout.items()},
            counts=counts,
            data_sets=accounts,
            left_out=tuple(left_out),
        )
    )


def _refuse(unusable: Collection[_Unusable], task: Task, config: TrainConfig) -> None:
    """Raise InputError if there are prompts that cannot be used."""
    total = len({p.shown for p in chain(task.train, *task.heldout.values())})
    refused = [one for one in unusable if one.reason == REFUSED]
    if refused:
        raise InputError(
            f"the model's chat template refuses {len(refused)} of {total} prompts, the first is "
            f"{refused[0]}; correct model.chat_template_kwargs or the data, or leave them out "
            "(task.refused: skip)"
        )
    if unusable:
        raise _overlong(list(unusable), total, config)


def _overlong(overlong: list[_Unusable], prompts: int, config: TrainConfig) -> InputError:
    """The error for prompts that do not fit."""
    named = [str(one) for one in overlong[:_LISTED]]
    leave = "leaves" if len(overlong) == 1 else "leave"
    more = [f"and {len(overlong) - _LISTED} more"] if len(overlong) > _LISTED else []
    return InputError(
        f"{len(overlong)} of {prompts} prompts {leave} no room for a completion: with "
        f"sampling.max_tokens = {config.sampling.max_tokens} a prompt needs between 1 and "
        f"{_room(config)} tokens, as engine.max_model_len is {config.engine.max_model_len}; raise "
        "it, lower max_tokens, or leave them out (task.overlong: skip):\n  "
        + "\n  ".join([*named, *more])
    )
