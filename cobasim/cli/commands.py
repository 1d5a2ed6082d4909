"""The ``cobasim`` command, in the order of its help.

cobasim advise       would uneven budgets help your own run?
cobasim compare      compare allocators in the synthetic world (the main job)
cobasim sweep        compare at many settings, resumable, one table
cobasim sensitivity  which settings matter: Morris, Sobol
cobasim calibrate    fit the worlds to real runs, and predict others
cobasim ring         every allocator in many conditions, ranked
cobasim reproduce    the CoBA-RL paper's tables and figures, next to the simulation's
cobasim study        questions that the CoBA paper leaves open
cobasim import       logs of other trainers as run directories
cobasim allocate     budgets for a file of pass rates
cobasim allocators   all allocators, with their parameters
cobasim learn        train an allocator by reinforcement learning
cobasim benchmark    what allocation costs
cobasim explore      the what-if app in the browser
"""

from __future__ import annotations

import typer

from cobasim.cli.advise import advise
from cobasim.cli.allocate import allocate
from cobasim.cli.allocators import allocators
from cobasim.cli.benchmark import benchmark
from cobasim.cli.calibrate import calibrate
from cobasim.cli.common import run_app
from cobasim.cli.compare import compare
from cobasim.cli.explore import explore
from cobasim.cli.import_logs import import_logs
from cobasim.cli.learn import learn
from cobasim.cli.options import grouped
from cobasim.cli.reproduce import reproduce
from cobasim.cli.ring import ring
from cobasim.cli.sensitivity import sensitivity
from cobasim.cli.study import study
from cobasim.cli.sweep import sweep

app = typer.Typer(
    name="cobasim",
    help="Study, compare and use rollout-budget allocators for RL with verifiable rewards.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

for command in (
    advise, compare, sweep, sensitivity, calibrate, ring, reproduce, study, import_logs,
    allocate, allocators, learn, benchmark, explore,
):  # fmt: skip
    app.command("import" if command is import_logs else None)(grouped(command))


def main() -> None:
    """Entry point: an expected failure prints one line and exits with a code that is not 0."""
    run_app(app, kept="nothing was written")
