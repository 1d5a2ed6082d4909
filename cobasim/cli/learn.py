"""``cobasim learn``: an allocator trained by reinforcement learning."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from cobasim.cli.common import check_new_file, command_text, interruptible, progress_bar
from cobasim.cli.options import BatchOption, RunOptions, StepsOption
from cobasim.cli.output import say


@dataclass(frozen=True)
class SmallRunOptions(RunOptions):
    """The same for the small runs of training, with defaults of their own."""

    steps: StepsOption = 60
    batch_size: BatchOption = 64
    total_budget: Annotated[int, typer.Option(help="Rollouts in a step.")] = 1024
    low: Annotated[int, typer.Option(help="Min rollouts per prompt.")] = 2
    high: Annotated[int, typer.Option(help="Max rollouts per prompt.")] = 128


def learn(
    out: Annotated[str, typer.Option(help="New file, used as learned:FILE.")],
    run: SmallRunOptions,
    timesteps: Annotated[int, typer.Option(min=1, help="Steps of the environment.")] = 80_000,
    weighting: Annotated[
        Literal["rollout", "prompt"],
        typer.Option(help="What counts equally in the loss."),
    ] = "rollout",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the network and of PPO.")] = 0,
) -> None:
    """Train an allocator by PPO in small simulated runs; needs the extra learn."""
    from cobasim.gym import cheap_config, train
    from cobasim.records import write_atomically
    from cobasim.scores import mean_interval

    file = Path(out)
    check_new_file(file)
    config = cheap_config(run.plain(), weighting=weighting, **run.chosen())
    with interruptible("nothing was written"), progress_bar("steps") as progress:
        bar = progress.add_task("training", total=timesteps)

        def show(done: int, reward: float | None) -> None:
            text = "training" if reward is None else f"{reward:+.2f} points above uniform"
            progress.update(bar, completed=min(done, timesteps), description=text)

        trained = train(
            config, timesteps=timesteps, seed=seed, command=command_text(), on_progress=show
        )
    write_atomically(file, trained.network.to_json())
    for when, values in (("before", trained.before), ("after", trained.after)):
        interval = mean_interval(values)
        assert interval.low is not None
        print(
            f"{when:6} training: {interval.mean:+.2f} points above uniform (95 % interval "
            f"{interval.low:+.2f} to {interval.high:+.2f}), {values.size} seeds not trained on"
        )
    say(f"written to {file}; use it as learned:{file}", wrap=False)
