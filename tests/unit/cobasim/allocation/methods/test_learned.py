"""The learned allocator: the file, the numbers, the contract; and that training teaches."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given
from hypothesis import strategies as st

from cobasim.allocation import Limits, find_allocator, make_allocator
from cobasim.allocation.methods.learned import (
    FEATURES,
    KNOTS,
    NUM_PREFERENCES,
    PREFERENCE,
    Network,
    preferences_by_rate,
    rate_features,
    read_network,
)
from cobasim.errors import InputError
from cobasim.gym import ENV_ID, RolloutBudgetEnv, cheap_config, learn
from cobasim.gym.against_uniform import MinusUniform
from cobasim.runs import RunConfig
from cobasim.scores import mean_interval
from cobasim.testing import check_allocator, observation

ROOT = Path(__file__).parents[1]
SHIPPED = sorted((ROOT / "examples").glob("learned-*.json"))
SMALL = {
    "loop": {"steps": 6, "batch_size": 16, "total_budget": 256},
    "world": {"num_prompts": 64, "num_heldout": 64},
}


def random_network(seed: int, hidden: tuple[int, ...] = (5, 7)) -> Network:
    rng = np.random.default_rng(seed)
    sizes = [len(FEATURES), *hidden, NUM_PREFERENCES]
    return Network(
        tuple(
            (rng.normal(size=(out, into)).astype(np.float32).astype(float), rng.normal(size=out))
            for into, out in itertools.pairwise(sizes)
        ),
        "posterior",
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "policy.json"
    path.write_text(random_network(0).to_json())
    return path


# -- what the network is told, and what it says ----------------------------------------------


rates = st.lists(st.floats(0, 1), min_size=1, max_size=30)


@given(rates, st.data())
def test_features_are_shares_and_do_not_depend_on_order(p, data):
    tried = data.draw(st.lists(st.sampled_from([0, 4]), min_size=len(p), max_size=len(p)))
    obs = observation(p, tried, failure_rate=data.draw(st.none() | st.floats(0, 1)))
    found = rate_features(obs)
    assert found.shape == (len(FEATURES),)
    assert found.min() >= 0.0
    assert found.max() <= 1.0
    assert found[:NUM_PREFERENCES].sum() == pytest.approx(1.0)
    order = np.array(data.draw(st.permutations(range(len(p)))))
    moved = observation(obs.pass_rate[order], obs.attempts[order], failure_rate=obs.failure_rate)
    np.testing.assert_allclose(rate_features(moved), found, atol=1e-12)


def test_a_prompt_at_a_knot_counts_there_alone_and_gets_its_preference():
    action = np.linspace(-1, 1, NUM_PREFERENCES)
    for number, knot in enumerate(KNOTS):
        obs = observation([knot])
        assert rate_features(obs)[:NUM_PREFERENCES].argmax() == number
        assert rate_features(obs)[number] == 1.0
        assert preferences_by_rate(obs, action)[0] == pytest.approx(PREFERENCE * action[number])
    unseen = observation([0.3], 0)
    assert rate_features(unseen)[len(KNOTS)] == 1.0
    assert preferences_by_rate(unseen, action)[0] == PREFERENCE


@given(rates)
def test_the_mean_preference_is_the_features_times_the_action(p):
    obs = observation(p, [0 if number % 3 == 2 else 4 for number in range(len(p))])
    action = np.random.default_rng(0).uniform(-1, 1, NUM_PREFERENCES)
    mean = PREFERENCE * rate_features(obs)[:NUM_PREFERENCES] @ action
    assert preferences_by_rate(obs, action).mean() == pytest.approx(mean)


# -- the file --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_a_file_gives_back_the_same_network(seed, tmp_path):
    before = random_network(seed)
    (tmp_path / "a.json").write_text(before.to_json())
    after = read_network(tmp_path / "a.json")
    assert after.estimator == "posterior"
    for (weight, bias), (again, bias_again) in zip(before.layers, after.layers, strict=True):
        np.testing.assert_array_equal(weight.astype(np.float32), again.astype(np.float32))
        np.testing.assert_allclose(bias, bias_again, rtol=1e-8)


def broken(change) -> str:
    content = json.loads(random_network(0).to_json())
    change(content)
    return json.dumps(content)


BAD = {
    "empty": ("", "not valid JSON"),
    "no JSON": ("{", "not valid JSON"),
    "deep": ("[" * 100_000, "not valid JSON"),
    "pickle": ("\x80\x04cos\nsystem\n", "not valid JSON"),
    "a list": ("[]", "its kind"),
    "another kind": (broken(lambda c: c.update(kind="recipe")), "its kind"),
    "another format": (broken(lambda c: c.update(format=2)), "format 2"),
    "no layers": (broken(lambda c: c.pop("layers")), "no 'layers'"),
    "layers of nothing": (broken(lambda c: c.update(layers=[])), "no layers"),
    "layers are text": (broken(lambda c: c.update(layers="abc")), "no layers"),
    "a layer is a number": (broken(lambda c: c.update(layers=[3])), "subscriptable"),
    "weights are text": (broken(lambda c: c["layers"][0].update(weight="x")), "could not convert"),
    "ragged": (broken(lambda c: c["layers"][0]["weight"][0].pop()), "inhomogeneous"),
    "a bias short": (broken(lambda c: c["layers"][1]["bias"].pop()), "layer 1 has weights"),
    "a layer short": (broken(lambda c: c["layers"].pop()), "preferences, expected 8"),
    "NaN": (broken(lambda c: c["layers"][0]["bias"].__setitem__(0, float("nan"))), "not finite"),
    "other knots": (broken(lambda c: c["knots"].pop()), "knots or features"),
    "unknown estimator": (broken(lambda c: c.update(estimator="oracle")), "estimator 'oracle'"),
    "estimator is a list": (broken(lambda c: c.update(estimator=[])), "unhashable"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_malformed_file_is_refused(case, tmp_path):
    text, words = BAD[case]
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match="no learned allocator") as caught:
        make_allocator(f"learned:{tmp_path / 'bad.json'}")
    assert words in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        make_allocator("learned:nowhere.json")
    with pytest.raises(InputError, match="directory"):
        make_allocator(f"learned:{tmp_path}")
    with pytest.raises(InputError, match="needs a file"):
        make_allocator("learned:")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not valid JSON"):
        make_allocator(f"learned:{tmp_path / 'binary.json'}")


def test_a_file_that_changes_is_read_again(file):
    obs, limits = observation(np.linspace(0, 1, 20)), Limits(400, 2, 128)
    before = make_allocator(f"learned:{file}")(obs, limits)
    assert find_allocator(f"learned:{file}") is find_allocator(f"learned:{file}")
    file.write_text(random_network(1).to_json())
    os.utime(file, ns=(1, 1))
    assert not np.array_equal(make_allocator(f"learned:{file}")(obs, limits), before)


# -- the allocator -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
def test_budgets_keep_the_contract(seed, tmp_path):
    (tmp_path / "a.json").write_text(random_network(seed).to_json())
    check_allocator(f"learned:{tmp_path / 'a.json'}", low=0)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_the_files_that_ship_keep_the_contract_and_say_how_they_were_made(path):
    check_allocator(f"learned:{path}")
    assert path.stat().st_size < 100_000
    made = read_network(path).provenance
    assert made is not None
    assert made["command"].startswith("cobasim learn")
    assert made["config"]["world"]["weighting"] in path.stem


def test_it_is_used_by_name_with_its_own_estimator(file):
    config = RunConfig(allocator=f"learned:{file}")
    assert config.estimator == "posterior"
    assert RunConfig(allocator=f"oracle-learned:{file}").estimator == "truth"
    with pytest.raises(InputError, match="takes no parameters"):
        make_allocator(f"learned:{file}", kappa=3)


def test_it_takes_part_in_a_comparison_in_other_processes(file):
    command = [sys.executable, "-m", "cobasim", "compare", "--seeds", "2", "--steps", "6"]
    command += ["--set", "num_prompts=64", "--set", "num_heldout=32", "--batch-size", "16"]
    command += ["--total-budget", "256", "--jobs", "2", "--out", "out", "--weighting", "prompt"]
    command += ["--allocators", "uniform,learned:policy.json,oracle-learned:policy.json"]
    done = subprocess.run(command, cwd=file.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (file.parent / "out" / "prompt").iterdir()) == [
        "learned%3Apolicy.json", "oracle-learned%3Apolicy.json", "uniform",
    ]  # fmt: skip


def test_the_trainer_takes_it(file):
    pytest.importorskip("torch", reason="torch is not installed")
    from cobatrain.config import load_config

    tiny = str(ROOT / "cobatrain" / "configs" / "tiny.yaml")
    assert load_config(tiny, [], allocator=f"learned:{file}").estimator == "posterior"
    with pytest.raises(InputError, match="No such file"):
        load_config(tiny, [], allocator="learned:nowhere.json")


def test_neither_a_file_nor_the_command_line_needs_torch(file):
    code = (
        "import sys, cobasim.cli, cobasim.gym; "
        "from cobasim.allocation import make_allocator; "
        f"make_allocator('learned:{file}'); "
        "print([n for n in ('torch', 'stable_baselines3') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# -- the environment in its form "rates" --------------------------------------------------------


@pytest.mark.filterwarnings("error")
def test_the_form_rates_passes_gymnasiums_checker():
    env = gymnasium.make(ENV_ID, config=SMALL, form="rates").unwrapped
    check_env(env, skip_render_check=True)
    with pytest.raises(InputError, match="did you mean 'rates'"):
        gymnasium.make(ENV_ID, config=SMALL, form="rate")


def test_the_environment_spends_what_the_allocator_would(file):
    network = read_network(file)
    allocator = make_allocator(f"learned:{file}")
    env = RolloutBudgetEnv(RunConfig(**SMALL), form="rates")
    seen, _ = env.reset(seed=1)
    for _ in range(6):
        wanted = allocator(env.observed, env.config.loop.limits)
        seen, _, _, _, info = env.step(network(seen.astype(np.float64)))
        np.testing.assert_array_equal(info["budgets"], wanted)


def test_uniform_earns_nothing_in_training():
    config = cheap_config({}, steps=5)
    env = MinusUniform(RolloutBudgetEnv(config, form="rates"), range(3))
    for _ in range(2):
        env.reset()
        for _ in range(5):
            _, reward, _, _, _ = env.step(np.zeros(NUM_PREFERENCES, np.float32))
            assert reward == pytest.approx(0.0, abs=1e-12)


# -- training ------------------------------------------------------------------------------------


def test_settings_of_training():
    assert cheap_config({}).loop.steps == 60
    assert cheap_config({}, world="skill-chain").world.learning_rate == pytest.approx(5e-2)
    with pytest.raises(InputError, match="unknown setting 'kapa'"):
        cheap_config({"kapa": 3})
    with pytest.raises(InputError, match="nothing to learn"):
        learn.train(cheap_config({}, low=16, high=16))


def test_without_the_extra_the_command_says_what_to_install(monkeypatch, capsys, tmp_path):
    from cobasim.cli import main

    monkeypatch.setattr(learn, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["cobasim", "learn", "--out", str(tmp_path / "a.json")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "coba-testbed[learn]" in capsys.readouterr().err
    assert not (tmp_path / "a.json").exists()


@pytest.mark.slow
def test_numpy_says_what_the_trained_model_says():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    config = cheap_config({}, steps=5, batch_size=16, total_budget=256, num_heldout=64)
    found = learn.train(config, timesteps=200, test_seeds=2)
    rng = np.random.default_rng(0)
    features = rng.random((500, len(FEATURES))).astype(np.float32)
    theirs, _ = found.model.predict(features, deterministic=True)
    ours = np.array([found.network(row.astype(np.float64)) for row in features])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.slow
def test_training_teaches_and_is_reproducible():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    config = cheap_config({"noise": 0.0}, steps=20, num_prompts=128)
    told = []
    found = learn.train(config, timesteps=9600, on_progress=lambda *done: told.append(done))
    assert abs(found.before).max() < 0.2  # as drawn it is next to uniform
    gain = mean_interval(found.after - found.before)
    assert gain.low > 0.0
    assert told[-1][0] >= 9600
    again = learn.train(config, timesteps=640)
    twice = learn.train(config, timesteps=640)
    assert again.network.to_json() == twice.network.to_json()
