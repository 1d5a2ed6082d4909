"""Another task for the tiny model: the next number of a sequence, from reasoning-gym.

    python docs/real/measured/sequences.py FOLDER

writes FOLDER/train.jsonl (2,048 prompts), heldout.jsonl (500) and the warmed-up model FOLDER/model.
The questions are those of the generator ``number_sequence`` (seed 0), written with the characters
that the model has: `3, 14, 36, 80, ?` becomes `3*14*36*80=`. Sequences that are longer than 24
characters, or whose answer is longer than 5, are left out, as are repeated ones. No sequence is in
two of the three sets held out, trained on, and used for the supervised warm-up.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import reasoning_gym

from cobatrain.tiny import WarmUp, build_tiny, save, warm_up

HELDOUT, TRAIN, PROBE, WARM = 500, 2048, 256, 12_000
LONGEST, LONGEST_ANSWER = 24, 5


def problems(number: int) -> list[dict[str, str]]:
    """So many different problems: text, answer, and as level the first operation of its rule."""
    found: dict[str, dict[str, str]] = {}
    entries = reasoning_gym.create_dataset(
        "number_sequence", size=20 * number, seed=0, min_terms=4, max_terms=7, max_complexity=2
    )
    for entry in entries:
        text = entry["question"].removesuffix(", ?").replace(", ", "*") + "="
        answer = entry["answer"]
        if len(text) <= LONGEST and len(answer) <= LONGEST_ANSWER and text not in found:
            first = entry["metadata"]["rule"].split(" then ")[0]
            level = " ".join(word for word in first.split() if word.isalpha())
            found[text] = {"problem": text, "answer": answer, "level": level}
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
