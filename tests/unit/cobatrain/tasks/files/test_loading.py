"""Files of prompts: published layouts, every format, folders; disjoint."""

import contextlib
import json
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from task_files import dapo, write

from cobasim.errors import InputError
from cobatrain.exact import check_exact
from cobatrain.tasks import make_task
from cobatrain.tasks.files import FileSource, answer_text, load
from cobatrain.tasks.prompts import text_key
from cobatrain.tasks.rewards import RewardColumns

SEEDS = st.integers(0, 2**63)
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


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet", "arrow"])
@pytest.mark.parametrize("every", [False, True])
def test_columns_that_a_reward_takes_reach_its_prompts(tmp_path, kind, every):
    """Named ones in any letter case; without ``every`` nothing else is kept."""
    rows = [{"problem": f"p{i}", "answer": "1", "Tests": f"t{i}", "id": f"{i}"} for i in range(2)]
    columns = RewardColumns("f", required=("tests",), optional=("absent",), every=every)
    source = FileSource(path=write(tmp_path, kind, rows))
    for row, prompt in zip(rows, load(source, "s", columns=columns).prompts, strict=True):
        others = {name: str(value) for name, value in prompt.metadata["columns"].items()}
        assert others == (row if every else {}) | {"tests": row["Tests"]}
    assert "columns" not in load(source, "s").prompts[0].metadata


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
    with pytest.raises(InputError, match="name one of them"):
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


def exact_task(folder, rows, **settings):
    path = write(folder, "jsonl", rows)
    return make_task({"kind": "files", "train": path, "answer_match": "exact"} | settings, seed=0)


@settings(deadline=None, max_examples=30)
@given(answer=st.text("0123456789ab -", min_size=1).map(str.strip).filter(bool), text=st.text())
def test_exact_answers_are_met_letter_by_letter(tmp_path_factory, answer, text):
    rows = [{"problem": "P?", "answer": "=" + answer}]
    with contextlib.closing(exact_task(tmp_path_factory.mktemp("exact"), rows)) as task:
        (prompt,) = task.train
        assert prompt.answer == "=" + answer
        texts = [prompt.answer, f" {prompt.answer}\n", text, f"The answer is {prompt.answer}"]
        scores = task.score([prompt] * len(texts), texts)
    assert scores.tolist() == [1, 1, float(text.strip() == prompt.answer), 0]


def test_exact_answers_may_be_prose_and_can_be_computed(tmp_path):
    prose = "the quick brown fox jumps over the lazy dog. It has 3 legs"
    with contextlib.closing(exact_task(tmp_path, [{"problem": "P?", "answer": prose}])) as task:
        check_exact(task)
        assert task.score(task.train, [prose]).tolist() == [1]


def test_exact_answers_leave_no_use_for_another_rule(tmp_path):
    rows = [{"problem": "P?", "answer": "1"}]
    with pytest.raises(InputError, match="answer_match: exact leaves no use for answer_from"):
        exact_task(tmp_path, rows, answer_from="any")
