"""A thousand ways to write an answer, right and wrong by construction, and who judges them how.

Run as a program, it compares our verdicts with those of stock math-verify and prints the table of
docs/tasks.md, and every disagreement: ``python tests/support/answer_forms.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

INTEGERS = (0, 1, 5, 12, 73, 144, 1000, 1234, 45678, 1234567, -1, -73, -1234)
DECIMALS = ("0.5", "3.14", "12.75", "-2.5", "1234.5", "0.125")
FRACTIONS = ((1, 2), (3, 4), (-5, 7), (22, 7), (7, 3), (11, 12), (-1, 9))
SCALES = ("hundred", "thousand", "million", "billion", "dozen")


@dataclass(frozen=True)
class Form:
    """One way to write an answer to a reference, and whether it is right."""

    kind: str
    reference: str
    response: str
    right: bool


def forms() -> Iterator[Form]:
    """All forms."""
    for make in (
        _plain_integers,
        _written_integers,
        _prose,
        _other_numbers,
        _decimals,
        _fractions,
        _side_by_side,
        _units,
        _bases,
        _exponents,
        _roots,
        _algebra,
        _collections,
        _words,
        _equations,
        _choices,
        _others,
    ):
        yield from make()


def boxed(answer: str) -> str:
    return "\\boxed{" + answer + "}"


def grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


def _both(kind: str, reference: str, right: list[str], wrong: list[str]) -> Iterator[Form]:
    """Boxed answers, right and wrong."""
    for answer in right:
        yield Form(kind, reference, boxed(answer), True)
    for answer in wrong:
        yield Form(kind, reference, boxed(answer), False)


def _plain_integers() -> Iterator[Form]:
    for n in INTEGERS:
        right = [str(n), f" {n} ", f"{n}.", f"{n}.0", f"${n}$", f"\\displaystyle {n}", f"{{{n}}}"]
        wrong = [str(n + 1), f"{n}.5", str(10 * n + 1), f"{n}{n}" if n else "00.1"]
        wrong += [str(-n)] if n else []
        yield from _both("integer in a box", str(n), right, wrong)


def _written_integers() -> Iterator[Form]:
    for n in INTEGERS:
        if abs(n) >= 1000:
            right = [grouped(n, s) for s in (",", "{,}", "\\,", ",\\!", "\\ ", "~")]
            wrong = [grouped(n + 1, "\\,"), grouped(n, ",") + ",000", grouped(n, ".")]
            if abs(n) >= 10**6:
                wrong[-1] = grouped(n + 10, "{,}")
            yield from _both("thousands separators", str(n), right, wrong)
        right = [
            f"x = {n}",
            f"\\frac{{{2 * n}}}{{2}}",
            f"{n - 3} + 3",
            f"{n}^1",
            f"2 \\cdot {n} / 2",
        ]
        wrong = [f"x = {n + 1}", f"\\frac{{{2 * n + 1}}}{{2}}", f"{n - 3} + 4", f"{n + 1}^1"]
        wrong += [f"{n}, {n + 1}", f"{n} \\text{{ or }} {n + 1}", f"\\pm {abs(n) or 1}"]
        yield from _both("integer as an expression", str(n), right, wrong)


PROSE = (
    "The answer is **{}**.",
    "The answer is {}.",
    "The answer is:\n{}",
    "The answer is {}, because 1+72=73.",
    "The answer is therefore {}.",
    "**Final Answer**\n\n{}",
    "### Final Answer\n{}\n",
    "Final Answer: {}",
    "So the final answer is ${}$.",
    "We get 5 and 6. Answer: {}",
    "The correct answer is: \\({}\\).",
    "The answer is\n\\[{}\\]",
    "Thus the answer is `{}`. Let me check: 2+2=4.",
    "The answer to the question is {}.",
    "The answer is equal to {}.",
    "**The answer is {}.**",
)


def _prose() -> Iterator[Form]:
    for n in (73, -73, 1234, 0):
        for text in PROSE:
            yield Form("integer in prose", str(n), text.format(n), True)
            yield Form("integer in prose", str(n), text.format(n + 1), False)
            yield Form("integer in prose", str(n), text.format(f"{n}.5"), False)
            if n:
                yield Form("integer in prose", str(n), text.format(-n), False)
        for text in (
            "The answer is **{}**.5",
            "The answer is {} or 74.",
            "The answer is {} and 74.",
            "The answer is not {}.",
            "The answer is {} + 1.",
            "The answer is ${}$ or $74$",
            "The answer is **{}** + 1",
            "The answer is {}\nor 75",
        ):
            yield Form("hedged or continued", str(n), text.format(n), False)
        if n:  # 0 million are 0
            yield Form("hedged or continued", str(n), f"The answer is {n} million.", False)


def _other_numbers() -> Iterator[Form]:
    for n in (7, 73, 120):
        right = [f"{n}!/{n - 1}!", f"\\lfloor {n}.5 \\rfloor", f"|{-n}|", f"\\sqrt{{{n * n}}}"]
        wrong = [
            f"{n}!",
            f"{n}^2",
            f"\\sqrt{{{n}}}",
            f"{n}i",
            f"{n}x",
            f"{n}\\pi",
            f"\\frac{{{n}}}{{2}}",
        ]
        wrong += [
            f"{n}.000001",
            f"{n}.0000001",
            f"{n}e1",
            f"{n} \\times 10^1",
            f"\\frac{{1}}{{{n}}}",
        ]
        wrong += [
            f"> {n}",
            f"\\geq {n}",
            f"\\neq {n}",
            f"{n}\\frac{{1}}{{2}}",
            f"{n}.\\overline{{3}}",
        ]
        yield from _both("other numbers of the same digits", str(n), right, wrong)


def _decimals() -> Iterator[Form]:
    for text in DECIMALS:
        value = Fraction(text)
        top, bottom = value.numerator, value.denominator
        right = [text, text + "0", f"\\frac{{{top}}}{{{bottom}}}", f"{top}/{bottom}", f"x={text}"]
        right += [f"{float(value * 100):g}\\%", f"{float(value * 10):g} \\times 10^{{-1}}"]
        if text.startswith("0"):
            right.append(text[1:])
        wrong = [
            text + "1",
            f"{float(value + 1):g}",
            f"{float(value * 10):g}",
            f"{float(-value):g}",
        ]
        wrong += [f"{float(value):g}0000001", f"\\frac{{{bottom}}}{{{top}}}"]
        yield from _both("decimals and percent", text, right, wrong)


def _fractions() -> Iterator[Form]:
    for top, bottom in FRACTIONS:
        reference = f"\\frac{{{top}}}{{{bottom}}}"
        sign, size = ("-" if top < 0 else ""), abs(top)
        right = [
            reference,
            f"\\dfrac{{{top}}}{{{bottom}}}",
            f"\\tfrac{{{top}}}{{{bottom}}}",
            f"{sign}\\frac{{{size}}}{{{bottom}}}",
            f"\\frac{{{2 * top}}}{{{2 * bottom}}}",
            f"{top}/{bottom}",
            f"{sign}{size} / {bottom}",
            f"({top})/{bottom}",
            f"x = \\frac{{{top}}}{{{bottom}}}",
        ]
        if size < 10 and bottom < 10:
            right += [f"{sign}\\frac{size}{bottom}", f"{sign}\\frac {size} {bottom}"]
        if size > bottom:
            whole, rest = divmod(size, bottom)
            right.append(f"{sign}{whole}\\frac{{{rest}}}{{{bottom}}}")
        wrong = [
            f"\\frac{{{top + 1}}}{{{bottom}}}",
            f"\\frac{{{top}}}{{{bottom + 1}}}",
            f"\\frac{{{bottom}}}{{{top}}}",
            f"{top + 1}/{bottom}",
            f"\\frac{{{-top}}}{{{bottom}}}",
            f"{top / bottom:.3f}" if bottom not in (2, 4) else f"{top / bottom + 0.001:.3f}",
            f"{top}",
        ]
        yield from _both("fractions", reference, right, wrong)


def _side_by_side() -> Iterator[Form]:
    cases = {
        "10": (
            ["2(5)", "(2)(5)", "2 \\cdot 5"],
            ["7 3", "3(7)", "(3)(7)", "{3}7", "3\\quad 7", "10 0"],
        ),
        "8": (
            ["2(4)", "\\frac{8}{3}(3)"],
            ["{3}5", "3(5)", "(3) 5", "3\\;5", "\\frac{6}{2}5", "8 \\cdot"],
        ),
        "75": (["25(3)"], ["73 (2)", "\\frac{73}{1}\\frac{2}{1}", "73 [2]", "7 5"]),
        "\\frac{7}{2}": (
            ["3 1/2", "3\\frac{1}{2}", "3 \\frac12", "3\\,\\frac{1}{2}"],
            ["2 1/2", "3/2", "3(1/2)", "3 \\cdot \\frac12"],
        ),
        "2": (["\\frac{4}{2}"], ["3 1/2", "1 2/2", "1 1", "2_000", "2 \\, 2"]),
        "1": (["1(1)"], ["1_000", "1**.5 + 1", "1 0", "0x1"]),
        "0": (["0(5)", "-0"], ["0x49", "0b11", "0 1", "\\sqrt10", "\\frac210"]),
        "53": (["50 + 3"], ["5'3", "5' 3", "10 = 53", "53 \\ldots", "53..."]),
        "\\frac{1}{2}": (
            ["x = \\frac{1}{2}", "\\frac24"],
            ["<\\frac{1}{2}", "\\frac{1}{2} \\foo", "$\\frac{1}{2}$ or not", "\\frac120"],
        ),
        "\\sqrt{12}": (["\\sqrt12", "2\\sqrt3"], ["2", "\\sqrt{1}2"]),
        "7300": (
            ["7.3e3", "7.3 \\times 10^3", "7.3E3", "73 \\cdot 100"],
            ["7.3e2", "7.3", "73e3"],
        ),
        "-\\frac{5}{3}": (
            ["-1\\frac{2}{3}", "-1 2/3"],
            ["-\\frac{2}{3}", "1\\frac{2}{3}", "-1(2/3)"],
        ),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both("numbers side by side", reference, right, wrong)


def _units() -> Iterator[Form]:
    for n in (5, 73):
        right = [
            f"{n}\\text{{ cm}}",
            f"{n} \\text{{ dollars}}",
            f"{n}\\mathrm{{~km}}",
            f"\\${n}",
            f"{n}^\\circ",
            f"{n}\\text{{ square inches}}",
            f"{n}\\text{{ cm}}^2",
            f"{n} apples",
            f"{n} dollars",
            f"{n} cm",
            f"{n} degrees",
        ]
        wrong = [f"{n + 1}\\text{{ cm}}", f"\\${n + 1}", f"{n + 1}^\\circ", f"{n + 1} dollars"]
        wrong += [f"{n}\\text{{ {scale}}}" for scale in SCALES]
        wrong += [f"{n} {scale}" for scale in SCALES]
        wrong += [f"{n}\\text{{ squared}}", f"{n}\\text{{ or }}{n + 1}", f"{n}\\text{{ times 2}}"]
        wrong += [f"{n}t", f"{n}h", f"{n}m", f"{n}d", f"{n} less", f"{n} more"]
        yield from _both("units and scales", str(n), right, wrong)
        yield from _both(
            "units and scales",
            f"{n}t",
            [f"{n} t", f"{n}\\cdot t", f"t \\cdot {n}"],
            [str(n), f"{n}h", f"{n}\\text{{ t}}" + "u"],
        )
        for text in ("The answer is {} dollars.", "The answer is ${}.", "The answer is {} apples."):
            yield Form("units and scales", str(n), text.format(n), True)
            yield Form("units and scales", str(n), text.format(n + 1), False)
    yield from _both(
        "units and scales",
        "90^\\circ",
        ["90", "90^{\\circ}", "90°", "90 \\text{ degrees}"],
        ["91^\\circ", "\\frac{\\pi}{3}", "45^\\circ"],
    )
    yield from _both(
        "units and scales", "10\\text{ cm}", ["10", "10 cm", "10\\mathrm{cm}"], ["11", "100"]
    )


def _bases() -> Iterator[Form]:
    for digits, base in (("73", 8), ("1011", 2), ("4343", 6), ("52", 7)):
        reference = f"{digits}_{base}"
        right = [reference, f"{digits}_{{{base}}}", digits, f"{digits}_{{\\text{{{base}}}}}"]
        wrong = [f"{digits}_{base + 1}", f"{int(digits) + 1}_{base}", str(int(digits) + 1)]
        wrong += [str(int(digits, base)), f"{digits}_{{16}}"]
        yield from _both("number bases", reference, right, wrong)


def _exponents() -> Iterator[Form]:
    cases = {
        "\\frac{2^{3}}{3}": (
            ["\\frac{8}{3}", "8/3", "\\frac{2^3}{3}"],
            ["\\frac{6}{3}", "\\frac{23}{3}"],
        ),
        "\\frac{2^{3^{2}}}{3}": (
            ["\\frac{512}{3}", "512/3"],
            ["\\frac{64}{3}", "\\frac{2^{32}}{3}"],
        ),
        "\\frac{x^{2}3}{4}": (
            ["\\frac{3x^2}{4}", "0.75x^{2}"],
            ["\\frac{x^{23}}{4}", "\\frac{x^2}{4}"],
        ),
        "\\frac{3^{2} 5}{7}": (["\\frac{45}{7}", "45/7"], ["\\frac{3^{25}}{7}", "\\frac{9}{7}"]),
        "\\frac{1}{2^{10}}": (
            ["2^{-10}", "\\frac{1}{1024}", "1/1024"],
            ["\\frac{1}{20}", "2^{10}"],
        ),
        "2^{2^{3}}": (["256", "2^8", "{2^{2^3}}"], ["64", "2^{6}", "2^{23}"]),
        "\\frac{e^{x^{2}}}{2}": (
            ["\\frac{1}{2}e^{x^2}", "0.5 e^{x^2}"],
            ["\\frac{e^{2x}}{2}", "e^{x^2}"],
        ),
        "x^{12}": (["(x^6)^2", "x^{10}x^2", "x^12"], ["x^{1}2", "x^{21}"]),
        "\\frac{a^{n+1}}{b^{n}}": (
            ["a^{n+1}b^{-n}", "a \\cdot \\frac{a^n}{b^n}"],
            ["\\frac{a^{n}}{b^{n}}"],
        ),
        "(2^{3})^{2}": (["64", "2^6"], ["512", "2^9"]),
        "\\frac{\\sqrt{3^{2}+4^{2}}}{2}": (["\\frac{5}{2}", "2.5"], ["\\frac{7}{2}", "5"]),
        "10^{-3}": (["0.001", "\\frac{1}{1000}"], ["0.003", "-1000"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both(
            "exponents, nested and in fractions", reference, [reference, *right], wrong
        )


def _roots() -> Iterator[Form]:
    cases = {
        "\\sqrt{2}": (["\\sqrt 2", "2^{1/2}", "sqrt(2)", "2^{0.5}"], ["\\sqrt{3}", "2", "1.414"]),
        "3\\sqrt{5}": (
            ["\\sqrt{45}", "3 \\sqrt5", "3\\cdot\\sqrt{5}"],
            ["\\sqrt{15}", "5\\sqrt{3}"],
        ),
        "\\frac{1}{\\sqrt{2}}": (
            ["\\frac{\\sqrt{2}}{2}", "1/\\sqrt{2}"],
            ["\\sqrt{2}", "\\frac{1}{2}"],
        ),
        "\\sqrt[3]{4}": (["4^{1/3}", "2^{2/3}"], ["\\sqrt{4}", "3\\sqrt{4}"]),
        "2\\pi": (["\\pi \\cdot 2", "\\pi 2", "2 \\pi"], ["\\pi", "6.28", "2\\pi^2", "3.14"]),
        "\\frac{\\pi}{6}": (["\\pi/6", "\\frac{1}{6}\\pi"], ["\\frac{\\pi}{3}", "30"]),
        "1+\\sqrt{3}": (["\\sqrt{3}+1", "(1+\\sqrt{3})"], ["1-\\sqrt{3}", "\\sqrt{4}"]),
        "\\log_2 5": (["\\log_{2} 5", "\\frac{\\ln 5}{\\ln 2}"], ["\\log_5 2", "\\log 5"]),
        "\\sin 30^\\circ": (
            ["\\frac{1}{2}", "0.5", "\\sin(\\frac{\\pi}{6})"],
            ["\\frac{\\sqrt3}{2}"],
        ),
        "\\cos 60^\\circ": (["\\frac{1}{2}", "0.5"], ["\\frac{\\sqrt3}{2}"]),
        "\\infty": (["+\\infty", "infinity"], ["-\\infty", "0"]),
        "3+4i": (["4i+3", "3 + 4 i"], ["3-4i", "7", "7i"]),
    }
    for reference, (right, wrong) in cases.items():
        kind = "degrees in functions" if "circ" in reference else "roots, constants, functions"
        yield from _both(kind, reference, [reference, *right], wrong)


def _algebra() -> Iterator[Form]:
    cases = {
        "x^2+2x+1": (
            ["(x+1)^2", "1+2x+x^2", "x^{2} + 2 x + 1", "x(x+2)+1"],
            ["(x-1)^2", "x^2+2x", "x^2+1", "(y+1)^2"],
        ),
        "2x": (["2*x", "x+x", "x \\cdot 2", "2 x"], ["x^2", "2", "x", "-2x", "2y"]),
        "\\frac{x+1}{2}": (
            ["\\frac{1}{2}x+\\frac12", "0.5(x+1)", "(x+1)/2"],
            ["x+\\frac12", "\\frac{x}{2}+1"],
        ),
        "ab": (["ba", "a \\cdot b", "a b"], ["a+b", "ac", "a"]),
        "n(n+1)/2": (["\\frac{n(n+1)}{2}", "\\frac{n^2+n}{2}"], ["\\frac{n(n-1)}{2}", "n(n+1)"]),
        "\\binom{5}{2}": (["10", "\\frac{5!}{2!3!}"], ["\\frac{5}{2}", "20"]),
        "x_1": (["x_{1}"], ["x_2", "x", "1"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both("algebra", reference, [reference, *right], wrong)


def _collections() -> Iterator[Form]:
    cases = {
        "(1,2)": (
            ["(1, 2)", "\\left(1,2\\right)", "( 1 , 2 )", "(1.0, 2)"],
            ["(2,1)", "(1,2,3)", "1", "(1,3)"],
        ),
        "\\{1,2\\}": (
            ["\\{2,1\\}", "1, 2", "2, 1", "\\{1, 2\\}"],
            ["\\{1\\}", "\\{1,2,3\\}", "\\{1,3\\}", "12"],
        ),
        "3, 5": (
            ["5, 3", "3 \\text{ and } 5", "3 and 5", "\\{3,5\\}", "x=3, x=5"],
            ["3", "5", "35", "3, 6", "3, 5, 7"],
        ),
        "[0,1)": (["[0, 1)", "\\left[0,1\\right)"], ["[0,1]", "(0,1)", "[0,2)"]),
        "(-\\infty, 2)": (
            ["(-\\infty,2)", "\\left(-\\infty, 2\\right)"],
            ["(-\\infty, 2]", "(2, \\infty)", "2"],
        ),
        "(-1,0) \\cup (0,1)": (["(0,1) \\cup (-1,0)"], ["(-1,1)", "(-1,0)"]),
        "\\begin{pmatrix}1\\\\2\\end{pmatrix}": (
            ["\\begin{bmatrix}1\\\\2\\end{bmatrix}"],
            ["\\begin{pmatrix}2\\\\1\\end{pmatrix}", "\\begin{pmatrix}1&2\\end{pmatrix}", "(1,3)"],
        ),
        "\\emptyset": (["\\varnothing"], ["0", "\\{0\\}"]),
        "\\pm 2": (["2, -2", "\\{-2,2\\}"], ["2", "-2", "\\pm 3"]),
        "(1,234)": (["(1, 234)"], ["1234", "(1, 235)"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both("tuples, sets, intervals, matrices", reference, [reference, *right], wrong)


def _words() -> Iterator[Form]:
    cases = {
        "\\text{even}": (
            ["even", "\\text{Even}", "\\mathrm{even}", "\\textbf{even}"],
            ["odd", "neev", "2"],
        ),
        "east": (["East", "\\text{east}", "\\text{ east }"], ["seat", "west", "\\text{teas}"]),
        "C": (
            ["(C)", "\\text{C}", "\\text{(C)}", "\\mathrm{C}", "\\textbf{(C)}"],
            ["B", "D", "AC", "\\text{B}"],
        ),
        "\\text{(A)}": (["A", "(A)", "\\text{A}"], ["B", "(B)", "a_1"]),
        "\\text{No}": (["no", "No", "\\text{no}"], ["yes", "on", "\\text{Yes}", "0"]),
        "\\text{no solution}": (
            ["no solution", "\\text{No solution}"],
            ["one solution", "\\text{no}", "0"],
        ),
        "Tuesday": (["\\text{Tuesday}", "tuesday"], ["Thursday", "\\text{Monday}"]),
        "x \\in [0,1]": (["[0,1]", "x\\in[0, 1]"], ["x \\in [0,1)", "x \\in [0,2]"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both("words and choices", reference, [reference, *right], wrong)


def _equations() -> Iterator[Form]:
    cases = {
        "y = 2x+1": (["y=2x + 1", "2x+1=y", "y = 1+2x", "2x+1"], ["y=2x-1", "y=x", "2x", "x=2y+1"]),
        "x = 5": (["5", "x=5", "x = 5.0", "x=\\frac{10}{2}"], ["6", "x=6", "y=5.5", "x=-5"]),
        "x^2+y^2=1": (["y^2+x^2=1", "x^2+y^2-1=0"], ["x^2+y^2=2", "x+y=1", "1"]),
        "x > 3": (["3 < x", "x>3", "x > \\frac{6}{2}"], ["x < 3", "x \\geq 3", "x>4", "3"]),
        "x \\leq -2": (["-2 \\geq x", "x \\le -2"], ["x < -2", "x \\leq 2", "-2"]),
        "1 < x < 2": (["1<x<2"], ["1 < x < 3", "1 \\leq x < 2"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both("equations and inequalities", reference, [reference, *right], wrong)


def _choices() -> Iterator[Form]:
    for letter, other in (("A", "B"), ("B", "C"), ("D", "A")):
        ways = [
            "({})",
            "\\text{{{}}}",
            "({}) 5",
            "{}. 5 apples",
            "{}) 5",
            "\\text{{({}) }} 5",
            "{}:",
        ]
        right = [way.format(letter) for way in ways]
        yield from _both("choices", f"({letter})", right, [way.format(other) for way in ways])
        for text in (
            "The answer is ({}) 5.",
            "The answer is {}.",
            "The answer is **{}**",
            "Answer: {}",
        ):
            yield Form("choices", letter, text.format(letter), True)
            yield Form("choices", letter, text.format(other), False)


def _others() -> Iterator[Form]:
    kind = "other notations"
    cases = {
        "73": (
            ["\\textcolor{red}{73}", "73\u20ac", "\\$73", "73,", "73 \\,"],
            ["\u20ac74", "73 : 2"],
        ),
        "0.5": (["50\\%", ".5", "5e-1"], ["50", "0.5\\%", "0.5\\ldots"]),
        "50\\%": (["50", "0.5", "50 percent", "50\\text{ percent}"], ["5\\%", "0.05"]),
        "\\frac{1}{3}": (["0.333333", "1:3"], ["0.333", "3", "0.34"]),
        "10^{-7}": (["0.0000001", "1e-7"], ["0.0000002", "0", "10^{-8}"]),
        "\\sqrt{2}": (["1.414214", "1.41421356"], ["1.41", "1.415"]),
        "(1,2)": (["(x,y)=(1,2)"], ["(x,y)=(2,1)"]),
        "x=1,y=2": (["x=1, y=2", "y=2, x=1"], ["x=2, y=1"]),
        "x^2+C": (["C+x^2"], ["x^2", "C"]),
        "1,2,3": (["3,2,1", "1, 2, 3"], ["1,2,\\ldots,3", "1,2", "123"]),
        "\\overline{AB}": ([], ["\\overline{AC}"]),
        "2^{100}": (["1267650600228229401496703205376", "4^{50}"], ["2^{101}"]),
        "f(x)=x+1": (["x+1"], ["x+2"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from _both(kind, reference, [reference, *right], wrong)
    yield Form(kind, "73", "The answer is 73, not 74.", True)
    yield Form(kind, "74", "The answer is 73, not 74.", False)
    yield from known_errors()


def known_errors() -> Iterator[Form]:
    """Forms that are judged wrongly, and stay so: docs/tasks.md says why."""
    kind = "known errors"
    missed = {
        "73": ["\\text{seventy-three}", "73 \\text{ (since 70+3)}"],
        "1500000": ["1.5\\text{ million}"],
        "\\frac{1}{3}": ["0.\\overline{3}"],
        "\\ln 2": ["\\log 2"],
        "60^\\circ": ["\\frac{\\pi}{3}"],
        "10:30": ["\\text{10:30}"],
        "(3,\\infty)": ["x > 3"],
        "\\overline{AB}": ["AB"],
        "\\triangle ABC": ["ABC"],
        "\\text{Yes}": ["\\text{Yes, it is}"],
        "\\frac{13}{2}": ["5\\frac{3}{2}"],
    }
    for reference, answers in missed.items():
        yield from _both(kind, reference, answers, [])
    yield Form(kind, "73", "-\\boxed{73}", False)
    yield from _both(kind, "a", [], ["A"])
    yield from _both(kind, "\\{1,2\\}", [], ["(1,2)"])


def stock_verdicts(given: list[Form]) -> list[bool]:
    """math-verify with its defaults, in this process: these responses are ours, not a model's."""
    from math_verify import parse, verify

    for name in ("math_verify", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return [bool(verify(parse(boxed(form.reference)), parse(form.response))) for form in given]


def our_verdicts(given: list[Form]) -> list[bool]:
    """The judge of tasks from files, with its defaults."""
    from cobatrain.tasks import Prompt, Verifier
    from cobatrain.tasks.verify import MathJudge

    with Verifier(MathJudge(), workers=2) as verifier:
        prompts = [Prompt("q", form.reference, "level", "source") for form in given]
        rewards = verifier.score(prompts, [form.response for form in given])
    return [bool(reward) for reward in rewards]


HEADING = (
    "| kind of answer | forms | both right | only ours right | only stock right | both wrong |\n"
    "|---|---|---|---|---|---|"
)


def table(given: list[Form], ours: list[bool], stock: list[bool]) -> list[str]:
    """Rows of the table, one a kind, and the sum."""
    counts: dict[str, list[int]] = {}
    for form, own, theirs in zip(given, ours, stock, strict=True):
        row = counts.setdefault(form.kind, [0, 0, 0, 0])
        row[2 * (own != form.right) + (theirs != form.right)] += 1
    counts["all"] = [sum(column) for column in zip(*counts.values(), strict=True)]
    return [
        f"| {kind} | {sum(row)} | {row[0]} | {row[1]} | {row[2]} | {row[3]} |"
        for kind, row in counts.items()
    ]


def main() -> None:
    given = list(forms())
    ours, stock = our_verdicts(given), stock_verdicts(given)
    print(HEADING, *table(given, ours, stock), sep="\n")
    print("\nDisagreements and errors (ours, stock: + passed, - did not):")
    for form, own, theirs in zip(given, ours, stock, strict=True):
        if own != theirs or own != form.right:
            marks = "".join("+" if passed else "-" for passed in (own, theirs))
            should = "right" if form.right else "wrong"
            print(f"{marks} {should}: {form.kind}: {form.reference!r} <- {form.response!r}")


if __name__ == "__main__":
    main()
