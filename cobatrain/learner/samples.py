"""A few rollouts of each step as text, for people to read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from cobasim.records import write_atomically

SAMPLES = "samples.jsonl"


@dataclass(frozen=True)
class Sample:
    """One rollout as text."""

    step: int
    prompt: str
    answer: str
    response: str
    reward: float
    """Of the verifier, before any penalty."""
    finished: bool
    """Whether it ended by itself; False: the maximum length cut it off."""


class SampleFile:
    """Samples of a run, one JSON object a line, append-only."""

    def __init__(self, path: Path, keep: int) -> None:
        """Open the file; if it exists, keep only the samples of steps up to ``keep``."""
        self._path = path
        if path.exists():
            whole = [line for line in path.read_text().splitlines(True) if line.endswith("\n")]
            kept = [line for line in whole if json.loads(line)["step"] <= keep]
            write_atomically(path, "".join(kept))

    def append(self, samples: Sequence[Sample]) -> None:
        """Write the samples of one step."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(asdict(sample)) + "\n" for sample in samples))
