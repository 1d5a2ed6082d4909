"""The CoBA-RL paper's tables and figures beside the simulation's."""
