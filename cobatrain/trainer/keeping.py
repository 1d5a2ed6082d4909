"""Records and checkpoints: all ranks make them, rank 0 writes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cobasim.loop import Loop
from cobasim.records import RunWriter, StepRecord
from cobatrain.config import CheckpointConfig
from cobatrain.learner import LanguageModelLearner
from cobatrain.parallel import prune, save_checkpoint, together, whole_weights


class Keeper:
    """Writes what must outlast the process. Every method is collective.

    Args:
        learner: the run's, on this rank.
        writer: of the run folder, on rank 0; None on the others.
        settings: how many checkpoints to keep.
        meta: config and task, for the checkpoints.
        on_step: gets each record once it is on disk; on rank 0 only.
    """

    def __init__(
        self,
        learner: LanguageModelLearner,
        writer: RunWriter | None,
        settings: CheckpointConfig,
        meta: dict[str, Any],
        on_step: Callable[[StepRecord], None],
    ) -> None:
        self._learner, self._writer, self._settings = learner, writer, settings
        self._meta, self._on_step = meta, on_step

    def record(self, record: StepRecord) -> None:
        """Append the record of one step."""

        def write() -> None:
            if self._writer is not None:
                self._writer.append(record)
                self._on_step(record)

        together(self._learner.parallel, write)

    def save(self, loop: Loop) -> None:
        """Write a checkpoint and remove old ones.

        At the end of a run that is to keep none, only remove them.
        """
        keep = self._settings.keep
        if loop.done and keep == 0:
            together(self._learner.parallel, self._remove_all)
            return
        weights = whole_weights(self._learner.model, keep=self._writer is not None)
        state = loop.state_dict()

        def write() -> None:
            if self._writer is not None:
                save_checkpoint(self._writer.path, loop.step, weights, state, self._meta)
                prune(self._writer.path, max(keep, 1))

        together(self._learner.parallel, write)

    def _remove_all(self) -> None:
        if self._writer is not None:
            prune(self._writer.path, 0)
