"""The language model as a learner of the loop."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.loop import Loop
from cobatrain.engines import make_engine
from cobatrain.learner import LanguageModelLearner, load_policy
from cobatrain.tasks import make_task


def test_the_learner_equals_the_loops_contract(config):
    """Budgets decide how many rollouts; passes are counted per prompt; seeds per prompt."""
    chosen = config()
    policy, tokenizer = load_policy(chosen)
    task = make_task(chosen.task, chosen.task_seed)
    with make_engine(chosen.engine, chosen.model.path) as engine:
        learner = LanguageModelLearner(policy, tokenizer, engine, task, chosen)
        prompts, budgets = np.array([5, 0, 9]), np.array([6, 2, 11])
        passes = learner.rollout(prompts, budgets)
        assert ((passes >= 0) & (passes <= budgets)).all()
        groups = np.bincount(learner.pending.batch.group, minlength=10)
        assert groups[[5, 0, 9]].tolist() == [6, 2, 11]
        alone = learner.rollout(np.array([9]), np.array([11]))
        assert alone[0] == passes[2]  # does not depend on the rest of the batch
        rows = learner.pending.batch.responses
        parts = learner.rollout(np.array([9]), np.array([4]))
        parts = parts + learner.rollout_more(np.array([9]), np.array([7]))
        assert parts[0] == passes[2]  # a group made in rounds is the group of one round
        assert [list(row) for row in learner.pending.batch.responses] == [list(row) for row in rows]
        assert isinstance(Loop(learner, chosen.loop, seed=0), Loop)
