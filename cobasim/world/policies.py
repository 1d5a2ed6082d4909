"""Simulated policies: they learn by policy gradient from the rollouts that they are given.

Both families are one mechanism: a prompt's pass rate is a function of parameters, a group of
rollouts moves its prompt's logit (``updates.group_update``), and the step on the parameters is the
weighted sum of these moves along each logit's gradient, plus nuisance noise, clipped and put
through SGD or Adam. No allocator is favoured by construction: what a rollout brings depends only
on its outcome and on which parameters its prompt shares with others.

Each prompt also has a parameter of its own, which no other prompt shares: what is learned there
is memorised, and never reaches held-out prompts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.special import expit, logit

from cobasim.allocation import Kept
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import difficulty_class, transition_counts
from cobasim.errors import InputError, unknown_name
from cobasim.plugins import import_class
from cobasim.streams import DRIFT, HELDOUT, LENGTHS, POPULATION, REGIME, ROLLOUTS, stream
from cobasim.updates import baseline_update, group_update, group_weights, join_groups
from cobasim.world.config import WorldConfig
from cobasim.world.prompts import (
    draw_pass_rates,
    keep_off_the_ends,
    resample_pass_rates,
)

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Adam


class SimulatedPolicy(ABC):
    """A learner of the loop whose rollouts are coin flips with known pass rates.

    Args:
        config: the world.
        seed: fixes prompts, outcomes and noise; the same for all allocators of a comparison.
        pass_rates: (P,) measured first pass rates, one simulated prompt each; None: drawn.
    """

    def __init__(
        self, config: WorldConfig, seed: int, pass_rates: FloatArray | None = None
    ) -> None:
        self.config, self.seed = config, seed
        self.weighting = config.weighting  # of prompts in the loss, for allocators to know
        if pass_rates is None:
            first = draw_pass_rates(stream(seed, POPULATION), config.num_prompts, config.population)
            heldout = draw_pass_rates(stream(seed, HELDOUT), config.num_heldout, config.population)
        else:
            first = keep_off_the_ends(pass_rates)
            heldout = resample_pass_rates(stream(seed, HELDOUT), config.num_heldout, first)
        hard = expit(logit(heldout) - config.hard_shift)
        self.num_prompts = first.size
        self.step = 0
        # one table for the pool, the held-out and the hard prompts, in this order
        self.sets = {
            "pool": slice(0, first.size),
            "heldout": slice(first.size, first.size + heldout.size),
            "hard": slice(first.size + heldout.size, first.size + heldout.size + hard.size),
        }
        rates = np.concatenate([first, heldout, hard])
        self.cluster = self._draw_clusters(rates, heldout.size)  # (n,)
        self.damage = 0.0  # logits by which nuisance steps have lowered every prompt
        self._build(rates)
        self.own = np.zeros(first.size)  # (P,) memorised logits
        lengths = np.exp(config.length_spread * stream(seed, LENGTHS).standard_normal(first.size))
        self.lengths = lengths / lengths.mean()  # (P,) mean response lengths, in their own mean
        self._start = self._shared().copy()  # what forgetting falls back to
        self._own_square = 0.0  # Adam's second moment of `own`, pooled over prompts
        self._moment = np.zeros(self._shared().size)
        self._square = np.zeros(self._shared().size)
        self._last: tuple[IntArray, IntArray, IntArray] | None = None
        self._kept: Kept | None = None
        # (m,) rollouts by which the next update weighs its groups; None: those that were spent
        self.loss_budgets: IntArray | None = None
        self.first_class = difficulty_class(self.all_pass_rates()[self.sets["pool"]])

    def _draw_clusters(self, rates: FloatArray, num_heldout: int) -> IntArray:
        """Clusters (n,) of equal size; with relatedness 1 they are bands of difficulty."""
        config, rng = self.config, stream(self.seed, POPULATION, 1)
        rank = np.empty(rates.size)
        for part in self.sets.values():  # ranks within each set: sets have the same mix
            size = part.stop - part.start
            rank[part][np.argsort(rates[part])] = (np.arange(size) + 0.5) / size
        mixed = config.relatedness * rank + (1.0 - config.relatedness) * rng.random(rates.size)
        cluster = np.empty(rates.size, dtype=np.int64)
        for part in self.sets.values():
            size = part.stop - part.start
            cluster[part][np.argsort(mixed[part])] = np.arange(size) * config.clusters // size
        return cluster

    # -- what the two families define ---------------------------------------------------

    @abstractmethod
    def _build(self, rates: FloatArray) -> None:
        """Set up parameters so that prompts (n,) start at exactly these pass rates."""

    @abstractmethod
    def _shared(self) -> FloatArray:
        """The flat shared parameters (d,), updated in place."""

    @abstractmethod
    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """True pass rates (m,) of prompts of the pool."""

    @abstractmethod
    def all_pass_rates(self) -> FloatArray:
        """True pass rates (n,) of the pool, the held-out and the hard prompts."""

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """What an embedding would tell of prompts of the pool, (m, d), of about unit length.

        Here, which cluster a prompt is of; families that know more override it.
        """
        return np.eye(self.config.clusters + 1)[self.cluster[prompts]]

    @abstractmethod
    def _gradients(self, prompts: IntArray, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum of moves (m,) times each logit's gradient: shared (d,), and own (m,)."""

    @abstractmethod
    def _walk(self, rng: np.random.Generator, scale: float) -> None:
        """One step of the difficulties' random walk."""

    @abstractmethod
    def _enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        """Move prompts (indices into the table) to the new cluster at these pass rates."""

    # -- the learner of the loop ----------------------------------------------------------

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Passes (m,) ~ Binomial(budgets, true pass rate).

        The generator depends on seed and step alone, so allocators meet the same luck; the
        nuisance noise of the update is drawn first, so that it is the very same for all.
        """
        rate = self.pass_rates(prompts)
        rng = stream(self.seed, ROLLOUTS, self.step)
        self._noise = rng.standard_normal(self._moment.size)
        passes = rng.binomial(budgets, rate)
        self._last, self._kept, self._outcomes = (prompts, budgets, passes), None, rng
        self._tokens = float(budgets @ self.lengths[prompts])
        return passes

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``, joined with the rollouts since the last update: groups grow."""
        if self._last is None:
            raise RuntimeError("rollout_more() goes on after rollout()")
        passes = self._outcomes.binomial(budgets, self.pass_rates(prompts))
        self._last = join_groups(self._last, (prompts, budgets, passes))
        self._tokens += float(budgets @ self.lengths[prompts])
        self.pass_rates(self._last[0])  # the families keep what their gradients need of these
        return passes

    def keep(self, prompts: IntArray, kept: Kept) -> None:
        """The next update sees only these groups; those without a rollout are left out."""
        if self._last is None:
            raise RuntimeError("keep() needs rollouts: call rollout() first")
        some = kept.budgets > 0
        base = None if kept.baseline is None else kept.baseline[some]
        self._kept = Kept(kept.budgets[some], kept.passes[some], base)
        self._last = (prompts[some], self._kept.budgets, self._kept.passes)
        self._rates = self.pass_rates(prompts[some])

    def prompt_lengths(self, prompts: IntArray) -> FloatArray:
        """Mean response lengths (m,) of prompts, in units of the pool's mean."""
        return np.asarray(self.lengths[prompts])

    def update(self) -> dict[str, float]:
        """One policy update from the last rollouts; returns the gradient norm before clipping."""
        if self._last is None:
            raise RuntimeError("update() needs rollouts: call rollout() first")
        (prompts, budgets, passes), kept = self._last, self._kept
        tokens = self._tokens
        self._last = self._kept = None
        config = self.config
        if kept is None or kept.baseline is None:
            update, square = group_update(passes, budgets, config.update)
        else:
            update, square = baseline_update(passes, budgets, kept.baseline, self._rates)
        loss_budgets = budgets if self.loss_budgets is None else self.loss_budgets
        self.loss_budgets = None
        weights = group_weights(loss_budgets, config.weighting)
        shared, own = self._gradients(prompts, weights * update)
        variance = 0.0
        if config.noise > 0.0 or config.prompt_noise > 0.0:
            # A rollout's nuisance gradient has norm `noise`, is isotropic over the shared
            # parameters, and enters with its advantage and the weight of its group; a prompt's
            # has norm `prompt_noise` and enters with its group's update: rollouts share it.
            squares = weights * weights  # (m,)
            within = float(squares @ (square / np.maximum(budgets, 1)))
            between = float(squares @ (update * update))
            variance = config.noise**2 * within + config.prompt_noise**2 * between
            shared = shared + np.sqrt(variance / shared.size) * self._noise
        norm = float(np.sqrt(shared @ shared + own @ own))
        clip = min(1.0, config.clip_norm / norm) if norm > 0.0 else 1.0
        self._apply(prompts, clip * shared, clip * own)
        self._break(clip * clip * variance)
        if config.forgetting > 0.0:
            parameters = self._shared()
            parameters += config.forgetting * (self._start - parameters)
        self.step += 1
        self._drift()
        if config.length_spread == 0.0:
            return {"grad_norm": norm}
        return {"grad_norm": norm, "tokens": tokens}

    def _apply(self, prompts: IntArray, shared: FloatArray, own: FloatArray) -> None:
        rate = self.config.learning_rate
        parameters = self._shared()
        if self.config.optimiser == "sgd":
            parameters += rate * shared
            self.own[prompts] += rate * self.config.memorisation * own
            return
        t = self.step + 1
        self._moment += (1.0 - BETA1) * (shared - self._moment)
        self._square += (1.0 - BETA2) * (shared * shared - self._square)
        root = np.sqrt(self._square / (1.0 - BETA2**t))
        parameters += rate * (self._moment / (1.0 - BETA1**t)) / (root + EPSILON)
        # The own parameters share one second moment, so that their relative sizes (the weights
        # of the loss) survive, and have no momentum, so that only visited prompts move.
        self._own_square += (1.0 - BETA2) * (float(own @ own) / own.size - self._own_square)
        root_own = np.sqrt(self._own_square / (1.0 - BETA2**t))
        self.own[prompts] += rate * self.config.memorisation * own / (root_own + EPSILON)

    def _break(self, variance: float) -> None:
        """Lower every logit by ``harm`` times the squared nuisance step; some of it is mended.

        ``variance``: expected squared length of the nuisance in the gradient that was applied.
        Steps are in learning rates, as the optimiser scales them.
        """
        config = self.config
        if config.harm > 0.0:
            if config.optimiser == "adam":  # after this step's moments
                total = float(self._square.sum()) / (1.0 - BETA2 ** (self.step + 1))
                variance = variance * self._square.size / max(total, EPSILON)
            step = config.harm * config.learning_rate**2 * variance
            self.damage = (1.0 - config.forgetting) * self.damage + step

    def _drift(self) -> None:
        config = self.config
        if config.walk > 0.0:
            self._walk(stream(self.seed, DRIFT, self.step), config.walk)
        if config.regime_step == self.step:
            rng = stream(self.seed, REGIME)
            for part in (self.sets["pool"], self.sets["heldout"]):
                size = part.stop - part.start
                count = round(config.regime_share * size)
                chosen = part.start + rng.choice(size, count, replace=False)
                self._enter_regime(chosen, draw_pass_rates(rng, count, "hard"))
                self.cluster[chosen] = config.clusters  # one beyond the old ones
                self.own[chosen[chosen < self.num_prompts]] = 0.0

    def evaluate(self) -> dict[str, Any]:
        """Mean true pass rates of each prompt set, and the classes' transitions in the pool.

        "new" and "old": held-out prompts of the new regime, once it has begun, and the others.
        """
        rates = self.all_pass_rates()
        scores: dict[str, Any] = {
            name: float(rates[part].mean()) for name, part in self.sets.items()
        }
        heldout = self.sets["heldout"]
        new = self.cluster[heldout] == self.config.clusters
        if new.any():
            scores["new"] = float(rates[heldout][new].mean())
            if not new.all():
                scores["old"] = float(rates[heldout][~new].mean())
        scores["transitions"] = transition_counts(
            self.first_class, difficulty_class(rates[self.sets["pool"]])
        )
        return scores

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes in a run, as arrays and numbers."""
        changing = self._changing()
        scalars = {"step": self.step, "own_square": self._own_square, "damage": self.damage}
        return scalars | {name: array.copy() for name, array in changing.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; the world must have been built from the same config and seed."""
        self.step, self._own_square = int(state["step"]), float(state["own_square"])
        self.damage = float(state["damage"])
        self._last = self._kept = None
        for name, array in self._changing().items():
            given = np.asarray(state[name])
            if given.shape != array.shape:
                raise InputError(
                    f"state of another world: {name} has shape {given.shape}, expected "
                    f"{array.shape}"
                )
            array[...] = given

    def _changing(self) -> dict[str, Any]:
        return {
            "shared": self._shared(),
            "own": self.own,
            "moment": self._moment,
            "square": self._square,
            "cluster": self.cluster,
        }


def _collisions(
    rng: np.random.Generator, size: int, basis: FloatArray, clusters: int
) -> FloatArray:
    """Random unit vectors (size, d) in the part of the basis that nothing else uses."""
    rest = basis[clusters + 2 :]
    random = rng.standard_normal((size, rest.shape[0]))
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    return np.asarray(random @ rest)


KEPT_NUMBERS = 2_000_000  # in one array of directions that is kept for the next run


@lru_cache(maxsize=16)
def _directions(
    seed: int, size: int, d: int, clusters: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """What runs of one seed draw alike: (n,) normals for slopes, the basis (d, d), collisions.

    Rows of the basis: the common direction, the clusters, the new cluster, the rest. Read only.
    """
    rng = stream(seed, POPULATION, 2)
    spread = rng.standard_normal(size)
    basis = np.ascontiguousarray(np.linalg.qr(rng.standard_normal((d, d)))[0].T)
    found = spread, basis, _collisions(rng, size, basis, clusters)
    for array in found:
        array.setflags(write=False)
    return found


class LogisticPolicy(SimulatedPolicy):
    """p_i = sigmoid(slope_i x_i . theta + own part - difficulty_i).

    The unit vector x_i is the sum of a direction common to all prompts, one of the prompt's
    cluster, a random one that collides with other prompts' at random sign (interference), and an
    own one that is orthogonal to everything (kept as the scalar ``own``). With transfer t,
    common share c and interference j the squared lengths are t c, t (1-c), (1-t) j and
    (1-t) (1-j). The shared coordinates are rotated at random, so that Adam's coordinates mean
    nothing.
    """

    def _build(self, rates: FloatArray) -> None:
        config = self.config
        size, d = rates.size, config.features
        self.theta = np.zeros(d)
        self.difficulty = -logit(rates)
        draw = _directions if size * d <= KEPT_NUMBERS else _directions.__wrapped__
        spread, self.basis, random = draw(self.seed, size, d, config.clusters)
        self.slope = np.exp(config.slope_spread * spread)
        self.features = self._shared_features(random, self.cluster, self.slope)  # (n, d)
        own = (1.0 - config.transfer) * (1.0 - config.interference)
        self.own_slope = self.slope * np.sqrt(own)  # (n,)

    def _shared_features(
        self, random: FloatArray, cluster: IntArray, slope: FloatArray
    ) -> FloatArray:
        """slope_i times the shared part of x_i, (n, d); ``random``: unit vectors that collide."""
        config = self.config
        shared = np.sqrt(config.transfer)
        features = shared * (
            np.sqrt(config.common) * self.basis[0]
            + np.sqrt(1.0 - config.common) * self.basis[1 + cluster]
        )
        features += np.sqrt((1.0 - config.transfer) * config.interference) * random
        return np.asarray(features * slope[:, None], dtype=np.float64)

    def _shared(self) -> FloatArray:
        return self.theta

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """See ``SimulatedPolicy``; gathers the features once, for the update too."""
        self._rows = self.features.take(prompts, axis=0)  # (m, d)
        own = self.own_slope[prompts] * self.own[prompts]
        logits = self._rows @ self.theta + own - self.difficulty[prompts]
        return np.asarray(expit(logits - self.damage))

    def all_pass_rates(self) -> FloatArray:
        """See ``SimulatedPolicy``."""
        logits = self.features @ self.theta - self.difficulty
        logits[: self.num_prompts] += self.own_slope[: self.num_prompts] * self.own
        return np.asarray(expit(logits - self.damage))

    def gradient_norms(self, prompts: IntArray) -> FloatArray:
        """Norms (m,) of the gradients of prompts' logits; constant in this family."""
        rows = self.features[prompts]
        return np.asarray(np.sqrt((rows * rows).sum(axis=1) + self.own_slope[prompts] ** 2))

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """The direction of the prompt's shared features; not its difficulty."""
        rows = self.features[prompts]
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(1e-12))

    def _gradients(self, prompts: IntArray, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        return moves @ self._rows, moves * self.own_slope[prompts]

    def _walk(self, rng: np.random.Generator, scale: float) -> None:
        self.difficulty += scale * rng.standard_normal(self.difficulty.size)

    def _enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        rng = stream(self.seed, REGIME, 1 + int(prompts[0]) if prompts.size else 0)
        cluster = np.full(prompts.size, self.config.clusters)
        random = _collisions(rng, prompts.size, self.basis, self.config.clusters)
        self.features[prompts] = self._shared_features(random, cluster, self.slope[prompts])
        # at exactly these rates for the policy as it is now
        now = self.features[prompts] @ self.theta - self.damage
        self.difficulty[prompts] = now - logit(rates)

    def _changing(self) -> dict[str, Any]:
        changing = super()._changing() | {"difficulty": self.difficulty}
        if self.config.regime_step is not None:
            changing["features"] = self.features
        return changing


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

    def _build(self, rates: FloatArray) -> None:
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

    def _shared(self) -> FloatArray:
        return self.skills.reshape(-1)

    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """See ``SimulatedPolicy``."""
        chain = self._log_products()[self.cluster[prompts], self.level[prompts]]
        own = expit(self.own_logit[prompts] + self.own[prompts] - self.damage)
        self._rate: FloatArray = np.exp(chain) * np.asarray(own, dtype=np.float64)
        return self._rate

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

    def _gradients(self, prompts: IntArray, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        per_failure = moves / np.maximum(1.0 - self._rate, 1e-12)
        chains, levels = self.skills.shape
        cell = self.cluster[prompts] * (levels + 1) + self.level[prompts]
        by_level = np.bincount(cell, weights=per_failure, minlength=chains * (levels + 1))
        # a prompt of level l moves skills 1..l: a sum over all prompts at or above a level
        above = np.cumsum(by_level.reshape(chains, levels + 1)[:, :0:-1], axis=1)[:, ::-1]
        shared = above * expit(-self.skills)
        own = self.own_logit[prompts] + self.own[prompts] - self.damage
        return shared.reshape(-1), per_failure * expit(-own)

    def _walk(self, rng: np.random.Generator, scale: float) -> None:
        self.own_logit += scale * rng.standard_normal(self.own_logit.size)

    def _enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        self.cluster[prompts] = self.config.clusters
        self._place(prompts, rates)

    def _changing(self) -> dict[str, Any]:
        return super()._changing() | {"own_logit": self.own_logit, "level": self.level}


WORLDS: dict[str, type[SimulatedPolicy]] = {
    "logistic": LogisticPolicy,
    "skill-chain": SkillChainPolicy,
}


def find_world(name: str) -> type[SimulatedPolicy]:
    """The class of a name in WORLDS, or of an import path ``module:Class``.

    Raises InputError when there is none.
    """
    if name in WORLDS:
        return WORLDS[name]
    if ":" not in name:
        raise unknown_name("world", name, WORLDS)
    return import_class("world", name, SimulatedPolicy)
