"""Ways to write answers that are not single numbers; and the forms that are judged wrongly."""

from __future__ import annotations

from collections.abc import Iterator

from form import Form, both


def exponents() -> Iterator[Form]:
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
        yield from both("exponents, nested and in fractions", reference, [reference, *right], wrong)


def roots() -> Iterator[Form]:
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
        yield from both(kind, reference, [reference, *right], wrong)


def algebra() -> Iterator[Form]:
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
        yield from both("algebra", reference, [reference, *right], wrong)


def collections() -> Iterator[Form]:
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
        yield from both("tuples, sets, intervals, matrices", reference, [reference, *right], wrong)


def words() -> Iterator[Form]:
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
        yield from both("words and choices", reference, [reference, *right], wrong)


def equations() -> Iterator[Form]:
    cases = {
        "y = 2x+1": (["y=2x + 1", "2x+1=y", "y = 1+2x", "2x+1"], ["y=2x-1", "y=x", "2x", "x=2y+1"]),
        "x = 5": (["5", "x=5", "x = 5.0", "x=\\frac{10}{2}"], ["6", "x=6", "y=5.5", "x=-5"]),
        "x^2+y^2=1": (["y^2+x^2=1", "x^2+y^2-1=0"], ["x^2+y^2=2", "x+y=1", "1"]),
        "x > 3": (["3 < x", "x>3", "x > \\frac{6}{2}"], ["x < 3", "x \\geq 3", "x>4", "3"]),
        "x \\leq -2": (["-2 \\geq x", "x \\le -2"], ["x < -2", "x \\leq 2", "-2"]),
        "1 < x < 2": (["1<x<2"], ["1 < x < 3", "1 \\leq x < 2"]),
    }
    for reference, (right, wrong) in cases.items():
        yield from both("equations and inequalities", reference, [reference, *right], wrong)


def choices() -> Iterator[Form]:
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
        yield from both("choices", f"({letter})", right, [way.format(other) for way in ways])
        for text in (
            "The answer is ({}) 5.",
            "The answer is {}.",
            "The answer is **{}**",
            "Answer: {}",
        ):
            yield Form("choices", letter, text.format(letter), True)
            yield Form("choices", letter, text.format(other), False)


def others() -> Iterator[Form]:
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
        yield from both(kind, reference, [reference, *right], wrong)
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
        yield from both(kind, reference, answers, [])
    yield Form(kind, "73", "-\\boxed{73}", False)
    yield from both(kind, "a", [], ["A"])
    yield from both(kind, "\\{1,2\\}", [], ["(1,2)"])
