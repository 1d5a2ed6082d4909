"""Many runs, paired by seed: who does better than whom, under both weightings of the loss."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cobasim.allocation import find_allocator
from cobasim.errors import InputError
from cobasim.files import writing
from cobasim.gradients import DOUBT, read_measured_files
from cobasim.records import Run, read_run
from cobasim.runs.compare_config import BASELINE, CompareConfig, plan
from cobasim.runs.config import ORACLE, RunConfig
from cobasim.runs.execution import execute, measured_pool, run_directory
from cobasim.runs.folder import claim_folder, write_numbers
from cobasim.runs.parallel import in_parallel
from cobasim.world import MEASURED

if TYPE_CHECKING:
    from cobasim.scores import Row

REPORT, NUMBERS = "report.html", "comparison.json"


def run_all(
    config: CompareConfig,
    out: Path,
    *,
    jobs: int | None = None,
    on_finished: Callable[[], None] = lambda: None,
) -> list[Run]:
    """Run what is missing of a comparison below ``out``; all of it, in the order of the plan.

    Args:
        config: what to compare.
        out: a folder that is claimed for this comparison, empty, or not there yet.
        jobs: processes at a time; None: one per processor that this process may use. The
            numbers do not depend on it.
        on_finished: called for each run once it is finished, for a progress bar.

    A run that was interrupted starts again from its first step: a simulated policy is not stored.

    Raises InputError if another process is writing to the folder.
    """
    pool = measured_pool(config.pass_rates, config.reading)
    configs = list(plan(config))
    out.mkdir(parents=True, exist_ok=True)
    with writing(out):
        missing = []
        for run in configs:
            if _is_finished(run, out):
                on_finished()
            else:
                shutil.rmtree(run_directory(out, run), ignore_errors=True)
                missing.append((run, out, pool))
        for _ in in_parallel(execute, missing, jobs=jobs):
            on_finished()
    return [read_run(run_directory(out, run)) for run in configs]


def claim_comparison(config: CompareConfig, out: Path) -> None:
    """Make the folder of a comparison, or check that it is this one's, to resume there.

    Raises InputError if it holds another comparison, or anything else.
    """
    claim_folder(out, config.model_dump_json(indent=1) + "\n", kind="comparison")


def _is_finished(config: RunConfig, out: Path) -> bool:
    """Whether a run was recorded to its end; one whose records cannot be read was not."""
    try:
        steps = read_run(run_directory(out, config)).steps
    except (InputError, OSError):
        return False
    last = steps[-1] if steps else None
    return last is not None and config.loop.finished(last.step, last.rollouts, last.tokens)


@dataclass(frozen=True)
class Comparison:
    """The outcome of a comparison: rows of the table, verdicts, and what made them."""

    config: CompareConfig
    runs: list[Run]
    rows: list[Row]
    verdicts: dict[str, str]

    @property
    def statements(self) -> list[str]:
        """What a reader must know: the verdict of each weighting, and how estimates were made."""
        lines = [f"Loss weighted per {name}: {text}" for name, text in self.verdicts.items()]
        rules = {run.header.allocator: run.header.estimator for run in self.runs}
        usual = max(rules.values(), key=list(rules.values()).count)
        others = [f"{name} ({rule})" for name, rule in rules.items() if rule != usual]
        free = [name for name in rules if not find_allocator(name.removeprefix(ORACLE)).exact]
        equal = "Equal rollouts in every step"
        if self.config.loop.token_budget is not None:
            equal = "Equal response tokens in every run, up to its last step"
        elif free:
            equal = (
                "Equal rollouts in every run, up to its last step; steps of "
                f"{', '.join(free)} differ in cost"
            )
        lines.append(
            f"Pass rates as estimated by rule {usual!r}"
            + (f", except {', '.join(others)}" if others else "")
            + f". {equal}; evaluation on true pass rates, never seen by an "
            "allocator."
        )
        if self.config.loop.first_beliefs == "measured":
            lines.append(
                "Beliefs start from as many attempts as the file has, their outcomes drawn anew; "
                "those rollouts are not counted."
            )
        files = self.config.world.world.partition(MEASURED)[2]
        if files and read_measured_files(files)[0].from_rollouts:
            lines.append(DOUBT)
        return lines

    def to_json(self) -> dict[str, Any]:
        """Plain values for machines: the same numbers as the table."""
        return {
            "config": self.config.model_dump(mode="json"),
            "rows": [asdict(row) for row in self.rows],
            "verdicts": self.verdicts,
        }


def score(config: CompareConfig, runs: list[Run]) -> Comparison:
    """The table and the verdicts of finished runs; without uniform there are no differences."""
    from cobasim.scores import comparison_table, verdict

    rows = comparison_table(runs, BASELINE)
    epoch = None if config.loop.mix else config.world.num_prompts // config.loop.batch_size
    return Comparison(config, runs, rows, verdict(rows, epoch))


def store_comparison(result: Comparison, out: Path, *, command: str) -> list[Path]:
    """Write the self-contained report (HTML) and the numbers (JSON) below ``out``; their paths."""
    from cobasim.report import write_report

    config = result.config
    worlds = config.world.model_dump(mode="json", exclude={"weighting"})
    settings = worlds | config.loop.model_dump(mode="json") | config.parameters
    if config.pass_rates is not None:
        settings["pass_rates"] = config.pass_rates
        settings |= config.reading.model_dump(mode="json", exclude_defaults=True)
    with writing(out):
        write_numbers(out / NUMBERS, result.to_json(), command=command)
        write_report(
            out / REPORT,
            result.runs,
            result.rows,
            title=f"Rollout-budget allocators in the {config.world.world} world",
            settings=settings,
            verdicts=result.verdicts,
            command=command,
        )
    return [out / REPORT, out / NUMBERS]
