"""What is known of a run before its first step."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from cobasim.errors import InputError
from cobasim.records.encoding import decode, encode
from cobasim.version import VERSION

FORMAT: Final = 1


@dataclass(frozen=True)
class RunHeader:
    """What is known of a run before its first step; ``create`` fills in time and versions."""

    source: str
    """Who wrote the run: ``sim``, ``train``, ``import`` (a log of another trainer), or ``ledger``
    (another trainer, as it went)."""
    created: str
    """Time of creation, ISO 8601."""
    versions: dict[str, str]
    """Versions of cobasim, numpy and python (and whatever else the learner names)."""
    seed: int
    allocator: str
    """Name of the allocator; oracles start with ``oracle-``."""
    estimator: str
    weighting: str
    """How prompts count in the loss: ``rollout``, ``prompt`` or ``token``."""
    world: str | None = None
    config: dict[str, Any] = field(default_factory=dict)
    left_out: list[dict[str, Any]] = field(default_factory=list)
    """Prompts of the data that the run leaves out: each with ``reason``, ``prompts`` by data set,
    and the ``first`` few by name."""
    format: int = FORMAT

    @classmethod
    def create(
        cls,
        *,
        source: str,
        seed: int,
        allocator: str,
        estimator: str,
        weighting: str,
        world: str | None = None,
        config: Mapping[str, Any] | None = None,
        versions: Mapping[str, str] | None = None,
        left_out: Sequence[Mapping[str, Any]] = (),
    ) -> RunHeader:
        """Make a header stamped with the present time and the versions in use.

        versions: further versions to record, such as torch's.
        """
        return cls(
            source=source,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            versions={**own_versions(), **(versions or {})},
            seed=seed,
            allocator=allocator,
            estimator=estimator,
            weighting=weighting,
            world=world,
            config=dict(config or {}),
            left_out=[dict(one) for one in left_out],
        )

    def to_json(self) -> str:
        """Return the header as one JSON object; ValueError if config holds what JSON has not."""
        payload = {name: v for name, v in vars(self).items() if name != "left_out" or v}
        return encode({"format": payload["format"], **payload}, "the run header")

    @classmethod
    def from_json(cls, text: str | bytes) -> RunHeader:
        """Parse a header; unknown keys are ignored; ValueError says what is wrong."""
        try:
            payload = decode(text)
        except ValueError as error:
            raise InputError(f"not valid JSON ({error})") from error
        if not isinstance(payload, dict) or "format" not in payload:
            raise InputError("not a run header: expected a JSON object with the key 'format'")
        if payload["format"] != FORMAT:
            raise InputError(
                f"format {payload['format']!r} is not known, expected {FORMAT}; "
                "read it with the version that wrote it"
            )
        for name, kind in _HEADER_TYPES.items():
            if type(payload.get(name)) not in kind:
                raise InputError(f"{name!r} is {payload.get(name)!r}, expected {kind[0].__name__}")
        return cls(**{name: payload[name] for name in _HEADER_NAMES if name in payload})


_HEADER_NAMES: Final = tuple(item.name for item in fields(RunHeader))
_HEADER_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "source": (str,),
    "created": (str,),
    "versions": (dict,),
    "seed": (int,),
    "allocator": (str,),
    "estimator": (str,),
    "weighting": (str,),
    "world": (str, type(None)),
    "config": (dict,),
    "left_out": (list, type(None)),
}


def own_versions() -> dict[str, str]:
    """Versions of this package, numpy and Python."""
    return {"cobasim": VERSION, "numpy": np.__version__, "python": platform.python_version()}
