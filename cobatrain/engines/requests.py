"""A request to an engine: prompts, budgets, seeds; checked once, before any engine sees it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cobasim.arrays import IntArray
from cobatrain.engines.config import SamplingConfig


@dataclass(frozen=True)
class Request:
    """The arguments of one `Engine.generate`, of m prompts, checked."""

    prompt_tokens: Sequence[Sequence[int]]
    """m prompts, token ids, none empty."""
    budgets: IntArray
    """(m,) rollouts per prompt."""
    seeds: IntArray
    """(m,) seed of each prompt."""
    first: IntArray
    """(m,) number of each prompt's first rollout within its group."""
    sampling: SamplingConfig


def checked_request(
    prompt_tokens: Sequence[Sequence[int]],
    budgets: IntArray,
    seeds: IntArray,
    sampling: SamplingConfig,
    max_model_len: int,
    first: IntArray | None = None,
) -> Request:
    """The request, its arrays as int64; arguments as in `Engine.generate`.

    Raises:
        ValueError: shapes other than (m,), negative or fractional values, an empty prompt, or a
            prompt that with max_tokens exceeds max_model_len.
    """
    m = len(prompt_tokens)
    start = np.zeros(m, dtype=np.int64) if first is None else first
    arrays = {"budgets": budgets, "seeds": seeds, "first": start}
    checked = {name: _whole_numbers(name, given, m) for name, given in arrays.items()}
    for i, tokens in enumerate(prompt_tokens):
        if len(tokens) == 0:
            raise ValueError(f"prompt {i} has no tokens; expected at least one (such as bos)")
        if len(tokens) + sampling.max_tokens > max_model_len:
            raise ValueError(
                f"prompt {i} has {len(tokens)} tokens, which with max_tokens = "
                f"{sampling.max_tokens} exceeds max_model_len = {max_model_len}; drop the prompt, "
                f"lower max_tokens or raise max_model_len"
            )
    return Request(prompt_tokens, sampling=sampling, **checked)


def _whole_numbers(name: str, given: IntArray, m: int) -> IntArray:
    """The array as int64. Raises ValueError unless it holds m whole numbers >= 0."""
    array = np.asarray(given)
    if array.shape != (m,) or (m and array.dtype.kind not in "iu"):
        raise ValueError(
            f"{name} has shape {array.shape} and dtype {array.dtype}; "
            f"expected ({m},) integers, one for each prompt"
        )
    if m and array.min() < 0:
        raise ValueError(f"{name} contains {array.min()}; expected values >= 0")
    return array.astype(np.int64)
