"""Verifiable rewards: exact match, mathematics, reasoning-gym's scorers, a function of the user's.

Prompts and responses enter, rewards leave: 0 or 1, or what a function of the user's says. Whatever
parses a response does so in a worker process under limits of time and memory; model output is never
executed.
"""

from cobatrain.tasks.verify.answers import AnswerFrom, final_answer
from cobatrain.tasks.verify.custom_reward import CustomReward
from cobatrain.tasks.verify.equality import answer_key
from cobatrain.tasks.verify.exact_match import ExactMatch
from cobatrain.tasks.verify.expressions import parse_expression
from cobatrain.tasks.verify.finality import check_final
from cobatrain.tasks.verify.gym_judge import GymJudge
from cobatrain.tasks.verify.judge import Judge
from cobatrain.tasks.verify.limits import Limits
from cobatrain.tasks.verify.math_judge import MathJudge
from cobatrain.tasks.verify.number_match import NumberMatch
from cobatrain.tasks.verify.patterns import check_pattern
from cobatrain.tasks.verify.references import answer_text, reference
from cobatrain.tasks.verify.self_check import SelfCheck, sample_check, self_check
from cobatrain.tasks.verify.verifier import Verifier, VerifierStats, custom_verifier

__all__ = [
    "AnswerFrom",
    "CustomReward",
    "ExactMatch",
    "GymJudge",
    "Judge",
    "Limits",
    "MathJudge",
    "NumberMatch",
    "SelfCheck",
    "Verifier",
    "VerifierStats",
    "answer_key",
    "answer_text",
    "check_final",
    "check_pattern",
    "custom_verifier",
    "final_answer",
    "parse_expression",
    "reference",
    "sample_check",
    "self_check",
]
