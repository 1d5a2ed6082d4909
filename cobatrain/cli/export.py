"""``cobatrain export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cobatrain.cli.common import checkpoint_of, one_process


def export(
    run: Annotated[str, typer.Argument(help="Folder of a run.")],
    out: Annotated[str, typer.Option(help="New folder of the model.")],
    step: Annotated[
        int | None, typer.Option(help="Step of the checkpoint.", show_default="the newest")
    ] = None,
) -> None:
    """Write a run's model as a folder that transformers and vLLM load."""
    from cobatrain import trainer
    from cobatrain.config import stored_config

    one_process("export")
    config, checkpoint = stored_config(Path(run)), checkpoint_of(run, run, step)
    assert checkpoint is not None
    trainer.export(config, checkpoint, Path(out))
    print(f"{out}: the model of {checkpoint}")
