"""The parser of expressions: it reads arithmetic and refuses calls."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from judging import CALL
from optional import needs_math


@needs_math
@settings(deadline=None, max_examples=60)
@given(st.text("0123456789+-*/()x .e^_'[],\"", max_size=40))
def test_parse_expression_reads_or_refuses(text):
    from cobatrain.tasks.verify import parse_expression

    try:
        value = parse_expression(text)
    except (ValueError, SyntaxError, TypeError, ZeroDivisionError, OverflowError, RecursionError):
        return
    assert type(value).__module__.startswith("sympy")


@needs_math
def test_parse_expression_agrees_with_the_parser_it_replaces_and_refuses_calls():
    import sympy

    from cobatrain.tasks.verify import parse_expression

    for text in ["(3+4)*2-5/7", "x**2/2 + C", "sin(2*x)*exp(-x)", "-7.25*y", "sqrt(x)+ln(x)"]:
        assert parse_expression(text) == sympy.parse_expr(text)
    for text in [
        CALL.format("x"),
        "x.__class__",
        "open('x')",
        "[1]",
        "9**9**9",
        "Pow(9, Pow(9, 9))",
        "lambda: 1",
        "x if x else y",
        "'a'",
        "True",
        "(yield)",
    ]:
        with pytest.raises((ValueError, SyntaxError)):
            parse_expression(text)
