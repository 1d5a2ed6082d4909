"""The fallback engine: a transformers model and our own sampling loop.

At about 1M parameters on a CPU this is as fast as vLLM; with large models on a GPU it is not.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from cobatrain.engines.base import CLOSED, BaseEngine, EngineError
from cobatrain.engines.config import EngineConfig
from cobatrain.engines.model_folder import end_token_ids, stored_names
from cobatrain.engines.requests import Request
from cobatrain.engines.rollouts import Rollouts
from cobatrain.engines.sampling import sample
from cobatrain.engines.weights import check_names, named_weights, read_weights
from cobatrain.parallel import usable_device

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class HfEngine(BaseEngine):
    """`Engine` on transformers; see the module.

    With `seeded: false` the seeds are drawn from the system.
    """

    shares_memory = True

    def __init__(self, config: EngineConfig, model_path: str | Path) -> None:
        from transformers import AutoModelForCausalLM

        super().__init__(config)
        self._path = Path(model_path)
        self.end_ids = end_token_ids(model_path)
        self._stored = stored_names(model_path)
        auto: Any = AutoModelForCausalLM
        self._model = auto.from_pretrained(model_path, dtype=config.dtype, local_files_only=True)
        self._model.to(usable_device())
        self._model.eval().requires_grad_(False)
        self._tokenizer: PreTrainedTokenizerBase | None = None

    @property
    def model(self) -> Any:
        """The engine's own model. Raises EngineError if the engine is closed."""
        self.check_open()
        return self._model

    def check_open(self) -> None:
        """Raise EngineError if the engine is closed."""
        if self._model is None:
            raise EngineError(CLOSED)

    def answer(self, request: Request) -> Rollouts:
        """See `BaseEngine.answer`."""
        seeds = request.seeds
        if not self.config.seeded:
            seeds = np.random.default_rng().integers(2**62, size=len(seeds))
        if request.sampling.stop and self._tokenizer is None:
            from transformers import AutoTokenizer

            self._tokenizer = AutoTokenizer.from_pretrained(self._path, local_files_only=True)
        return sample(
            self.model,
            request.prompt_tokens,
            request.budgets,
            seeds,
            request.sampling,
            request.first,
            end_ids=self.end_ids,
            max_num_seqs=self.config.max_num_seqs,
            tokenizer=self._tokenizer,
        )

    def sync(self, model: torch.nn.Module | Mapping[str, torch.Tensor]) -> float:
        """See `Engine.sync`; tied embeddings are one tensor here and need no care."""
        own: torch.nn.Module = self.model
        start = time.perf_counter()
        parameters = dict(own.named_parameters())
        given: set[str] = set()
        with torch.no_grad():
            for name, tensor in named_weights(model):
                given.add(name)
                if name in parameters:
                    parameters[name].copy_(tensor)
        check_names(given, self._stored)
        return time.perf_counter() - start

    def sync_from(self, path: str | Path) -> float:
        """As `sync`, with the weights of a safetensors file."""
        return self.sync(dict(read_weights(path)))

    def sleep(self) -> None:
        """Do nothing: between calls this engine holds no memory but its weights."""

    def close(self) -> None:
        """Drop the model."""
        self._model = None
