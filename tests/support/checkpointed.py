"""A run folder with checkpoints, without the run."""

from __future__ import annotations

from pathlib import Path

from cobasim.records import RunWriter
from cobatrain import trainer
from cobatrain.config import TrainConfig
from cobatrain.parallel import save_checkpoint, whole_weights


def run_with(folder: Path, config: TrainConfig, models: dict, state: dict | None = None) -> Path:
    """A run of the config with the weights of ``models[step]`` as its checkpoints."""
    RunWriter(folder, trainer.run_header(config)).close()
    meta = {"config": config.model_dump(mode="json"), "task": ""}
    for step, model in models.items():
        save_checkpoint(folder, step, whole_weights(model), state or {}, meta)
    return folder
