"""What one judgement may cost."""

from __future__ import annotations

from dataclasses import dataclass

from cobasim.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What one judgement in a worker may cost."""

    cpu_seconds: float | None = 2.0
    """CPU time; a C call that does not return is ended within about 2 s more. None: no limit."""
    wall_seconds: float = 20.0
    """Wall time after which the worker is killed, whatever it does."""
    memory_bytes: int | None = 2 << 30
    """Address space of the worker; None: no limit."""

    def __post_init__(self) -> None:
        for name in ("cpu_seconds", "wall_seconds", "memory_bytes"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InputError(f"{name} {value!r}: expected a positive number")
