"""``cobatrain prepare``."""

from __future__ import annotations

from cobatrain.cli.common import Config, Settings, one_process


def prepare(config: Config, settings: Settings = None) -> None:
    """Make the tiny model of a config: build it, and warm it up on supervised examples."""
    from cobatrain import trainer
    from cobatrain.config import load_config

    one_process("prepare")
    trainer.prepare(load_config(config, settings or []), say=print)
