"""A thousand forms of answers: all are judged rightly, and the table of docs/tasks.md is true."""

import pytest
from answer_forms import HEADING, forms, our_verdicts, stock_verdicts, table
from expression_forms import known_errors
from optional import needs_math
from repository import ROOT

GIVEN = list(forms())


@pytest.fixture(scope="module")
def ours():
    return our_verdicts(GIVEN)


@needs_math
def test_every_form_is_judged_rightly(ours):
    assert len(GIVEN) > 1000
    assert len(set(GIVEN)) > 0.98 * len(GIVEN)
    wrong = [form for form, own in zip(GIVEN, ours, strict=True) if own != form.right]
    assert wrong == list(known_errors())


@needs_math
def test_the_table_of_the_docs_is_true(ours):
    text = (ROOT / "docs" / "tasks.md").read_text()
    rows = table(GIVEN, ours, stock_verdicts(GIVEN))
    assert "\n".join([HEADING, *rows]) in text
