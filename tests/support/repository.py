"""Where the repository's files are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
MEASURED = EXAMPLES / "pass_rates_tiny_lm.csv"
