"""Units after a number, which are not compared: 5 cm, 5 apples and 5 are the same answer.

A word that changes the number ("5 million", "5 squared", "5 or 6") is no unit.
"""

from __future__ import annotations

import re

_CHANGING = """
hundred thousand million billion trillion quadrillion dozen score gross pair couple double triple
twice half halve halves third quarter fourth fifth sixth seventh eighth ninth tenth hundredth
thousandth millionth billionth squared cubed factorial times plus minus over by divided multiplied
mod modulo base power root choose prime point percentage point or and to through till until not no
nor non neither never but except without unless less more fewer greater smaller least most than at
up from between about if when where is are was were be isn wrong incorrect false fail either
one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty
seventy eighty ninety zero negative positive reciprocal inverse digits
"""
CHANGING = frozenset(_CHANGING.split())
"""Words that change a number, or deny it; in the singular."""

_UNITS = """
mm cm dm m km ft in inch inches foot feet yard mile mi cm² m² km² ml cl dl l liter litre gallon
quart pint ounce oz cup mg g gm kg gram kilogram ton tonne lb lbs pound sec second min minute hr
hrs hour day week month year yr mph kmh kph kmph km/h m/s degree deg radian rad dollar cent euro
rupee penny pence pennies usd square cubic sq cu unit meter metre centimeter centimetre
millimeter millimetre kilometer kilometre per hz joule watt volt newton way people person men man
women woman child children student apple
"""
UNITS = frozenset(_UNITS.split())
"""Words that are units whatever was asked."""

_FILLING_WORDS = "of the a an per total altogether old long tall in left remaining"
_FILLING = frozenset(_FILLING_WORDS.split())

_TEXT = re.compile(
    r"(?:/ ?)?\\(?:text(?:rm|normal|bf|it|sf)?|math(?:rm|bf|it|sf)|mbox) ?"
    r"\{(?P<words>[A-Za-z .,/~\\-]*)\}(?: ?\^ ?(?:\{ ?-?\d ?\}|-?\d)|[²³])?[ .]*$"
)
_SPACE = re.compile(r"\\[,;:! ]$")
_WORDS = re.compile(
    r"(?<=[\d)}])\s*(?P<words>[A-Za-z][A-Za-z./²³]*(?:[ -][A-Za-z./²³]+){0,4})"
    r"(?:\s*\^\s*(?:\{\s*[23]\s*\}|[23]))?\s*$"
)
_WORD = re.compile(r"[A-Za-z²³]+")
_NUMERIC = re.compile(r"\d|\\(?:pi|sqrt)(?![A-Za-z])")
_DEGREE = re.compile(
    r"(?<=[\d})])\s*(?:\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\u00b0)\s*"
    r"(?:\\?(?:text|mathrm)?\{?[CF]\}?)?\s*$"
)
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|sec|csc|cot)(?![a-zA-Z])")
_LONGEST_SHORT = 2  # letters of a bare word that must be a known unit


def without_unit(answer: str, asked: frozenset[str] = frozenset(), *, trusted: bool = False) -> str:
    r"""The answer without units at its end; unchanged where there is none.

    Words in \text{...} are units unless they change the number. Bare words must be common units,
    or be among the words that were ``asked`` for; ``trusted``: any will do.
    """
    while match := _TEXT.search(answer):
        rest = _without_space(answer[: match.start()])
        if not _NUMERIC.search(rest) or changes(match["words"]):
            return answer
        answer = rest
    match = _WORDS.search(answer)
    if match and not changes(match["words"]):
        words = _WORD.findall(match["words"])
        if all(_is_unit(word, asked, trusted=trusted) for word in words):
            answer = answer[: match.start()].rstrip()
    return answer if _FUNCTION.search(answer) else _DEGREE.sub("", answer)


def _without_space(text: str) -> str:
    """The text without space at its end, also that of LaTeX."""
    text = text.rstrip(" ~")
    while _SPACE.search(text):
        text = text[:-2].rstrip(" ~")
    return text


def changes(words: str) -> bool:
    """Whether a number followed by these words may be another number."""
    return any(not CHANGING.isdisjoint(_forms(word)) for word in _WORD.findall(words))


def words_of(text: str) -> frozenset[str]:
    """The words of a question, in small letters, singular and plural."""
    return frozenset(form for word in _WORD.findall(text) for form in _forms(word))


def _is_unit(word: str, asked: frozenset[str], *, trusted: bool) -> bool:
    forms = _forms(word)
    if len(word) == 1 and word not in "²³":  # a variable
        return False
    if not UNITS.isdisjoint(forms) or word.lower() in _FILLING or word in "²³":
        return True
    return len(word) > _LONGEST_SHORT and (trusted or not asked.isdisjoint(forms))


def _forms(word: str) -> set[str]:
    """A word in small letters, and without the ending of the plural."""
    word = word.lower()
    forms = {word, word.removesuffix("s"), word.removesuffix("es")}
    if word.endswith("ies"):
        forms.add(word[:-3] + "y")
    return {form for form in forms if form}
