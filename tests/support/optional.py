"""Marks for tests of what not everybody has installed."""

import importlib.util

import pytest


def needs(module: str, package: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


needs_math = needs("math_verify", "math-verify")
needs_gym = needs("reasoning_gym", "reasoning-gym")
needs_vllm = needs("vllm", "vllm")
