"""An agent without a language model: whether a rollout passes is drawn from the prompt's chance.

verl's agent-loop workers load it by name (agent.yaml). The same prompt, step and session always get
the same outcome, so a resumed run can be compared with an unbroken one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from verl.experimental.agent_loop.agent_loop import (
    AgentLoopBase,
    AgentLoopMetrics,
    AgentLoopOutput,
)


def chance(index: int, prompts: int) -> float:
    """How often prompt ``index`` of ``prompts`` passes: a third never, a third always."""
    return float(np.clip((index + 0.5) / prompts * 3 - 1, 0, 1))


def outcome(index: int, prompts: int, step: int, session: int) -> tuple[bool, int]:
    """Whether a rollout passes, and how many tokens it has (1 to 6)."""
    rng = np.random.default_rng([index, step, session])
    return bool(rng.random() < chance(index, prompts)), int(rng.integers(1, 7))


class FakeAgent(AgentLoopBase):  # type: ignore[misc]
    """Answers at once. A row's ``extra_info.fails`` says from which session on rollouts fail."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """One rollout."""
        extra, step, session = row["extra_info"], row["global_steps"], row["session_id"]
        if session >= extra["fails"]:
            raise RuntimeError(
                f"session {session} of prompt {extra['index']} fails as it is told to"
            )
        passed, tokens = outcome(extra["index"], extra["prompts"], step, session)
        return AgentLoopOutput(
            prompt_ids=[3, 4, 5],
            response_ids=[1] * tokens,
            response_mask=[1] * tokens,
            response_logprobs=[-1.0] * tokens,
            reward_score=float(passed),
            num_turns=2,
            metrics=AgentLoopMetrics(),
            extra_fields={
                "reward_extra_info": {"acc": float(passed)},
                "min_global_steps": step,
                "max_global_steps": step,
            },
        )
