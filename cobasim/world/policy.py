"""Simulated policies: they learn by policy gradient from the rollouts that they are given.

All worlds are one mechanism: a prompt's pass rate is a function of parameters, a group of rollouts
moves its prompt's logit (``updates.group_update``), and the step on the parameters is the weighted
sum of these moves along each logit's gradient, plus noise, clipped and put through SGD or Adam. No
allocator is favoured by construction: what a rollout brings depends only on its outcome and on
which parameters its prompt shares with others.

Each prompt also has a parameter of its own, which no other prompt shares: what is learned there
is memorised, and never reaches held-out prompts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from cobasim.allocation import Kept
from cobasim.arrays import FloatArray, IntArray
from cobasim.difficulty import difficulty_class, transition_counts
from cobasim.errors import InputError
from cobasim.streams import DRIFT, LENGTHS, REGIME, ROLLOUTS, stream
from cobasim.updates import (
    baseline_update,
    group_update,
    group_weights,
    join_groups,
    warmup_factor,
)
from cobasim.world.config import WorldConfig
from cobasim.world.optimiser import GradientStep, Optimiser
from cobasim.world.prompts import PromptSets, draw_pass_rates, draw_prompt_sets
from cobasim.world.view import BatchView, Pending, WeighedGroups


class SimulatedPolicy(ABC):
    """A learner of the loop whose rollouts are coin flips with known pass rates.

    Subclasses say where prompts start (``build``), what the shared parameters are (``shared``),
    what the pass rates are, and the gradients of the logits.

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
        prompts = self.draw_prompts(pass_rates)
        self.num_prompts, self.sets = prompts.num_prompts, prompts.sets
        self.cluster = prompts.cluster  # (n,)
        self.step = 0
        self.damage = 0.0  # logits by which noisy steps have lowered every prompt
        self.build(prompts.rates)
        self.own = np.zeros(self.num_prompts)  # (P,) memorised logits
        normal = stream(seed, LENGTHS).standard_normal(self.num_prompts)
        lengths = np.exp(config.length_spread * normal)
        self.lengths = lengths / lengths.mean()  # (P,) mean response lengths; their mean is 1
        self.optimiser = self.make_optimiser()
        self._start = self.shared().copy()  # what forgetting falls back to
        self._pending: Pending | None = None
        self.first_class = difficulty_class(self.all_pass_rates()[self.sets["pool"]])

    def draw_prompts(self, pass_rates: FloatArray | None) -> PromptSets:
        """The prompts of the world; ``pass_rates`` as for the class. Called before ``build``."""
        return draw_prompt_sets(self.config, self.seed, pass_rates)

    def make_optimiser(self) -> Optimiser:
        """What applies the gradients. Called after ``build``."""
        config = self.config
        rate = config.learning_rate
        return Optimiser(config.optimiser, self.shared().size, rate, rate * config.memorisation)

    # -- what a world defines -------------------------------------------------------------

    @abstractmethod
    def build(self, rates: FloatArray) -> None:
        """Set up parameters so that all prompts (n,) start at exactly these pass rates."""

    @abstractmethod
    def shared(self) -> FloatArray:
        """The flat shared parameters (d,), which the base class updates in place."""

    @abstractmethod
    def pass_rates(self, prompts: IntArray) -> FloatArray:
        """True pass rates (m,) of prompts of the pool. A query: it changes nothing."""

    @abstractmethod
    def all_pass_rates(self) -> FloatArray:
        """True pass rates (n,) of the pool, the held-out and the hard prompts."""

    @abstractmethod
    def gradients(self, view: BatchView, moves: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Sum of moves (m,) times each logit's gradient: shared (d,), and own (m,)."""

    @abstractmethod
    def walk(self, rng: np.random.Generator, scale: float) -> None:
        """One step of the difficulties' random walk."""

    @abstractmethod
    def enter_regime(self, prompts: IntArray, rates: FloatArray) -> None:
        """Move prompts (indices into the table) to the new cluster at these pass rates."""

    def view(self, prompts: IntArray) -> BatchView:
        """What ``gradients`` will need of prompts (m,); a world may add rows. Changes nothing."""
        return BatchView(prompts, self.pass_rates(prompts))

    def nuisance(self, groups: WeighedGroups, normals: FloatArray) -> tuple[FloatArray, float]:
        """The noise (d,) of an update's gradient, and its expected squared length.

        Here a rollout's noise has norm ``noise``, is isotropic over the shared parameters, and
        enters with its advantage and the weight of its group; a prompt's noise has norm
        ``prompt_noise`` and enters with its group's update: rollouts share it. ``normals`` (d,) are
        standard normals, the same whatever the budgets are.
        """
        config = self.config
        squares = groups.weights * groups.weights
        within = float(squares @ groups.spread)
        between = float(squares @ (groups.move * groups.move))
        variance = config.noise**2 * within + config.prompt_noise**2 * between
        return np.sqrt(variance / normals.size) * normals, variance

    def gradient_norm(
        self, groups: WeighedGroups, shared: FloatArray, own: FloatArray, variance: float
    ) -> float:
        """Norm of an update's gradient before clipping.

        Here of its shared part (d,), with the noise that was drawn, and its own part (m,);
        ``variance`` is that noise's expected squared length.
        """
        return float(np.sqrt(shared @ shared + own @ own))

    def prompt_features(self, prompts: IntArray) -> FloatArray:
        """What an embedding would tell of prompts of the pool, (m, d), of about unit length.

        Here, the cluster of the prompt; worlds that know more override it.
        """
        return np.eye(self.config.clusters + 1)[self.cluster[prompts]]

    def changing(self) -> dict[str, Any]:
        """The arrays that change in a run, by name, for checkpoints; worlds add their own."""
        return {
            "shared": self.shared(),
            "own": self.own,
            "moment": self.optimiser.moment,
            "square": self.optimiser.square,
            "cluster": self.cluster,
        }

    # -- the learner of the loop ----------------------------------------------------------

    def rollout(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """Passes (m,) ~ Binomial(budgets, true pass rate).

        The generator depends on seed and step alone, so all allocators meet the same luck; the
        noise of the update is drawn first, so that it is identical for all of them.
        """
        view = self.view(prompts)
        rng = stream(self.seed, ROLLOUTS, self.step)
        noise = rng.standard_normal(self.optimiser.moment.size)
        passes = rng.binomial(budgets, view.pass_rate)
        self._pending = Pending(view, budgets, passes, noise, rng, [(prompts, budgets)])
        return passes

    def rollout_more(self, prompts: IntArray, budgets: IntArray) -> IntArray:
        """As ``rollout``; these rollouts join those made since the last update: groups grow."""
        pending = self._waiting("rollout_more")
        passes = pending.rng.binomial(budgets, self.pass_rates(prompts))
        before = (pending.view.prompts, pending.budgets, pending.passes)
        joint, pending.budgets, pending.passes = join_groups(before, (prompts, budgets, passes))
        pending.view = self.view(joint)
        pending.sampled.append((prompts, budgets))
        return passes

    def keep(self, prompts: IntArray, kept: Kept) -> None:
        """Let the next update see only these groups; those without a rollout are left out."""
        pending = self._waiting("keep")
        some = kept.budgets > 0
        pending.view = self.view(prompts[some])
        pending.budgets, pending.passes = kept.budgets[some], kept.passes[some]
        pending.baseline = None if kept.baseline is None else kept.baseline[some]

    def weigh(self, prompts: IntArray, budgets: IntArray) -> None:
        """Let the next update weigh the groups as if ``budgets`` (m,) had been spent."""
        pending = self._waiting("weigh")
        table = np.zeros(self.num_prompts, dtype=np.int64)
        table[prompts] = budgets
        pending.loss_budgets = table[pending.view.prompts]

    @property
    def counts_tokens(self) -> bool:
        """Whether responses differ in length."""
        return self.config.length_spread > 0.0

    def response_tokens(self, prompts: IntArray) -> FloatArray:
        """Tokens (m,) of all responses to prompts that wait for the update.

        In units of the pool's mean response. Responses to a prompt are equally long.
        """
        table = np.zeros(self.num_prompts)
        for sampled, budgets in self._waiting("response_tokens").sampled:
            table[sampled] += budgets
        return np.asarray(table[prompts] * self.lengths[prompts])

    def prompt_lengths(self, prompts: IntArray) -> FloatArray:
        """Mean response lengths (m,) of prompts, in units of the pool's mean."""
        return np.asarray(self.lengths[prompts])

    def update(self) -> dict[str, float]:
        """One policy update from the last rollouts; returns the gradient norm before clipping."""
        pending = self._waiting("update")
        self._pending = None
        config, view = self.config, pending.view
        if pending.baseline is None:
            move, square = group_update(pending.passes, pending.budgets, config.update)
        else:
            move, square = baseline_update(
                pending.passes, pending.budgets, pending.baseline, view.pass_rate
            )
        loss_budgets = pending.budgets if pending.loss_budgets is None else pending.loss_budgets
        weights = group_weights(loss_budgets, config.weighting)
        groups = WeighedGroups(view, pending.budgets, weights, move, square)
        shared, own = self.gradients(view, groups.moves)
        variance = 0.0
        if config.noise > 0.0 or config.prompt_noise > 0.0:
            noise, variance = self.nuisance(groups, pending.noise)
            shared = shared + noise
        norm = self.gradient_norm(groups, shared, own, variance)
        clip = min(1.0, config.clip_norm / norm) if norm > 0.0 else 1.0
        pace = self.pace
        self.step += 1
        step = GradientStep(self.step, view.prompts, clip * shared, clip * own, clip * norm, pace)
        self.optimiser.step(self.shared(), self.own, step)
        self._break(clip * clip * variance, pace)
        self._forget()
        self._drift()
        numbers = {"grad_norm": norm}
        if self.counts_tokens:
            numbers["tokens"] = float(sum(n @ self.lengths[at] for at, n in pending.sampled))
        return numbers

    @property
    def pace(self) -> float:
        """The share of the learning rate that the next update has: less than 1 in a warm-up."""
        return warmup_factor(self.step, self.config.warmup_steps)

    def _waiting(self, caller: str) -> Pending:
        if self._pending is None:
            raise RuntimeError(f"{caller}() needs rollouts: call rollout() first")
        return self._pending

    def _break(self, variance: float, pace: float) -> None:
        """Lower every logit by ``harm`` times the squared step of the noise; some of it mends.

        ``variance``: expected squared length of the noise in the gradient that was applied, with
        the share ``pace`` of the learning rate.
        """
        config = self.config
        if config.harm > 0.0:
            square = self.optimiser.squared_step(variance, self.step)
            lost = config.harm * (pace * config.learning_rate) ** 2 * square
            self.damage = (1.0 - config.forgetting) * self.damage + lost

    def _forget(self) -> None:
        if self.config.forgetting > 0.0:
            parameters = self.shared()
            parameters += self.config.forgetting * (self._start - parameters)

    def _drift(self) -> None:
        config = self.config
        if config.walk > 0.0:
            self.walk(stream(self.seed, DRIFT, self.step), config.walk)
        if config.regime_step == self.step:
            rng = stream(self.seed, REGIME)
            for part in (self.sets["pool"], self.sets["heldout"]):
                size = part.stop - part.start
                count = round(config.regime_share * size)
                chosen = part.start + rng.choice(size, count, replace=False)
                self.enter_regime(chosen, draw_pass_rates(rng, count, "hard"))
                self.cluster[chosen] = config.clusters  # one beyond the old ones
                self.own[chosen[chosen < self.num_prompts]] = 0.0

    def evaluate(self) -> dict[str, Any]:
        """Mean true pass rates of each prompt set, and how the pool moved between the classes.

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
        numbers = {
            "step": self.step,
            "own_square": self.optimiser.own_square,
            "damage": self.damage,
        }
        return numbers | {name: array.copy() for name, array in self.changing().items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore ``state_dict``; the world must have been built from the same config and seed."""
        self.step, self.damage = int(state["step"]), float(state["damage"])
        self.optimiser.own_square = float(state["own_square"])
        self._pending = None
        for name, array in self.changing().items():
            given = np.asarray(state[name])
            if given.shape != array.shape:
                raise InputError(
                    f"state of another world: {name} has shape {given.shape}, expected "
                    f"{array.shape}"
                )
            array[...] = given
