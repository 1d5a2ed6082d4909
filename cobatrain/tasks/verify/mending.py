r"""One mistake of math-verify's parser, mended in the process that calls it.

latex2sympy2_extended 1.11.0 takes any two numbers side by side for a mixed number and adds them:
2(3) is 5, and \frac{4}{2}3 is 5. Mixed numbers are respelled before (`respelled`), so what is left
is a product, or no number at all where digits follow directly.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def mend_products() -> None:
    """Factors side by side are multiplied; a number followed by digits is refused.

    Raises AttributeError if the library has changed.
    """
    converter: Any = import_module("latex2sympy2_extended.latex2sympy2")._Latex2Sympy
    if not callable(converter.convert_postfix_list):
        raise AttributeError("convert_postfix_list")
    converter.convert_postfix_list = _product


def _product(self: Any, factors: Any, i: int = 0) -> Any:
    """The product of the factors from ``i`` on; in place of ``_Latex2Sympy.convert_postfix_list``.

    Differs from it in what two numbers give.
    """
    sympy: Any = import_module("sympy")
    left = self.convert_postfix(factors[i])
    is_derivative = isinstance(left, list) and len(left) == 1
    if not is_derivative and not isinstance(left, sympy.Expr | sympy.Matrix):
        return left
    if i == len(factors) - 1:
        if is_derivative:
            raise ValueError("a derivative of nothing")
        return left
    if getattr(left, "is_Number", False) and factors[i + 1].getText()[:1] in tuple("0123456789."):
        raise ValueError("two numbers side by side")
    right = _product(self, factors, i + 1)
    if is_derivative:
        return sympy.Derivative(right, left[0])
    if getattr(left, "is_Matrix", False) or getattr(right, "is_Matrix", False):
        return self.mat_mul_flat(left, right)
    return self.mul_flat(left, right)
