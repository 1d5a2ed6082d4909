"""The application and its entry point."""

from __future__ import annotations

import os
import sys

from cobasim.cli import grouped, new_app, run_app
from cobatrain.cli import (
    benchmark,
    compare,
    evaluate,
    export,
    gradients,
    measure,
    plan,
    predict,
    prepare,
    train,
)

app = new_app("cobatrain", "Train a language model with its own rollout budget for every prompt.")
for command in (
    prepare.prepare,
    plan.plan,
    train.train,
    train.resume,
    export.export,
    evaluate.evaluate,
    measure.measure,
    gradients.gradients,
    predict.predict,
    compare.compare,
    benchmark.benchmark,
):
    app.command()(grouped(command))


def main() -> None:
    """Entry point: an expected failure prints one line and exits with a code that is not 0."""
    # before torch is imported: threads that spin while they wait starve a second process
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not sys.stderr.isatty():  # as our own bars: read when transformers is imported
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    run_app(app, expected=_expected)


def _expected() -> tuple[type[Exception], ...]:
    """Failures of a run that are reported in one line; their classes need torch."""
    from cobatrain.comparison import RunFailed
    from cobatrain.engines import EngineError
    from cobatrain.learner import SyncError
    from cobatrain.parallel import CheckpointError
    from cobatrain.tasks import RewardError
    from cobatrain.update import NonFiniteError

    failures = (EngineError, SyncError, RewardError, NonFiniteError, FloatingPointError)
    return *failures, CheckpointError, RunFailed
