"""Settings as they are typed: one parser for flat and for dotted names."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobasim.settings import changed, read_value, split_settings

NAMES = st.text("abc_", min_size=1, max_size=5)
VALUES = st.one_of(st.integers(), st.booleans(), st.none(), st.lists(st.integers(), max_size=3))


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1e-3", 1e-3), ("true", True), ("null", None), ("[1, 2]", [1, 2]),
     ("skill-chain", "skill-chain"), ('"3"', "3"), ("", ""), ("a=b", "a=b")],
)  # fmt: skip
def test_a_value_is_json_or_else_text(text, value):
    assert read_value(text) == value
    assert split_settings([f"name={text}"]) == {"name": value}
    assert changed({}, [f"part.name={text}"]) == {"part": {"name": value}}


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_flat_names_are_read_alike_by_both(settings):
    texts = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    assert split_settings(texts) == changed({}, texts) == settings


def test_dotted_names_reach_into_parts_and_the_original_stays():
    values = {"loop": {"steps": 3, "low": 2}, "seed": 0}
    result = changed(
        values, ["loop.steps=5", "seed=1", "update.learning_rate=1e-3", "loop.steps=7"]
    )
    assert result == {
        "loop": {"steps": 7, "low": 2}, "seed": 1, "update": {"learning_rate": 1e-3},
    }  # fmt: skip
    assert values == {"loop": {"steps": 3, "low": 2}, "seed": 0}


@pytest.mark.parametrize("setting", ["kappa", "=3", " =3", ""])
def test_a_setting_without_name_or_value_is_named(setting):
    with pytest.raises(InputError, match=f"a setting reads name=value, got {setting!r}"):
        split_settings([setting])
    with pytest.raises(InputError, match=r"a setting reads name=value or part\.name=value, got"):
        changed({}, [setting])


def test_a_value_has_no_parts():
    with pytest.raises(InputError, match="seed has no settings of its own"):
        changed({"seed": 0}, ["seed.x=1"])
