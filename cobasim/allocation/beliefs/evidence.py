"""Evidence of a pool of prompts as arrays: stored in checkpoints, and restored."""

from __future__ import annotations

from typing import Any

import numpy as np

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
        for name, array in own.items():
            values = np.asarray(state[name])
            if array.dtype.kind in "iu" and not (values >= 0).all():
                raise InputError(f"counts that are no counts: {name} has numbers below 0")
        for name, array in own.items():
            values = np.asarray(state[name])
            if array.dtype.kind in "iu" and values.max(initial=0) > np.iinfo(array.dtype).max:
                setattr(self, name, array.astype(np.min_scalar_type(int(values.max()))))
            getattr(self, name)[...] = values
