"""Settings of a task from files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from cobasim.settings import Frozen
from cobatrain.tasks.rewards import CustomRewardConfig
from cobatrain.tasks.task import TaskSettings
from cobatrain.tasks.verify import AnswerFrom, check_pattern


class FileSource(Frozen):
    """One data file or dataset folder; a plain string in a config is its path."""

    path: Path
    split: str | None = Field(default=None, description="of a folder with several splits")
    problem: str | None = Field(default=None, description="column, dots for nested ones")
    answer: str | None = Field(default=None, description="column, dots for nested ones")
    level: str | None = Field(
        default=None, description="column; none: `level` or `difficulty`, else the set's name"
    )


class FilesConfig(TaskSettings):
    """Settings of a task from files."""

    kind: Literal["files"] = "files"
    train: FileSource
    heldout: dict[str, FileSource] = Field(default_factory=dict, description="name -> file")
    heldout_size: int = Field(
        default=0, ge=0, description="problems held out from train, as data set `heldout`"
    )
    instruction: str = Field(default="", description="appended to each problem")
    on_bad_row: Literal["error", "skip"] = Field(
        default="error", description="rows that cannot be used: stop, or leave them out"
    )
    overlap: Literal["remove", "error"] = Field(
        default="remove", description="a train problem that is also held out"
    )
    answer_match: Literal["math", "exact"] = Field(
        default="math",
        description="a final answer in the response that is equal as mathematics, or a response "
        "that is the answer, letter by letter",
    )
    answer_from: AnswerFrom = "marked"
    answer_pattern: str | None = Field(
        default=None,
        description="regular expression with one group, which is the answer; in place of "
        "answer_from; the last match counts",
    )
    workers: int = Field(default=2, ge=1)
    cpu_seconds: float = Field(default=2.0, gt=0, description="per judged response")
    reward: CustomRewardConfig | None = None

    @field_validator("answer_pattern")
    @classmethod
    def _one_group(cls, pattern: str | None) -> str | None:
        if pattern is not None:
            check_pattern(pattern)
        return pattern

    @model_validator(mode="after")
    def _one_rule(self) -> FilesConfig:
        if self.answer_match == "exact":
            others = {"reward", "answer_from", "answer_pattern"} & self.model_fields_set
            if others:
                raise ValueError(
                    f"answer_match: exact leaves no use for {', '.join(sorted(others))}: leave out "
                    "one or the other"
                )
        return self

    @field_validator("train", mode="before")
    @classmethod
    def _path(cls, value: object) -> object:
        return {"path": value} if isinstance(value, str | Path) else value

    @field_validator("heldout", mode="before")
    @classmethod
    def _paths(cls, value: object) -> object:
        if isinstance(value, Mapping):
            return {k: {"path": v} if isinstance(v, str | Path) else v for k, v in value.items()}
        return value
