"""Parsers of mathematical text and literals that evaluate no code."""

from __future__ import annotations

import ast
from importlib import import_module
from typing import Any

MAX_BITS = 100_000
"""Largest power of two numbers, in bits, that `parse_expression` works out."""

_NAMES = """
sin cos tan sec csc cot asin acos atan sinh cosh tanh asinh acosh atanh exp log ln sqrt Abs
Integer Float Rational Symbol Add Mul Pow
"""
_FUNCTIONS = frozenset(_NAMES.split())
_CONSTANTS = frozenset(["pi", "E", "I", "oo"])


def parse_expression(
    text: str,
    local_dict: dict[str, Any] | None = None,
    transformations: object = None,
    global_dict: object = None,
    evaluate: bool = True,
) -> Any:
    """sympy's parse_expr without evaluation of code: same signature, fewer things understood.

    Understands numbers, names (symbols, pi, E, I, oo), + - * / **, signs, brackets and calls of
    elementary functions. Raises ValueError for anything else, and for a power of numbers with
    more than MAX_BITS bits. Departure: factorials, implicit multiplication, lists and attributes
    are not understood; `evaluate` is ignored.
    """
    if not isinstance(text, str) or len(text) > 20_000:
        raise ValueError("expected a string of at most 20,000 characters")
    stripped = text.strip()
    return _Builder(stripped, local_dict or {}).build(ast.parse(stripped, mode="eval"))


class _Builder:
    """Makes sympy expressions of the nodes of one parsed text."""

    def __init__(self, text: str, names: dict[str, Any]) -> None:
        self.sympy: Any = import_module("sympy")
        self.text = text
        self.names = names

    def build(self, node: ast.AST) -> Any:
        match node:
            case ast.Expression(body):
                return self.build(body)
            case ast.Constant(value) if type(value) is int:
                return self.sympy.Integer(value)
            case ast.Constant(value) if type(value) is float:
                written = ast.get_source_segment(self.text, node)
                return self.sympy.Float(written if written else value)
            case ast.Name(name):
                if name in self.names:
                    return self.names[name]
                if name in _CONSTANTS:
                    return getattr(self.sympy, name)
                return self.sympy.Symbol(name)
            case ast.UnaryOp(ast.USub(), operand):
                return -self.build(operand)
            case ast.UnaryOp(ast.UAdd(), operand):
                return self.build(operand)
            case ast.BinOp(left, operator, right):
                return _combined(self.build(left), operator, self.build(right))
            case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
                built = [self.build(argument) for argument in arguments]
                if name == "Pow" and len(built) == 2:
                    return _power(*built)
                return getattr(self.sympy, name)(*built)
        raise _not_understood(node)


def _combined(a: Any, operator: ast.operator, b: Any) -> Any:
    match operator:
        case ast.Add():
            return a + b
        case ast.Sub():
            return a - b
        case ast.Mult():
            return a * b
        case ast.Div():
            return a / b
        case ast.Pow():
            return _power(a, b)
    raise _not_understood(operator)


def _power(a: Any, b: Any) -> Any:
    if a.is_Number and b.is_Number and a.is_Rational and b.is_Rational:
        size = max(abs(int(a.p)).bit_length(), int(a.q).bit_length())
        if size * abs(b) > MAX_BITS:
            raise ValueError("a power too large to work out")
    return a**b


def _not_understood(node: ast.AST) -> ValueError:
    return ValueError(f"{type(node).__name__} is not part of an expression")


def parse_literal(text: str, *_: object) -> Any:
    """A number, string, list, tuple, dict or set; ValueError for anything else."""
    return ast.literal_eval(text)
