"""From an `EngineConfig` to what vLLM reads: its environment and the arguments of vllm.LLM."""

import os
import secrets
from typing import Any

from cobatrain.engines.config import EngineConfig
from cobatrain.engines.model_folder import weight_dtype

WORKER = "cobatrain.engines.vllm_worker.WeightSync"
"""The class that vLLM mixes into its workers."""


def set_environment() -> None:
    """Set what vLLM reads from the environment, before it is imported."""
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    # read on a CPU only; a whole number of GiB, so the finer setting goes by argument
    os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def llm_arguments(config: EngineConfig, model_path: str, on_cpu: bool) -> dict[str, Any]:
    """Translate the config into arguments of vllm.LLM."""
    arguments: dict[str, Any] = {
        "model": model_path,
        # vLLM's own `auto` makes float32 a bfloat16
        "dtype": weight_dtype(config.dtype, model_path) or "auto",
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "enable_prefix_caching": config.enable_prefix_caching,
        "enforce_eager": on_cpu if config.enforce_eager is None else config.enforce_eager,
        "tensor_parallel_size": config.tensor_parallel_size,
        "worker_extension_cls": WORKER,
        # log-probabilities of the distribution that was sampled from, see Rollouts.log_probs
        "logprobs_mode": "processed_logprobs",
        # sampling settings come from SamplingConfig alone, not from the model folder
        "generation_config": "vllm",
        # without seeds of its own every engine of a run must still draw something else
        "seed": 0 if config.seeded else secrets.randbelow(2**31),
        "use_tqdm_on_load": False,
    }
    if on_cpu:
        arguments |= {
            "kv_cache_memory_bytes": int(config.kv_cache_gib * 2**30),
            # A seeded request whose prefill is cut into chunks crashes on a CPU
            # ("CPU Generator does not use offset"); without chunks a batch holds any one prompt.
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(config.max_model_len, 8192),
        }
    else:
        arguments |= {
            "gpu_memory_utilization": config.gpu_memory_utilization,
            "enable_sleep_mode": config.sleep_level > 0,
        }
    return arguments
