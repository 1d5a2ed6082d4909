"""The measured world: prompts with the gradients of a real model, which learns as GRPO would.

Named ``measured:FILE``, after a file of ``cobatrain gradients``; or ``measured:FILE,FILE``, of the
same prompts at several steps of a run. A network that is linear in its
parameters (its tangent) with the softmax left whole: at each token of an answer, the log-odds of
what competes with it move linearly,

    a_v(t) = a_v(0) + f_v . theta(t),   log p_i = - sum over tokens of log(1 + sum_v exp a_v)

so a step along the gradient of the batch moves every other prompt by what the model's own gradients
have in common, and gradients turn as odds change. Nothing of it is guessed; docs/measured.md tests
how long a real policy stays that way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from cobasim.arrays import FloatArray, IntArray, RealArray
from cobasim.errors import InputError
from cobasim.gradients import Answers, GradientParts, MeasuredGradients, read_measured_files
from cobasim.streams import COPIES, HELDOUT, POPULATION, stream
from cobasim.world.config import MEASURED
from cobasim.world.linear import lengths, parts_of
from cobasim.world.optimiser import ScaledAdam
from cobasim.world.policy import SimulatedPolicy
from cobasim.world.prompts import PromptSets
from cobasim.world.view import BatchView, WeighedGroups

PARTS_FROM = 256  # prompts that say what gradients are made of


class LogitGradients(NamedTuple):
    """Gradients of the logits of m prompts as the policy is now: shared (m, r) and own (m,)."""

    shared: RealArray
    own: RealArray


class MeasuredPolicy(SimulatedPolicy):
    """A policy that is linear in features measured on a real one.

    The features are in Adam's metric (``MeasuredGradients``): coordinates in directions that
    prompts share, and one that is each prompt's own. Adam's second moments keep their measured
    proportions; their common scale follows the gradients of the run. So one step moves the
    parameters by

        learning_rate * sqrt(sum q) * m / sqrt(v)

    with m the mean of the clipped gradients (beta 0.9) in Adam's metric, and v the mean of their
    squared lengths in the plain one (beta 0.999), both corrected for their start. The noise of
    rollouts has the measured variance along every direction, by pass rate; ``noise`` multiplies its
    standard deviation. Fitted: nothing.

    ``linear_in="logit"`` makes the logit of each pass rate linear instead: no gradient turns.

    Departures: features that stay as they were measured; what is a prompt's own outside the shared
    directions is one number; lengths of gradients in the plain metric grow and shrink as those in
    Adam's do; noise without correlation between directions; rollouts whose reward is the only thing
    that tells them apart.

    With several files the features are replaced when the run comes to the step of the next one.
    The odds stay where they are; what Adam's momentum still carries is applied at once.

    Pools of another size: fewer prompts than measured are drawn without repeats by the seed. More
    are copies, which share their prompt's directions but not what lies outside them, as different
    prompts of its kind would: own directions are their own, and folded numbers get other signs.

    Raises InputError for a bad file, and for measured pass rates beside those of the file.
    """

    def draw_prompts(self, pass_rates: FloatArray | None) -> PromptSets:
        """See ``SimulatedPolicy``."""
        config = self.config
        if pass_rates is not None:
            raise InputError(
                "a measured world has the pass rates that were measured: leave out --pass-rates"
            )
        self.files = read_measured_files(config.world.removeprefix(MEASURED))
        self.measured = self.files[0]
        held = self.measured.heldout
        pool = _drawn(np.flatnonzero(~held), config.num_prompts, self.seed, POPULATION)
        heldout = _drawn(np.flatnonzero(held), config.num_heldout, self.seed, HELDOUT)
        self.rows = np.concatenate([pool, heldout])
        sets = {"pool": slice(0, pool.size), "heldout": slice(pool.size, self.rows.size)}
        levels = np.unique(self.measured.level, return_inverse=True)[1]
        return PromptSets(sets, self.measured.rate[self.rows], levels[self.rows].astype(np.int64))

    def build(self, rates: FloatArray) -> None:
        """See ``SimulatedPolicy``."""
        whole = Answers.of(self.measured.prompt, self.measured.position)
        self.chosen, self.answers = whole.take(self.rows)
        self.whole_count = self.answers.count
        if self.config.linear_in == "logit":
            count = np.ones_like(self.answers.count)
            self.tokens, self.answers = self.answers, Answers(count.cumsum() - 1, count, count > 0)
        if self.measured.folded and self.rows.size > self.measured.rate.size:
            self.signs_of_copies = self._signs()
        self.theta = np.zeros(self.measured.noise.size)
        self._take_features(rates)
        self.odds = self.odds_measured.copy()

    def _take_features(self, rates: FloatArray) -> None:
        """All that a file says; ``rates`` (n,) are the pass rates now."""
        measured, chosen = self.measured, self.chosen
        self.odds_measured = measured.odds[chosen]
        self.features: RealArray = measured.features[chosen]
        self.own_slope: RealArray = measured.own[chosen]
        if measured.folded and self.rows.size > measured.rate.size:
            self.features[:, -measured.folded :] *= self.signs_of_copies
        if self.config.linear_in == "logit":
            self._join_alternatives()
        _, weights = self.answers.rates(self.odds_measured)
        self.at_start = self._logit_gradients(self.answers, weights, self.features, self.own_slope)
        self.length_at_start = lengths(*self.at_start).clip(1e-30)
        self.plain = measured.plain[self.rows]
        self.plain_own = measured.plain_rest[self.rows]
        self.noise_root = self.config.noise * np.sqrt(measured.noise)
        at, height = measured.within_at.T
        self.within = np.interp(rates, at, height)  # (n,) of each prompt, relative to the mean
        self.plain_noise = self.config.noise**2 * measured.plain_within

    def _signs(self) -> RealArray:
        """Signs (N, folded) by which copies of a prompt differ; those of the first are all 1."""
        rng = stream(self.seed, COPIES)
        signs = rng.integers(0, 2, (self.rows.size, self.measured.folded), dtype=np.int8) * 2 - 1
        signs[np.unique(self.rows, return_index=True)[1]] = 1
        return np.repeat(signs, self.whole_count, axis=0)

    def _join_alternatives(self) -> None:
        """One alternative a prompt: not to pass, with minus the logit of its rate as log-odds."""
        rates, weights = self.tokens.rates(self.odds_measured)
        now = self._logit_gradients(self.tokens, weights, self.features, self.own_slope)
        self.odds_measured = np.log1p(-rates) - np.log(rates)
        self.features, self.own_slope = -now.shared, -now.own

    @staticmethod
    def _logit_gradients(
        answers: Answers, weights: FloatArray, features: RealArray, own_slope: RealArray
    ) -> LogitGradients:
        shared = answers.sums(weights.astype(np.float32)[:, None] * features)
        return LogitGradients(shared, answers.sums(weights * own_slope))

    def shared(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.theta

    def view(self, prompts: IntArray) -> BatchView:
        """See ``SimulatedPolicy``; the rows are the gradients of the prompts' logits."""
        chosen, answers = self.answers.take(prompts)
        features, slope = self.features.take(chosen, axis=0), self.own_slope[chosen]
        odds = self.odds[chosen] + features @ self.theta.astype(np.float32)
        odds += slope * np.repeat(self.own[prompts], answers.count)
        rates, weights = answers.rates(odds)
        return BatchView(prompts, rates, self._logit_gradients(answers, weights, features, slope))

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.view(prompts).pass_rate

    def all_pass_rates(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        return self.answers.rates(self._all_odds())[0]

    def _all_odds(self) -> FloatArray:
        """Log-odds (N,) of all alternatives now."""
        odds = self.odds + self.features @ self.theta.astype(np.float32)
        counts = self.answers.count[: self.num_prompts]
        in_pool = int(counts.sum())
        odds[:in_pool] += self.own_slope[:in_pool] * np.repeat(self.own, counts)
        return odds

    def update(self) -> dict[str, float]:
        """See ``SimulatedPolicy``; takes the features of the next file when it is due."""
        numbers = super().update()
        for later in self.files:
            if later.step == self.step > 0:
                self._turn_to(later)
        return numbers

    def _turn_to(self, measured: MeasuredGradients) -> None:
        """New features from here on; the odds stay as they are."""
        self.optimiser.coast(self.theta, self.step, self.pace)
        self.odds[...] = self._all_odds()
        self.theta[...], self.own[...], self.optimiser.moment[...] = 0.0, 0.0, 0.0
        self._use(measured)

    def _use(self, measured: MeasuredGradients) -> None:
        self.measured = measured
        self._take_features(self.answers.rates(self.odds)[0])
        self.optimiser.rate = self.optimiser.own_rate = (
            self.config.learning_rate * measured.root_sum
        )

    def changing(self) -> dict[str, Any]:
        """See ``SimulatedPolicy``."""
        return super().changing() | {"odds": self.odds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``SimulatedPolicy``."""
        super().load_state_dict(state)
        self._use(
            [file for file in self.files if file.step <= max(self.step, self.files[0].step)][-1]
        )

    def gradients(self, view: BatchView, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """See ``SimulatedPolicy``."""
        return moves @ view.rows.shared, moves * view.rows.own

    def make_optimiser(self) -> ScaledAdam:
        """See ``SimulatedPolicy``."""
        return ScaledAdam(self.theta.size, self.config.learning_rate * self.measured.root_sum)

    optimiser: ScaledAdam

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
        prompts = groups.view.prompts
        grown = lengths(*groups.view.rows) / self.length_at_start[prompts]
        moves = groups.moves * grown
        shared_part = moves @ self.plain.take(prompts, axis=0)
        own_part = moves * self.plain_own[prompts]
        return float(np.sqrt(shared_part @ shared_part + own_part @ own_part + variance))

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits at the start, in the plain metric."""
        return lengths(self.plain[prompts], self.plain_own[prompts])

    def gradient_parts(self) -> GradientParts:
        """The parts of gradients as the policy is now, in the plain metric.

        Of up to 256 prompts, evenly spaced over the pool. Without error otherwise: features and
        noise are the world's own, as ``gradient_norm`` takes them.
        """
        size = min(self.num_prompts, PARTS_FROM)
        pool = np.arange(size) * self.num_prompts // size
        view = self.view(pool)
        grown = lengths(*view.rows) / self.length_at_start[pool]
        return parts_of(
            view.pass_rate,
            (grown[:, None] * self.plain[pool], grown * self.plain_own[pool]),
            noise=self.plain_noise * self.within[pool],
            prompt_noise=0.0,
            steps=self.step,
        )

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """The direction of the gradients of the prompts' logits at the start."""
        rows = self.at_start.shared[prompts].astype(np.float64)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12))

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
