"""A checkpoint as a model folder in the Hugging Face format, for any program to load."""

from __future__ import annotations

import shutil
from pathlib import Path

from cobasim.errors import InputError
from cobatrain.config import TrainConfig
from cobatrain.learner import load_policy
from cobatrain.lora import merge_adapters
from cobatrain.parallel import CheckpointError, load_weights
from cobatrain.trainer.folder import whole_folder

_GENERATION = "generation_config.json"
_WEIGHTS = (
    ".safetensors", ".bin", ".pt", ".pth", ".gguf", ".h5", ".msgpack", ".onnx", ".index.json"
)  # fmt: skip
"""Ends of the names of files with weights, in the folder that training started from."""


def export(config: TrainConfig, checkpoint: Path, out: Path) -> None:
    """Write the model of a checkpoint to the new folder ``out``, completely or not at all.

    The weights are the checkpoint's in the type ``model.dtype``, which config.json then names; LoRA
    adapters are merged into them. All else is copied from the folder that training started from:
    tokenizer, chat template, generation config, licence.

    Raises InputError if ``out`` exists, the folder of the initial model is gone, or the checkpoint
    is not this model's; CheckpointError or OSError if the folder cannot be written.
    """
    from safetensors import SafetensorError
    from transformers import GenerationConfig

    if out.exists():
        raise InputError(f"{out} exists already; nothing is overwritten: choose another --out")
    here = config.model.model_copy(update={"device": "cpu"})
    model, _ = load_policy(config.model_copy(update={"model": here}))
    load_weights(checkpoint, model)
    merge_adapters(model)
    source = Path(config.model.path)
    if (source / _GENERATION).is_file():
        model.generation_config = GenerationConfig()  # the file itself is copied below
    try:
        with whole_folder(out) as aside:
            model.save_pretrained(aside)
            for file in sorted(source.iterdir()):
                made = (aside / file.name).exists() and file.name != _GENERATION
                if file.is_file() and not made and not file.name.endswith(_WEIGHTS):
                    shutil.copyfile(file, aside / file.name)
    except SafetensorError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{out} could not be written ({reason}): make room") from None
