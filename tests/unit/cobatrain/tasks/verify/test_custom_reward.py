"""Which columns a reward function takes, by its signature."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks.verify.custom_reward import taken

NAMES = st.sets(st.sampled_from("abcdef"))


@settings(deadline=None)
@given(NAMES, NAMES, NAMES, st.booleans(), st.booleans())
def test_a_row_gives_what_the_call_takes_and_is_refused_where_the_call_would_fail(
    required, optional, present, every, by_name
):
    optional -= required
    extra = [*sorted(required), *(f"{name}=None" for name in sorted(optional))]
    star = ["*"] if by_name and extra else []
    others = ["**others"] if every else []
    signature = ", ".join(["prompt", "text", *star, *extra, *others])
    function = eval(f"lambda {signature}: locals()")
    columns = taken(function, "mine")
    row = {name: name.upper() for name in [*present, "prompt"]}
    row["Text"] = 1  # another name than the argument's
    if required - present:
        assert columns.missing(row) in required - present
        with pytest.raises(InputError, match=r"file: no column .* 'mine' takes"):
            columns.check(row, "file")
        with pytest.raises(TypeError):
            function("p", "t", **columns.given(row))
        return
    columns.check(row, "file")
    seen = function("p", "t", **columns.given(row))
    assert (seen.pop("prompt"), seen.pop("text")) == ("p", "t")
    expected = dict.fromkeys(optional) | {
        name: name.upper() for name in present & (required | optional)
    }
    if every:
        rest = {name: name.upper() for name in present - required - optional}
        expected["others"] = rest | {"Text": 1}
    assert seen == expected


def test_functions_of_prompt_and_text_alone_take_nothing():
    class Scorer:
        def __call__(self, prompt, text):
            return 1

    plain = (lambda p, t: 1, lambda *both: 1, lambda *a, **k: 1, lambda p, t, /: 1)
    for function in (*plain, Scorer(), max):
        columns = taken(function, "mine")
        assert not columns.names
        assert columns.given({"a": 1}) == {}


@pytest.mark.parametrize("function", [lambda p: 1, lambda: 1, lambda p, t, c, /: 1])
def test_a_function_that_cannot_be_called_so_is_refused(function):
    with pytest.raises(InputError, match=r"'mine' takes \(.*\): expected \(prompt, text\)"):
        taken(function, "mine")
