"""What counts as a pass."""

from __future__ import annotations

import math

_RAW = (-1.0, 0.0, 1.0)


class OtherScoreError(ValueError):
    """A score that is none of -1, 0 and 1, where no threshold was given."""


class PassRule:
    """Says whether a score is a pass, and remembers which scores there were.

    Args:
        threshold: a score of at least this is a pass; None: scores must be -1, 0 or 1, and 1 is.
    """

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = threshold
        self.seen = dict.fromkeys(_RAW, 0)
        self.low, self.high = math.inf, -math.inf

    def passed(self, score: float) -> bool:
        """Whether a rollout with this score passed. Raises OtherScoreError."""
        if self.threshold is not None:
            self.low, self.high = min(self.low, score), max(self.high, score)
            return score >= self.threshold
        if score not in self.seen:
            raise OtherScoreError(f"the score {score:g} is none of -1, 0 and 1")
        self.seen[score] += 1
        return score == 1.0

    @property
    def words(self) -> str:
        """What the scores were and which of them passed."""
        if self.threshold is not None:
            return (
                f"scores from {self.low:g} to {self.high:g}; {self.threshold:g} or more is a pass"
            )
        values = [f"{value:g}" for value, count in self.seen.items() if count]
        if len(values) < 2:
            return f"all scores are {values[0]}; a score of 1 is a pass" if values else "no scores"
        return f"scores are {' or '.join(values)}; a score of 1 is a pass"
