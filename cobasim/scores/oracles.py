"""Oracles are recognised by their names."""

from __future__ import annotations

ORACLE_PREFIX = "oracle-"
"""Allocators with this prefix were shown the true pass rates: a reference, not a competitor."""


def is_oracle(allocator: str) -> bool:
    """Whether an allocator was shown the true pass rates."""
    return allocator.startswith(ORACLE_PREFIX)
