"""The CoBA-RL paper's tables and figures, and the same questions put to the simulation.

In: a preset and a folder. Out: reproduction.json (numbers) and reproduction.html (the report).
It runs sweeps (``cobasim.runs``); nothing imports it but the command line.
"""

from cobasim.experiments.reproduction.plan import PRESETS, Preset, find_preset, sweep_of
from cobasim.experiments.reproduction.reproduction import NUMBERS, REPORT, reproduce

__all__ = [
    "NUMBERS",
    "PRESETS",
    "REPORT",
    "Preset",
    "find_preset",
    "reproduce",
    "sweep_of",
]
