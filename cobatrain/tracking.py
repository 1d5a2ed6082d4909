"""Copies of a run's records for TensorBoard or Weights & Biases. Both are optional.

The run's own records stay the source. A tracker that is not installed is refused before the run
begins.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cobasim.errors import InputError
from cobasim.records import RunHeader, StepRecord, read_header

TENSORBOARD, WANDB = "tensorboard", "wandb"
FOLDER = "tensorboard"
PARTS = ("learner", "evaluation", "bins")
Track = Callable[[int, Mapping[str, float]], None]
"""Takes a step and its numbers."""
Close = Callable[[], None]


def scalars(record: StepRecord) -> dict[str, float]:
    """Every number of a record by a name in parts, such as ``learner/loss``; None is left out."""
    numbers: dict[str, float] = {}

    def add(prefix: str, values: Mapping[str, Any]) -> None:
        for name, value in values.items():
            if isinstance(value, Mapping):
                add(f"{prefix}{name}/", value)
            elif isinstance(value, int | float) and not isinstance(value, bool):
                numbers[prefix + name] = float(value)

    own = {name: value for name, value in vars(record).items() if name not in PARTS}
    add("loop/", {name: value for name, value in own.items() if name != "step"})
    for name in PARTS[:2]:
        add(f"{name}/", getattr(record, name) or {})
    return numbers


def check(names: Sequence[str]) -> None:
    """Raise InputError if a tracker is not installed."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise InputError(
                f"track: {name} is not installed; pip install "
                "'coba-testbed[track]', or leave it out"
            )


@contextmanager
def tracking(names: Sequence[str], run: Path) -> Iterator[Callable[[StepRecord], None]]:
    """Yield a function that passes each record on to trackers.

    The trackers open with the first record, when the run's folder exists, and close with the block.

    Args:
        names: of TRACKERS.
        run: the run's folder; a resumed run continues in the same place.

    Raises InputError if a tracker is not installed.
    """
    check(names)
    opened: list[tuple[Track, Close]] = []

    def track(record: StepRecord) -> None:
        if not opened and names:
            header = read_header(run)
            opened.extend(TRACKERS[name](run, header, record.step) for name in names)
        values = scalars(record)
        for write, _ in opened:
            write(record.step, values)

    try:
        yield track
    finally:
        for _, close in opened:
            close()


def _tensorboard(run: Path, header: RunHeader, step: int) -> tuple[Track, Close]:
    from torch.utils.tensorboard import SummaryWriter

    make: Any = SummaryWriter
    # removes what a killed run wrote after its last checkpoint
    writer = make(log_dir=str(run / FOLDER), purge_step=step)

    def write(step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            writer.add_scalar(name, value, step)
        writer.flush()

    return write, writer.close


def _wandb(run: Path, header: RunHeader, step: int) -> tuple[Track, Close]:
    import wandb

    module: Any = wandb
    # one id for the life of a run's folder, so that a resumed run continues on its page
    name = f"{header.allocator}-{header.weighting}-seed{header.seed}"
    stamp = "".join(character for character in header.created if character.isalnum())
    handle = module.init(
        dir=str(run), id=f"{name}-{stamp}", name=name, config=dict(header.config), resume="allow"
    )
    return (lambda step, values: handle.log(dict(values), step=step)), handle.finish


TRACKERS: dict[str, Callable[[Path, RunHeader, int], tuple[Track, Close]]] = {
    TENSORBOARD: _tensorboard,
    WANDB: _wandb,
}
