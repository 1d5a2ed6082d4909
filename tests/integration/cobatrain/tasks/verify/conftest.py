import pytest

from cobatrain.tasks import Verifier
from cobatrain.tasks.verify import MathJudge


@pytest.fixture(scope="module")
def maths():
    with Verifier(MathJudge(), workers=2) as verifier:
        verifier.start()
        yield verifier


@pytest.fixture(scope="module")
def anything():
    with Verifier(MathJudge("any"), workers=1) as verifier:
        yield verifier
