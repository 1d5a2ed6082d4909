"""A learned allocator: a small network's preferences over pass rates, evaluated with numpy alone.

``cobasim learn`` trains it and writes the file; ``learned:FILE`` names it wherever an allocator is
named. The file is JSON: numbers and their provenance, nothing that is executed.

The network knows a batch only by ``rate_features``, and answers with one preference for each of
KNOTS and one for unseen prompts, so it can be used with batches of any size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from cobasim.allocation.base import Allocator
from cobasim.allocation.beliefs.pass_rates import ESTIMATORS
from cobasim.allocation.limits import Limits
from cobasim.allocation.observation import Observation
from cobasim.allocation.solving import spread_proportionally
from cobasim.arrays import FloatArray, IntArray
from cobasim.errors import InputError
from cobasim.files import or_example

KIND, FORMAT = "cobasim learned allocator", 1
PREFERENCE = 5.0  # an action of 1 is a preference of this many nats
KNOTS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)  # pass rates at which there is a preference
NUM_PREFERENCES = len(KNOTS) + 1  # and one for unseen prompts
FEATURES = (
    *(f"share of prompts near pass rate {knot:g}" for knot in KNOTS),
    "share of unseen prompts",
    "share of prompts believed to be mixed",
    "failure rate",
    "progress",
)
MOST_BYTES = 4_000_000  # of a file
ESTIMATOR = "last"  # the rule of pass rates of a file that names none


def rate_features(obs: Observation) -> FloatArray:
    """What the network is told of a batch, (11,), see FEATURES; each in [0, 1].

    A prompt counts for the two knots about its believed pass rate, in proportion to nearness.
    """
    seen = obs.seen
    p = obs.pass_rate[seen]
    knots = np.asarray(KNOTS)
    left = np.clip(np.searchsorted(knots, p, side="right") - 1, 0, knots.size - 2)
    share = (p - knots[left]) / (knots[left + 1] - knots[left])
    counts = np.bincount(left, weights=1.0 - share, minlength=knots.size)
    counts += np.bincount(left + 1, weights=share, minlength=knots.size)
    size = obs.pass_rate.size
    rate = 1.0 if obs.failure_rate is None else obs.failure_rate
    mixed = np.count_nonzero((p > 0.0) & (p < 1.0))
    return np.array([*(counts / size), 1.0 - p.size / size, mixed / size, rate, obs.progress])


def preferences_by_rate(obs: Observation, action: FloatArray) -> FloatArray:
    """Preferences (m,) in nats of an action (8,) in [-1, 1]: at KNOTS, and for unseen prompts.

    Linear in the pass rate between knots; PREFERENCE nats for an action of 1.
    """
    rates = np.interp(obs.pass_rate, KNOTS, PREFERENCE * action[:-1])
    return np.where(obs.seen, rates, PREFERENCE * action[-1])


def budgets_from_preferences(preferences: FloatArray, limits: Limits) -> IntArray:
    """Feasible budgets (m,): ``low`` for all, the rest in proportion to exp(preference).

    Equal preferences give uniform budgets; a difference of 1 gives e times as much of the rest,
    up to ``high``.
    """
    limits = limits.for_batch(preferences.size)
    weights = np.exp(preferences - preferences.max())
    room = np.full(preferences.size, limits.high - limits.low, dtype=np.int64)
    rest = limits.total - preferences.size * limits.low
    return limits.low + spread_proportionally(rest, weights, room)


@dataclass(frozen=True)
class Network:
    """tanh layers and a linear last one, clipped to [-1, 1].

    Attributes:
        layers: (weight (out, in), bias (out,)) of each layer, from features to preferences.
        estimator: the rule of pass rates that it was trained with.
        provenance: how it was made, for people.
    """

    layers: tuple[tuple[FloatArray, FloatArray], ...]
    estimator: str = ESTIMATOR
    provenance: dict[str, Any] | None = None

    def __call__(self, features: FloatArray) -> FloatArray:
        """The action (8,) for features (11,), which are rounded to float32 as in training."""
        x = features.astype(np.float32).astype(np.float64)
        for weight, bias in self.layers[:-1]:
            x = np.tanh(weight @ x + bias)
        weight, bias = self.layers[-1]
        return np.clip(weight @ x + bias, -1.0, 1.0)

    def to_json(self) -> str:
        """The content of a file; float32 weights survive exactly."""
        layers = [
            {"weight": [_short(row) for row in weight], "bias": _short(bias)}
            for weight, bias in self.layers
        ]
        return (
            json.dumps(
                {
                    "kind": KIND,
                    "format": FORMAT,
                    "provenance": self.provenance,
                    "estimator": self.estimator,
                    "features": FEATURES,
                    "knots": KNOTS,
                    "layers": layers,
                },
                indent=1,
                allow_nan=False,
            )
            + "\n"
        )


def _short(numbers: FloatArray) -> list[float]:
    return [float(f"{number:.9g}") for number in numbers]


def read_network(path: str | Path) -> Network:
    """The network of a file that ``cobasim learn`` wrote.

    Raises InputError for a file that is missing, too large, malformed, or does not fit.
    """
    file = or_example(path)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise InputError(f"{file} is too large for a learned allocator ({MOST_BYTES} bytes)")
        content = json.loads(file.read_text(encoding="utf-8"))
    except InputError:
        raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"cannot read the learned allocator {file}: {reason}") from None
    except (ValueError, RecursionError):
        raise InputError(
            f"{file} is no learned allocator: not valid JSON; make one with `cobasim learn`"
        ) from None
    try:
        return _network(content)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(
            f"{file} is no learned allocator that can be used: {what}; make one with "
            "`cobasim learn`"
        ) from None


def _network(content: Any) -> Network:
    """Raises KeyError, TypeError or ValueError."""
    if not isinstance(content, dict) or content.get("kind") != KIND:
        raise ValueError(f"its kind is not {KIND!r}")
    if content["format"] != FORMAT:
        raise ValueError(f"format {content['format']!r}, expected {FORMAT}")
    if content["knots"] != list(KNOTS) or content["features"] != list(FEATURES):
        raise ValueError("its knots or features are not those of this version")
    if content["estimator"] not in ESTIMATORS:
        raise ValueError(f"unknown estimator {content['estimator']!r}")
    if not isinstance(content["layers"], list) or not content["layers"]:
        raise ValueError("it has no layers")
    layers, size = [], len(FEATURES)
    for number, layer in enumerate(content["layers"]):
        weight = np.asarray(layer["weight"], dtype=np.float64)
        bias = np.asarray(layer["bias"], dtype=np.float64)
        if weight.ndim != 2 or weight.shape[1] != size or bias.shape != weight.shape[:1]:
            raise ValueError(
                f"layer {number} has weights of shape {weight.shape} and biases of shape "
                f"{bias.shape}, expected (n, {size}) and (n,)"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise ValueError(f"layer {number} has weights that are not finite")
        layers.append((weight, bias))
        size = bias.size
    if size != NUM_PREFERENCES:
        raise ValueError(f"it gives {size} preferences, expected {NUM_PREFERENCES}")
    made = content.get("provenance")
    return Network(tuple(layers), content["estimator"], made if isinstance(made, dict) else None)


@dataclass(frozen=True, kw_only=True)
class Learned(Allocator):
    """Rollouts by a trained network's preferences over pass rates; ``learned:FILE``."""

    needs: ClassVar[frozenset[str]] = Allocator.needs | {"progress"}
    network: ClassVar[Network]

    def __call__(self, obs: Observation, limits: Limits) -> IntArray:
        """``budgets_from_preferences`` of the network's answer to ``rate_features``."""
        action = self.network(rate_features(obs))
        return budgets_from_preferences(preferences_by_rate(obs, action), limits)


def learned_class(path: str) -> type[Learned]:
    """The allocator class of a file, read once while the file stays the same.

    Raises InputError as ``read_network``.
    """
    if not path:
        raise InputError("learned: needs a file, as in learned:policy.json")
    try:
        status = or_example(path).stat()
        mark = status.st_mtime_ns, status.st_size, status.st_ino
    except OSError:
        mark = (0, 0, 0)
    return _learned_class(path, mark)


@lru_cache(maxsize=64)
def _learned_class(path: str, _: tuple[int, int, int]) -> type[Learned]:
    return class_of(read_network(path))


def class_of(network: Network) -> type[Learned]:
    """The allocator class of a network."""

    @dataclass(frozen=True, kw_only=True)
    class OfFile(Learned):
        """Rollouts by a trained network's preferences over pass rates."""

    OfFile.network, OfFile.estimator = network, network.estimator
    OfFile.source = "cobasim learn" if network.provenance else "a file without provenance"
    return OfFile
