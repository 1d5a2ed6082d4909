"""Measured pass rates, and what is to be said of where they come from."""

from __future__ import annotations

from dataclasses import dataclass

from cobasim.arrays import FloatArray, IntArray


def number_of(count: int, what: str) -> str:
    """``1 row``, ``2,000 rows``."""
    return f"{count:,} {what}" + ("" if count == 1 else "s")


@dataclass(frozen=True, eq=False)
class MeasuredRates:
    """Measured pass rates of m prompts.

    Attributes:
        pass_rate: (m,) in [0, 1].
        attempts: (m,) rollouts behind each; None if the file does not say.
        rows: (m,) which row of the file (or which prompt, in order of appearance) each is, from 0.
        source: what was read.
        read: rows (or prompts) of the file.
        columns: what was read, in words.
        missing: rows without a value: left out, or kept as unseen.
        notes: what a reader of the numbers should know.
        prompts: (m,) texts of the prompts, where ``RateOptions.prompt`` or ``group_by`` names them.
    """

    pass_rate: FloatArray
    attempts: FloatArray | None
    rows: IntArray
    source: str
    read: int
    columns: str
    missing: int = 0
    notes: tuple[str, ...] = ()
    prompts: tuple[str, ...] | None = None

    @property
    def whole(self) -> bool:
        """Whether every row of the file is there, in its order."""
        return self.rows.size == self.read

    @property
    def summary(self) -> str:
        """What was read, used and dropped, in one sentence."""
        size = f"{self.pass_rate.size:,}" + ("" if self.whole else f" of {self.read:,}")
        known = "attempts unknown"
        if self.attempts is not None:
            least, most = int(self.attempts.min()), int(self.attempts.max())
            span = (
                number_of(most, "attempt") if least == most else f"{least:,} to {most:,} attempts"
            )
            known = f"{span} each"
        parts = [self.columns, known]
        if self.missing:
            parts.append(f"{number_of(self.missing, 'row')} without a value")
        parts += self.notes
        rates = "pass rate" if self.pass_rate.size == 1 else "pass rates"
        details = "; ".join(parts)
        return f"{size} {rates} from {self.source} ({details}), mean {self.pass_rate.mean():.3f}"
