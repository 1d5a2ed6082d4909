"""Ways to write numbers: in boxes, prose, with separators, units and bases."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from form import Form, both

INTEGERS = (0, 1, 5, 12, 73, 144, 1000, 1234, 45678, 1234567, -1, -73, -1234)
DECIMALS = ("0.5", "3.14", "12.75", "-2.5", "1234.5", "0.125")
FRACTIONS = ((1, 2), (3, 4), (-5, 7), (22, 7), (7, 3), (11, 12), (-1, 9))
SCALES = ("hundred", "thousand", "million", "billion", "dozen")


def grouped(number: int, separator: str) -> str:
    return f"{number:,}".replace(",", separator)


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


def plain_integers() -> Iterator[Form]:
    for n in INTEGERS:
        right = [str(n), f" {n} ", f"{n}.", f"{n}.0", f"${n}$", f"\\displaystyle {n}", f"{{{n}}}"]
        wrong = [str(n + 1), f"{n}.5", str(10 * n + 1), f"{n}{n}" if n else "00.1"]
        wrong += [str(-n)] if n else []
        yield from both("integer in a box", str(n), right, wrong)


def written_integers() -> Iterator[Form]:
    for n in INTEGERS:
        if abs(n) >= 1000:
            right = [grouped(n, s) for s in (",", "{,}", "\\,", ",\\!", "\\ ", "~")]
            wrong = [grouped(n + 1, "\\,"), grouped(n, ",") + ",000", grouped(n, ".")]
            if abs(n) >= 10**6:
                wrong[-1] = grouped(n + 10, "{,}")
            yield from both("thousands separators", str(n), right, wrong)
        right = [
            f"x = {n}",
            f"\\frac{{{2 * n}}}{{2}}",
            f"{n - 3} + 3",
            f"{n}^1",
            f"2 \\cdot {n} / 2",
        ]
        wrong = [f"x = {n + 1}", f"\\frac{{{2 * n + 1}}}{{2}}", f"{n - 3} + 4", f"{n + 1}^1"]
        wrong += [f"{n}, {n + 1}", f"{n} \\text{{ or }} {n + 1}", f"\\pm {abs(n) or 1}"]
        yield from both("integer as an expression", str(n), right, wrong)


def prose() -> Iterator[Form]:
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


def other_numbers() -> Iterator[Form]:
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
        yield from both("other numbers of the same digits", str(n), right, wrong)


def decimals() -> Iterator[Form]:
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
        yield from both("decimals and percent", text, right, wrong)


def fractions() -> Iterator[Form]:
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
        yield from both("fractions", reference, right, wrong)


def side_by_side() -> Iterator[Form]:
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
        yield from both("numbers side by side", reference, right, wrong)


def units() -> Iterator[Form]:
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
        yield from both("units and scales", str(n), right, wrong)
        yield from both(
            "units and scales",
            f"{n}t",
            [f"{n} t", f"{n}\\cdot t", f"t \\cdot {n}"],
            [str(n), f"{n}h", f"{n}\\text{{ t}}" + "u"],
        )
        for text in ("The answer is {} dollars.", "The answer is ${}.", "The answer is {} apples."):
            yield Form("units and scales", str(n), text.format(n), True)
            yield Form("units and scales", str(n), text.format(n + 1), False)
    yield from both(
        "units and scales",
        "90^\\circ",
        ["90", "90^{\\circ}", "90°", "90 \\text{ degrees}"],
        ["91^\\circ", "\\frac{\\pi}{3}", "45^\\circ"],
    )
    yield from both(
        "units and scales", "10\\text{ cm}", ["10", "10 cm", "10\\mathrm{cm}"], ["11", "100"]
    )


def bases() -> Iterator[Form]:
    for digits, base in (("73", 8), ("1011", 2), ("4343", 6), ("52", 7)):
        reference = f"{digits}_{base}"
        right = [reference, f"{digits}_{{{base}}}", digits, f"{digits}_{{\\text{{{base}}}}}"]
        wrong = [f"{digits}_{base + 1}", f"{int(digits) + 1}_{base}", str(int(digits) + 1)]
        wrong += [str(int(digits, base)), f"{digits}_{{16}}"]
        yield from both("number bases", reference, right, wrong)
