"""Records -> numbers: accuracy at equal rollouts, statistics over seeds, tables, verdicts.

In: runs as read from their records, or flat rows of a sweep. Out: frozen rows and plain numbers.
Everything is a pure function; accuracies are shares in [0, 1]; a missing measurement is None
(NaN inside arrays), never 0.
"""

from cobasim.scores.curves import (
    accuracy_curve,
    area_under_curve,
    best_accuracy,
    final_accuracy,
    rollouts_to_reach,
)
from cobasim.scores.gradient_norm import late_gradient_norm
from cobasim.scores.intervals import LEVEL, Interval, mean_interval, share_interval, t_factor
from cobasim.scores.oracles import ORACLE_PREFIX, is_oracle
from cobasim.scores.ranks import critical_difference, friedman, mean_ranks
from cobasim.scores.run_scores import RunScores, known_share, summarise
from cobasim.scores.significance import as_p_values, false_discovery, holm, paired_p_value
from cobasim.scores.sweep_rows import (
    METRICS,
    Rows,
    effects,
    rows_with,
    values_by_parameter,
    with_differences,
)
from cobasim.scores.table import Row, comparison_table
from cobasim.scores.transitions import transition_counts, transition_shares
from cobasim.scores.verdicts import verdict, winner
from cobasim.scores.wall_time import WallTime, wall_time_curve

__all__ = [
    "LEVEL",
    "METRICS",
    "ORACLE_PREFIX",
    "Interval",
    "Row",
    "Rows",
    "RunScores",
    "WallTime",
    "accuracy_curve",
    "area_under_curve",
    "as_p_values",
    "best_accuracy",
    "comparison_table",
    "critical_difference",
    "effects",
    "false_discovery",
    "final_accuracy",
    "friedman",
    "holm",
    "is_oracle",
    "known_share",
    "late_gradient_norm",
    "mean_interval",
    "mean_ranks",
    "paired_p_value",
    "rollouts_to_reach",
    "rows_with",
    "share_interval",
    "summarise",
    "t_factor",
    "transition_counts",
    "transition_shares",
    "values_by_parameter",
    "verdict",
    "wall_time_curve",
    "winner",
    "with_differences",
]
