"""Laws of the verifier: right is 1, wrong 0, hostile 0 in bounded time; nothing is executed."""

import importlib.util
import os
import pickle
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cobasim.errors import InputError
from cobatrain.tasks import Prompt, RewardError, Verifier, make_task
from cobatrain.tasks.verify import (
    CustomReward,
    GymJudge,
    Limits,
    MathJudge,
    final_answer,
)

HAS_MATH = importlib.util.find_spec("math_verify") is not None
HAS_GYM = importlib.util.find_spec("reasoning_gym") is not None
needs_math = pytest.mark.skipif(not HAS_MATH, reason="math-verify is not installed")
needs_gym = pytest.mark.skipif(not HAS_GYM, reason="reasoning-gym is not installed")


def asks(answer: str) -> Prompt:
    return Prompt("q", answer, "level", "source")


@pytest.fixture(scope="module")
def maths():
    with Verifier(MathJudge(), workers=2) as verifier:
        verifier.start()
        yield verifier


@pytest.fixture(scope="module")
def anything():
    with Verifier(MathJudge("any"), workers=1) as verifier:
        yield verifier


# --- the final answer ---


@settings(max_examples=200)
@given(
    st.text(), st.text("abc{}\\ $019.", max_size=30), st.sampled_from(["boxed", "marked", "any"])
)
def test_final_answer_never_raises_and_a_closed_box_wins(before, inner, source):
    final_answer(before, source)
    if inner.strip() and inner.count("{") == inner.count("}") == inner.count("\\") == 0:
        answer = final_answer(before + "\\boxed{" + inner + "} done", source)
        assert answer is None or inner.strip().strip("$").strip() == answer.strip("$").strip()


@pytest.mark.parametrize(
    ("text", "source", "answer"),
    [
        ("so \\boxed{\\frac{1}{2}}.", "boxed", "\\frac{1}{2}"),
        ("\\boxed{1} no, \\boxed{2}", "boxed", "2"),
        ("\\boxed 7.", "boxed", "7"),
        ("\\boxed{1} then \\boxed{2", "any", None),
        ("\\boxed{\\}}", "boxed", "\\}"),
        ("Answer: 34", "marked", "34"),
        ("Answer: 34", "boxed", None),
        ("**Final Answer:** $34$, since", "marked", "34"),
        ("The answer is 1. The answer is: 2.", "marked", "2"),
        ("thus $x=5$ holds", "marked", "x=5"),
        ("thus $$5$$", "marked", "5"),
        ("thus \\(5\\) or \\[6\\]", "marked", "6"),
        ("it is 1,234", "marked", None),
        ("it is 12 or 1,234, ok", "any", "1,234"),
        ("", "any", None),
        ("\\boxed{}", "any", None),
        ("\\boxed{" + "1" * 2000 + "}", "any", None),
    ],
)
def test_where_the_final_answer_is_found(text, source, answer):
    assert final_answer(text, source) == answer


@pytest.mark.parametrize(
    "piece", ["\\boxed{", "answer is ", "$", "\\(", "{", "answer ", "1,", "\\"]
)
def test_finding_the_answer_in_a_huge_text_is_fast(piece):
    text = piece * (2_000_000 // len(piece))
    start = time.perf_counter()
    for source in ("boxed", "marked", "any"):
        final_answer(text, source)
    assert time.perf_counter() - start < 1.0


# --- mathematics ---

NUMBERS = st.integers(-(10**6), 10**6)


@needs_math
@settings(deadline=None, max_examples=30)
@given(NUMBERS, st.integers(-(10**6), 10**6))
def test_integers_in_many_formats(maths, number, other):
    texts = [
        f"\\boxed{{{number}}}",
        f"so the answer is {number}.",
        f"Answer: ${number}$",
        f"\\boxed{{{number:,}}}",
        f"\\boxed{{{number}.0}}",
        f"\\boxed{{\\frac{{{2 * number}}}{{2}}}}",
        f"\\boxed{{x = {number}}}",
        f"$$\n{number}\n$$",
    ]
    np.testing.assert_array_equal(maths.score([asks(str(number))] * len(texts), texts), 1.0)
    if other != number:
        wrong = [text.replace(str(number), str(other)) for text in texts[:3]]
        np.testing.assert_array_equal(maths.score([asks(str(number))] * 3, wrong), 0.0)


@needs_math
@settings(deadline=None, max_examples=30)
@given(st.integers(-99, 99), st.integers(2, 99), st.integers(1, 9))
def test_fractions_in_many_formats(maths, top, bottom, factor):
    gold = asks(f"\\frac{{{top}}}{{{bottom}}}")
    right = [
        f"\\boxed{{\\frac{{{top}}}{{{bottom}}}}}",
        f"\\boxed{{\\dfrac{{{top * factor}}}{{{bottom * factor}}}}}",
        f"\\boxed{{{top}/{bottom}}}",
        f"The answer is {top}/{bottom}.",
        f"${top} / {bottom}$",
    ]
    wrong = [f"\\boxed{{\\frac{{{top}}}{{{bottom + 1}}}}}", f"${top + 1}/{bottom}$"][not top :]
    rewards = maths.score([gold] * len(right + wrong), right + wrong)
    np.testing.assert_array_equal(rewards, [1.0] * len(right) + [0.0] * len(wrong))


RIGHT = [
    ("\\sqrt{2}", "\\boxed{\\sqrt 2}"),
    ("\\sqrt{2}", "\\boxed{2^{1/2}}"),
    ("\\sqrt{2}", "\\boxed{sqrt(2)}"),
    ("x^2+2x+1", "\\boxed{(x+1)^2}"),
    ("2x", "\\boxed{2*x}"),
    ("8", "\\boxed{2**3}"),
    ("\\{1,2\\}", "\\boxed{2, 1}"),
    ("(1,2)", "\\boxed{(1, 2)}"),
    ("[0,1)", "\\boxed{[0,1)}"),
    ("3\\pi", "\\boxed{\\pi \\cdot 3}"),
    ("50\\%", "\\boxed{0.5}"),
    ("90^\\circ", "\\boxed{90}"),
    ("\\text{even}", "\\boxed{even}"),
    ("C", "\\boxed{\\text{(C)}}"),
    ("10{,}000", "\\boxed{10000}"),
    ("070", "Answer: 70"),
    ("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\boxed{\\begin{bmatrix}1\\\\2\\end{bmatrix}}"),
    ("0.333333333", "\\boxed{1/3}"),
]
WRONG = [
    ("\\sqrt{2}", "\\boxed{\\sqrt 3}"),
    ("x^2+2x+1", "\\boxed{(x-1)^2}"),
    ("\\{1,2\\}", "\\boxed{1, 2, 3}"),
    ("(1,2)", "\\boxed{(2,1)}"),
    ("[0,1)", "\\boxed{[0,1]}"),
    ("even", "\\boxed{odd}"),
    ("5", "5 is a number, but I do not know"),
    ("5", "\\boxed{}"),
    ("5", ""),
    ("5", "\\boxed{5 or 6}"),
    ("5", "\\boxed{5, 6}"),
]


@needs_math
@pytest.mark.slow
def test_right_and_wrong_answers_in_order_whatever_the_number_of_workers(maths):
    cases = (RIGHT + WRONG) * 3
    order = np.random.default_rng(0).permutation(len(cases))
    prompts = [asks(cases[i][0]) for i in order]
    texts = [cases[i][1] for i in order]
    expected = [float(i % len(RIGHT + WRONG) < len(RIGHT)) for i in order]
    np.testing.assert_array_equal(maths.score(prompts, texts), expected)
    with Verifier(MathJudge(), workers=1) as alone:
        np.testing.assert_array_equal(alone.score(prompts, texts), expected)
        assert alone.stats.timeouts == alone.stats.errors == alone.stats.crashes == 0


@needs_math
def test_any_takes_the_last_number_and_boxed_only_a_box(anything):
    assert anything(asks("5"), "I count 4, no, 5") == 1.0
    with Verifier(MathJudge("boxed"), workers=1) as boxed:
        assert boxed(asks("5"), "the answer is 5") == 0.0


@needs_math
def test_it_works_outside_the_main_thread(maths):
    got = []
    gold = asks("x+1")
    threads = [
        threading.Thread(target=lambda: got.append(maths(gold, "\\boxed{1+x}"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert got == [1.0] * 4


# --- hostile answers ---

CALL = "__import__('os').system('touch {}')"
HOSTILE = {
    "tower": "\\boxed{9^{9^{9^{9}}}}",
    "python power": "\\boxed{9**9**9}",
    "grouped power": "\\boxed{(9^9)^{9^9}}",
    "10^10^10": "\\boxed{10^{10^{10}}}",
    "factorial": "\\boxed{10000000!}",
    "binomial": "\\boxed{\\binom{10^9}{10^8}}",
    "product": "\\boxed{\\prod_{i=1}^{10^9} i}",
    "sum": "\\boxed{\\sum_{i=1}^{10^{12}} \\frac{1}{i}}",
    "integral": "\\boxed{\\int_0^1 x^{x^{x^x}} dx}",
    "brackets": "\\boxed{" + "(" * 19 + "1" + ")" * 19 + "}",
    "deep brackets": "\\boxed{" + "(" * 480 + "1" + ")" * 480 + "}",
    "deep fractions": "\\boxed{" + "\\frac{" * 18 + "1" + "}{2}" * 18 + "}",
    "deeper fractions": "\\boxed{" + "\\frac{" * 90 + "1" + "}{2}" * 90 + "}",
    "open boxes": "\\boxed{" * 15_000,
    "100 kB of digits": "\\boxed{" + "9" * 100_000 + "}",
    "100 kB unboxed": "answer is " + "9" * 100_000,
    "100 kB of brackets": "(" * 50_000 + ")" * 50_000,
    "long sum": "\\boxed{" + "1+" * 490 + "1}",
    "long product": "\\boxed{" + "(x+y)" * 190 + "}",
    "matrix": "\\boxed{\\begin{pmatrix}" + "x&" * 400 + "x\\end{pmatrix}}",
    "combining marks": "\\boxed{" + "e\u0301" * 400 + "}",
    "other digits": "\\boxed{٤٢}",
    "control characters": "\\boxed{4\x002\ud800\u202e}",
    "nan": "\\boxed{nan}",
    "infinity": "\\boxed{\\infty}",
    "set builder": "\\boxed{\\{x | x^{99999999} > 2\\}}",
    "equation": "\\boxed{x^{10000000} - 1 = 0}",
}


@needs_math
@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_answer_costs_bounded_time_and_gives_nothing(maths, name):
    start = time.monotonic()
    assert maths(asks("42"), HOSTILE[name]) == 0.0
    # 2 s of CPU, at most 2 s more for the kernel to end a C call; on a machine that is shared.
    assert time.monotonic() - start < 15.0
    assert maths(asks("x+1"), "\\boxed{1+x}") == 1.0


@needs_math
@pytest.mark.slow
def test_a_batch_of_good_answers_survives_hostile_ones():
    bad = [HOSTILE["tower"], HOSTILE["product"], HOSTILE["deep fractions"]]
    texts = [*["\\boxed{1+x}"] * 20, *bad, *["\\boxed{2+x}"] * 20]
    limits = Limits(cpu_seconds=0.5)
    with Verifier(MathJudge(), workers=2, limits=limits) as verifier:
        rewards = verifier.score([asks("x+1")] * len(texts), texts)
        np.testing.assert_array_equal(rewards, [1.0] * 20 + [0.0] * 23)
        assert verifier.stats.timeouts >= 1
        assert verifier.stats.scored == verifier.stats.judged == len(texts)


@needs_math
@pytest.mark.parametrize(
    "frame",
    [
        "\\boxed{{{}}}",
        "\\boxed{{\\text{{{}}}}}",
        "\\boxed{{\\{{{}\\}}}}",
        "\\boxed{{({})}}",
        "\\boxed{{1+{}}}",
        "\\boxed{{\\operatorname{{{}}}}}",
        "\\boxed{{x_{{{}}}}}",
        "\\boxed{{{}/2}}",
        "answer is {}",
        "${}$",
        "The answer is 1+{}",
    ],
)
def test_an_answer_is_never_executed(maths, anything, tmp_path, frame):
    victim = tmp_path / "touched"
    calls = [
        CALL.format(victim),
        f"open('{victim}','w')",
        f"exec(\"open('{victim}','w')\")",
        f"().__class__.__base__.__subclasses__() or open('{victim}', 'w')",
        f"(lambda: open('{victim}','w'))()",
    ]
    texts = [frame.format(call) for call in calls]
    for verifier in (maths, anything):
        np.testing.assert_array_equal(verifier.score([asks("42")] * 5, texts), 0.0)
    assert not victim.exists()


def run(code: str) -> str:
    """What a fresh interpreter prints, since guards cannot be taken back."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_math
def test_no_text_of_an_answer_reaches_the_compiler():
    """Only imports compile or execute anything while hostile answers are judged."""
    out = run(
        r"""
import sys
from cobatrain.tasks import Prompt
from cobatrain.tasks.verify import MathJudge
judge = MathJudge("any"); judge.load()
import ast
parse = ast.parse
seen = []
def hook(event, args):
    if event == "compile" and args[0] is not None:
        text = args[0].decode() if isinstance(args[0], bytes) else str(args[0])
        seen.append(text)
    if event in ("os.system", "subprocess.Popen"):
        print("executed", args)
tree_only = []
def counting(source, *rest, **named):
    tree_only.append(source)
    return parse(source, *rest, **named)
ast.parse = counting
sys.addaudithook(hook)
for text in ["1+__import__('os').system('true')", "42", "1/2", "(1,2)", "x^2", "{1,2}", "3.5",
             "\\text{__import__('os')}", "__import__('os').system('true')", "2**3", "1 < x"]:
    try:
        judge.judge(Prompt("q", "42", "l", "s"), text)
    except Exception:
        pass
rest = list(seen)
for source in tree_only:  # parsing to a tree, which runs nothing, is announced as compiling
    if source in rest:
        rest.remove(source)
marks = ("__import__", "system", "1/2", "42", "x^2", "2**3")
print([text for text in rest if len(text) < 300 and any(mark in text for mark in marks)])
# What is parsed are numbers, and names in sympy's own tables of units.
print(all(s.replace(".", "").isalnum() for s in tree_only), len(tree_only) > 0)
"""
    )
    assert out == "[]\nTrue True\n"


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


# --- the pool ---

JUDGES = '''
import os, time
from dataclasses import dataclass
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
    def ideal(self, prompt):
        return None
    def judge(self, prompt, answer):
        self.__class__.count += 1
        if answer == "c call":
            9 ** 9 ** 9
        if answer == "spin":
            while True:
                try:
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
            open("written-by-a-verifier", "w")
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
    open(text, "w").write(str(os.getpid()))
    return 1

def boom(prompt, text):
    raise KeyError("missing thing")

def hang(prompt, text):
    time.sleep(1000)

def two(prompt, text):
    return 2

def nothing(prompt, text):
    return None

def exits(prompt, text):
    raise SystemExit(0)

def dies(prompt, text):
    os._exit(0)

number = 3
'''


@pytest.fixture(scope="module")
def helpers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("helpers")
    (folder / "verify_helpers.py").write_text(JUDGES)
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("verify_helpers")
    finally:
        sys.path.remove(str(folder))


@pytest.mark.slow
def test_whatever_a_judge_does_the_others_are_scored_in_order(helpers):
    odd = ["c call", "spin", "sleep", "die", "memory", "write", "shell", "raise", "nan"]
    texts = [*(["ok"] * 5), *odd, "print", *(["fine"] * 5)]
    limits = Limits(cpu_seconds=0.5, wall_seconds=5.0)
    start = time.monotonic()
    with Verifier(helpers.Odd(), workers=2, limits=limits) as verifier:
        rewards = verifier.score([asks("")] * len(texts), texts)
        stats = verifier.stats
    assert time.monotonic() - start < 60
    expected = [0.02] * 5 + [0.0] * len(odd) + [0.05] + [0.04] * 5
    np.testing.assert_allclose(rewards, expected)
    assert (stats.timeouts, stats.crashes, stats.errors) == (3, 1, 5)
    assert not Path("written-by-a-verifier").exists()


def test_an_item_that_suffers_from_earlier_ones_gets_a_fresh_worker(helpers):
    with Verifier(helpers.Odd(), workers=1) as verifier:
        rewards = verifier.score([asks("")] * 4, ["ok", "fragile", "ok", "fragile"])
        np.testing.assert_allclose(rewards, [0.02, 0.07, 0.02, 0.07])
        assert verifier.stats.crashes == 0


def test_a_judge_that_cannot_load_is_an_error_at_once(helpers):
    with (
        Verifier(helpers.Odd(refuse=True)) as verifier,
        pytest.raises(RewardError, match="no such model"),
    ):
        verifier.start()


def test_a_large_batch_of_large_texts_passes_the_pipes(helpers):
    texts = ["x" * n for n in (0, 1, 50)] * 40
    prompts = [Prompt("q" * 200_000, "", "l", "s")] * len(texts)
    with Verifier(helpers.Odd(), workers=2) as verifier:
        np.testing.assert_allclose(
            verifier.score(prompts, texts), [len(text) / 100 for text in texts]
        )
        assert verifier.score([], []).shape == (0,)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int, seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_closing_ends_the_workers_and_a_verifier_can_be_sent(helpers, tmp_path):
    verifier = Verifier(CustomReward("verify_helpers:pid"), workers=1)
    verifier(asks(""), str(tmp_path / "a"))
    first = int((tmp_path / "a").read_text())
    assert alive(first)
    copy = pickle.loads(pickle.dumps(verifier))
    assert copy(asks(""), str(tmp_path / "b")) == 1.0
    assert int((tmp_path / "b").read_text()) != first
    copy.close()
    verifier.close()
    assert wait_until_gone(first)
    assert verifier(asks(""), str(tmp_path / "c")) == 1.0
    second = int((tmp_path / "c").read_text())
    del verifier
    assert wait_until_gone(second)


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(helpers, tmp_path):
    code = f"""
from cobatrain.tasks import Prompt, Verifier
from cobatrain.tasks.verify import CustomReward
import os, signal
v = Verifier(CustomReward("verify_helpers:pid"), workers=1)
v(Prompt("q", "", "l", "s"), {str(tmp_path / "p")!r})
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, timeout=60)
    assert done.returncode == -9
    assert wait_until_gone(int((tmp_path / "p").read_text()))


# --- custom rewards ---


def custom(function: str, on_error: str = "raise", **more: float) -> dict:
    return {
        "train_size": 10,
        "heldout_size": 5,
        "reward": {"function": f"verify_helpers:{function}", "on_error": on_error, **more},
    }


def test_a_custom_reward_is_called_by_its_import_path(helpers):
    task = make_task(custom("half"), 0)
    np.testing.assert_array_equal(task.score(task.train, ["x"] * 10), 0.5)
    task.close()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        ("boom", "raised KeyError: 'missing thing'"),
        ("two", "gave no reward: it returned 2.0"),
        ("nothing", "gave no reward: it returned NoneType"),
        ("exits", "raised SystemExit"),
        ("dies", "crashed its worker"),
        ("hang", "exceeded its time limit"),
    ],
)
def test_a_broken_reward_function_is_named_or_gives_nothing(helpers, function, words):
    strict = make_task(custom(function, time_limit=0.5, workers=1), 0)
    with pytest.raises(RewardError) as caught:
        strict.score(strict.train[:1], ["x"])
    assert f"'verify_helpers:{function}'" in str(caught.value)
    assert words in str(caught.value)
    strict.close()
    lenient = make_task(custom(function, "zero", time_limit=0.5, workers=1), 0)
    np.testing.assert_array_equal(lenient.score(lenient.train[:2], ["x", "y"]), 0.0)
    lenient.close()


@pytest.mark.parametrize(
    ("function", "words"), [("absent", "no attribute"), ("number", "is of type int")]
)
def test_a_reward_function_that_is_not_there_is_known_before_training(helpers, function, words):
    with pytest.raises(InputError, match=words):
        make_task(custom(function), 0)
    with pytest.raises(InputError, match="no_such_module"):
        make_task({"reward": {"function": "no_such_module:f"}}, 0)


def test_limits_and_workers_are_checked():
    with pytest.raises(InputError, match="cpu_seconds"):
        Limits(cpu_seconds=0)
    with pytest.raises(InputError, match="workers"):
        Verifier(MathJudge(), workers=0)


# --- reasoning-gym ---


def gym(name: str, size: int = 4, **config: object) -> dict:
    source = {"name": name, "config": config}
    return {
        "kind": "reasoning-gym",
        "sources": [source],
        "train_size": size,
        "heldout_size": 1,
        "workers": 1,
    }


@needs_gym
@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "countdown",
        "puzzle24",
        "simple_integration",
        "polynomial_multiplication",
        "string_insertion",
        "spiral_matrix",
        "binary_matrix",
        "n_queens",
        "number_sorting",
        "bitwise_arithmetic",
    ],
)
def test_generators_that_evaluate_answers_score_right_ones_and_run_none(name, tmp_path):
    """The scorers of these call eval or sympy's parse_expr in 0.1.25."""
    task = make_task(gym(name), 0)
    right = [f"So <answer>{p.answer}</answer>" for p in task.train]
    np.testing.assert_array_equal(task.score(task.train, right), 1.0)
    victim = tmp_path / "touched"
    for call in (CALL.format(victim), f"open('{victim}','w')", f"[open('{victim}','w')]"):
        texts = [f"<answer>{call}</answer>"] * len(task.train)
        np.testing.assert_array_equal(task.score(task.train, texts), 0.0)
    assert not victim.exists()
    assert task.reward.stats.crashes == 0
    task.close()


@needs_gym
@pytest.mark.slow
def test_a_gym_answer_needs_its_tags_unless_told_otherwise():
    task = make_task(gym("leg_counting"), 0)
    prompt = task.train[0]
    assert "<answer>" in prompt.text
    assert task.reward(prompt, f"<answer>1</answer> no: <answer> {prompt.answer}\n</answer>") == 1.0
    assert task.reward(prompt, prompt.answer) == 0.0
    assert task.reward(prompt, f"<answer>{prompt.answer}") == 0.0
    task.close()
    plain = make_task({**gym("leg_counting"), "answer_format": "plain"}, 0)
    assert plain.reward(plain.train[0], f" {plain.train[0].answer}\n") == 1.0
    assert "<answer>" not in plain.train[0].text
    plain.close()


@needs_gym
@pytest.mark.slow
def test_reward_is_one_only_from_the_threshold_on():
    """Most scorers give part of the points for an answer that only contains the right one."""
    strict = make_task(gym("basic_arithmetic"), 0)
    lenient = make_task({**gym("basic_arithmetic"), "threshold": 0.001}, 0)
    prompt = strict.train[0]
    text = f"<answer>it is {prompt.answer}, surely</answer>"
    assert strict.reward(prompt, text) == 0.0
    assert lenient.reward(lenient.train[0], text) == 1.0
    strict.close()
    lenient.close()


@needs_gym
@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", ["9**9**9", "9" * 19_000, "(" * 9_000, "<answer>" * 30_000, "sin(" * 300 + ")" * 300]
)
def test_a_hostile_gym_answer_costs_bounded_time(answer):
    task = make_task(gym("countdown", size=1), 0)
    start = time.monotonic()
    assert task.reward(task.train[0], f"<answer>{answer}</answer>") == 0.0
    assert time.monotonic() - start < 20.0
    task.close()


def test_judges_are_plain_values():
    for judge in (MathJudge(), GymJudge((("a", "{}"),)), CustomReward("a:b")):
        assert pickle.loads(pickle.dumps(judge)) == judge
