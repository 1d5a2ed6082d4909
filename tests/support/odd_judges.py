"""Judges and reward functions that misbehave, each in its own way."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar


@dataclass(frozen=True)
class Odd:
    """Does what the text says."""

    name: ClassVar[str] = "odd"
    refuse: bool = False

    def screen(self, prompt, text):
        return text

    def load(self):
        if self.refuse:
            raise RuntimeError("no such model")
        self.__class__.count = 0

    def ideals(self, prompt):
        return ()

    def judge(self, prompt, answer):
        self.__class__.count += 1
        if answer == "c call":
            9**9**9
        if answer == "spin":
            while True:
                try:  # noqa: SIM105 (whatever comes, it goes on)
                    time.time()
                except Exception:
                    pass
        if answer == "sleep":
            time.sleep(1000)
        if answer == "die":
            os._exit(7)
        if answer == "memory":
            len(bytearray(1 << 40))
        if answer == "print":
            print("noise on standard output", flush=True)
        if answer == "write":
            Path("written-by-a-verifier").write_text("")
        if answer == "shell":
            os.system("true")
        if answer == "raise":
            raise KeyError("x")
        if answer == "nan":
            return float("nan")
        if answer == "fragile" and self.__class__.count > 1:
            os._exit(9)
        return len(answer) / 100


def half(prompt, text):
    print("noise")
    return 0.5


def pid(prompt, text):
    Path(text).write_text(str(os.getpid()))
    return 1


def boom(prompt, text):
    raise KeyError("missing thing")


def hang(prompt, text):
    time.sleep(1000)


def two(prompt, text):
    return 2


def minus(prompt, text):
    return -1.5


def endless(prompt, text):
    return float("inf")


def nothing(prompt, text):
    return None


def exits(prompt, text):
    raise SystemExit(0)


def dies(prompt, text):
    os._exit(0)


number = 3


def by_columns(prompt, text, tests, *, strict=False, **others):
    """The number of tests, plus ten if strict, plus a hundred for each other column."""
    assert "prompt" not in others
    return len(tests) + 10 * bool(strict) + 100 * len(others)


def wants_tests(prompt, text, tests):
    return 1


def one_argument(prompt):
    return 1
