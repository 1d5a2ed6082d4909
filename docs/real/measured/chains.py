"""Another task for the tiny model: sums and differences of several numbers, from reasoning-gym.

    python docs/real/measured/chains.py FOLDER

writes FOLDER/train.jsonl (2,048 prompts), heldout.jsonl (500) and the warmed-up model FOLDER/model.
The questions are those of the generator ``chain_sum`` (seed 0), 2 to 5 numbers of one digit, in the
characters that the model has: `... problem: 3 - 6 + 7 =` becomes `3-6+7=`. Repeated ones are left
out. No question is in two of the sets that are held out, trained on, and warmed up with.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import reasoning_gym

from cobatrain.tiny import WarmUp, build_tiny, save, warm_up

HELDOUT, TRAIN, PROBE, WARM = 500, 2048, 256, 40_000


def problems(number: int) -> list[dict[str, str]]:
    """So many different problems: text, answer, and as level the numbers and their digits."""
    found: dict[str, dict[str, str]] = {}
    entries = reasoning_gym.create_dataset(
        "chain_sum", size=4 * number, seed=0, min_terms=2, max_terms=5, min_digits=1, max_digits=1
    )
    for entry in entries:
        about = entry["metadata"]
        text = about["expression"].replace(" ", "") + "="
        level = f"{about['num_terms']} numbers"
        found.setdefault(text, {"problem": text, "answer": entry["answer"], "level": level})
        if len(found) == number:
            return list(found.values())
    raise SystemExit(f"only {len(found)} different problems of {number}")


def main(folder: Path) -> None:
    """Write the files and the model."""
    rows = problems(HELDOUT + TRAIN + PROBE + WARM)
    folder.mkdir(parents=True, exist_ok=True)
    for name, start, stop in (("heldout", 0, HELDOUT), ("train", HELDOUT, HELDOUT + TRAIN)):
        lines = [json.dumps(row) + "\n" for row in rows[start:stop]]
        (folder / f"{name}.jsonl").write_text("".join(lines))
    pairs = [(row["problem"], row["answer"]) for row in rows[HELDOUT + TRAIN :]]
    model, tokenizer = build_tiny(folder / "model", seed=0)
    settings = WarmUp(target_pass_rate=0.35, seed=0)
    measured = warm_up(model, tokenizer, pairs[PROBE:], pairs[:PROBE], settings)
    save(folder / "model", model, tokenizer)
    print(f"pass rate {measured[-1].pass_rate:.2f} after {measured[-1].step} supervised steps")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
