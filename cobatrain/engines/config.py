"""Settings of engines and of sampling."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


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
    """Which engine to start and how; an engine ignores the settings that it does not know."""

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

    @property
    def patience(self) -> float:
        """Seconds that processes wait for one that starts its engine and makes a call."""
        return self.call_timeout + self.start_timeout
