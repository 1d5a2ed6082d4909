"""Fit a world's knobs to real runs with uniform budgets, then predict the adaptive runs unseen.

Targets are curves of the real *uniform* runs: held-out accuracy minus its start, and in four blocks
of steps the failure rate and the share of mixed groups. From adaptive runs one thing only is used,
and only by models that fit ``prompt_noise``: their gradient norm over uniform's, never an accuracy.
Uniform runs at other learning rates join the targets where there are any: they tell steps that
hurt from steps that are forgotten.

Models form a ladder, each with one more knob of the world (``MODELS``).

The loss is the mean squared distance in standard errors (over the real seeds, with a floor). The
search is a Sobol sample of the box, refined by Nelder and Mead (scipy). Intervals come from a
bootstrap of the real seeds over the settings of the sample.
"""

from __future__ import annotations

import gzip
import json
import math
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import plotly.graph_objects as go
from scipy import optimize, stats

from cobasim.allocation import make_allocator
from cobasim.arrays import FloatArray
from cobasim.errors import InputError, unknown_name
from cobasim.figures import label, lay_out
from cobasim.loop import LoopConfig, run
from cobasim.records import Run, RunHeader, StepRecord, find_runs, read_run, write_atomically
from cobasim.report import document, drawing, escape, provenance
from cobasim.runs.comparison import build_loop, measured_pool, one_thread
from cobasim.runs.config import RunConfig
from cobasim.runs.sweep import Parameter, points
from cobasim.scores import accuracy_curve, mean_interval
from cobasim.settings import validated
from cobasim.world import WorldConfig

REPORT, NUMBERS = "calibration.html", "calibration.json"
BLOCKS = 4
CURVES = ("heldout", "failure_rate", "mixed")
FLOOR = {"heldout": 0.01, "failure_rate": 0.02, "mixed": 0.02, "norm": 0.1}
"""Least standard errors of the targets: what a world of a few knobs need not resolve."""

BOX = {
    "logistic": ("learning_rate=3e-3:1e-1:log", "transfer=0.1:1.0", "noise=1:60:log"),
    "skill-chain": ("learning_rate=2e-2:1:log", "transfer=0.1:1.0", "noise=1:60:log"),
}
"""What every model fits."""
KNOBS = {
    "forgetting": "forgetting=0.002:0.2:log",
    "prompt_noise": "prompt_noise=1:200:log",
    "harm": "harm=0.03:30:log",
}
"""What some models fit besides; zero in the others."""
MODELS: dict[str, tuple[str, ...]] = {
    "as it was": (),
    "with forgetting": ("forgetting",),
    "with forgetting and prompt noise": ("forgetting", "prompt_noise"),
    "with forgetting, prompt noise and harm": ("forgetting", "prompt_noise", "harm"),
}

Key = tuple[str, str]  # allocator, weighting


def read_runs(paths: Iterable[Path]) -> list[Run]:
    """Runs of folders (any depth), or of archives ``.jsonl.gz`` of {"header", "steps"} lines.

    Raises InputError for what is neither, or holds no run.
    """
    runs: list[Run] = []
    for path in paths:
        if path.is_dir():
            runs += [read_run(folder) for folder in find_runs(path)]
        elif path.name.endswith(".jsonl.gz") and path.exists():
            try:
                with gzip.open(path, "rt", encoding="utf-8") as lines:
                    for line in lines:
                        content = json.loads(line)
                        header = RunHeader.from_json(json.dumps(content["header"]))
                        steps = tuple(StepRecord.from_dict(step) for step in content["steps"])
                        runs.append(Run(header, steps, path))
            except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
                raise InputError(f"{path} cannot be read: {error}") from None
        else:
            raise InputError(f"{path}: expected a folder of runs, or an archive .jsonl.gz")
    if not runs:
        raise InputError("no runs found; give the folder of a finished `cobatrain compare`")
    return runs


@dataclass(frozen=True)
class Series:
    """What one run is compared by: each a flat array."""

    heldout: FloatArray  # (evaluations,) minus the first
    failure_rate: FloatArray  # (BLOCKS,)
    mixed: FloatArray  # (BLOCKS,)
    norm: float  # mean gradient norm of the second half
    final: float  # final held-out accuracy

    @classmethod
    def of(cls, records: Sequence[StepRecord]) -> Series:
        """Of the records of one finished run."""
        acc = np.array([r.evaluation["heldout"] for r in records if r.evaluation is not None])
        steps = [r for r in records if r.step > 0]

        def blocks(values: Sequence[float | None]) -> FloatArray:
            known = np.array([np.nan if value is None else value for value in values])
            return np.array([np.nanmean(part) for part in np.array_split(known, BLOCKS)])

        norms = [r.learner.get("grad_norm", math.nan) for r in steps[len(steps) // 2 :]]
        return cls(
            heldout=acc[1:] - acc[0],
            failure_rate=blocks([r.failure_rate for r in steps]),
            mixed=blocks([r.effective_ratio for r in steps]),
            norm=float(np.mean(norms)),
            final=float(acc[-1]),
        )


@dataclass(frozen=True)
class Real:
    """Real runs, grouped and checked: the same settings and seeds.

    Attributes:
        loop: their loop, as in the header.
        series: (allocator, weighting) -> seed -> Series.
        uniform: the key of the uniform runs.
        rates: uniform runs at other learning rates: factor -> seed -> Series.
    """

    loop: LoopConfig
    series: dict[Key, dict[int, Series]]
    uniform: Key
    rates: dict[float, dict[int, Series]]

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Real:
        """Group real runs. Raises InputError without uniform runs, or for unequal loops."""
        grouped: dict[Key, dict[int, Series]] = {}
        loops = {json.dumps(run.header.config.get("loop"), sort_keys=True) for run in runs}
        if len(loops) != 1:
            raise InputError(
                f"the runs have {len(loops)} different loops (batch, budget, steps); calibrate on "
                "the runs of one comparison"
            )
        loop = validated(LoopConfig, json.loads(loops.pop()) or {})
        every = [_learning_rate(run) for run in runs]
        base_rate = max(set(every), key=every.count)
        rates: dict[float, dict[int, Series]] = {}
        for run_ in runs:
            head = run_.header
            last = run_.steps[-1] if run_.steps else None
            if last is None or not loop.finished(last.step, last.rollouts):
                raise InputError(f"{head.allocator}, seed {head.seed}: the run is not finished")
            if accuracy_curve(run_)[0].size < 2:
                raise InputError(f"{head.allocator}, seed {head.seed}: fewer than two evaluations")
            series = Series.of(run_.steps)
            factor = float(f"{_learning_rate(run_) / base_rate:.6g}")
            if factor == 1.0:
                grouped.setdefault((head.allocator, head.weighting), {})[head.seed] = series
            elif head.allocator == "uniform":
                rates.setdefault(factor, {})[head.seed] = series
            else:
                raise InputError(
                    f"{head.allocator}, seed {head.seed}: learning rate {factor:g} times that of "
                    "most runs; only uniform runs may differ in it"
                )
        uniform = next((key for key in grouped if key[0] == "uniform"), None)
        if uniform is None:
            raise InputError(
                "there is no uniform run among them: it is what the world is fitted to"
            )
        if len(grouped[uniform]) < 2:
            raise InputError("at least two seeds of uniform are needed, for standard errors")
        for key, group in grouped.items():
            if not group.keys() & grouped[uniform].keys():
                raise InputError(f"{key[0]} per {key[1]} has no seed in common with uniform")
        return cls(loop, grouped, uniform, dict(sorted(rates.items())))

    @property
    def others(self) -> list[Key]:
        """The adaptive runs."""
        return [key for key in self.series if key != self.uniform]

    def targets(self, with_norms: bool, seeds: Sequence[int] | None = None) -> FloatArray:
        """(2, t): means over the uniform seeds (repeats allowed), and their standard errors."""
        base = self.series[self.uniform]
        mean, error = [], []
        for group in (base, *self.rates.values()):
            own = [seed for seed in seeds or () if seed in group] or list(group)
            for name in CURVES:
                every = {seed: getattr(one, name) for seed, one in group.items()}
                sem: FloatArray | float = 0.0
                if len(every) > 1:
                    sem = np.std(list(every.values()), axis=0, ddof=1) / math.sqrt(len(every))
                mean.append(np.mean([every[seed] for seed in own], axis=0))
                error.append(np.maximum(sem, np.full(mean[-1].shape, FLOOR[name])))
        if with_norms:
            for key in self.others:
                both = [seed for seed in self.series[key] if seed in base]
                shared = [seed for seed in seeds or () if seed in both] or both
                ratios = [_log_ratio(self.series[key][s].norm, base[s].norm) for s in shared]
                mean.append(np.array([np.mean(ratios)]))
                spread = float(np.std(ratios, ddof=1)) if len(ratios) > 1 else 0.0
                error.append(np.array([max(spread / math.sqrt(len(ratios)), FLOOR["norm"])]))
        return np.stack([np.concatenate(mean), np.concatenate(error)])


def _log_ratio(a: float, b: float) -> float:
    """Of gradient norms; where nothing is learned any more they are 0."""
    return math.log(max(a, 1e-6) / max(b, 1e-6))


def _learning_rate(run_: Run) -> float:
    """Of the update of a real run; of the world of a simulated one."""
    config = run_.header.config
    found = (config.get("update") or config.get("world") or {}).get("learning_rate")
    return float(found) if isinstance(found, int | float) else 1.0


Simulated = dict[Key, list[Series]]


def simulate(
    real: Real, settings: Mapping[str, Any], keys: Sequence[Key], seeds: int,
    pass_rates: str | None,
) -> Simulated:  # fmt: skip
    """Runs of the world with these settings, at the real runs' loop: (key) -> seeds."""
    rates = measured_pool(pass_rates)
    size = {} if rates is None else {"num_prompts": rates.size}
    found: Simulated = {}
    for allocator, weighting in keys:
        values = {**size, **settings, "weighting": "prompt" if weighting == "prompt" else "rollout"}
        world = validated(WorldConfig, values)
        for seed in range(seeds):
            config = RunConfig(
                allocator=allocator, seed=seed, loop=real.loop, world=world, pass_rates=pass_rates
            )
            with one_thread():
                records = run(build_loop(config, rates), make_allocator(allocator))
            found.setdefault((allocator, weighting), []).append(Series.of(records))
    return found


def at_rates(
    real: Real, settings: Mapping[str, Any], seeds: int, pass_rates: str | None
) -> list[list[Series]]:
    """Uniform runs of the world at each of the real runs' other learning rates."""
    found = []
    for factor in real.rates:
        scaled = {**settings, "learning_rate": factor * float(settings["learning_rate"])}
        found.append(simulate(real, scaled, [real.uniform], seeds, pass_rates)[real.uniform])
    return found


def vector(
    real: Real, simulated: Simulated, with_norms: bool, others: Sequence[list[Series]] = ()
) -> FloatArray:
    """(t,) what corresponds to ``Real.targets``, mean over the simulated seeds."""
    base = simulated[real.uniform]
    parts = [
        np.mean([getattr(one, name) for one in group], axis=0)
        for group in (base, *others)
        for name in CURVES
    ]
    if with_norms:
        for key in real.others:
            ratios = [_log_ratio(a.norm, b.norm) for a, b in zip(simulated[key], base, strict=True)]
            parts.append(np.array([np.mean(ratios)]))
    return np.concatenate(parts)


def distance(found: FloatArray, targets: FloatArray) -> float:
    """Mean squared distance in standard errors."""
    return float(np.mean(((found - targets[0]) / targets[1]) ** 2))


@dataclass(frozen=True)
class Prediction:
    """An adaptive run's final accuracy minus uniform's, in points: real beside predicted."""

    allocator: str
    weighting: str
    real: float
    real_half: float | None
    predicted: float
    low: float  # of the bootstrap's settings
    high: float
    norm_real: float  # gradient norm over uniform's
    norm_predicted: float


@dataclass(frozen=True)
class Model:
    """A fitted world.

    Attributes:
        name: which model.
        settings: the best settings.
        intervals: setting -> (low, high), the 2.5 and 97.5 % quantiles of the bootstrap.
        loss: mean squared distance in standard errors; about 1 where the world fits.
        uniform: predicted and real curves of uniform, by name.
        predictions: of the adaptive runs.
        tau, p_value: Kendall's rank correlation of predicted with real differences; None for one.
        inside: how many predictions lie in the real 95 % interval.
        extra: how the fit was made.
    """

    name: str
    settings: dict[str, Any]
    intervals: dict[str, tuple[float, float]]
    loss: float
    uniform: dict[str, Any]
    predictions: list[Prediction]
    tau: float | None
    p_value: float | None
    inside: int
    extra: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def calibrate(
    real: Real,
    *,
    world: str = "logistic",
    model: str = "with forgetting and prompt noise",
    fixed: Mapping[str, Any] | None = None,
    pass_rates: str | None = None,
    samples: int = 128,
    refine: int = 60,
    seeds: int = 4,
    predict_seeds: int = 16,
    bootstrap: int = 200,
    jobs: int | None = None,
    seed: int = 0,
    on_progress: Callable[[int], None] = lambda _: None,
) -> Model:
    """Fit one model and predict the adaptive runs.

    Args:
        real: the runs.
        world: logistic or skill-chain.
        model: a name in MODELS. One with ``prompt_noise`` also uses the gradient norms, which
            tell it from ``noise``.
        fixed: settings of the world that are not fitted.
        pass_rates: file of the initial policy's measured pass rates; None: the world's population.
        samples: size of the Sobol sample.
        refine: evaluations of Nelder and Mead.
        seeds: simulated seeds of each evaluation, the same for all.
        predict_seeds: of the predictions.
        bootstrap: resamples of the real seeds.
        jobs: processes.
        seed: of the sample and the bootstrap.
        on_progress: gets the number of evaluations just done.
    """
    if world not in BOX:
        raise unknown_name("world", world, BOX)
    if model not in MODELS:
        raise unknown_name("model", model, MODELS)
    knobs = MODELS[model]
    with_norms = "prompt_noise" in knobs and bool(real.others)
    texts = [*BOX[world], *(KNOBS[name] for name in knobs)]
    box = [one for text in texts if (one := Parameter.parse(text)).name not in (fixed or {})]
    held = {"world": world, **(fixed or {})}
    keys = [real.uniform, *(real.others if with_norms else [])]
    targets = real.targets(with_norms)

    def evaluate(settings: Mapping[str, Any]) -> FloatArray:
        full = {**held, **settings}
        found = simulate(real, full, keys, seeds, pass_rates)
        return vector(real, found, with_norms, at_rates(real, full, seeds, pass_rates))

    tried = points(box, "sobol", samples=samples, seed=seed)
    workers = jobs or joblib.cpu_count()
    pool = joblib.Parallel(n_jobs=workers, return_as="generator")
    vectors = []
    for found in pool(joblib.delayed(evaluate)(point) for point in tried):
        vectors.append(found)
        on_progress(1)
    losses = [distance(found, targets) for found in vectors]
    best = tried[int(np.argmin(losses))]

    def to_shares(point: Mapping[str, Any]) -> FloatArray:
        return np.array([_share(one, float(point[one.name])) for one in box])

    def from_shares(shares: FloatArray) -> dict[str, Any]:
        return {
            one.name: one.at(float(np.clip(s, 0, 1))) for one, s in zip(box, shares, strict=True)
        }

    def loss_at(shares: FloatArray) -> float:
        outside = float(np.sum(np.maximum(shares - 1, 0) + np.maximum(-shares, 0)))
        found = evaluate(from_shares(shares))
        tried.append(from_shares(shares))
        vectors.append(found)
        on_progress(1)
        return distance(found, targets) + 10.0 * outside

    if refine:
        start = to_shares(best)
        simplex = np.vstack([start, *(_nudged(start, k) for k in range(start.size))])
        optimize.minimize(
            loss_at, start, method="Nelder-Mead",
            options={"maxfev": refine, "initial_simplex": simplex},
        )  # fmt: skip
        on_progress(max(0, samples + refine - len(tried)))
    losses = [distance(found, targets) for found in vectors]
    place = int(np.argmin(losses))
    best = tried[place]
    rng = np.random.default_rng([seed, 1])
    base = list(real.series[real.uniform])
    table = np.stack(vectors)
    chosen = []
    for _ in range(bootstrap):
        again = real.targets(with_norms, [base[k] for k in rng.integers(0, len(base), len(base))])
        chosen.append(int(np.argmin((((table - again[0]) / again[1]) ** 2).mean(axis=1))))
    intervals = {
        one.name: tuple(
            float(v) for v in np.quantile([tried[k][one.name] for k in chosen], [0.025, 0.975])
        )
        for one in box
    }
    plausible = list(dict.fromkeys([place, *chosen]))[:8]
    every = [real.uniform, *real.others]
    runs = joblib.Parallel(n_jobs=workers)(
        joblib.delayed(simulate)(
            real, held | tried[k], every, predict_seeds if k == place else seeds, pass_rates
        )
        for k in plausible
    )
    predictions = [_prediction(real, key, runs) for key in real.others]
    first = real.series[real.uniform].values()
    simulated = runs[0][real.uniform]
    curves = {
        name: {
            "real": np.mean([getattr(one, name) for one in first], axis=0).tolist(),
            "simulated": np.mean([getattr(one, name) for one in simulated], axis=0).tolist(),
        }
        for name in CURVES
    }
    for factor, group, others in zip(
        real.rates, real.rates.values(), at_rates(real, {**held, **best}, seeds, pass_rates),
        strict=True,
    ):  # fmt: skip
        curves[f"heldout, learning rate x {factor:g}"] = {
            "real": np.mean([one.heldout for one in group.values()], axis=0).tolist(),
            "simulated": np.mean([one.heldout for one in others], axis=0).tolist(),
        }
    tau, p_value = None, None
    if len(predictions) > 1:
        # uniform itself, at 0, is one of the ranks
        found = stats.kendalltau(
            [0.0, *(one.real for one in predictions)],
            [0.0, *(one.predicted for one in predictions)],
        )
        tau, p_value = float(found.statistic), float(found.pvalue)
    return Model(
        name=model,
        settings=held | best,
        intervals=intervals,  # type: ignore[arg-type]
        loss=losses[place],
        uniform=curves,
        predictions=predictions,
        tau=tau,
        p_value=p_value,
        inside=sum(
            one.real_half is not None and abs(one.predicted - one.real) <= one.real_half
            for one in predictions
        ),
        extra={"evaluations": len(vectors), "targets": targets[0].size},
    )


def _share(parameter: Parameter, value: float) -> float:
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)


def _nudged(start: FloatArray, k: int) -> FloatArray:
    moved = start.copy()
    moved[k] += 0.1 if moved[k] < 0.5 else -0.1
    return moved


def _prediction(real: Real, key: Key, runs: Sequence[Simulated]) -> Prediction:
    base, own = real.series[real.uniform], real.series[key]
    shared = [seed for seed in own if seed in base]
    observed = mean_interval([100 * (own[s].final - base[s].final) for s in shared])

    def difference(simulated: Simulated) -> float:
        pairs = zip(simulated[key], simulated[real.uniform], strict=True)
        return 100 * float(np.mean([a.final - b.final for a, b in pairs]))

    every = [difference(one) for one in runs]
    ratios = [own[s].norm / base[s].norm for s in shared]
    best = runs[0]
    predicted_ratio = [a.norm / b.norm for a, b in zip(best[key], best[real.uniform], strict=True)]
    return Prediction(
        allocator=key[0],
        weighting=key[1],
        real=observed.mean,
        real_half=None if observed.high is None else observed.high - observed.mean,
        predicted=every[0],
        low=min(every),
        high=max(every),
        norm_real=float(np.mean(ratios)),
        norm_predicted=float(np.mean(predicted_ratio)),
    )


def ready_command(model: Model, loop: LoopConfig, pass_rates: str | None) -> str:
    """The ``cobasim compare`` command that continues with a fitted world."""
    words = ["cobasim", "compare", "--steps", str(loop.steps)]
    words += ["--batch-size", str(loop.batch_size), "--total-budget", str(loop.total_budget)]
    if pass_rates is not None:
        words += ["--pass-rates", pass_rates]
    for name, value in model.settings.items():
        text = f"{value:.4g}" if isinstance(value, float) else str(value)
        words += ["--world", text] if name == "world" else ["--set", f"{name}={text}"]
    return shlex.join(words)


def sentence(model: Model) -> str:
    """The outcome of a model in words and numbers."""
    fitted = ", ".join(
        f"{name} {model.settings[name]:.3g} ({low:.3g} to {high:.3g})"
        for name, (low, high) in model.intervals.items()
    )
    text = (
        f"Fitted: {fitted}. Loss {model.loss:.2f} (mean squared distance in standard errors; about "
        f"1 is a fit) over {model.extra['targets']} targets."
    )
    if model.predictions:
        text += (
            f" {model.inside} of {len(model.predictions)} predictions lie in the real 95 % "
            "intervals"
        )
        if model.tau is not None:
            text += f"; Kendall's tau of the order, uniform included, {model.tau:+.2f}"
        errors = [abs(one.predicted - one.real) for one in model.predictions]
        text += f"; mean absolute error {np.mean(errors):.2f} points."
    return text


def figures(models: Sequence[Model], real: Real) -> list[go.Figure]:
    """Uniform's curves, real and fitted; and the predicted differences beside the real ones."""
    shown = {
        "failure_rate": ("Failure rate, %", 100.0),
        "mixed": ("Share of mixed groups, %", 100.0),
    }
    gained = [name for name in models[0].uniform if name.startswith("heldout")]
    shown = dict.fromkeys(gained, ("Held-out accuracy gained, points", 100.0)) | shown
    drawn = []
    for curve, (title, scale) in shown.items():
        figure = go.Figure()
        observed = models[0].uniform[curve]["real"]
        count = len(observed)
        steps = [real.loop.steps * (k + (1 if curve in gained else 0.5)) / count
                 for k in range(count)]  # fmt: skip
        figure.add_scatter(
            x=steps, y=[scale * y for y in observed], name="real", mode="lines+markers",
            line={"width": 4, "color": "#777777"},
        )  # fmt: skip
        for model in models:
            name = f"{model.settings['world']}, {model.name}"
            values = [scale * y for y in model.uniform[curve]["simulated"]]
            figure.add_scatter(x=steps, y=values, name=name, mode="lines+markers")
        drawn.append(_titled(figure, f"Uniform: {curve.replace('_', ' ')}", "Step", title))
    if real.others:
        figure = go.Figure()
        names = [f"{label(key[0])} per {label(key[1])}" for key in real.others]
        first = models[0].predictions
        figure.add_scatter(
            x=names, y=[one.real for one in first], name="real, 95 % interval", mode="markers",
            marker={"size": 12, "color": "#777777"},
            error_y={"array": [one.real_half or 0.0 for one in first]},
        )  # fmt: skip
        for model in models:
            values = [one.predicted for one in model.predictions]
            figure.add_scatter(
                x=names, y=values, name=f"{model.settings['world']}, {model.name}", mode="markers",
                error_y={
                    "symmetric": False,
                    "array": [one.high - one.predicted for one in model.predictions],
                    "arrayminus": [one.predicted - one.low for one in model.predictions],
                },
            )  # fmt: skip
        drawn.append(
            _titled(
                figure,
                "Final held-out accuracy minus uniform",
                "Allocator and weighting of the loss",
                "Difference, points",
            )
        )
    return drawn


def _titled(figure: go.Figure, title: str, x: str, y: str) -> go.Figure:
    lay_out(figure, title)
    figure.update_xaxes(title=x)
    figure.update_yaxes(title=y)
    return figure


def store(
    models: Sequence[Model], real: Real, out: Path,
    *, command: str, versions: Mapping[str, str], pass_rates: str | None,
) -> None:  # fmt: skip
    """Write the numbers (JSON) and a self-contained page of figures (HTML)."""
    content = {
        "command": command,
        "versions": dict(versions),
        "loop": real.loop.model_dump(mode="json"),
        "real_seeds": {f"{a}/{w}": sorted(seeds) for (a, w), seeds in real.series.items()},
        "models": [model.to_json() for model in models],
        "compare": [ready_command(model, real.loop, pass_rates) for model in models],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / NUMBERS, json.dumps(content, indent=1) + "\n")
    words = "".join(
        f"<p><b>{escape(one.settings['world'])}, {escape(one.name)}.</b> "
        f"{escape(sentence(one))}</p>"
        for one in models
    )
    drawn = "".join(drawing(figure) for figure in figures(models, real))
    settings = real.loop.model_dump(mode="json") | {"pass rates": pass_rates}
    body = f"<h1>Calibration</h1>{words}{drawn}{provenance(command, settings, versions)}"
    write_atomically(out / REPORT, document("Calibration", body))
