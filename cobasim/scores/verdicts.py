"""Who won, if there is a clear winner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from cobasim.scores.intervals import LEVEL
from cobasim.scores.significance import as_p_values, holm, paired_p_value
from cobasim.scores.table import Row


def winner(rows: Iterable[Row]) -> tuple[str | None, list[str]]:
    """Return the winner among the rows of one weighting, and the rivals too close to the best.

    The best has the highest mean final held-out accuracy; oracles do not compete.  It wins only
    if paired t-tests against every other allocator, Holm-corrected, all reject at 5 %.  The
    second value names the others whose difference to the best is not significant (or, without
    two common seeds, not tested).  Nobody wins before a prompt was visited twice: then no
    allocator had anything to go by, and differences are chance.
    """
    contenders = _contenders(rows)
    if len(contenders) < 2:
        return None, []
    best = max(contenders, key=_mean_heldout)
    others = [row for row in contenders if row is not best]
    if _without_estimates(contenders) == contenders:
        return None, [row.allocator for row in others]
    p_values = [_row_p_value(best, other) for other in others]
    adjusted = holm(as_p_values(p_values))
    close = [
        row.allocator for row, value in zip(others, adjusted, strict=True) if not value < LEVEL
    ]
    return (None if close else best.allocator), close


def verdict(rows: Sequence[Row], epoch: int | None = None) -> dict[str, str]:
    """Return one or two sentences per weighting on who won; see ``winner`` for the rule.

    epoch: steps until every prompt was visited once, as advice for runs that are shorter.
    """
    weightings = dict.fromkeys(row.weighting for row in rows)
    return {
        name: _sentence([row for row in rows if row.weighting == name], epoch)
        for name in weightings
    }


def _contenders(rows: Iterable[Row]) -> list[Row]:
    return [row for row in rows if row.heldout is not None and not row.oracle]


def _without_estimates(rows: Iterable[Row]) -> list[Row]:
    """Those whose budgets were all given without an estimate of the prompt."""
    return [row for row in rows if row.known_share == 0.0]


def _mean_heldout(row: Row) -> float:
    return row.heldout.mean if row.heldout is not None else -np.inf


def _row_p_value(left: Row, right: Row) -> float | None:
    """Test the final accuracies of two rows, paired over their common seeds."""
    of_left = dict(zip(left.seeds, left.final_by_seed, strict=True))
    of_right = dict(zip(right.seeds, right.final_by_seed, strict=True))
    common = sorted(of_left.keys() & of_right.keys())
    return paired_p_value([of_left[seed] for seed in common], [of_right[seed] for seed in common])


def _sentence(rows: Sequence[Row], epoch: int | None) -> str:
    contenders = _contenders(rows)
    if not contenders:
        return "Nothing was evaluated yet."
    best = max(contenders, key=_mean_heldout)
    seeds = len(best.seeds)
    level = f"{100 * _mean_heldout(best):.2f} %"
    if len(contenders) == 1:
        aside = ", apart from oracles" if any(row.oracle for row in rows) else ""
        return f"Only {best.allocator} was run ({level}){aside}, so there is nothing to compare."
    blind = _without_estimates(contenders)
    if blind == contenders:
        steps = "" if epoch is None else f", {epoch} steps"
        return (
            "No winner: no prompt was visited twice yet, so every budget was given without an "
            "estimate of the prompt's pass rate. Give the runs more steps than their first epoch "
            f"has (prompts of the pool / prompts of a step{steps})."
        )
    first, close = winner(rows)
    if min(len(row.seeds) for row in contenders) < 2:
        text = (
            f"No clear winner: {best.allocator} has the highest final held-out accuracy "
            f"({level}), but with one seed the noise is unknown."
        )
    elif first is not None:
        text = (
            f"{first} wins: its final held-out accuracy ({level}, {seeds} seeds) is significantly "
            "above that of every other allocator (paired t-tests, Holm-corrected, 5 %)."
        )
    else:
        text = (
            f"No clear winner: {best.allocator} has the highest final held-out accuracy "
            f"({level}, {seeds} seeds), but {_listed(close)} {'is' if len(close) == 1 else 'are'} "
            "not significantly different from it (paired t-tests, Holm-corrected, 5 %)."
        )
    if blind := [row for row in blind if not row.baseline]:
        text += (
            " No prompt was visited twice yet by "
            f"{_listed([row.allocator for row in blind])}: too short a run to judge them."
        )
    spent = [row.rollouts if row.tokens is None else row.tokens for row in contenders]
    if max(spent) > 1.01 * min(spent):
        text += (
            " Careful: the runs are not of equal length, so their final accuracies differ in cost."
        )
    return text


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
