"""Laws of the tasks: disjoint, deterministic, what is asked for or a clear error."""

import csv
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks import (
    TASKS,
    Prompt,
    Task,
    format_prompt,
    levels_of,
    make_task,
    parse_task_config,
    passed,
    self_check,
)
from cobatrain.tasks.apportion import apportion
from cobatrain.tasks.arithmetic import LEVELS, ArithmeticConfig, heldout_grid, make_arithmetic
from cobatrain.tasks.files import FileSource, answer_text, load
from cobatrain.tasks.prompts import text_key
from cobatrain.tasks.task import check_disjoint
from cobatrain.tasks.verify import ExactMatch

HAS_GYM = importlib.util.find_spec("reasoning_gym") is not None
needs_gym = pytest.mark.skipif(not HAS_GYM, reason="reasoning-gym is not installed")

SEEDS = st.integers(0, 2**63)
SMALL_LEVELS = [f"{a}{op}{b}" for a in (1, 2) for b in (1, 2) for op in "+-*"]
LEVEL_LISTS = st.lists(st.sampled_from([*SMALL_LEVELS, "3-1"]), min_size=1, max_size=5, unique=True)


def operands(text: str) -> tuple[str, int, int]:
    match = re.fullmatch(r"(\d+)([+\-*])(\d+)=", text)
    assert match is not None, text
    return match[2], int(match[1]), int(match[3])


def canonical(text: str) -> tuple[str, int, int]:
    operation, a, b = operands(text)
    return (operation, a, b) if operation == "-" else (operation, min(a, b), max(a, b))


def right_answer(text: str) -> int:
    operation, a, b = operands(text)
    return a + b if operation == "+" else a - b if operation == "-" else a * b


# --- apportionment ---


@given(
    st.integers(0, 5000),
    st.lists(st.tuples(st.floats(0.01, 100), st.integers(0, 900)), min_size=1, max_size=8),
)
def test_apportion_sums_and_stays_within_capacity(total, parts):
    weights, capacity = zip(*parts, strict=True)
    free = apportion(total, weights)
    exact = total * np.asarray(weights) / sum(weights)
    assert free.sum() == total
    assert np.all(np.abs(free - exact) < 1 + 1e-6)
    bound = apportion(total, weights, capacity)
    assert bound.sum() == min(total, sum(capacity))
    assert np.all((bound >= 0) & (bound <= np.asarray(capacity)))


# --- arithmetic ---


@settings(deadline=None, max_examples=40)
@given(
    SEEDS,
    LEVEL_LISTS,
    st.integers(1, 400),
    st.integers(1, 300),
    st.floats(0.001, 0.999),
    st.sampled_from(["repeat", "shrink"]),
)
def test_arithmetic_is_disjoint_right_and_canonical(seed, levels, train, heldout, fraction, small):
    config = ArithmeticConfig(
        levels=tuple(levels),
        train_size=train,
        heldout_size=heldout,
        heldout_fraction=fraction,
        small_levels=small,
    )
    task = make_arithmetic(config, seed)
    held = task.heldout["arithmetic"]
    examples = task.supervised_examples(200, np.random.default_rng(0))
    trained = {canonical(p.text) for p in task.train} | {canonical(text) for text, _ in examples}
    assert trained.isdisjoint(canonical(p.text) for p in held)
    assert len({p.text for p in held}) == len(held) <= heldout
    assert len(held) == heldout - task.counts.get("heldout short", 0)
    if small == "repeat":
        assert len(task.train) == train
    else:
        assert len({p.text for p in task.train}) == len(task.train) <= train
    questions = [(p.text, p.answer) for p in (*task.train, *held)] + examples
    for text, answer in questions:
        assert answer == str(right_answer(text))
    for prompt in (*task.train, *held):
        operation, a, b = operands(prompt.text)
        assert prompt.level == f"{len(str(a))}{operation}{len(str(b))}"
        assert prompt.level in levels


@settings(deadline=None, max_examples=20)
@given(SEEDS, st.sampled_from(SMALL_LEVELS), st.floats(0.001, 0.999))
def test_turned_round_pairs_are_on_one_side_even_across_levels(seed, level, fraction):
    grid = heldout_grid(level, fraction, seed)
    assert grid.any()
    assert not grid.all()
    turned = heldout_grid(level[::-1], fraction, seed)
    if level[1] != "-":
        np.testing.assert_array_equal(grid, turned.T)
    else:  # a pair and its turned-round pair are different questions of subtraction
        assert abs(int(grid.sum()) - fraction * grid.size) <= 1


def test_arithmetic_is_a_function_of_the_seed():
    config = {"kind": "arithmetic", "train_size": 500, "heldout_size": 100}
    one, again, other = (make_task(config, seed) for seed in (3, 3, 4))
    assert one.train == again.train
    assert one.heldout == again.heldout
    assert one.fingerprint() == again.fingerprint() != other.fingerprint()
    draws = [one.supervised_examples(50, np.random.default_rng(7)) for _ in range(2)]
    assert draws[0] == draws[1]


def test_heldout_does_not_depend_on_the_pool():
    sizes = [make_task({"kind": "arithmetic", "train_size": n}, 0) for n in (100, 5000)]
    assert sizes[0].heldout == sizes[1].heldout


def test_shares_are_kept_and_repeats_are_reported():
    config = ArithmeticConfig(levels=("1+1", "2+2"), shares=(3, 1), train_size=400)
    task = make_arithmetic(config, 0)
    assert levels_of(task.train) == {"1+1": 300, "2+2": 100} or levels_of(task.train) == {
        "2+2": 100,
        "1+1": 300,
    }
    distinct = len({p.text for p in task.train if p.level == "1+1"})
    assert task.counts["repeated"] == 300 - distinct
    times = np.unique([p.text for p in task.train if p.level == "1+1"], return_counts=True)[1]
    assert times.max() - times.min() <= 1
    assert any("1+1" in note for note in task.notes)


def test_supervision_draws_beyond_the_pool_and_by_level():
    task = make_arithmetic(ArithmeticConfig(train_size=50), 0)
    examples = task.supervised_examples(3000, np.random.default_rng(0))
    assert len({text for text, _ in examples} - {p.text for p in task.train}) > 1000
    only = task.supervised_examples(30, np.random.default_rng(0), levels=["2*1"])
    assert all(re.fullmatch(r"\d\d\*\d=", text) for text, _ in only)
    with pytest.raises(InputError, match=r"9\+9"):
        task.supervised_examples(3, np.random.default_rng(0), levels=["9+9"])


def test_the_default_ladder_has_every_level_on_both_sides():
    task = make_task({"kind": "arithmetic"}, 0)
    assert set(levels_of(task.train)) == set(LEVELS) == set(levels_of(task.heldout["arithmetic"]))
    assert len(task.train) == 8192
    assert len(task.heldout["arithmetic"]) == 500


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.sampled_from(["", " ", "\n"]))
def test_exact_match_is_the_canonical_integer_only(answer, given_, space):
    prompt, reward = Prompt("q", str(answer), "l", "s"), ExactMatch()
    assert reward(prompt, f"{space}{given_}{space}") == float(given_ == answer)
    for wrong in (f"+{answer}", f"{answer}.0", f"0{answer}", f"{answer} {answer}", "", "-0 "):
        assert reward(prompt, wrong) == 0.0
    assert (
        reward(prompt, "".join(chr(0xFF10 + int(c)) if c != "-" else c for c in str(answer))) == 0
    )


def test_scores_come_in_order_and_lengths_are_checked():
    task = make_task({"kind": "arithmetic", "train_size": 20}, 0)
    texts = [p.answer if i % 3 else p.answer + "0" for i, p in enumerate(task.train)]
    np.testing.assert_array_equal(task.score(task.train, texts), [i % 3 > 0 for i in range(20)])
    with pytest.raises(ValueError, match="20 prompts but 1 texts"):
        task.score(task.train, ["1"])
    check = self_check(task, task.train)
    assert (check.checked, check.failed) == (20, ())


# --- configs ---


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"kind": "arithmetik"}, "did you mean 'arithmetic'"),
        ({"kind": "arithmetic", "trian_size": 3}, "did you mean 'train_size'"),
        ({"levels": ["4*4"]}, "at most 6 digits"),
        ({"levels": ["2+1", "2+1"]}, "twice"),
        ({"levels": ["2+1"], "shares": [1, 2]}, "2 shares for 1 levels"),
        ({"levels": ["2+1"], "shares": [-1]}, "positive"),
        ({"train_size": 0}, "train_size"),
        ({"reward": {"function": "no_colon"}}, "import path"),
        ({"kind": "files", "train": "/nowhere.jsonl"}, "does not exist"),
    ],
)
def test_bad_configs_are_named(config, words):
    with pytest.raises(InputError, match=words):
        make_task(config, 0)
    with pytest.raises(InputError, match="negative"):
        make_task({}, -1)


def test_every_kind_has_a_config_with_its_own_discriminator():
    for kind, (model, _) in TASKS.items():
        assert model.model_fields["kind"].default == kind
    assert parse_task_config({}).kind == "arithmetic"


def test_the_check_on_the_text_catches_what_construction_missed():
    one = Prompt("a  b", "1", "l", "s")
    with pytest.raises(InputError, match="shares a prompt"):
        check_disjoint(Task("t", [one], {"h": [Prompt("a\nb", "2", "l", "s")]}, ExactMatch()))
    with pytest.raises(InputError, match="no prompts"):
        check_disjoint(Task("t", [], {}, ExactMatch()))
    with pytest.raises(InputError, match="empty"):
        check_disjoint(Task("t", [one], {"h": []}, ExactMatch()))


def test_a_bare_function_is_a_reward_and_is_checked():
    prompts = [Prompt("q", "1", "l", "s")] * 2
    task = Task("t", prompts, {}, lambda prompt, text: len(text) / 2)
    np.testing.assert_array_equal(task.score(prompts, ["a", "ab"]), [0.5, 1.0])
    with pytest.raises(RuntimeError, match=r"1\.5"):
        task.score(prompts, ["abc", ""])


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_pass_is_a_reward_above_one_half(rewards):
    flat = passed(np.array(rewards))
    assert flat.tolist() == [reward > 0.5 for reward in rewards]
    np.testing.assert_array_equal(passed(np.reshape(rewards, (2, 2))), flat.reshape(2, 2))
    assert passed(np.array([0.0, 0.5, 1.0])).tolist() == [False, False, True]


def test_importing_the_tasks_imports_no_reader_and_no_verifier():
    heavy = ["pyarrow", "datasets", "yaml", "math_verify", "reasoning_gym", "sympy", "torch"]
    code = f"import sys, cobatrain.tasks; print(sorted(set({heavy}) & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


# --- chat template ---


class Chat:
    chat_template = "there is one"

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        assert not tokenize
        assert add_generation_prompt
        return "|".join(f"{m['role']}:{m['content']}" for m in conversation) + "|assistant:"


class Bare:
    chat_template = None


def test_chat_template_is_applied_with_the_system_message():
    prompt = Prompt("2+2=", "4", "l", "s")
    assert format_prompt(prompt, Chat()) == "user:2+2=|assistant:"
    assert format_prompt(prompt, Chat(), system="S") == "system:S|user:2+2=|assistant:"
    own = Prompt("2+2=", "4", "l", "s", {"system": "own"})
    assert format_prompt(own, Chat()).startswith("system:own|")
    assert format_prompt(own, Chat(), system="S").startswith("system:S|")
    assert format_prompt(prompt, Bare()) == "2+2="
    with pytest.raises(InputError, match="no chat template"):
        format_prompt(prompt, Bare(), system="S")


# --- files ---

FRAME = (
    "Solve the following math problem step by step. The last line of your response should be of "
    "the form Answer: $Answer (without quotes) where $Answer is the answer to the problem.\n\n"
    '{}\n\nRemember to put your answer on its own line after "Answer:".'
)


def dapo(problem: str, answer: str) -> dict:
    return {
        "data_source": "math_dapo",
        "prompt": [{"content": FRAME.format(problem), "role": "user"}],
        "ability": "MATH",
        "reward_model": {"ground_truth": answer, "style": "rule-lighteval/MATH_v2"},
        "extra_info": {"index": "0"},
    }


LAYOUT_ROWS = {
    "dapo": (dapo("P?", "34"), "34", "set"),
    "math500": (
        {"problem": "P?", "solution": "s", "answer": "\\frac12", "level": 3, "unique_id": "u"},
        "\\frac12",
        "3",
    ),
    "aime24": ({"ID": "2024-I-1", "Problem": "P?", "Solution": "s", "Answer": 204}, "204", "set"),
    "aime25": ({"problem": "P?", "answer": "070", "id": "0"}, "070", "set"),
    "amc23": ({"id": 0, "question": "P?", "answer": 27.0, "url": "u"}, "27", "set"),
    "olympiadbench": (
        {
            "question": "P?",
            "solution": ["s"],
            "final_answer": ["$1$", "2"],
            "context": None,
            "modality": "Text-only",
            "difficulty": "Competition",
        },
        "$1$, 2",
        "Competition",
    ),
}


def write(folder: Path, kind: str, rows: list[dict]) -> Path:
    path = folder / f"data.{kind}"
    if kind == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    elif kind == "csv":
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        table = pa.Table.from_pylist(rows)
        with pa.ipc.new_stream(path, table.schema) as writer:
            writer.write_table(table)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet", "arrow"])
@pytest.mark.parametrize("layout", LAYOUT_ROWS)
def test_published_layouts_are_recognised_in_every_format(tmp_path, kind, layout):
    row, answer, level = LAYOUT_ROWS[layout]
    loaded = load(FileSource(path=write(tmp_path, kind, [row, row])), "set")
    (prompt,) = loaded.prompts
    assert (prompt.answer, prompt.level, loaded.duplicates) == (answer, level, 1)
    assert text_key(prompt.text) == "P?"
    assert re.search(r"(line|row) 1$", prompt.source)


def test_csv_and_named_and_nested_columns(tmp_path):
    rows = [{"Q": 'a "quoted"\nline', "meta": json.dumps({"gold": "7"}), "hard": "x"}]
    source = FileSource(
        path=write(tmp_path, "csv", rows), problem="q", answer="meta.gold", level="hard"
    )
    (prompt,) = load(source, "set").prompts
    assert (prompt.text, prompt.answer, prompt.level) == ('a "quoted"\nline', "7", "x")


def test_a_folder_written_by_save_to_disk(tmp_path):
    rows = [{"problem": f"p{i}", "answer": str(i)} for i in range(7)]
    for split in ("train", "test"):
        folder = tmp_path / split
        folder.mkdir()
        write(folder, "arrow", rows)
        (folder / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": split})
        )
        (folder / "dataset_info.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "test"]}))
    assert len(load(FileSource(path=tmp_path / "test"), "s").prompts) == 7
    assert len(load(FileSource(path=tmp_path, split="test"), "s").prompts) == 7
    with pytest.raises(InputError, match="name one as `split`"):
        load(FileSource(path=tmp_path), "s")
    with pytest.raises(InputError, match="did you mean 'train'"):
        load(FileSource(path=tmp_path, split="trian"), "s")


def test_what_the_datasets_library_writes_is_read(tmp_path):
    datasets = pytest.importorskip("datasets")
    table = datasets.Dataset.from_list([dapo(f"p{i}", str(i)) for i in range(40)])
    table.save_to_disk(str(tmp_path / "one"), num_shards=2)
    datasets.DatasetDict({"test": table}).save_to_disk(str(tmp_path / "many"))
    for name in ("one", "many"):
        loaded = load(FileSource(path=tmp_path / name), "s")
        assert [p.answer for p in loaded.prompts] == [str(i) for i in range(40)]


def test_a_downloaded_repository_folder(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    for shard in range(2):
        table = pa.Table.from_pylist([{"problem": f"p{shard}", "answer": "1"}])
        pq.write_table(table, data / f"train-0000{shard}-of-00002.parquet")
    (tmp_path / "README.md").write_text("a card")
    assert [p.text for p in load(FileSource(path=tmp_path), "s").prompts] == ["p0", "p1"]


GOOD = {"problem": "p", "answer": "1"}
BAD_LINES = {
    "not JSON": '{"problem": ',
    "not a JSON object": "[1, 2]",
    "no column 'answer'": '{"problem": "x"}',
    "no column 'problem'": '{"answer": "1"}',
    "empty answer": '{"problem": "x", "answer": " "}',
    "the answer is true": '{"problem": "x", "answer": true}',
    "the answer is nan": '{"problem": "x", "answer": NaN}',
    "empty problem": '{"problem": "  ", "answer": "1"}',
    "expected text": '{"problem": 5, "answer": "1"}',
    "2 user messages": json.dumps(
        {"problem": [{"role": "user", "content": "a"}] * 2, "answer": "1"}
    ),
}


@settings(deadline=None, max_examples=40)
@given(before=st.integers(1, 9), blank=st.integers(0, 3), why=st.sampled_from(list(BAD_LINES)))
def test_a_malformed_row_is_reported_with_its_line(tmp_path_factory, before, blank, why):
    path = tmp_path_factory.mktemp("bad") / "set.jsonl"
    good = [json.dumps({"problem": f"p{i}", "answer": i}) for i in range(before)]
    path.write_text("\n".join([*good, *[""] * blank, BAD_LINES[why], json.dumps(GOOD)]))
    with pytest.raises(InputError) as caught:
        load(FileSource(path=path), "s")
    message = str(caught.value)
    assert f"{path}, line {before + blank + 1}: " in message
    assert why in message
    assert f"1 of {before + 2} rows" in message
    loaded = load(FileSource(path=path), "s", on_bad_row="skip")
    assert len(loaded.prompts) == before + 1
    assert len(loaded.bad) == 1


def test_bytes_that_are_not_text_and_short_csv_rows_have_line_numbers(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(GOOD).encode() + b'\n{"problem": "\xff", "answer": "1"}\n')
    with pytest.raises(InputError, match="line 2: not JSON"):
        load(FileSource(path=path), "s")
    path = tmp_path / "a.csv"
    path.write_text('problem,answer\n"two\nlines",1\nonly one\nthree,4,5\n')
    with pytest.raises(InputError) as caught:
        load(FileSource(path=path), "s")
    assert "line 4: expected" in str(caught.value)
    assert "line 5: expected" in str(caught.value)
    rows = [{"problem": "a", "answer": "1"}, {"problem": "b", "answer": None}]
    with pytest.raises(InputError, match=r"data.parquet, row 2: empty answer"):
        load(FileSource(path=write(tmp_path, "parquet", rows)), "s")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_missing_columns_and_empty_files(tmp_path, kind):
    path = write(tmp_path, kind, [{"text": "a", "label": "b"}])
    with pytest.raises(InputError, match="text, label"):
        load(FileSource(path=path), "s")
    with pytest.raises(InputError, match="no column solution"):
        load(FileSource(path=path, problem="text", answer="solution"), "s")
    empty = tmp_path / f"empty.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({"problem": pa.array([], pa.string())}), empty)
    else:
        empty.write_text("")
    with pytest.raises(InputError, match="no rows"):
        load(FileSource(path=empty), "s")


def test_unreadable_files_are_named(tmp_path):
    for name in ("x.parquet", "x.arrow", "x.json"):
        (tmp_path / name).write_bytes(b"this is no data")
        with pytest.raises(InputError, match=name):
            load(FileSource(path=tmp_path / name), "s")
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(InputError, match="unknown kind"):
        load(FileSource(path=tmp_path / "x.txt"), "s")
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="no data files"):
        load(FileSource(path=tmp_path / "none"), "s")


def test_contradicting_answers_are_removed(tmp_path):
    rows = [("a", "1"), ("b", "2"), ("a ", "3"), ("b", "2")]
    path = write(tmp_path, "jsonl", [{"problem": p, "answer": a} for p, a in rows])
    loaded = load(FileSource(path=path), "s")
    assert [p.text for p in loaded.prompts] == ["b"]
    assert (loaded.conflicting, loaded.duplicates) == (1, 2)


@settings(deadline=None, max_examples=25)
@given(
    SEEDS,
    st.lists(st.integers(0, 30), min_size=1, max_size=40),
    st.lists(st.integers(0, 30), min_size=1, max_size=10),
    st.integers(0, 5),
)
def test_files_are_disjoint_and_every_removal_is_counted(tmp_path_factory, seed, train, held, more):
    folder = tmp_path_factory.mktemp("files")
    (folder / "a").mkdir()
    framed = [dapo(f"What is  {i}?", str(i)) for i in train]
    plain = [{"question": f"What is {i}?", "answer": i} for i in held]
    config = {
        "kind": "files",
        "train": str(write(folder / "a", "jsonl", framed)),
        "heldout": {"test": str(write(folder, "jsonl", plain))},
        "heldout_size": more,
    }
    left = set(train) - set(held)
    if len(left) <= more:
        with pytest.raises(InputError):
            make_task(config, seed)
        return
    task = make_task(config, seed)
    keys = [text_key(p.text) for p in task.train]
    held_keys = {text_key(p.text) for prompts in task.heldout.values() for p in prompts}
    assert len(set(keys)) == len(keys) == len(left) - more
    assert held_keys.isdisjoint(keys)
    assert task.counts.get("overlap", 0) == len(set(train) & set(held))
    removed = task.counts.get("overlap", 0) + task.counts.get("duplicates", 0)
    assert len(train) + len(held) == removed + len(keys) + sum(map(len, task.heldout.values()))
    assert make_task(config, seed).fingerprint() == task.fingerprint()
    if task.counts.get("overlap"):
        with pytest.raises(InputError, match="also held out"):
            make_task({**config, "overlap": "error"}, seed)


@given(st.integers(-(10**12), 10**12))
def test_answers_are_text(number):
    assert answer_text(number) == answer_text(str(number)) == str(number)
    assert answer_text(float(number)) == str(number)
    assert answer_text([number, "x"]) == f"{number}, x"


# --- reasoning-gym ---


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
