"""What a policy's gradients are made of, measured on the model itself.

In: a learner (model, task, engine). Out: one file of numbers from which cobasim's measured world
learns as the policy would, and the parts of a group's gradient. Changes neither model nor run.
"""

from cobatrain.gradients.decision import Decision, decide
from cobatrain.gradients.ledger import Ledger
from cobatrain.gradients.measuring import Measurement, identity, measure_gradients
from cobatrain.gradients.options import GradientOptions, Method
from cobatrain.gradients.planning import Cost, gradient_memory, plan_cost, sketch_memory
from cobatrain.sketch import CountSketch

__all__ = [
    "Cost",
    "CountSketch",
    "Decision",
    "GradientOptions",
    "Ledger",
    "Measurement",
    "Method",
    "decide",
    "gradient_memory",
    "identity",
    "measure_gradients",
    "plan_cost",
    "sketch_memory",
]
