"""A small simulation as it is chosen in the app."""

from cobasim.explorer import SimulationChoice

CHOICE = SimulationChoice(
    allocators=("uniform", "oracle-coba"),
    weighting="both",
    seeds=2,
    options={
        "steps": 3, "world": "skill-chain", "batch_size": 16, "total_budget": 200, "low": 1,
        "high": 40,
    },
    settings={
        "num_prompts": 64, "population": "hard", "transfer": 0.25, "learning_rate": 0.003,
        "kappa": 15.0,
    },
)  # fmt: skip
