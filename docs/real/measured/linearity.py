"""How far a real run stays linear: in the logit of a pass rate, and in the log-odds of its tokens.

    python docs/real/measured/linearity.py RUN

RUN is a run of cobatrain with checkpoints, of an exact-match task. With delta the *true* change of
all parameters since the start, three changes of the held-out logits are compared: the true one;
that of a model whose logit of p is linear in delta; that of a model whose token logits are, with
the softmax left whole. Derivatives along delta by central differences in float64.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from cobatrain import trainer
from cobatrain.config import load_config
from cobatrain.exact import ExactAnswers
from cobatrain.parallel import checkpoints, load_checkpoint

SMALL = 0.02  # of the change, for derivatives


class HeldOut:
    """Token logits of the held-out answers, and the logits of their pass rates."""

    def __init__(self, model: torch.nn.Module, answers: ExactAnswers, temperature: float) -> None:
        rows = [[*p, *r] for p, r in zip(answers.prompts, answers.responses, strict=True)]
        width = max(map(len, rows))
        self.model, self.temperature, self.owner = model, temperature, answers.owner
        self.tokens = torch.zeros(len(rows), width, dtype=torch.long)
        self.there = torch.zeros(len(rows), width, dtype=torch.long)
        self.answer = torch.zeros(len(rows), width - 1, dtype=torch.bool)
        for i, (row, prompt) in enumerate(zip(rows, answers.prompts, strict=True)):
            self.tokens[i, : len(row)] = torch.tensor(row)
            self.there[i, : len(row)] = 1
            self.answer[i, len(prompt) - 1 : len(row) - 1] = True

    @torch.no_grad()
    def at(self, weights: list[torch.Tensor]) -> torch.Tensor:
        """Token logits with these parameters."""
        for parameter, value in zip(self.model.parameters(), weights, strict=True):
            parameter.copy_(value)
        found = self.model(input_ids=self.tokens, attention_mask=self.there).logits[:, :-1]
        return found / self.temperature

    def logits(self, token_logits: torch.Tensor) -> np.ndarray:
        """Logits of the pass rates."""
        chosen = token_logits.log_softmax(-1).gather(-1, self.tokens[:, 1:, None])[..., 0]
        log_rate = np.full(self.owner.max() + 1, -np.inf)
        each = torch.where(self.answer, chosen, 0.0).sum(1).numpy()
        np.logaddexp.at(log_rate, self.owner, each)
        log_rate = np.minimum(log_rate, -1e-12)
        return log_rate - np.log(-np.expm1(log_rate))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    config = load_config(run)
    with trainer.open_learner(config) as (learner, _):
        prompts = [p for _, held in sorted(learner.task.heldout.items()) for p in held]
        answers = learner.exact_answers(prompts)
        model = learner.model.eval()
        start = [p.detach().double().clone() for p in model.parameters()]
        ends = []
        for checkpoint in checkpoints(run):
            load_checkpoint(checkpoint, model)
            ends.append([p.detach().double().clone() for p in model.parameters()])
        held = HeldOut(model.double(), answers, config.sampling.temperature)
        first = held.at(start)
        at_start = held.logits(first)

        def moved(end: list[torch.Tensor], share: float) -> torch.Tensor:
            return held.at([a + share * (b - a) for a, b in zip(start, end, strict=True)])

        print("step   accuracy: true, linear in logit, in tokens   slope       correlation")
        for checkpoint, end in zip(checkpoints(run), ends, strict=True):
            true = held.logits(held.at(end)) - at_start
            up, down = moved(end, SMALL), moved(end, -SMALL)
            logit = (held.logits(up) - held.logits(down)) / (2 * SMALL)
            tokens = held.logits(first + (up - down) / (2 * SMALL)) - at_start
            rates = [
                float((1 / (1 + np.exp(-(at_start + x)))).mean()) for x in (true, logit, tokens)
            ]
            slopes = [float(x @ true / (x @ x)) for x in (logit, tokens)]
            correlations = [float(np.corrcoef(x, true)[0, 1]) for x in (logit, tokens)]
            step = int(checkpoint.name.removeprefix("step-"))
            print(
                f"{step:4d}   " + " ".join(f"{100 * rate:6.1f}" for rate in rates) + " " * 16
                + " ".join(f"{slope:5.2f}" for slope in slopes) + "    "
                + " ".join(f"{value:5.2f}" for value in correlations)
            )  # fmt: skip


if __name__ == "__main__":
    main()
