"""What a config needs of GPUs, before any is there: memory by moment, time, the first change.

In: a config, the shape of its model (config.json, no weights), a machine. Out: bytes, seconds, a
yes or no. Starts nothing; formulas and assumptions are in docs/plan.md.
"""

from cobatrain.planning.advice import Advice, advice_line, advise
from cobatrain.planning.engine_memory import EngineMemory, engine_memory
from cobatrain.planning.hardware import GIB, Hardware
from cobatrain.planning.plan import Plan, make_plan
from cobatrain.planning.refusal import check_engine, check_room, refuse_hopeless
from cobatrain.planning.shape import ModelShape, model_shape, shape_of
from cobatrain.planning.timing import Lengths, StepTime
from cobatrain.planning.update_memory import (
    PARTS,
    Moment,
    activation_bytes,
    certain_bytes,
    longest_micro_batch,
    planned_update_bytes,
    resident,
    update_moments,
)

__all__ = [
    "GIB",
    "PARTS",
    "Advice",
    "EngineMemory",
    "Hardware",
    "Lengths",
    "ModelShape",
    "Moment",
    "Plan",
    "StepTime",
    "activation_bytes",
    "advice_line",
    "advise",
    "certain_bytes",
    "check_engine",
    "check_room",
    "engine_memory",
    "longest_micro_batch",
    "make_plan",
    "model_shape",
    "planned_update_bytes",
    "refuse_hopeless",
    "resident",
    "shape_of",
    "update_moments",
]
