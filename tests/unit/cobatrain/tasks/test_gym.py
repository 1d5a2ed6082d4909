"""Tasks of reasoning-gym: disjoint, distinct, deterministic."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optional import needs_gym

from cobasim.errors import InputError
from cobatrain.tasks import levels_of, make_task
from cobatrain.tasks.prompts import text_key


@needs_gym
@settings(deadline=None, max_examples=10)
@given(st.integers(0, 10**6), st.integers(1, 40), st.integers(1, 20))
def test_gym_is_disjoint_distinct_and_deterministic(seed, train, heldout):
    one_digit = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    config = {
        "kind": "reasoning-gym",
        "sources": [
            {"name": "basic_arithmetic", "config": one_digit, "level": "easy", "share": 3},
            {"name": "leg_counting"},
        ],
        "train_size": train,
        "heldout_size": heldout,
    }
    task, again = make_task(config, seed), make_task(config, seed)
    texts = [text_key(p.text) for p in (*task.train, *task.heldout["reasoning-gym"])]
    assert len(set(texts)) == len(texts) == train + heldout
    assert task.fingerprint() == again.fingerprint()
    assert set(levels_of(task.train)) <= {"easy", "leg_counting"}


@needs_gym
def test_neighbouring_seeds_of_a_generator_share_items_but_tasks_do_not():
    import reasoning_gym

    def questions(seed):
        return {e["question"] for e in reasoning_gym.create_dataset("sudoku", seed=seed, size=5)}

    assert len(questions(1) & questions(2)) == 4  # the trap that the task avoids
    config = {"kind": "reasoning-gym", "sources": [{"name": "sudoku"}], "train_size": 4}
    tasks = [make_task({**config, "heldout_size": 4}, seed) for seed in (1, 2)]
    texts = [{p.text for p in (*t.train, *t.heldout["reasoning-gym"])} for t in tasks]
    assert texts[0].isdisjoint(texts[1])


@needs_gym
@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"name": "leg_countin"}, "did you mean 'leg_counting'"),
        ({"name": "leg_counting", "config": {"no_such": 1}}, "refuses its config"),
        ({"name": "leg_counting", "config": {"seed": 1}}, "leave them out"),
        (
            {"name": "coin_flip", "config": {"min_trials": 3, "max_trials": 3}},
            "distinct questions in",
        ),
    ],
)
def test_bad_gym_sources_are_named(source, words):
    with pytest.raises(InputError, match=words):
        make_task({"kind": "reasoning-gym", "sources": [source], "train_size": 4000}, 0)
