"""Prompts that a run cannot use: all are counted; an error, or left out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers", reason="transformers is not installed")

from cobasim.errors import InputError
from cobatrain.config import load_config
from cobatrain.learner import fitting_prompts, prompt_tokens
from cobatrain.tasks import DataSet, Prompt, Task
from cobatrain.tasks.verify import ExactMatch
from cobatrain.tiny import tiny_tokenizer


class Letters:
    """A tokenizer with a token a letter."""

    chat_template = None

    def __call__(self, text, add_special_tokens):
        return {"input_ids": [ord(character) for character in text]}


class Choosy(Letters):
    """Its template refuses texts with an exclamation mark."""

    chat_template = "{{ messages }}"

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        if "!" in conversation[-1]["content"]:
            raise ValueError("no\nshouting")
        return conversation[-1]["content"]


def config():
    return load_config("tiny", ["engine.max_model_len=30", "sampling.max_tokens=10"])


def made(train: list[int], heldout: list[int], overlong: str) -> Task:
    def prompts(lengths: list[int], letter: str) -> tuple[Prompt, ...]:
        texts = [f"{letter}{i}" + "x" * (n - len(f"{letter}{i}")) for i, n in enumerate(lengths)]
        return tuple(Prompt(text, "1", "l", f"line {i + 1}") for i, text in enumerate(texts))

    accounts = [
        DataSet(name, "file", "a -> b", rows=len(lengths), used=len(lengths))
        for name, lengths in (("train", train), ("test", heldout))
    ]
    task = Task("t", prompts(train, "a"), {"test": prompts(heldout, "b")}, ExactMatch())
    return Task(**{**vars(task), "overlong": overlong, "data_sets": tuple(accounts)})


def test_all_offenders_are_counted_and_five_are_named():
    task = made([20, 21, *[25] * 6], [20, 30], "error")
    for act in (fitting_prompts, prompt_tokens):
        with pytest.raises(InputError) as caught:
            act(task, Letters(), config())
        message = str(caught.value)
        assert message.startswith("8 of 10 prompts leave no room for a completion")
        assert "between 1 and 20 tokens" in message
        assert message.count(" tokens\n") == 5
        assert message.endswith("and 3 more")


def test_they_are_left_out_and_counted():
    task, tokens = fitting_prompts(made([20, 21, 25, 5], [20, 30], "skip"), Letters(), config())
    assert [len(prompt.text) for prompt in task.train] == [20, 5]
    assert [len(prompt.text) for prompt in task.heldout["test"]] == [20]
    assert sorted(map(len, tokens.values())) == [5, 20, 20]
    assert task.counts["overlong"] == 3
    (left_out,) = task.left_out
    assert str(left_out).startswith(
        "left out 3 prompts (2 of train, 1 of test), reason: leave no room for a completion: 'a1xx"
    )
    assert len(left_out.named) == 3
    assert left_out.named[1].endswith("x' (line 3): 25 tokens")
    train, test = task.data_sets
    assert (train.used, train.dropped) == (2, {"leave no room for a completion": 2})
    assert (test.used, test.dropped) == (1, {"leave no room for a completion": 1})


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.booleans()), min_size=1, max_size=12),
    st.sampled_from(["error", "skip"]),
    st.sampled_from(["error", "skip"]),
)
def test_exactly_those_are_left_out_that_cannot_be_used_always_the_same(prompts, overlong, refused):
    """Half are held out. A prompt that the template refuses is not too long as well."""
    texts = [f"{i}".ljust(n, "x") + "!" * shouts for i, (n, shouts) in enumerate(prompts)]
    made = tuple(Prompt(text, "1", "l", text[:2]) for text in ["train", "held", *texts])
    task = Task("t", made[::2], {"h": made[1::2]}, ExactMatch(), overlong=overlong, refused=refused)
    shouted = {text for text in texts if "!" in text}
    long = {text for text in texts if len(text) > 20} - shouted
    if (shouted and refused == "error") or (long and overlong == "error"):
        with pytest.raises(InputError, match=r"task\.(overlong|refused): skip"):
            fitting_prompts(task, Choosy(), config())
        return
    left, tokens = fitting_prompts(task, Choosy(), config())
    again, same_tokens = fitting_prompts(task, Choosy(), config())
    assert (left.train, left.heldout, left.left_out) == (again.train, again.heldout, again.left_out)
    assert (tokens, left.fingerprint()) == (same_tokens, again.fingerprint())
    bad = shouted | long
    assert [p for p in task.train if p.text not in bad] == list(left.train)
    assert [p for p in task.heldout["h"] if p.text not in bad] == list(left.heldout["h"])
    assert set(tokens) == {prompt.text for prompt in made} - bad
    counted = [sum(one.prompts.values()) for one in left.left_out]
    assert counted == [len(group) for group in (long, shouted) if group]
    assert [len(one.named) for one in left.left_out] == counted


def test_a_refusal_is_one_line_that_counts_all():
    task = Task("t", [Prompt(f"{i}!", "1", "l", "s") for i in range(3)], {}, ExactMatch())
    with pytest.raises(InputError) as caught:
        fitting_prompts(task, Choosy(), config())
    assert str(caught.value) == (
        "the model's chat template refuses 3 of 3 prompts, the first is '0!' (s): no shouting; "
        "correct model.chat_template_kwargs or the data, or leave them out (task.refused: skip)"
    )


def test_a_task_that_fits_is_left_as_it_is():
    task = made([20, 1], [20], "skip")
    assert fitting_prompts(task, Letters(), config())[0] is task


@pytest.mark.parametrize(("train", "heldout"), [([21], [5]), ([5], [21])])
def test_nothing_left_is_an_error(train, heldout):
    with pytest.raises(InputError, match=r"no prompts to train on|is empty"):
        fitting_prompts(made(train, heldout, "skip"), Letters(), config())


def test_prompts_that_differ_in_earlier_turns_have_their_own_tokens():
    turns = [{"turns": (("user", "1"), ("assistant", text))} for text in ("a", "b")]
    train = tuple(Prompt("q", "1", "l", "s", metadata) for metadata in turns)
    task = Task("t", train, {"h": [Prompt("h", "1", "l", "s")]}, ExactMatch())
    tokens = prompt_tokens(task, Letters(), config())
    assert len({tuple(tokens[prompt.shown]) for prompt in train}) == 2


def test_the_configs_variables_reach_a_real_template_and_its_refusal_is_one_line():
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = (
        "{% if sign %}{{ messages[-1]['content'] }}{{ sign }}"
        "{% else %}{{ raise_exception('a sign is missing') }}{% endif %}"
    )
    task = Task("t", [Prompt("1+1", "2", "l", "line 1")], {}, ExactMatch())
    for sign in "=+":
        kwargs = [f'model.chat_template_kwargs={{"sign": "{sign}"}}']
        (tokens,) = prompt_tokens(task, tokenizer, load_config("tiny", kwargs)).values()
        assert tokenizer.decode(tokens) == f"1+1{sign}"
    with pytest.raises(InputError) as caught:
        prompt_tokens(task, tokenizer, load_config("tiny"))
    assert "refuses 1 of 1 prompts, the first is '1+1' (line 1): a sign" in str(caught.value)
    with pytest.raises(InputError, match="'tokenize', which is set here"):
        load_config("tiny", ['model.chat_template_kwargs={"tokenize": true}'])
