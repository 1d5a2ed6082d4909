"""The page that simulates."""

from __future__ import annotations

import shlex
import time

import pytest

pytest.importorskip("streamlit", reason="streamlit is not installed")

from app_pages import errors, figures_of, page, sound
from measured_files import made

from cobasim.explorer.known_comparison import ARCHIVE, NOISES, known_comparison
from cobasim.files import example
from cobasim.gradients import write_measured
from cobasim.records import read_archive


def wait_for_end(opened):
    """Of the simulation that the page runs; it must end without an error."""
    deadline = time.monotonic() + 90
    while opened.get("progress") and "running" in str(opened.get("progress")[0].proto):
        assert time.monotonic() < deadline
        time.sleep(0.5)
        opened.run()
    assert errors(opened) == ""


def test_a_simulation_runs_to_its_end_and_is_saved(folder):
    opened = page("simulation")
    for key, value in (("steps", 20), ("seeds", 2), ("num", 512), ("batch", 32), ("budget", 256)):
        opened.number_input(key=key).set_value(value)
    opened.run()
    assert "--steps 20" in sound(opened).code[0].value
    opened.button(key="start").click().run()
    wait_for_end(opened)
    table = opened.dataframe[0].value
    assert len(table) == 10
    assert "--steps 20" in opened.code[0].value
    opened.slider(key="prompt_noise").set_value(20.0).run()
    said = sound(opened).warning[0].value.replace("\\", "")
    assert "prompt-noise: 20 now, 0 in these results" in said
    assert "prompt_noise=0" in opened.code[0].value
    opened.slider(key="prompt_noise").set_value(0.0).run()
    assert not sound(opened).warning
    opened.text_input(key="name").set_value("../escape")
    opened.button[-1].click().run()
    assert "plain folder name" in errors(opened)
    opened.text_input(key="name").set_value("kept")
    opened.button[-1].click().run()
    assert errors(opened) == ""
    assert len(list((folder / "kept").rglob("header.json"))) == 20
    assert not (folder.parent / "escape").exists()


def test_a_large_simulation_is_refused_with_its_command(folder):
    opened = page("simulation")
    for key, value in (("steps", 1000), ("seeds", 16), ("batch", 2048), ("budget", 16384)):
        opened.number_input(key=key).set_value(value)
    opened.number_input(key="num").set_value(4096).run()
    assert opened.button(key="start").disabled
    assert "Too large" in sound(opened).warning[0].value
    opened.number_input(key="budget").set_value(8).run()
    assert "total" in errors(opened)


def measured(folder, name="mine.npz", **changes):
    update = {"advantage": "grpo", "learning_rate": 3e-4, "max_grad_norm": 1.0}
    loop = {"steps": 12, "batch_size": 10, "total_budget": 80, "low": 2, "high": 40}
    info = {"config": {"update": update, "loop": loop}, "model": "models/mine", "task": "sums"}
    write_measured(made(info=info, **changes), folder / name)
    return folder / name


def captions(opened):
    return " ".join(note.value.replace("\\", "") for note in opened.caption)


def values(opened, prefix):
    """Numbers of the fields whose key starts so."""
    fields = [*opened.number_input, *opened.slider]
    return [field.value for field in fields if (field.key or "").startswith(prefix)]


def test_a_measured_world_sets_the_fields_and_says_what_its_file_is(folder):
    measured(folder)
    opened = page("simulation")
    assert {"pool", "measured"} & {box.key for box in opened.selectbox} == {"pool"}
    opened.selectbox(key="world").set_value("measured").run()
    assert errors(opened) == ""
    shown = opened.selectbox(key="measured").options
    assert sum(name.startswith("Example") for name in shown) == 2
    assert "512 prompts to train on" in captions(opened)
    assert figures_of(page("simulation", world="measured", parts="true")) == 2 + 3
    opened.selectbox(key="measured").set_value("mine.npz").run()
    assert errors(opened) == ""
    text = captions(opened)
    for words in ("models/mine", "task sums", "step 0", "60 prompts to train on", "20 held-out"):
        assert words in text
    assert "pool" not in {box.key for box in opened.selectbox}
    assert not [slider for slider in opened.slider if "transfer" in (slider.key or "")]
    for prefix, value in (
        ("num_", 60), ("batch_", 10), ("budget_", 80), ("sim_high_", 40), ("steps_", 12),
        ("lr_", 3e-4), ("noise_", 1.0),
    ):  # fmt: skip
        assert values(opened, prefix) == [value]
    command = opened.code[0].value
    assert f"--world measured:{folder}/mine.npz" in command
    assert "population" not in command
    assert "transfer" not in command


def test_a_measured_simulation_runs_to_its_end(folder):
    measured(folder)
    opened = page("simulation", world="measured", measured="mine.npz")
    opened.number_input(key="seeds").set_value(1).run()
    opened.button(key="start").click().run()
    wait_for_end(opened)
    assert len(opened.dataframe[0].value) == 10


def test_uploads_of_measured_gradients(folder, tmp_path):
    opened = page("simulation", world="measured")
    opened.selectbox(key="measured").set_value("Upload").run()
    assert errors(opened) == ""
    assert "Upload a file" in opened.info[0].value
    assert not opened.code
    field = opened.file_uploader(key="measured_upload")
    field.set_value([("bad.npz", b"nothing", "application/zip")]).run()
    assert "bad.npz is not a whole file of measured gradients" in errors(opened)
    content = measured(tmp_path).read_bytes()
    field = opened.file_uploader(key="measured_upload")
    field.set_value([("mine.npz", content, "application/zip")]).run()
    assert errors(opened) == ""
    assert "models/mine" in captions(opened)
    assert values(opened, "batch_") == [10]


def test_an_address_names_no_file(folder, tmp_path):
    measured(tmp_path)
    opened = page("simulation", world="measured", measured=str(tmp_path / "mine.npz"))
    assert errors(opened) == ""
    assert str(tmp_path / "mine.npz") not in opened.code[0].value


def test_a_finished_comparison_of_the_default_settings_is_shown_first(folder):
    opened = page("simulation")
    assert errors(opened) == ""
    assert figures_of(opened) == 2
    words = shlex.split(opened.code[0].value)[2:]
    given = dict(zip(words[::2], words[1::2], strict=True))
    settings = dict(words[i + 1].split("=") for i in range(0, len(words), 2) if words[i] == "--set")
    path = example(ARCHIVE)
    runs = read_archive(path)
    assert len(runs) == 60
    assert {run.header.seed for run in runs} == set(range(int(given["--seeds"])))
    assert {run.header.allocator for run in runs} == set(given["--allocators"].split(","))
    for run in runs:
        loop, world = run.header.config["loop"], run.header.config["world"]
        for name in ("steps", "batch_size", "total_budget", "low", "high"):
            assert str(loop[name]) == given["--" + name.replace("_", "-")]
        assert world.pop("prompt_noise") in NOISES
        for name, value in settings.items():
            assert name == "prompt_noise" or str(world[name]) in (value, f"{value}.0")
        assert run.steps[-1].step == 150
    assert [len(rows) for rows in known_comparison().values()] == [10, 10]
