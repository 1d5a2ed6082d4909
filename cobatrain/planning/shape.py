"""What of a model decides memory and time: counts of parameters, layers, widths."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from cobasim.errors import InputError
from cobatrain.lora import AdapterSize, LoraConfig, adapter_size
from cobatrain.planning.known import KNOWN
from cobatrain.update import rounded_layers

if TYPE_CHECKING:
    from cobatrain.config import TrainConfig


@dataclass(frozen=True)
class ModelShape:
    """Counts of parameters and widths of a causal language model.

    Shared parameters (tied embeddings) count once. Adapters are counted beside, not in them.
    """

    parameters: int
    """All."""
    layer: int
    """Of the largest decoder layer."""
    root: int
    """Outside the decoder layers: embeddings, head, last norm."""
    head: int
    """Of the output head, shared or not."""
    products: int
    """Those that a token is multiplied by: all but norms and an embedding that is not the head."""
    linear: int
    """Weights of linear layers, but for a head that is the embeddings too."""
    layers: int
    hidden: int
    inner: int
    """Width inside the feed-forward part."""
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    qk_norm: bool
    """Whether queries and keys are normed (Qwen3)."""
    stored_bytes: int
    """Of one parameter in the checkpoint, by its config."""
    adapters: AdapterSize | None = None
    """LoRA's, of the whole model; None: all parameters are trained."""
    layer_adapters: AdapterSize = field(default_factory=AdapterSize)
    """Of the largest decoder layer."""

    @property
    def trained(self) -> int:
        """Parameters that have gradients and moments."""
        return self.parameters if self.adapters is None else self.adapters.numbers

    @property
    def query(self) -> int:
        """Width of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        """Width of all key heads together; values have the same."""
        return self.kv_heads * self.head_dim


def model_shape(config: TrainConfig) -> ModelShape:
    """The shape of a config's model, from the config.json in its folder; no weights are read.

    Without the folder, that of a model which ``prepare`` would make or whose config.json is known
    here. Raises InputError if there is neither, or the folder's config is no causal language
    model's, or one whose layers have experts, or without the layers that LoRA is to adapt.
    """
    return shape_of(empty_model(model_settings(config)), config.model.lora)


def model_settings(config: TrainConfig) -> dict[str, Any]:
    """What config.json says of a config's model. Raises InputError if nobody knows."""
    path = Path(config.model.path)
    file = path / "config.json"
    if file.is_file():
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{file} is not JSON: {error}") from None
        if not isinstance(found, dict) or "model_type" not in found:
            raise InputError(f"{file} names no model_type: expected a model's config.json")
        return found
    if path.exists():
        raise InputError(f"{path} is not a model folder: it has no config.json")
    if config.model.tiny is not None:
        from cobatrain.tiny import tiny_config

        try:
            made = tiny_config(**config.model.tiny.sizes)
        except ValueError as error:
            raise InputError(f"model.tiny: {error}") from None
        settings: dict[str, Any] = made.to_dict()
        return settings
    if path.name in KNOWN:
        return dict(KNOWN[path.name])
    raise InputError(
        f"{path} does not exist, and the shape of {path.name!r} is not known here: put the model's "
        "config.json into that folder (a plan needs nothing else), or set model.path"
    )


def empty_model(settings: dict[str, Any]) -> torch.nn.Module:
    """The model of a config.json, without memory for its weights (torch's meta device).

    Raises InputError if transformers cannot build it.
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    given = {name: value for name, value in settings.items() if name != "model_type"}
    auto: Any = AutoModelForCausalLM
    try:
        known = AutoConfig.for_model(settings["model_type"], **given)
        with torch.device("meta"):
            model: torch.nn.Module = auto.from_config(known)
    except Exception as error:  # a damaged config can break a reader in any way
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"config.json (model_type {settings['model_type']!r}) is not a causal language model's "
            f"that transformers can build: {reason}"
        ) from None
    return model


def shape_of(model: Any, lora: LoraConfig | None = None) -> ModelShape:
    """The shape of a plain transformers model, on any device, to be trained by ``lora`` if given.

    Raises InputError for layers of experts, and for layers to adapt that the model does not have.
    """
    settings = model.config.get_text_config()
    if getattr(settings, "num_experts", None) or getattr(settings, "num_local_experts", None):
        raise InputError(
            f"{settings.model_type} has layers of experts; a plan knows dense models only"
        )
    names = set(getattr(model, "_no_split_modules", None) or ())
    layers = [module for module in model.modules() if type(module).__name__ in names]
    sizes = [_numel(layer) for layer in layers] or [0]
    total = _numel(model)
    head = model.get_output_embeddings().weight
    embedding = model.get_input_embeddings().weight
    matrices = sum(p.numel() for p in model.parameters() if p.ndim > 1)
    heads = int(settings.num_attention_heads)
    hidden = int(settings.hidden_size)
    adapters, in_layer = None, AdapterSize()
    if lora is not None:
        adapters = adapter_size(model, lora)
        each = [adapter_size(model, lora, within=layer) for layer in layers[:1]]
        in_layer = each[0] if each else in_layer
    return ModelShape(
        parameters=total,
        layer=max(sizes),
        root=total - sum(sizes),
        head=head.numel(),
        products=matrices - (0 if embedding is head else embedding.numel()),
        linear=sum(layer.weight.numel() for layer in rounded_layers(model)),
        layers=int(settings.num_hidden_layers),
        hidden=hidden,
        inner=int(getattr(settings, "intermediate_size", None) or 4 * hidden),
        heads=heads,
        kv_heads=int(getattr(settings, "num_key_value_heads", None) or heads),
        head_dim=int(getattr(settings, "head_dim", None) or hidden // heads),
        vocabulary=int(head.shape[0]),
        qk_norm=any(name.endswith("q_norm") for name, _ in model.named_modules()),
        stored_bytes=(settings.dtype or torch.float32).itemsize,
        adapters=adapters,
        layer_adapters=in_layer,
    )


def _numel(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
