"""Lengths of a language model's responses: believed as the simulator's are."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from small_runs import plain

from cobasim.allocation import NEEDS, make_allocator, served_by
from cobasim.loop import Loop, LoopConfig
from cobasim.world import LogisticPolicy, WorldConfig
from cobatrain.config import SERVED, load_config
from cobatrain.engines import Rollouts
from cobatrain.learner import LanguageModelLearner, Sampler
from cobatrain.learner.pending import Pending
from cobatrain.parallel import Single
from cobatrain.tasks import Prompt, Task

POOL = 24
LENGTHS = 1 + (np.arange(POOL) * 7) % 10  # of the responses to each prompt


def passes(prompt: int, rollouts: range) -> list[bool]:
    """Which rollouts of a prompt pass: the same for both learners."""
    return [(j + prompt) % (prompt % 3 + 2) == 0 for j in rollouts]


class Engine:
    """Response j to prompt i has LENGTHS[i] tokens, and the first says whether it passes."""

    def __init__(self, lengths):
        self.lengths = lengths

    def generate(self, prompt_tokens, budgets, seeds, sampling, first):
        tokens = [
            [int(flag), *[0] * (self.lengths[i] - 1)]
            for (i,), n, begin in zip(prompt_tokens, budgets, first, strict=True)
            for flag in passes(i, range(begin, begin + n))
        ]
        return Rollouts(
            prompt=np.repeat(np.arange(len(budgets)), budgets),
            tokens=tokens,
            log_probs=[[0.0] * len(row) for row in tokens],
            finished=np.ones(len(tokens), dtype=bool),
            prompt_tokens=prompt_tokens,
        )


class Tokenizer:
    def decode(self, row, skip_special_tokens):
        return str(row[0])


class Model(LanguageModelLearner):
    """The learner of the trainer, but for the model and its update."""

    def __init__(self, lengths):
        prompts = [Prompt(str(i), "1", "l", "s") for i in range(POOL)]
        self.task = Task("t", prompts, {}, lambda _, text: float(text))
        tokens = {str(i): [i] for i in range(POOL)}
        self.num_prompts, self.step, self.on_samples = POOL, 0, None
        self.config, self.pending, self.weighting = load_config("tiny"), Pending(), "rollout"
        self._sampler = Sampler(Engine(lengths), Tokenizer(), self.task, tokens, 0, Single())

    def update(self):
        self.step += 1
        return {}

    def evaluate(self):
        return {"heldout": 0.5}

    def evaluated_pass_rates(self):
        return None

    def state_dict(self):
        return {"step": self.step}

    def load_state_dict(self, state):
        self.step = state["step"]


class Simulated(LogisticPolicy):
    """A simulated policy with these lengths and these outcomes."""

    def __init__(self):
        super().__init__(WorldConfig(num_prompts=POOL, num_heldout=8, length_spread=1.0), 0)
        self.lengths = LENGTHS

    def rollout(self, prompts, budgets):
        super().rollout(prompts, budgets)
        pairs = zip(prompts, budgets, strict=True)
        self._pending.passes = np.array([sum(passes(int(i), range(n))) for i, n in pairs])
        return self._pending.passes

    def evaluate(self):
        return {"heldout": 0.5}


def loop_of(learner, **settings) -> Loop:
    config = LoopConfig(steps=9, batch_size=8, total_budget=64, **settings)
    return Loop(learner, config, seed=0, estimator="posterior")


def records(loop, name="duet", steps=9):
    return [loop.advance(make_allocator(name)) for _ in range(steps)]


@pytest.mark.parametrize("settings", [{}, {"token_budget": 300.0}])
def test_the_same_responses_are_seen_recorded_and_paid_for_as_in_the_simulator(settings):
    allocator = make_allocator("duet")
    real, simulated = loop_of(Model(LENGTHS), **settings), loop_of(Simulated(), **settings)
    for step in range(9):
        seen = [loop.observe(allocator).lengths for loop in (real, simulated)]
        np.testing.assert_array_equal(*seen)
        assert (seen[0] is None) == (step == 0)
        one, other = (plain(loop.advance(allocator)) for loop in (real, simulated))
        one.pop("learner"), other.pop("learner")
        assert one == other
    shares = {n for n in range(POOL) if real.lengths.own(np.array([n]))[0] == LENGTHS[n]}
    assert len(shares) == POOL


def test_a_resumed_run_equals_an_uninterrupted_one():
    settings = {"token_budget": 300.0}
    whole = records(loop_of(Model(LENGTHS), **settings))
    first, second = (loop_of(Model(LENGTHS), **settings) for _ in range(2))
    head = records(first, steps=4)
    second.load_state_dict(first.state_dict())
    assert [plain(r) for r in head + records(second, steps=5)] == [plain(r) for r in whole]


def test_with_equal_lengths_duet_is_neyman_and_tokens_are_rollouts():
    even = np.full(POOL, 7)
    neyman = [plain(r) for r in records(loop_of(Model(even)), "neyman")]
    assert [plain(r) for r in records(loop_of(Model(even)))] == neyman
    assert [plain(r) for r in records(loop_of(Model(even), token_budget=64.0 * 7))] == neyman


def test_tokens_of_rounds_add_up():
    learner, prompts = Model(LENGTHS), np.array([3, 11])
    learner.rollout(prompts, np.array([2, 5]))
    learner.rollout_more(prompts[1:], np.array([4]))
    np.testing.assert_array_equal(learner.response_tokens(prompts), [2, 9] * LENGTHS[prompts])
    assert learner.response_tokens(np.array([0])) == 0


def test_the_config_accepts_what_the_learner_serves():
    assert load_config("tiny", allocator="duet").allocator == "duet"
    by_method = {name for name, need in NEEDS.items() if need.method is not None}
    assert SERVED & by_method == served_by(LanguageModelLearner) & by_method
