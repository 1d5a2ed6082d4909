"""Prompts with verifiable rewards: arithmetic, words, reasoning-gym, files, custom rewards.

A config (a pydantic model or a mapping with `kind`) and a seed enter `make_task`; a `Task` leaves:
train and held-out prompts that share no text, and the reward of a response.
"""

from cobatrain.tasks.accounts import DataSet, LeftOut
from cobatrain.tasks.arithmetic import ArithmeticConfig
from cobatrain.tasks.chat import TemplateRefusal, check_template_kwargs, format_prompt
from cobatrain.tasks.files import FilesConfig, FileSource
from cobatrain.tasks.gym import GymConfig, GymSource
from cobatrain.tasks.ladder import LadderTask
from cobatrain.tasks.prompts import Prompt, levels_of
from cobatrain.tasks.registry import TASKS, TaskConfig, make_task, parse_task_config
from cobatrain.tasks.rewards import CustomRewardConfig, RewardError, RewardFunction, passed
from cobatrain.tasks.task import Task, check_disjoint
from cobatrain.tasks.verify import (
    Limits,
    SelfCheck,
    Verifier,
    VerifierStats,
    sample_check,
    self_check,
)
from cobatrain.tasks.words import WordsConfig

__all__ = [
    "TASKS",
    "ArithmeticConfig",
    "CustomRewardConfig",
    "DataSet",
    "FileSource",
    "FilesConfig",
    "GymConfig",
    "GymSource",
    "LadderTask",
    "LeftOut",
    "Limits",
    "Prompt",
    "RewardError",
    "RewardFunction",
    "SelfCheck",
    "Task",
    "TaskConfig",
    "TemplateRefusal",
    "Verifier",
    "VerifierStats",
    "WordsConfig",
    "check_disjoint",
    "check_template_kwargs",
    "format_prompt",
    "levels_of",
    "make_task",
    "parse_task_config",
    "passed",
    "sample_check",
    "self_check",
]
