"""The skill-chain world: a prompt passes when all the skills that it needs succeed."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, logit

from cobasim.arrays import FloatArray, IntArray
from cobasim.streams import POPULATION, stream
from cobasim.world.policy import SimulatedPolicy
from cobasim.world.view import BatchView


class SkillChainPolicy(SimulatedPolicy):
    """p_i = sigmoid(own skill) times the product of the first l_i skills of the prompt's chain.

    Skills are Bernoulli with logits s; a prompt passes when all the skills that it needs succeed.
    The exact score function gives d logit(p_i) / d s_l = (1 - sigmoid(s_l)) / (1 - p_i) for each
    needed skill (failures averaged over which skill failed; that scatter is part of ``noise``).
    A chain's first skills start easy and its last ones hard. A prompt that starts at p needs as
    many levels as keep the chain's product above p^transfer, and its own skill supplies the rest
    exactly. There is no interference in this family; clusters are chains.
    """

    EASIEST, HARDEST = 0.97, 0.35  # first pass rates of a chain's first and last skill

    def build(self, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        config, rng = self.config, stream(self.seed, POPULATION, 2)
        start = logit(np.linspace(self.EASIEST, self.HARDEST, config.levels))
        jitter = 0.3 * rng.standard_normal((config.clusters + 1, config.levels))
        self.skills = start + jitter  # (chains + 1, levels) logits; the last chain is the new one
        self.level = np.zeros(rates.size, dtype=np.int64)
        self.own_logit = np.zeros(rates.size)
        self._place(np.arange(rates.size), rates)

    def _place(self, prompts: IntArray, rates: FloatArray) -> None:
        """Choose levels and own skills so that prompts have exactly these rates now."""
        chain = self._log_products()[self.cluster[prompts]]  # (m, levels + 1), decreasing
        wanted = self.config.transfer * np.log(rates)
        level = (chain >= wanted[:, None]).sum(axis=1) - 1
        self.level[prompts] = level
        rest = np.log(rates) - chain[np.arange(prompts.size), level]  # log rate of the own skill
        self.own_logit[prompts] = rest - np.log(-np.expm1(rest)) + self.damage

    def _log_products(self) -> FloatArray:
        """Log pass rate of the first l skills of each chain, (chains + 1, levels + 1)."""
        products = np.zeros((self.skills.shape[0], self.skills.shape[1] + 1))
        np.cumsum(-np.logaddexp(0.0, -self.skills), axis=1, out=products[:, 1:])
        return products

    def shared(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.skills.reshape(-1)

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """See ``SimulatedPolicy``."""
        chain = self._log_products()[self.cluster[prompts], self.level[prompts]]
        own = expit(self.own_logit[prompts] + self.own[prompts] - self.damage)
        return np.asarray(np.exp(chain) * np.asarray(own, dtype=np.float64))

    def all_pass_rates(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        own = self.own_logit.copy()
        own[: self.num_prompts] += self.own
        return np.asarray(
            np.exp(self._log_products()[self.cluster, self.level]) * expit(own - self.damage)
        )

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits."""
        slope = expit(-self.skills) ** 2
        squares = np.zeros((slope.shape[0], slope.shape[1] + 1))
        np.cumsum(slope, axis=1, out=squares[:, 1:])  # of the first l skills of each chain
        own = expit(self.damage - self.own_logit[prompts] - self.own[prompts])
        total = squares[self.cluster[prompts], self.level[prompts]] + own**2
        return np.asarray(np.sqrt(total) / np.maximum(1.0 - self.pass_rates(prompts), 1e-12))

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """Which chain the prompt is of, and how far along; not its own skill."""
        chain = np.eye(self.skills.shape[0])[self.cluster[prompts]]
        return np.column_stack([chain, self.level[prompts] / self.skills.shape[1]])

    def gradients(self, view: BatchView, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``SimulatedPolicy``."""
        prompts = view.prompts
        per_failure = moves / np.maximum(1.0 - view.pass_rate, 1e-12)
        chains, levels = self.skills.shape
        cell = self.cluster[prompts] * (levels + 1) + self.level[prompts]
        by_level = np.bincount(cell, weights=per_failure, minlength=chains * (levels + 1))
        # a prompt of level l moves skills 1..l: a sum over all prompts at or above a level
        above = np.cumsum(by_level.reshape(chains, levels + 1)[:, :0:-1], axis=1)[:, ::-1]
        shared = above * expit(-self.skills)
        own = self.own_logit[prompts] + self.own[prompts] - self.damage
        return shared.reshape(-1), per_failure * expit(-own)

    def walk(self, rng: np.random.Generator, scale: float) -> None:
        """See ``SimulatedPolicy``."""
        self.own_logit += scale * rng.standard_normal(self.own_logit.size)

    def enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        self.cluster[prompts] = self.config.clusters
        self._place(prompts, rates)

    def changing(self) -> dict[str, Any]:
        """See ``SimulatedPolicy``."""
        return super().changing() | {"own_logit": self.own_logit, "level": self.level}
