"""What every rollout engine takes and gives back; the configs, the checks and the errors.

An engine turns prompts and budgets into token rollouts. It holds its own copy of the policy's
weights, which `Engine.sync` overwrites after every update of the training model.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    import torch

Weights: TypeAlias = "torch.nn.Module | Mapping[str, torch.Tensor]"
"""A training model, or its parameters by checkpoint name."""

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class EngineError(RuntimeError):
    """An engine could not start, failed, hung or died; the message says which and what to do."""


class SamplingConfig(BaseModel):
    """How completions are sampled; one setting for all prompts of a call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(default=1.0, ge=0.0, allow_inf_nan=False)
    """Divides the logits; 0 means greedy."""
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    """Nucleus mass kept; 1 keeps the whole distribution."""
    max_tokens: int = Field(default=16, ge=1)
    """Longest completion, in tokens, the end-of-sequence token included."""
    stop_token_ids: tuple[int, ...] = ()
    """Token ids that end a completion, besides the model's own end-of-sequence ids."""
    stop: tuple[str, ...] = ()
    """Strings that end a completion once they appear in its text (needs the tokenizer)."""


class EngineConfig(BaseModel):
    """Which engine to start and how; what one engine does not know, it ignores."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["vllm", "transformers"] = "vllm"
    """`vllm`, or `transformers` where vLLM is not installed."""
    subprocess: bool = True
    """Run the engine in a process of its own (needed under torchrun), or inside the trainer."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Dtype of the engine's weights; `auto` takes the checkpoint's."""
    max_model_len: int = Field(default=4096, ge=2)
    """Longest prompt plus completion, in tokens; memory is set aside for it."""
    max_num_seqs: int = Field(default=256, ge=1)
    """Most rollouts generated at the same time."""
    seeded: bool = True
    """Give every rollout its own seed: reproducible, and the same inside and outside the trainer.
    On GPUs vLLM then samples with a loop over the rollouts, which is slower at large batches."""
    threads: int | None = Field(default=None, ge=1)
    """CPU threads of an engine process; None leaves OMP_NUM_THREADS as it is. 1 is best for tiny
    models and busy machines. An engine inside the trainer uses the trainer's threads."""
    enable_prefix_caching: bool = True
    """vLLM: keep the keys and values of shared prompt prefixes (dropped at every sync)."""
    enforce_eager: bool | None = None
    """vLLM: no graph capture or compilation. None means True on a CPU, False on a GPU."""
    kv_cache_gib: float = Field(default=0.5, gt=0.0)
    """vLLM on a CPU: memory of the key-value cache, GiB."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0.0, le=1.0)
    """vLLM on a GPU: share of the GPU's memory the engine may take."""
    tensor_parallel_size: int = Field(default=1, ge=1)
    """vLLM on GPUs: how many share one copy of the model."""
    visible_devices: str | None = None
    """CUDA_VISIBLE_DEVICES of the engine process; None inherits the trainer's."""
    sleep_level: Literal[0, 1, 2] = 0
    """vLLM on a GPU, what `Engine.sleep` frees while the trainer trains: 0 nothing; 1 moves the
    weights to main memory and drops the cache; 2 drops both (the next call must be a sync)."""
    start_timeout: float = Field(default=900.0, gt=0.0)
    """Seconds an engine process may take to start."""
    call_timeout: float = Field(default=3600.0, gt=0.0)
    """Seconds an engine process may take for one call before it counts as hung."""


@dataclass(frozen=True)
class Rollouts:
    """Sampled completions, flat: one entry per rollout, ordered by prompt, then by rollout.

    n is the sum of the budgets, m the number of prompts of the call.
    """

    prompt: IntArray
    """(n,) index of the rollout's prompt among the given prompts, non-decreasing."""
    tokens: list[list[int]]
    """n completions, token ids; the stop token is included if one was sampled."""
    log_probs: list[list[float]]
    """Natural log-probability of each sampled token under the distribution it was drawn from:
    the softmax of logits / temperature, cut to the top_p nucleus and renormalised. At temperature 1
    and top_p 1 this is the plain log-softmax; for greedy decoding (temperature 0) too."""
    finished: BoolArray
    """(n,) True if a stop token or string ended it, False if max_tokens did."""
    prompt_tokens: list[list[int]]
    """m prompts, token ids, as given."""

    def __len__(self) -> int:
        return len(self.tokens)

    @property
    def lengths(self) -> IntArray:
        """(n,) completion lengths in tokens."""
        return np.fromiter((len(t) for t in self.tokens), dtype=np.int64, count=len(self.tokens))


class Engine(Protocol):
    """Prompts and budgets -> rollouts, with the weights of the last sync."""

    def generate(
        self,
        prompt_tokens: Sequence[Sequence[int]],
        budgets: IntArray,
        seeds: IntArray,
        sampling: SamplingConfig,
        first: IntArray | None = None,
    ) -> Rollouts:
        """Sample exactly budgets[i] completions of prompt i.

        Args:
            prompt_tokens: m prompts, token ids, none empty.
            budgets: (m,) rollouts per prompt, >= 0.
            seeds: (m,) seed of each prompt, >= 0. Equal seeds, prompts and weights give equal
                rollouts, and rollout j does not depend on the budget. Not used if the engine's
                config says `seeded: false`.
            sampling: how to sample.
            first: (m,) the number, within its group, of each prompt's first rollout here, where
                several engines share a group; None: 0. Rollout j of the call is then number
                first[i] + j of the group, with that number's outcome.

        Raises:
            ValueError: bad shapes or values, or a prompt that leaves no room in max_model_len.
            EngineError: the engine failed or died.
        """
        ...

    def sync(self, model: Weights) -> float:
        """Overwrite the engine's weights, forget every cached prefix; return the seconds taken.

        Takes the training model or its parameters by checkpoint name. Sharded (FSDP2) parameters
        are gathered, so every rank must call it.
        """
        ...

    def sleep(self) -> None:
        """Free memory until the next call, as the config's sleep_level says."""
        ...

    def close(self) -> None:
        """End the engine and its processes; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class ClosingEngine:
    """Context-manager half of an engine: leaving the block closes it."""

    def close(self) -> None:
        """End the engine."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_requests(
    prompt_tokens: Sequence[Sequence[int]],
    budgets: IntArray,
    seeds: IntArray,
    sampling: SamplingConfig,
    max_model_len: int,
    first: IntArray | None = None,
) -> tuple[IntArray, IntArray, IntArray]:
    """Return budgets, seeds and first as (m,) int64 arrays; see ``Engine.generate``.

    Raises:
        ValueError: shapes other than (m,), negative or fractional values, an empty prompt, or a
            prompt that with max_tokens exceeds max_model_len.
    """
    m = len(prompt_tokens)
    checked = []
    start = np.zeros(m, dtype=np.int64) if first is None else first
    for name, given in (("budgets", budgets), ("seeds", seeds), ("first", start)):
        array = np.asarray(given)
        if array.shape != (m,) or (m and array.dtype.kind not in "iu"):
            raise ValueError(
                f"{name} has shape {array.shape} and dtype {array.dtype}; "
                f"expected ({m},) integers, one for each prompt"
            )
        if m and array.min() < 0:
            raise ValueError(f"{name} contains {array.min()}; expected values >= 0")
        checked.append(array.astype(np.int64))
    for i, tokens in enumerate(prompt_tokens):
        if len(tokens) == 0:
            raise ValueError(f"prompt {i} has no tokens; expected at least one (such as bos)")
        if len(tokens) + sampling.max_tokens > max_model_len:
            raise ValueError(
                f"prompt {i} has {len(tokens)} tokens, which with max_tokens = "
                f"{sampling.max_tokens} exceeds max_model_len = {max_model_len}; drop the prompt, "
                f"lower max_tokens or raise max_model_len"
            )
    return checked[0], checked[1], checked[2]


def end_token_ids(model_path: str | Path) -> tuple[int, ...]:
    """Return the end-of-sequence ids a local model folder declares, sorted.

    generation_config.json wins over config.json, as in transformers. Empty if neither names one.

    Raises:
        ValueError: the folder has no config.json.
    """
    folder = Path(model_path)
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{folder} is not a model folder: it has no config.json; give a folder in the "
            f"Hugging Face format (download the model first if it lives on a hub)"
        )
    for name in ("generation_config.json", "config.json"):
        file = folder / name
        if not file.is_file():
            continue
        declared = json.loads(file.read_text(encoding="utf-8")).get("eos_token_id")
        if declared is not None:
            return tuple(sorted({declared} if isinstance(declared, int) else set(declared)))
    return ()
