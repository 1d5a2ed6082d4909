"""Evidence of a pool of prompts as arrays: stored in checkpoints, and restored."""

from __future__ import annotations

from typing import Any

import numpy as np

from cobasim.arrays import wide_enough
from cobasim.errors import InputError


class Evidence:
    """Something whose numpy arrays are all that changes in a run."""

    def state_dict(self) -> dict[str, Any]:
        """The counts as numpy arrays, for a checkpoint."""
        return {k: v.copy() for k, v in vars(self).items() if isinstance(v, np.ndarray)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``.

        Arrays of integers become wider where its numbers need it. Raises InputError, and changes
        nothing, when it belongs to another pool or estimator, or counts are below 0.
        """
        own = self.state_dict()
        for name, array in own.items():
            shape = np.shape(state[name]) if name in state else None
            if shape != array.shape:
                raise InputError(
                    f"counts of another pool or estimator: {name} has shape {shape}, expected "
                    f"{array.shape}; resume with the same prompts and estimator"
                )
        given = {name: np.asarray(state[name]) for name in own}
        counts = [name for name, array in own.items() if array.dtype.kind in "iu"]
        for name in counts:
            if not (given[name] >= 0).all():
                raise InputError(f"counts that are no counts: {name} has numbers below 0")
        for name, values in given.items():
            if name in counts:
                most = int(values.max(initial=0))
                setattr(self, name, wide_enough(getattr(self, name), most))
            getattr(self, name)[...] = values
