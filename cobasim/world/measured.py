"""The measured world: prompts with the gradients of a real model, which learns as GRPO would.

Named ``measured:FILE``, after a file of ``cobatrain gradients``. Linear in the measured features:

    logit p_i(t) = logit p_i(0) + phi_i . theta(t),   phi_i = d logit p_i / d parameters

so a step along the gradient of the batch moves every other prompt by what the model's own
gradients have in common. Nothing of it is guessed; whether a policy stays linear for as long as a
run takes is what docs/measured.md tests.
"""

from __future__ import annotations

import numpy as np
from scipy.special import logit

from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.gradients import read_measured_gradients
from cobasim.streams import HELDOUT, POPULATION, stream
from cobasim.world.config import MEASURED
from cobasim.world.linear import LinearPolicy, lengths
from cobasim.world.optimiser import ScaledAdam
from cobasim.world.prompts import PromptSets
from cobasim.world.view import WeighedGroups


class MeasuredPolicy(LinearPolicy):
    """A policy that is linear in features measured on a real one.

    The features are in Adam's metric (``MeasuredGradients``): coordinates in directions that
    prompts share, and for each prompt a remainder of its own, ``own``. Adam's second moments keep
    their measured proportions; their common scale follows the gradients of the run. So one step
    moves the parameters by

        learning_rate * sqrt(sum q) * m / sqrt(v)

    with m the mean of the clipped gradients (beta 0.9) in Adam's metric, and v the mean of their
    squared lengths in the plain one (beta 0.999), both corrected for their start. The noise of
    rollouts has the measured variance along every direction, by pass rate; ``noise`` multiplies its
    standard deviation. Fitted: nothing.

    Departures: a linear policy, features that stay as they were measured; noise without
    correlation between directions; rollouts whose reward is the only thing that tells them apart.

    Pools of another size: fewer prompts than measured are drawn without repeats by the seed. More
    are copies, which share their prompt's directions but have remainders of their own, as different
    prompts of its kind would.

    Raises InputError for a bad file, and for measured pass rates beside those of the file.
    """

    def draw_prompts(self, pass_rates: FloatArray | None) -> PromptSets:
        """See ``SimulatedPolicy``."""
        config = self.config
        if pass_rates is not None:
            raise InputError(
                "a measured world has the pass rates that were measured: leave out --pass-rates"
            )
        self.measured = read_measured_gradients(config.world.removeprefix(MEASURED))
        held = self.measured.heldout
        pool = _drawn(np.flatnonzero(~held), config.num_prompts, self.seed, POPULATION)
        heldout = _drawn(np.flatnonzero(held), config.num_heldout, self.seed, HELDOUT)
        self.rows = np.concatenate([pool, heldout])
        sets = {"pool": slice(0, pool.size), "heldout": slice(pool.size, self.rows.size)}
        levels = np.unique(self.measured.level, return_inverse=True)[1]
        return PromptSets(sets, self.measured.rate[self.rows], levels[self.rows].astype(np.int64))

    def build(self, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        measured = self.measured
        self.theta = np.zeros(measured.noise.size)
        self.difficulty = -logit(rates)
        self.features = measured.features[self.rows]
        self.own_slope = measured.rest[self.rows]
        self.plain = measured.plain[self.rows]
        self.plain_own = measured.plain_rest[self.rows]
        self.noise_root = self.config.noise * np.sqrt(measured.noise)
        at, height = measured.within_at.T
        self.within = np.interp(rates, at, height)  # (n,) of each prompt, relative to the mean
        self.plain_noise = self.config.noise**2 * measured.plain_within

    def make_optimiser(self) -> ScaledAdam:
        """See ``SimulatedPolicy``."""
        return ScaledAdam(self.theta.size, self.config.learning_rate * self.measured.root_sum)

    def nuisance(self, groups: WeighedGroups, normals: FloatArray) -> tuple[FloatArray, float]:
        """See ``SimulatedPolicy``; variance in the plain metric."""
        within = self.within[groups.view.prompts]
        unit = float((groups.weights * groups.weights) @ (groups.spread * within))
        return np.sqrt(unit) * self.noise_root * normals, unit * self.plain_noise

    def gradient_norm(
        self, groups: WeighedGroups, shared: FloatArray, own: FloatArray, variance: float
    ) -> float:
        """See ``SimulatedPolicy``; in the plain metric, as the trainer clips and records it.

        With the noise's mean square, rather than the noise that was drawn: a sum over a million
        parameters hardly varies.
        """
        prompts, moves = groups.view.prompts, groups.moves
        shared_part = moves @ self.plain.take(prompts, axis=0)
        own_part = moves * self.plain_own[prompts]
        return float(np.sqrt(shared_part @ shared_part + own_part @ own_part + variance))

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits, in the plain metric."""
        return lengths(self.plain[prompts], self.plain_own[prompts])

    def walk(self, rng: np.random.Generator, scale: float) -> None:
        """Refused when the world is built."""
        raise NotImplementedError

    def enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        """Refused when the world is built."""
        raise NotImplementedError


def _drawn(rows: IntArray, size: int, seed: int, name: int) -> IntArray:
    """``size`` of the rows (k,): without repeats if there are enough, in their order."""
    if size == rows.size:
        return rows
    rng = stream(seed, name)
    whole, rest = divmod(size, rows.size)
    part = np.sort(rng.choice(rows, rest, replace=False))
    return np.concatenate([*[rows] * whole, part])
