"""Features from rollouts: those of the model, without what the rollouts' noise adds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobasim.gradients import read_measured_gradients, write_measured
from cobasim.settings import validated
from cobasim.world import WorldConfig, find_world
from cobatrain.exact import exact_log_rates
from cobatrain.gradients import (
    CountSketch,
    GradientOptions,
    Ledger,
    decide,
    measure_gradients,
    plan_cost,
)
from cobatrain.gradients.chosen import choose
from cobatrain.gradients.metric import Metric
from cobatrain.gradients.per_prompt import (
    logit_gradients,
    only_parameters,
    trained_parameters,
    weighted_gradient,
)
from cobatrain.gradients.prompt_rollouts import sample_prompts
from cobatrain.gradients.rollout_features import RolloutFeatures, difference, split
from cobatrain.gradients.tools import Tools

OPTIONS = GradientOptions(
    method="rollouts", prompts=60, groups=24, rollouts=8, dim=4096, rank=32, plain_rank=8
)


def rewarded(prompt, text: str) -> float:
    """A reward that is no exact match of one answer: any response that ends in its last digit."""
    return float(text.strip()[-1:] == prompt.answer[-1:])


@pytest.fixture
def judged(learner):
    """The same learner; its task has a judge, and prompts without a reference answer."""
    task = learner.task

    class Judge:
        answers = {p.text: p.answer for p in [*task.train, *task.heldout["arithmetic"]]}

        def __call__(self, prompt, text: str) -> float:
            return rewarded(replace(prompt, answer=self.answers[prompt.text]), text)

    def without(prompts):
        return tuple(replace(prompt, answer="") for prompt in prompts)

    sampler, old = learner._sampler, learner.task
    learner.task = sampler._task = replace(
        task,
        train=without(task.train),
        heldout={name: without(prompts) for name, prompts in task.heldout.items()},
        reward=Judge(),
    )
    yield learner
    learner.task = sampler._task = old


def test_passes_minus_failures_is_the_gradient_of_the_logit(learner):
    """Many rollouts of a few prompts against their exact gradients; the halves know the noise."""
    count = 8
    answers = learner.exact_answers(learner.task.train[:count])
    sampled = learner.sample_apart(np.arange(count), 600)
    exact = logit_gradients(learner.model, answers, 1.0, np.arange(count))
    rng = np.random.default_rng(0)
    noise, error, length, product = np.zeros((4, count))
    for i, true in enumerate(exact):
        rows = np.flatnonzero(sampled.rollouts.prompt == i)
        success = sampled.rewards[rows] > 0.5
        first, second = (
            flat(
                weighted_gradient(
                    learner.model, sampled.rollouts, rows[half], difference(success[half]), 1.0
                )
            )
            for half in split(success, rng)
        )
        whole = true.scale * flat(true.gradients)
        noise[i] = (first - second) @ (first - second) / 4
        error[i] = ((first + second) / 2 - whole) @ ((first + second) / 2 - whole)
        length[i], product[i] = whole @ whole, first @ second
    # noise lies in few directions, so single prompts vary widely
    assert 0.2 * noise.sum() < error.sum() < 5 * noise.sum()
    assert (error < 0.25 * length).all()
    np.testing.assert_allclose(product, length, rtol=0.4)
    assert product.sum() == pytest.approx(length.sum(), rel=0.1)


def flat(parts) -> np.ndarray:
    return torch.cat([part.flatten() for part in parts]).double().numpy()


def test_more_rollouts_come_nearer_to_the_exact_features(learner):
    """In the plain metric: mean inner products, squared lengths and rates of all prompts."""
    options = GradientOptions(method="rollouts", prompts=60, dim=4096, rank=60, plain_rank=60)
    chosen = choose(learner, options)
    parameters = trained_parameters(learner.model)
    sketch = CountSketch([p.numel() for p in parameters], 4096, 0)
    plain = Metric([torch.ones_like(p) for p in parameters], 1.0)
    answers = learner.exact_answers(chosen.prompts)
    rates = np.exp(exact_log_rates(learner.model, answers, 1.0))
    exact = np.stack(
        [
            one.scale * sketch.sketch(one.gradients).numpy()[0]
            for one in logit_gradients(learner.model, answers, 1.0, np.arange(answers.size))
        ]
    ).astype(np.float64)
    true = exact @ exact.T
    off = ~np.eye(rates.size, dtype=np.bool_)
    agree = []
    for count in (8, 32, 256):
        tools = Tools(learner, decide(learner, replace(options, rollouts=count)), Ledger())
        sampled = sample_prompts(tools, "rollouts", chosen.sets())
        spread = np.sqrt(count * rates * (1 - rates))
        assert abs((sampled.passes - count * rates).sum()) < 5 * np.sqrt((spread**2).sum())
        found = RolloutFeatures(tools, plain, sampled).measure()
        some = np.flatnonzero(sampled.measurable)
        stored = found.coordinates[some].astype(np.float64)
        inner, pairs = stored @ stored.T, off[np.ix_(some, some)]
        lengths = np.diag(inner) + found.own[some] ** 2
        expected = true[np.ix_(some, some)]
        at = {8: 0.5, 32: 0.25, 256: 0.1}[count]
        assert lengths.mean() == pytest.approx(np.diag(expected).mean(), rel=at)
        assert inner[pairs].mean() == pytest.approx(expected[pairs].mean(), rel=2 * at)
        # few rollouts leave noise in the products of single pairs, whatever their mean
        most = {8: 3.0, 32: 2.0, 256: 1.2}[count]
        assert (inner[pairs] ** 2).mean() < most * (expected[pairs] ** 2).mean()
        agree.append(np.corrcoef(inner[pairs], expected[pairs])[0, 1])
    assert agree[-1] > 0.95
    assert agree == sorted(agree)


def test_a_file_from_rollouts_is_a_world(learner, tmp_path):
    told: dict[str, list[int]] = {}

    def done(what: str, number: int, total: int) -> None:
        told.setdefault(what, []).append(number)
        assert number <= total

    found = measure_gradients(learner, decide(learner, OPTIONS), done)
    assert list(told) == ["rollouts", "rollouts of groups", "metric", "groups", "features"]
    assert told["rollouts"][-1] == 80
    info = found.measured.info
    assert told["features"] == list(range(1, info["prompts whose features were measured"] + 1))
    assert info["method"] == "rollouts"
    missing = info["prompts without two passes and two failures"]
    assert missing + told["features"][-1] == 80
    assert 0 < info["prompts that never passed"] + info["prompts that never failed"] <= missing
    assert "mean feature" in info["rule for these"]
    write_measured(found.measured, tmp_path / "g.npz")
    measured = read_measured_gradients(tmp_path / "g.npz")
    np.testing.assert_array_equal(measured.prompt, np.arange(80))
    np.testing.assert_array_equal(measured.token, -1)
    np.testing.assert_array_equal(measured.position, 0)
    np.testing.assert_allclose(measured.odds, np.log1p(-measured.rate) - np.log(measured.rate))
    world = f"measured:{tmp_path}/g.npz"
    policy = find_world(world)(validated(WorldConfig, {"world": world}), 0)
    before = policy.evaluate()["pool"]
    for _ in range(10):
        policy.rollout(np.arange(60), np.full(60, 8))
        policy.update()
    assert policy.evaluate()["pool"] > before


def test_a_task_with_a_judge_is_measured_with_rollouts(judged):
    decision = decide(judged, replace(OPTIONS, method="auto"))
    assert decision.options.method == "rollouts"
    assert "not an exact match" in decision.why
    with pytest.raises(InputError, match=r"--method exact: .*not an exact match"):
        decide(judged, replace(OPTIONS, method="exact"))
    first = measure_gradients(judged, decision).measured
    assert first.info["why this method"] == decision.why
    assert first.rate.mean() > 0.3
    later = replace(OPTIONS, method="auto", like=first).settled()
    again = measure_gradients(judged, decide(judged, later), step=3).measured
    for name in ("prompt", "position", "token", "level"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert first.noise.size == again.noise.size == 32


def test_exact_where_one_answer_passes(learner):
    decision = decide(learner, GradientOptions(prompts=60))
    assert decision.options.method == "exact"
    assert decision.answers is not None
    assert "one answer passes" in decision.why
    assert decide(learner, OPTIONS).options.method == "rollouts"


def test_costs_are_those_of_the_method(learner):
    total = learner.config.loop.total_budget
    groups = 2 * 24 * 8
    assert plan_cost(learner, decide(learner, OPTIONS)).steps == pytest.approx(
        (80 * 8 + groups) / total
    )


@pytest.mark.parametrize("method", ["exact", "rollouts"])
def test_some_of_the_parameters(learner, method):
    options = replace(OPTIONS, method=method, parameters=r"layers\.1\.")
    names = [name for name, _ in learner.model.named_parameters() if "layers.1." in name]
    size = sum(p.numel() for name, p in learner.model.named_parameters() if name in names)
    info = measure_gradients(learner, decide(learner, options)).measured.info
    assert (info["parameters"], info["parameters measured"]) == (size, r"layers\.1\.")
    assert all(p.requires_grad for p in learner.model.parameters())


def test_parameters_that_are_not_there(learner):
    for expression, words in (("nowhere", "found in no name"), ("(", "no regular expression")):
        with pytest.raises(InputError, match=words), only_parameters(learner.model, expression):
            pass
    assert all(p.requires_grad for p in learner.model.parameters())


def test_like_keeps_the_method_and_the_parameters(learner):
    first = measure_gradients(
        learner, decide(learner, replace(OPTIONS, parameters="layers"))
    ).measured
    settled = GradientOptions(like=first).settled()
    assert (settled.method, settled.parameters) == ("rollouts", "layers")
    with pytest.raises(InputError, match="measured with --method rollouts, not exact"):
        GradientOptions(like=first, method="exact").settled()
    with pytest.raises(InputError, match="measured with --parameters layers, not"):
        GradientOptions(like=first, parameters="embed").settled()


def test_too_few_rollouts_say_so(learner):
    with pytest.raises(InputError, match="at least 4 rollouts"):
        decide(learner, replace(OPTIONS, rollouts=3))
    with pytest.raises(InputError, match=r"two passes and two failures in 4 rollouts.*--rollouts"):
        measure_gradients(learner, decide(learner, replace(OPTIONS, prompts=2, rollouts=4, seed=1)))


def test_held_out_prompts_are_sampled_apart_too(learner):
    name = next(iter(learner.task.heldout))
    places = np.arange(3)
    held = learner.sample_apart(places, 4, heldout=name).rollouts
    shown = [learner._tokens[learner.task.heldout[name][i].shown] for i in places]
    assert held.prompt_tokens == shown
    more = learner.sample_apart(places, 8, heldout=name).rollouts
    later = learner.sample_apart(places, 4, heldout=name, before=4).rollouts
    for i in places:
        every = [more.tokens[row] for row in np.flatnonzero(more.prompt == i)]
        first, second = (
            [some.tokens[row] for row in np.flatnonzero(some.prompt == i)] for some in (held, later)
        )
        assert first + second == every


def test_the_command_says_what_could_not_be_measured(cobatrain, tmp_path, learner):
    common = ["gradients", "tiny", "--prompts", 60, "--groups", 16, "--rollouts", 6, "--dim", 1024,
              "--rank", 16, "--set", f"model.path={learner.config.model.path}",
              "--set", "task.levels=[\"2+1\", \"2-1\"]", "--set", "task.train_size=1200",
              "--set", "task.heldout_size=200", "--set", "engine.name=transformers",
              "--set", "evaluation.prompts=20"]  # fmt: skip
    file = tmp_path / "g.npz"
    answer = cobatrain(*common, "--out", file, "--method", "rollouts", "--parameters", "layers")
    assert answer.code == 0, answer.err
    said = " ".join(answer.out.split())
    assert "do not have two passes and two failures" in said
    assert "in whose names layers is found" in said
    assert "method rollouts: as asked" in answer.err
    assert read_measured_gradients(file).info["parameters measured"] == "layers"
    bad = cobatrain(*common, "--out", tmp_path / "h.npz", "--parameters", "nowhere")
    assert (bad.code, bad.out) == (2, "")
    assert "found in no name" in bad.err
