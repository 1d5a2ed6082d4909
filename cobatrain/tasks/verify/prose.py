"""The answer that plain prose states: "The answer is **73**, because 1+72=73."

What is cut off is a reason, a new sentence or decoration, never a part of the answer: a number that
goes on ("73.5", "73 or 74", "73 million") stays whole, for the judge to compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

_SPELLINGS = ("answer", "Answer", "ANSWER")
_MARK = re.compile(
    r"answers?[*_]{0,3}(?: (?:to|for|of) [^.:=\n]{1,60}?)? ?"
    r"(?:(?:is|are|equals|would be|will be|should be|must be)\b ?:?|[:=])",
    re.IGNORECASE,
)
_HEADING = re.compile(r"answers?[*_]{0,3}[ \t]*(?=\n|$)", re.IGNORECASE)
_BEFORE_HEADING = re.compile(r"[#>*_ \t]*(?:the )?(?:final )?[*_]*", re.IGNORECASE)

_HASHES = re.compile(r"(?<!#)####(?!#)")
_CLOSING = re.compile(r"\s+#+$")
_DIGIT = re.compile(r"\d")

_DECORATION = " \t*_`"
_ADVERB = re.compile(
    r"(?:,[ \t]*)?(?:therefore|thus|hence|then|so|consequently|accordingly|indeed|simply|just|only"
    r"|clearly|exactly|finally|now|also|still|equal to|given by|found to be|approximately"
    r"|about|roughly)\b,?:?[ \t]*",
    re.IGNORECASE,
)
_SENTENCE = r"\.[*_]{0,3}\s+(?=[^\W\d]|[*_`$\\(\"'])"
_REASON = (
    r",?\s+\(?(?:because|since|as)\b|[,;]\s*(?:because|since|not|so|which|thus|hence|therefore|meaning|obtained|found"
    r"|using)\b|\s+[-\u2013\u2014]+\s+(?:because|since|as|so|which)\b"
)
_END = re.compile(f"(?P<sentence>{_SENTENCE})|{_REASON}", re.IGNORECASE)
_END_OF_FORMULA = re.compile(f"(?P<sentence>(?!))|{_REASON}", re.IGNORECASE)

_BOLD = re.compile(r"(?<!\w)\*\*|\*\*(?!\w)")  # and not a power
_CLOSED = r"(?=[\s;:!?)]|[.,](?!\d)|$)"  # what may follow the end of bold text
_FORMULAS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))
_DELIMITERS = re.compile(r"\$|\\[()\[\]]|(?<!\w)\*\*|\*\*(?!\w)|`")
_CONTINUED = re.compile(
    r"[\s*_`]*(?:,?\s*or\b|,?\s*(?:and|to|through)\s+[-\d$\\({*]|[-\u2013/^*+=<>]\s*[\d$\\({]"
    r"|,\s*[\d$\\({\[*-]|\\?%|[.,]?\d|(?:hundred|thousand|million|billion|trillion|dozen|percent)\b)",
    re.IGNORECASE,
)

_OR_NEXT = re.compile(r"\s*or\s+[-\d$\\({*]", re.IGNORECASE)

_LISTED = re.compile(r"[-+\u2022]\s|\(?\d{1,2}[.)]\s")  # an item of a list, not a number
_VALUE = re.compile(r"[-+\u2212]?[\d\\({\[$.]|[a-zA-Z]\w{0,2}\s*=|\S+$")
_WORD = re.compile(r"(?<![\\a-zA-Z])[a-zA-Z]{2,}")
_BLANKS = 3  # empty lines between a mark and its answer
_WORDS = 3  # in an answer on a line of its own


def stated(tail: str) -> str | None:
    """What the last "answer is", "Answer:" or heading "Final Answer" of a text states, if anything.

    It stands behind the mark, or on the next line that is not empty if that is nothing but an
    answer.
    """
    mark = _last_mark(tail, len(tail))
    return None if mark is None else _stated_by(mark, tail)


def statements(text: str) -> list[str]:
    """All that a text states, first to last; of "Final answer: the answer is 5" only 5."""
    answers: list[str] = []
    end = len(text)
    while (mark := _last_mark(text, end)) is not None:
        answer = _stated_by(mark, text)
        if answer is not None and _last_mark(answer, len(answer)) is not None:
            answer = _stated_by(mark, text[:end])  # up to the mark that follows
            answer = answer if answer is not None and _DIGIT.search(answer) else None
        if answer is not None:
            answers.append(answer)
        end = mark.word
    return answers[::-1]


def after_hashes(tail: str) -> str | None:
    """What a last line states after ``####``, as GSM8K's solutions end; None without that mark.

    It is "" if the line holds a number and is not an answer alone: what is meant is unclear.
    A heading in words ("#### Final remarks") is no such mark.
    """
    line = _CLOSING.sub("", tail.rstrip().rsplit("\n", 1)[-1])
    marks = list(_HASHES.finditer(line))
    value = line[marks[-1].end() :].strip() if marks else ""
    if not value or _last_mark(value, len(value)) is not None:
        return None
    answer = _on_next_line(value)
    if answer is None and _DIGIT.search(value):
        return ""
    return answer


def _stated_by(mark: _Mark, tail: str) -> str | None:
    """What a mark states."""
    line, _, following = tail[mark.end :].partition("\n")
    value = line.lstrip(_DECORATION)
    decoration = tail[mark.line : mark.end] + line[: len(line) - len(value)]
    while adverb := _ADVERB.match(value):
        decoration += value[: adverb.end()]
        rest = value[adverb.end() :]
        value = rest.lstrip(_DECORATION)
        decoration += rest[: len(rest) - len(value)]
    if value.strip():
        return _Statement(value, following, decoration).answer()
    return _on_next_line(following)


class _Mark(NamedTuple):
    """Where "answer is" or the like stands."""

    line: int
    """Start of its line."""
    word: int
    """Start of the word "answer"."""
    end: int


def _last_mark(tail: str, end: int) -> _Mark | None:
    """The last mark whose word stands before ``end``."""
    while (place := max(tail.rfind(spelling, 0, end) for spelling in _SPELLINGS)) >= 0:
        start = tail.rfind("\n", 0, place) + 1
        match = _MARK.match(tail, place)
        if match is None and _BEFORE_HEADING.fullmatch(tail, start, place):
            match = _HEADING.match(tail, place)
        if match:
            return _Mark(start, place, match.end())
        end = place + len("answer") - 1
    return None


def _on_next_line(text: str) -> str | None:
    """The answer that a line of its own holds, after a few empty ones."""
    lines = text.split("\n", _BLANKS + 1)
    place = next((i for i, line in enumerate(lines[: _BLANKS + 1]) if line.strip()), None)
    if place is None:
        return None
    line, _, following = "\n".join(lines[place:]).strip().partition("\n")
    value = line.lstrip(_DECORATION)
    if _LISTED.match(line) or not _VALUE.match(value):
        return None
    answer = _Statement(value, following, line[: len(line) - len(value)], alone=True).answer()
    return answer if answer is not None and len(_WORD.findall(answer)) <= _WORDS else None


@dataclass(frozen=True)
class _Statement:
    """A line that begins with an answer."""

    line: str
    following: str
    """The text after the line."""
    before: str
    """What stands before the answer on its line, with decoration that may be open."""
    alone: bool = False
    """The line should hold nothing else: no new sentence."""

    def answer(self) -> str | None:
        """The answer, with everything that belongs to it."""
        if _OR_NEXT.match(self.following):
            return self._cut(f"{self.line} {self.following.strip()}", _END)
        inner, after = self._undecorated()
        formula = self._formula(inner)
        end = _END
        if formula is not None:
            end, inner, after = _END_OF_FORMULA, formula[0], formula[1] + after
        if _CONTINUED.match(after):
            return self._cut(_DELIMITERS.sub("", self.line), _END)
        if self.alone and after.strip(" \t.,:*_`") and not _END.match(after):
            return None
        return self._cut(inner, end)

    def _undecorated(self) -> tuple[str, str]:
        """(the answer inside bold, italic or code; what follows), or (the line, nothing)."""
        opened = [mark for mark in ("__", "`", "*", "_") if self.before.endswith(mark)]
        if len(_BOLD.findall(self.before)) % 2 == 1:
            opened.insert(0, "**")
        for mark in opened:
            end = re.search(re.escape(mark) + _CLOSED, self.line.replace("***", "** "))
            if end:
                return self.line[: end.start()], self.line[end.end() :]
        return (_DELIMITERS.sub("", self.line) if opened else self.line), ""

    def _formula(self, text: str) -> tuple[str, str] | None:
        """(content, what follows) of the formula that a text begins with."""
        for opening, closing in _FORMULAS:
            if not text.startswith(opening):
                continue
            whole = text
            if opening in ("$$", "\\[") and closing not in text[len(opening) :]:
                whole = f"{text}\n{self.following}"
            inner, closed, after = whole[len(opening) :].partition(closing)
            if closed and inner.strip():
                return inner, after.split("\n", 1)[0]
        return None

    def _cut(self, text: str, ends: re.Pattern[str]) -> str | None:
        """The text up to a reason or a new sentence."""
        end = ends.search(text)
        if end and end["sentence"]:
            if self.alone:
                return None
            if self._is_item(text[: end.start()]):
                end = None
        head = text[: end.start()] if end else text
        return head.strip(_DECORATION).removesuffix(".").rstrip(f"{_DECORATION},") or None

    def _is_item(self, head: str) -> bool:
        """Whether the number before a full stop is that of a list, since the next one follows."""
        if not re.fullmatch(r"\d{1,2}", head):
            return False
        rest = f"{self.line}\n{self.following}"
        return re.search(rf"\s\(?{int(head) + 1}[.)]\s", rest) is not None
