"""Prompts and texts for tests of verifiers."""

from cobatrain.tasks import Prompt

CALL = "__import__('os').system('touch {}')"


def asks(answer: str) -> Prompt:
    return Prompt("q", answer, "level", "source")
