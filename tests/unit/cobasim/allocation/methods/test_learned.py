"""The learned allocator: its features, its file, its budgets."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from learned_files import random_network
from repository import ROOT

from cobasim.allocation import Limits, find_allocator, make_allocator
from cobasim.allocation.methods.learned import (
    FEATURES,
    KNOTS,
    NUM_PREFERENCES,
    PREFERENCE,
    preferences_by_rate,
    rate_features,
    read_network,
)
from cobasim.errors import InputError
from cobasim.testing import check_allocator, observation

SHIPPED = sorted((ROOT / "examples").glob("learned-*.json"))
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


def test_a_file_that_changes_is_read_again(learned_file):
    obs, limits = observation(np.linspace(0, 1, 20)), Limits(400, 2, 128)
    before = make_allocator(f"learned:{learned_file}")(obs, limits)
    assert find_allocator(f"learned:{learned_file}") is find_allocator(f"learned:{learned_file}")
    learned_file.write_text(random_network(1).to_json())
    os.utime(learned_file, ns=(1, 1))
    assert not np.array_equal(make_allocator(f"learned:{learned_file}")(obs, limits), before)


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
