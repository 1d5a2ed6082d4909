"""Small simulated runs: their config, their records."""

from __future__ import annotations

from cobasim.allocation import make_allocator
from cobasim.loop import LoopConfig, run
from cobasim.records import StepRecord
from cobasim.runs import RunConfig, build_loop
from cobasim.world import WorldConfig

LOOP = {"steps": 12, "batch_size": 32, "total_budget": 512, "eval_every": 4}
WORLD = {"num_prompts": 100, "num_heldout": 80}
EPISODE = {  # of the Gymnasium environment
    "loop": {"steps": 6, "batch_size": 16, "total_budget": 256},
    "world": {"num_prompts": 64, "num_heldout": 64},
}


def config(allocator: str = "coba", world: str = "logistic", seed: int = 0, **more) -> RunConfig:
    """A run of 12 steps over 100 prompts; ``more``: settings of the loop or of the world."""
    loop = {name: value for name, value in more.items() if name in LoopConfig.model_fields}
    own = {name: value for name, value in more.items() if name not in loop}
    return RunConfig(
        allocator=allocator,
        seed=seed,
        loop=LoopConfig(**(LOOP | loop)),
        world=WorldConfig(world=world, **(WORLD | own)),
    )


def records_of(config: RunConfig) -> list[StepRecord]:
    return run(build_loop(config), make_allocator(config.base_allocator, **config.parameters))


def plain(record: StepRecord) -> dict[str, object]:
    """A record without its timing."""
    values = dict(vars(record))
    values.pop("allocate_ms")
    return values
