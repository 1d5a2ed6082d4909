"""No answer is ever executed."""

import numpy as np
import pytest
from children import printed
from judging import CALL, asks
from optional import needs_math


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


@needs_math
def test_no_text_of_an_answer_reaches_the_compiler():
    """Only imports compile or execute anything while hostile answers are judged."""
    out = printed(
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
