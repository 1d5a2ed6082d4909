"""One measurement of a policy's gradients: groups, then features, then what is stored."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor

from cobasim.arrays import BoolArray, FloatArray, IntArray, RealArray
from cobasim.errors import InputError
from cobasim.gradients import (
    LowRank,
    MeasuredGradients,
    MeasuredGroups,
    PartsReport,
    compress,
    measure_parts,
)
from cobatrain.engines import end_token_ids
from cobatrain.exact import ExactAnswers, check_exact, exact_answers, exact_log_rates
from cobatrain.gradients.group import EDGE, group_halves, mixed_prompts
from cobatrain.gradients.metric import Metric, mean_square
from cobatrain.gradients.per_prompt import logit_gradients, squared_norm, trained_parameters
from cobatrain.gradients.sketch import CountSketch
from cobatrain.learner import LanguageModelLearner

REPEATED = 64  # prompts whose features are sketched twice, to know the error


@dataclass(frozen=True)
class GradientOptions:
    """What is measured, and how finely.

    Attributes:
        prompts: training prompts whose features are measured, at most; None: all.
        groups: prompts whose groups are measured with rollouts, at most.
        rollouts: of each group; None: twice the mean budget of the run.
        dim: numbers of a sketch.
        rank: directions that are stored.
        plain_rank: the same of the plain metric, which only gradient norms need.
        seed: of the choice of prompts, the halves, the sketch and the bootstrap.
    """

    prompts: int | None = None
    groups: int = 256
    rollouts: int | None = None
    dim: int = 16_384
    rank: int = 512
    plain_rank: int = 128
    seed: int = 0


@dataclass(frozen=True)
class Chosen:
    """The prompts of a measurement: n, those to train on first.

    Attributes:
        pool: (P,) their places in the task's train set.
        rates: (n,) true pass rates, kept off 0 and 1.
        levels: (n,) names.
        heldout: (n,) bool.
        answers: the passing response of each.
    """

    pool: IntArray
    rates: FloatArray
    levels: np.ndarray[Any, Any]
    heldout: BoolArray
    answers: ExactAnswers


@dataclass(frozen=True)
class Measurement:
    """A file's contents and the parts of the gradient."""

    measured: MeasuredGradients
    parts: PartsReport


def plan_steps(learner: LanguageModelLearner, options: GradientOptions) -> float:
    """About how many training steps a measurement costs: backward passes over those of a step.

    A feature is one backward pass of one response, a group's halves are as many as its rollouts;
    a quarter of the groups is measured twice.
    """
    config = learner.config
    size = min(options.prompts or learner.num_prompts, learner.num_prompts)
    heldout = sum(min(len(p), config.evaluation.prompts) for p in learner.task.heldout.values())
    rollouts = options.rollouts or _rollouts(learner)
    groups = min(options.groups, learner.num_prompts)
    return (size + heldout + 1.25 * groups * rollouts) / config.loop.total_budget


def measure_gradients(
    learner: LanguageModelLearner,
    options: GradientOptions,
    on_done: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Measurement:
    """Measure the policy of a learner; its run, its random streams and its weights stay the same.

    Args:
        learner: of a task whose reward is an exact match.
        options: what is measured.
        on_done: gets the name of a phase, what is done of it, and its total.

    Raises InputError for a task of another kind, a model without trained parameters, a pool without
    prompts that are mixed often enough, and gradients that are not finite.
    """
    began = time.perf_counter()
    model = learner.model
    parameters = trained_parameters(model)
    if not parameters:
        raise InputError("the model has no parameters to train: all are frozen")
    training = model.training
    model.eval()
    try:
        chosen = _choose(learner, options)
        sketch = CountSketch([p.numel() for p in parameters], options.dim, options.seed)
        groups = _Groups(learner, options, sketch, chosen, on_done)
        metric = groups.metric()
        measured = groups.measure(metric)
        features = _features(learner, options, sketch, metric, chosen, on_done)
    finally:
        model.train(training)
    parts = measure_parts(measured.groups, np.random.default_rng([options.seed, 1]))
    return Measurement(
        _stored(learner, options, chosen, measured, features, metric, parts, began), parts
    )


def _rollouts(learner: LanguageModelLearner) -> int:
    """Twice the mean budget of a step, and at least 4: the halves are then groups of that size."""
    loop = learner.config.loop
    return max(4, 2 * round(loop.total_budget / loop.batch_size))


def _choose(learner: LanguageModelLearner, options: GradientOptions) -> Chosen:
    task, config = learner.task, learner.config
    check_exact(task)
    pool = np.arange(len(task.train))
    if options.prompts is not None and options.prompts < pool.size:
        rng = np.random.default_rng([options.seed, 0])
        pool = np.sort(rng.choice(pool, options.prompts, replace=False))
    prompts = [task.train[int(i)] for i in pool]
    for _, held in sorted(task.heldout.items()):
        count = min(len(held), config.evaluation.prompts)
        prompts += [held[int(i)] for i in np.linspace(0, len(held) - 1, count).astype(np.int64)]
    answers = exact_answers(
        prompts,
        learner.tokens,
        learner.tokenizer,
        end_token_ids(config.model.path),
        config.sampling,
    )
    log_rates = exact_log_rates(learner.model, answers, config.sampling.temperature)
    return Chosen(
        pool=pool,
        rates=np.clip(np.exp(log_rates), EDGE, 1.0 - EDGE),
        levels=np.array([prompt.level for prompt in prompts]),
        heldout=np.arange(len(prompts)) >= pool.size,
        answers=answers,
    )


@dataclass(frozen=True)
class _MeasuredNoise:
    """What the groups say: their halves in the plain metric, their noise in Adam's."""

    groups: MeasuredGroups
    noise: RealArray
    """(g, D) sketches of the difference of the halves in Adam's metric, as the noise of one
    rollout: variance of A s along each bucket."""
    squares: FloatArray
    """(g,) their squared lengths, not from the sketch."""
    rollouts: int
    length: float
    """Mean tokens of a response."""


class _Groups:
    """The groups of a measurement; sampled once, differentiated when they are needed."""

    def __init__(
        self,
        learner: LanguageModelLearner,
        options: GradientOptions,
        sketch: CountSketch,
        chosen: Chosen,
        on_done: Callable[[str, int, int], None],
    ) -> None:
        self._learner, self._options, self._sketch = learner, options, sketch
        self._on_done = on_done
        mixed = mixed_prompts(chosen.rates[~chosen.heldout])
        if mixed.size < 8:
            raise InputError(
                f"only {mixed.size} of {chosen.pool.size} prompts have pass rates from 1/16 to "
                "15/16, where groups are mixed: too few to measure what a gradient is made of"
            )
        rng = np.random.default_rng([options.seed, 2])
        self._which = rng.permutation(mixed)[: options.groups]
        self._chosen = chosen
        self._count = options.rollouts or _rollouts(learner)
        if self._count < 4:
            raise InputError(f"a group needs at least 4 rollouts for two halves, got {self._count}")
        self._sampled = learner.sample_apart(chosen.pool[self._which], self._count)

    def _halves(self, some: slice, what: str) -> Any:
        learner = self._learner
        rows = np.arange(self._which.size)[some]
        total = rows.size
        for done, half in enumerate(
            group_halves(
                learner.model,
                self._sampled.rollouts,
                self._sampled.rewards,
                learner.config.sampling.temperature,
                self._chosen.rates[self._which],
                np.random.default_rng([self._options.seed, 3]),
                rows,
            ),
            start=1,
        ):
            yield half
            self._on_done(what, done, total)

    def metric(self) -> Metric:
        """Adam's metric, from a quarter of the groups (8 at least)."""
        some = slice(0, max(8, self._which.size // 4))
        return mean_square(
            (
                gradient
                for half in self._halves(some, "metric")
                for gradient in (half.first, half.second)
            ),
            trained_parameters(self._learner.model),
        )

    def measure(self, metric: Metric) -> _MeasuredNoise:
        """All groups: lengths and products in the plain metric, noise in Adam's."""
        size = self._which.size
        square, product, noise_square = np.zeros((3, size))
        mean = np.zeros((size, self._sketch.dim), dtype=np.float32)
        noise = np.zeros((size, self._sketch.dim), dtype=np.float32)
        counts = np.zeros(size, dtype=np.int64)
        for half in self._halves(slice(None), "groups"):
            i = half.prompt
            counts[i] = half.count
            square[i] = (squared_norm(half.first) + squared_norm(half.second)) / 2
            product[i] = float(
                sum(
                    float((a.double() * b.double()).sum())
                    for a, b in zip(half.first, half.second, strict=True)
                )
            )
            middle = [(a + b) / 2 for a, b in zip(half.first, half.second, strict=True)]
            mean[i] = self._sketch.sketch(middle).numpy()[0]
            # (g' - g'') sqrt(k / 2) has the variance of one rollout's noise
            scale = float(np.sqrt(half.count / 2))
            apart = [
                metric.apply(n, (a - b) * scale)
                for n, (a, b) in enumerate(zip(half.first, half.second, strict=True))
            ]
            noise_square[i] = squared_norm(apart)
            noise[i] = self._sketch.sketch(apart).numpy()[0]
        chosen = self._chosen
        groups = MeasuredGroups(
            prompt=self._which,
            rate=chosen.rates[self._which],
            level=chosen.levels[self._which],
            count=counts,
            square=square,
            product=product,
            mean=mean,
        )
        length = float(np.maximum(self._sampled.rollouts.lengths, 1).mean())
        return _MeasuredNoise(groups, noise, noise_square, self._count, length)


@dataclass(frozen=True)
class _Features:
    """Sketches of the features of all prompts and their true squared lengths, in both metrics."""

    adam: RealArray
    adam_square: FloatArray
    plain: RealArray
    plain_square: FloatArray
    error: float
    """Error of an inner product from the sketch, in units of the product of the lengths."""


def _features(
    learner: LanguageModelLearner,
    options: GradientOptions,
    sketch: CountSketch,
    metric: Metric,
    chosen: Chosen,
    on_done: Callable[[str, int, int], None],
) -> _Features:
    size = chosen.answers.size
    adam, plain = (np.zeros((size, sketch.dim), dtype=np.float32) for _ in range(2))
    again = np.zeros((min(REPEATED, size), sketch.dim), dtype=np.float32)
    adam_square, plain_square = np.zeros((2, size))
    second = CountSketch(sketch.sizes, sketch.dim, options.seed + 1)
    temperature = learner.config.sampling.temperature
    gradients = logit_gradients(learner.model, chosen.answers, temperature, np.arange(size))
    for i, gradient in enumerate(gradients):
        scale = gradient.scale
        plain_square[i] = scale**2 * squared_norm(gradient.gradients)
        plain[i] = scale * sketch.sketch(gradient.gradients).numpy()[0]
        in_metric: Sequence[Tensor] = [
            metric.apply(n, part) for n, part in enumerate(gradient.gradients)
        ]
        adam_square[i] = scale**2 * squared_norm(in_metric)
        adam[i] = scale * sketch.sketch(in_metric).numpy()[0]
        if i < len(again):
            again[i] = scale * second.sketch(in_metric).numpy()[0]
        on_done("features", i + 1, size)
    return _Features(
        adam, adam_square, plain, plain_square, _sketch_error(adam[: len(again)], again)
    )


def _sketch_error(once: RealArray, again: RealArray) -> float:
    """Standard error of a normalised inner product, from two sketches of the same vectors."""
    lengths = np.sqrt((once * once).sum(axis=1) * (again * again).sum(axis=1)) ** 0.5
    units = [part / lengths[:, None] for part in (once, again)]
    difference = units[0] @ units[0].T - units[1] @ units[1].T
    off = ~np.eye(len(once), dtype=np.bool_)
    return float(np.sqrt((difference[off] ** 2).mean() / 2.0))


def _stored(
    learner: LanguageModelLearner,
    options: GradientOptions,
    chosen: Chosen,
    measured: _MeasuredNoise,
    features: _Features,
    metric: Metric,
    parts: PartsReport,
    began: float,
) -> MeasuredGradients:
    adam = compress(features.adam, options.rank, features.adam_square)
    plain = compress(features.plain, options.plain_rank, features.plain_square)
    total = float(measured.squares.mean())
    # the loss divides a response's log-prob by its length, or by a constant
    scale = 1.0 / (learner.config.update.constant_length or measured.length)
    return MeasuredGradients(
        rate=chosen.rates,
        level=chosen.levels,
        heldout=chosen.heldout,
        features=adam.coordinates,
        rest=adam.rest,
        plain=scale * plain.coordinates,
        plain_rest=scale * plain.rest,
        noise=_noise_along(adam, measured.noise, measured.squares, options.dim),
        noise_total=total,
        plain_within=scale**2 * parts.overall.within.value,
        within_at=_within_at(measured.groups),
        root_sum=scale * metric.root_sum,
        info=_info(learner, options, measured, features, adam, parts, time.perf_counter() - began),
    )


def _noise_along(low_rank: LowRank, noise: RealArray, squares: FloatArray, dim: int) -> FloatArray:
    """Variance (r,) of a rollout's noise along each stored direction.

    The sketch adds |noise|^2 / D to each on average, which is taken away again.
    """
    along = (noise.astype(np.float64) @ low_rank.directions.T) ** 2
    return np.asarray(np.maximum(along.mean(axis=0) - squares.mean() / dim, 0.0))


def _within_at(groups: MeasuredGroups) -> FloatArray:
    """(k, 2) pass rate and within part over its mean, in up to five groups of equal size."""
    order = np.argsort(groups.rate)
    parts = np.array_split(order, min(5, max(1, order.size // 16)))
    mean = float(groups.within.mean())
    return np.array(
        [[groups.rate[p].mean(), max(groups.within[p].mean() / mean, 0.05)] for p in parts]
    )


def _info(
    learner: LanguageModelLearner,
    options: GradientOptions,
    measured: _MeasuredNoise,
    features: _Features,
    adam: LowRank,
    parts: PartsReport,
    seconds: float,
) -> dict[str, Any]:
    kept = float((adam.coordinates**2).sum() / max(features.adam_square.sum(), 1e-300))
    parameters = trained_parameters(learner.model)
    return {
        "method": "exact",
        "model": learner.config.model.path,
        "parameters": int(sum(p.numel() for p in parameters)),
        "parameters of the model": int(sum(p.numel() for p in learner.model.parameters())),
        "task": learner.task.name,
        "task fingerprint": learner.task.fingerprint(),
        "step": learner.step,
        "config": learner.config.model_dump(mode="json"),
        "groups": int(measured.groups.rate.size),
        "rollouts of a group": measured.rollouts,
        "tokens of a response": measured.length,
        "sketch": {"dim": options.dim, "seed": options.seed, "error": features.error},
        "rank": int(adam.coordinates.shape[1]),
        "share of squared length kept": kept,
        "parts": parts.to_json(),
        "seconds": seconds,
        "versions": {
            "coba-testbed": version("coba-testbed"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
