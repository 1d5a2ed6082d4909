"""Layouts of data sets as people have them, and the account of every row."""

import gzip
import json

import pytest
from task_files import write

from cobasim.errors import InputError
from cobatrain.tasks import make_task
from cobatrain.tasks.files import FileSource, load

NAMES = [
    (problem, answer)
    for problem in ("problem", "question", "prompt", "query")
    for answer in ("answer", "solution", "final_answer", "ground_truth", "expected_answer")
]
TURNS = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "1+1?"},
    {"role": "assistant", "content": "2"},
    {"role": "user", "content": [{"type": "text", "text": "2+2?"}]},
]


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def loaded(path, **options):
    return load(FileSource(path=path), "set", **options)


@pytest.mark.parametrize(("problem", "answer"), NAMES)
def test_common_names_of_columns(tmp_path, problem, answer):
    path = jsonl(tmp_path / "a.jsonl", [{problem.title(): "1+5?", answer.upper(): "\\boxed{6}"}])
    read = loaded(path)
    assert [(p.text, p.answer) for p in read.prompts] == [("1+5?", "6")]
    assert read.account.columns == f"{problem} -> {answer}"


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": TURNS, "reward_model": {"ground_truth": "4"}},
        {"prompt": TURNS, "reward_model": json.dumps({"ground_truth": ["4"]})},
        {"prompt": TURNS, "answer": "2+2=<<2+2=4>>4\n#### 4"},
        [*TURNS, {"role": "assistant", "ground_truth": {"value": "4"}}],
        [
            {"from": "system", "value": "Be brief."},
            {"from": "human", "value": "1+1?"},
            {"from": "gpt", "value": "2"},
            {"from": "human", "value": "2+2?"},
            {"from": "assistant", "ground_truth": {"value": "4"}},
        ],
    ],
)
def test_chats_with_worked_examples(tmp_path, row):
    (prompt,) = loaded(jsonl(tmp_path / "a.jsonl", [row])).prompts
    assert (prompt.text, prompt.answer) == ("2+2?", "4")
    assert prompt.metadata["system"] == "Be brief."
    assert prompt.metadata["turns"] == (("user", "1+1?"), ("assistant", "2"))


def test_lists_of_lists_with_names_in_the_first_row(tmp_path):
    rows = [["id", "Question", "Answer"], [1, "1+1?", 2], [2, "2+2?", "4"], [3, "3+3?"]]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(rows))
    read = loaded(path, on_bad_row="skip")
    assert [(p.text, p.answer) for p in read.prompts] == [("1+1?", "2"), ("2+2?", "4")]
    assert read.account.rows == 3
    assert read.bad[0].endswith("row 4: 2 values, but the header has 3")
    with pytest.raises(InputError, match="not a JSON object"):
        loaded(jsonl(tmp_path / "b.jsonl", rows[1:3]))


@pytest.mark.parametrize("name", ["a.jsonl.gz", "A.JSONL", "a.Jsonl.GZ", "a.ndjson"])
def test_endings_in_any_case_and_compressed(tmp_path, name):
    data = b'{"question": "5+1?", "answer": "5+1=<<5+1=6>>6\\n#### 6"}\n'
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.lower().endswith("gz") else data)
    assert [p.answer for p in loaded(path).prompts] == ["6"]


def test_an_index_without_a_name_is_a_column(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(",question,answer\n0,1+1?,2\n1,2+2?,4\n")
    assert [p.answer for p in loaded(path).prompts] == ["2", "4"]


def test_the_columns_are_those_of_the_first_row_that_has_them(tmp_path):
    rows = [{"question": "a"}, {"question": "b", "answer": "5"}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=r"line 1: no known pair of problem and answer columns"):
        loaded(path)
    assert [p.answer for p in loaded(path, on_bad_row="skip").prompts] == ["5"]


def test_chats_and_objects_in_one_file(tmp_path):
    chat = [{"role": "user", "content": "a"}, {"role": "assistant", "ground_truth": "4"}]
    row = {"question": "b", "answer": "5"}
    for rows, why in (([chat, row], "as the first row is"), ([row, chat], "not a JSON object")):
        read = loaded(jsonl(tmp_path / "a.jsonl", rows), on_bad_row="skip")
        assert (len(read.prompts), len(read.bad)) == (1, 1)
        assert why in read.bad[0]


def test_equal_numbers_do_not_contradict_each_other(tmp_path):
    answers = ["1,000", "1000.0", "#### 1000", "\\boxed{1000}"]
    rows = [{"question": "a", "answer": answer} for answer in answers]
    read = loaded(jsonl(tmp_path / "a.jsonl", rows))
    assert [p.answer for p in read.prompts] == ["1,000"]
    assert read.account.dropped == {"repeat a problem": 3}


def test_half_a_character_is_refused(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"question": "a\\ud800", "answer": "5"}\n')
    with pytest.raises(InputError, match="line 1: the problem has half a character"):
        loaded(path)


def test_a_worked_solution_without_an_end_is_refused(tmp_path):
    rows = [
        {"problem": "a", "solution": "We add. So it is \\boxed{4}."},
        {"problem": "b", "solution": "We add. So it is four.\nThat is all."},
        {"problem": "c", "solution": "5"},
    ]
    read = loaded(jsonl(tmp_path / "a.jsonl", rows), on_bad_row="skip")
    assert [p.answer for p in read.prompts] == ["4", "5"]
    assert "line 2: not a final answer" in read.bad[0]


def test_every_row_is_accounted_for(tmp_path):
    bad = ["proof", "notfound", "n/a", "", "7" * 1001, None, "\\boxed{1} \\boxed{2}"]
    rows = [{"problem": f"b{i}", "answer": answer} for i, answer in enumerate(bad)]
    rows += [{"problem": f"good {i}", "answer": i} for i in range(10)] * 2
    rows += [{"problem": "good 3", "answer": "4"}]
    path = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(InputError, match=r"7 of 28 rows .*\n.*line 1: the answer is 'proof'"):
        loaded(path)
    config = {"kind": "files", "train": str(path), "on_bad_row": "skip", "heldout_size": 2}
    task = make_task(config, 0)
    train, held = task.data_sets
    for account in (train, held):
        assert account.rows == account.used + sum(account.dropped.values())
    assert (train.rows, train.used, held.used) == (28, 7, 2)
    assert train.dropped["empty answer"] == 2
    assert train.dropped["the answer is 'proof'"] == 1
    assert train.dropped["repeat a problem"] == 11
    assert train.dropped["have contradicting answers"] == 1
    lines = train.lines()
    assert lines[0].startswith(f"train: {path} (problem -> answer): 28 rows, 7 used, 21 dropped: ")
    assert sum("->" in line for line in lines[1:]) == 3
    assert f"  left out: {path}: line 1: the answer is 'proof'" in lines
    assert lines[-1] == "  left out: 4 more"
    assert len(train.to_dict()["left_out"]) == 7
    json.dumps(train.to_dict())


def test_a_data_set_without_any_answer_says_why(tmp_path):
    rows = [{"problem": f"p{i}", "answer": "proof"} for i in range(3)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    with pytest.raises(
        InputError, match=r"none of its 3 rows can be used: 3 the answer is 'proof'"
    ):
        loaded(path, on_bad_row="skip")


BAD_CHATS = {
    "several system messages": [TURNS[0], TURNS[0], TURNS[1]],
    "a system message after others": [*TURNS[1:3], TURNS[0], TURNS[3]],
    "a part of a message has no text": [
        {"role": "user", "content": [{"type": "text", "text": None}, {"type": "text", "text": "q"}]}
    ],
    "0 user messages": [],
    "(role 'tool')": [{"role": "tool", "content": "x"}],
    "2 user messages in a row": [{"role": "user", "content": "x"}] * 2,
    "begins with an assistant": [{"role": "assistant", "content": "x"}, TURNS[1]],
    "ends with an assistant": [TURNS[1], TURNS[2]],
    "has no text": [{"role": "user", "content": None}],
    "needs an image": [{"role": "user", "content": [{"type": "image_url", "url": "x"}]}],
    "empty problem": [{"role": "user", "content": "  "}],
    "(role 'None')": ["x"],
}


@pytest.mark.parametrize("written", [lambda chat: chat, json.dumps, repr])
@pytest.mark.parametrize("why", BAD_CHATS)
def test_chats_that_cannot_be_used(tmp_path, why, written):
    if written is not None and why in ("0 user messages", "(role 'None')"):
        written = list  # in a text these are no chats
    path = jsonl(tmp_path / "a.jsonl", [{"prompt": written(BAD_CHATS[why]), "answer": "1"}])
    with pytest.raises(InputError) as caught:
        loaded(path)
    assert why in str(caught.value)


@pytest.mark.parametrize("written", [json.dumps, repr, lambda chat: json.dumps(chat, indent=1)])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_chat_written_as_a_text_is_a_chat(tmp_path, kind, written):
    path = write(tmp_path, kind, [{"prompt": written(TURNS), "answer": "4"}])
    (prompt,) = loaded(path).prompts
    assert prompt.text == "2+2?"
    assert prompt.metadata["system"] == "Be brief."
    assert prompt.metadata["turns"] == (("user", "1+1?"), ("assistant", "2"))


@pytest.mark.parametrize(
    "text",
    [
        '[{"x": 1}, {"y": 2}]',
        "[1, 2]",
        "What is the length of [{'role': 'user'}]",
        '[{"x": "\\"role\\": user"}]',
        "[{a} + {b}]",
    ],
)
def test_other_texts_in_brackets_are_problems(tmp_path, text):
    (prompt,) = loaded(jsonl(tmp_path / "a.jsonl", [{"prompt": text, "answer": "4"}])).prompts
    assert prompt.text == text


@pytest.mark.parametrize(
    "text", ['[{"role": "user", "content": "q"} {"role"}]', "[" * 5000 + '{"role": 1}' + "]" * 5000]
)
def test_a_chat_that_cannot_be_read_is_a_malformed_row(tmp_path, text):
    text = text if text.startswith("[{") else '[{"role": ' + text + "}]"
    with pytest.raises(InputError, match="list of messages"):
        loaded(jsonl(tmp_path / "a.jsonl", [{"prompt": text, "answer": "4"}]))


PROSE = "She has 3 apples and so it is 12"


@pytest.mark.parametrize(
    "answer", ["answer", "final_answer", "ground_truth", "expected_answer", "solution", "mine"]
)
def test_an_answer_in_prose_is_refused_in_any_column(tmp_path, answer):
    texts = [PROSE, f"{PROSE}. The answer is 12.", f"{PROSE}\n#### 12", "12 apples"]
    texts += ["The answer is 11. No, the answer is 12."]
    path = jsonl(tmp_path / "a.jsonl", [{"problem": f"p{t}", answer: t} for t in texts])
    source = FileSource(path=path, answer="mine" if answer == "mine" else None)
    read = load(source, "set", on_bad_row="skip")
    assert [p.answer for p in read.prompts] == ["12", "12", "12 apples"]
    assert read.account.dropped == {"not a final answer": 2}
    with pytest.raises(InputError, match="line 1: not a final answer"):
        load(source, "set")


def test_a_reward_of_the_users_own_may_have_answers_in_prose(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"problem": "p", "answer": PROSE}])
    (prompt,) = load(FileSource(path=path), "set", final_answers=False).prompts
    assert prompt.answer == PROSE


def chat(question: str, system: str = "", before: tuple[str, ...] = ()) -> list[dict]:
    turns = [{"role": "system", "content": system}] if system else []
    for text in before:
        turns += [{"role": "user", "content": text}, {"role": "assistant", "content": "ok"}]
    return [*turns, {"role": "user", "content": question}]


def test_prompts_are_the_same_problem_if_the_model_is_shown_the_same(tmp_path):
    chats = [
        (chat("q"), "1"),
        (chat("q", system="Count in base 3."), "2"),
        (chat("q", before=("Count in base 4.",)), "3"),
        (chat("q", before=("Count in base 4.",)), "3"),
        (chat("r", system="a"), "5"),
        (chat("r", system="a"), "6"),
        (chat("r", system="b"), "6"),
    ]
    rows = [{"prompt": asked, "answer": answer} for asked, answer in chats]
    read = loaded(jsonl(tmp_path / "a.jsonl", rows))
    assert [p.answer for p in read.prompts] == ["1", "2", "3", "6"]
    assert len({p.shown for p in read.prompts}) == 4
    assert (read.duplicates, read.conflicting) == (2, 1)


def test_what_is_held_out_is_no_problem_of_train_whatever_is_shown_with_it(tmp_path):
    rows = [{"prompt": chat(f"q{i}", system=s), "answer": i} for i in range(9) for s in "ab"]
    train = jsonl(tmp_path / "a.jsonl", rows)
    held = jsonl(tmp_path / "b.jsonl", [{"prompt": "q0", "answer": 0}])
    config = {"kind": "files", "train": str(train), "heldout": {"b": str(held)}}
    for size in (0, 3):
        task = make_task({**config, "heldout_size": size}, 0)
        keys = {p.text for p in task.train}
        held_out = {p.text for prompts in task.heldout.values() for p in prompts}
        assert "q0" in held_out
        assert keys.isdisjoint(held_out)
        assert len(keys | held_out) == 9
        account = task.data_sets[0]
        assert account.rows == account.used + sum(account.dropped.values())
        assert account.used == len(task.train)
    assert len(task.heldout["heldout"]) == 3


def test_one_row_is_told_of_in_the_singular(tmp_path):
    rows = [("a", "1"), ("a", "1"), ("b", "2"), ("b", "3"), ("c", "4"), ("d", "n/a"), ("e", "5")]
    train = jsonl(tmp_path / "a.jsonl", [{"problem": p, "answer": a} for p, a in rows])
    held = jsonl(tmp_path / "b.jsonl", [{"problem": "c", "answer": "4"}])
    config = {"train": str(train), "heldout": {"b": str(held)}, "on_bad_row": "skip"}
    task = make_task({"kind": "files", **config}, 0)
    assert [note for note in task.notes if "line" not in note] == [
        f"{train}: 1 malformed row skipped",
        f"{train}: 2 rows that repeat a problem dropped",
        f"{train}: 1 problem with contradicting answers dropped",
        "1 train problem is also held out: removed from train",
    ]
    assert (
        task.data_sets[0]
        .lines()[0]
        .endswith(
            "7 rows, 2 used, 5 dropped: 2 repeat a problem; 1 the answer is 'n/a'; "
            "1 has contradicting answers; 1 also held out"
        )
    )
    assert ": 1 row, 1 used" in task.data_sets[1].lines()[0]
    with pytest.raises(InputError, match="1 train problem is also held out, the first at a"):
        make_task({"kind": "files", **config, "overlap": "error"}, 0)
    jsonl(train, [{"problem": "a", "answer": "1"}] * 2)
    task = make_task({"kind": "files", **config}, 0)
    assert task.notes == (f"{train}: 1 row that repeats a problem dropped",)
    assert "1 repeats a problem" in task.data_sets[0].lines()[0]
    jsonl(train, [{"problem": "a", "answer": ""}])
    with pytest.raises(InputError, match=r"\(1 of 1 row; "):
        make_task({"kind": "files", **config, "on_bad_row": "error"}, 0)
    with pytest.raises(InputError, match="none of its 1 row can be used: 1 empty answer"):
        make_task({"kind": "files", **config}, 0)
