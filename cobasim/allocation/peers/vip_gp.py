"""VIP with its Gaussian process: pass rates predicted from prompt features (arXiv 2602.01601)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.parameters import parameter
from cobasim.allocation.peers.vip import VipRloo
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError

WAVES = 128  # random Fourier features of the RBF kernel


@dataclass(frozen=True, kw_only=True)
class VipGp(VipRloo):
    """VIP for RLOO, p predicted by a Gaussian process over prompt features.

    Latent f = logit p with kernel shared^2 exp(-|x - x'|^2 / (2 length^2)) + own^2 [same prompt],
    whose mean is updated from each batch: mean += K (K_batch + noise)^-1 (measured - mean), the
    covariance staying the prior's, so that old evidence fades. Measured is the logit of
    (passes + 1/2) / (n + 1), its noise 1 / (passes + 1/2) + 1 / (failures + 1/2). Departures: the
    kernel is approximated by random Fourier features (Rahimi and Recht 2007), which spares the
    pool's kernel matrix; the constant, the own part and the three scales are ours.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"features"})
    length: float = parameter(0.5, "length scale of the kernel, in units of the features", above=0)
    shared: float = parameter(1.5, "deviation of what similar prompts share, logits", above=0)
    own: float = parameter(1.0, "deviation of a prompt's own part, logits", at_least=0)

    def memory(self, num_prompts: int) -> dict[str, NDArray[Any]]:
        """Weights of the waves, the constant first, and the own part of each prompt."""
        return {"waves": np.zeros(WAVES + 1), "own": np.zeros(num_prompts)}

    def design(self, features: FloatArray) -> FloatArray:
        """Phi (m, WAVES + 1) with Phi Phi^T about shared^2 times the kernel, plus a constant."""
        rng = np.random.default_rng(WAVES)  # the waves are part of the method, not of a run
        directions = rng.standard_normal((features.shape[1], WAVES)) / self.length
        phase = rng.uniform(0.0, 2.0 * np.pi, WAVES)
        waves = np.sqrt(2.0 / WAVES) * np.cos(features @ directions + phase)
        return self.shared * np.column_stack([np.ones(features.shape[0]), waves])

    def predict(self, obs: Observation) -> FloatArray:
        """Mean latents (m,). Raises InputError without features or memory."""
        if obs.features is None or obs.memory is None or obs.prompts is None:
            raise InputError(
                f"{type(self).__name__} predicts pass rates from prompt features: run it in the "
                "loop with a learner that has them, or use vip-rloo"
            )
        own: FloatArray = obs.memory["own"][obs.prompts]
        return np.asarray(self.design(obs.features) @ obs.memory["waves"] + own)

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """VIP's budgets at the predicted rates; no prompt counts as unseen."""
        from scipy.special import expit  # slow to import, and most allocators do without

        believed = replace(obs, pass_rate=expit(self.predict(obs)))
        return self.allocate_seen(believed, limits)

    def learn(self, obs: Observation, limits: Limits, budgets: IntArray, passes: IntArray) -> None:
        """One step of the recursion."""
        from scipy import linalg, special

        assert obs.features is not None
        assert obs.memory is not None
        tried = budgets > 0
        part = obs.take(tried)
        assert part.features is not None
        up, down = passes[tried] + 0.5, (budgets - passes)[tried] + 0.5
        phi = self.design(part.features)
        kernel = phi @ phi.T
        kernel[np.diag_indices_from(kernel)] += self.own**2 + 1.0 / up + 1.0 / down
        surprise = special.logit(up / (up + down)) - self.predict(part)
        weight = linalg.solve(kernel, surprise, assume_a="pos")
        obs.memory["waves"][...] += phi.T @ weight
        obs.memory["own"][part.prompts] += self.own**2 * weight
