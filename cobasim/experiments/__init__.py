"""Questions put to many runs: each experiment is a folder with its plan, analysis and page.

In: settings of a plan. Out: numbers as JSON, and one self-contained page. Claiming a folder,
running what is missing, and writing are the same for all of them (``frame``).
"""

from cobasim.experiments.frame import Page, claim_parts, num_runs, paragraphs, run_parts, store

__all__ = ["Page", "claim_parts", "num_runs", "paragraphs", "run_parts", "store"]
