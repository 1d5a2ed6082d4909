"""What runs inside vLLM's workers: overwriting their weights. Imported by vLLM by its name."""

from collections.abc import Iterable
from typing import Any

import torch

from cobatrain.engines.weights import read_weights


class WeightSync:
    """Mixed into vLLM's worker class (worker_extension_cls); called through collective_rpc."""

    def cobatrain_load_weights(self, source: str | Iterable[tuple[str, torch.Tensor]]) -> None:
        """Overwrite the model's weights from a safetensors file or from (name, tensor) pairs.

        vLLM's reload_weights repacks every layer it loads for the CPU's matrix kernels. With tied
        embeddings no tensor is loaded *for* lm_head, so its packed copy would stay that of the old
        weights, without an error; it is therefore packed again here.
        """
        worker: Any = self
        weights = read_weights(source) if isinstance(source, str) else iter(source)
        worker.reload_weights(weights_iterator=weights)
        model = worker.model_runner.get_model()
        head: Any = getattr(model, "lm_head", None)
        if not hasattr(head, "cpu_linear"):
            return  # a GPU, or a pipeline stage without head: nothing is packed
        with torch.no_grad():
            head.quant_method.process_weights_after_loading(head)
