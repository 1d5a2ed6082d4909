"""Measuring the gradients of a real (small) model, and the world made of them."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("transformers", reason="transformers is not installed")
pytest.importorskip("yaml", reason="pyyaml is not installed")

from cobasim.errors import InputError
from cobasim.gradients import read_measured_gradients, write_measured
from cobatrain.exact import exact_log_rates
from cobatrain.gradients import GradientOptions, decide, measure_gradients, plan_cost
from cobatrain.gradients.alternatives import alternatives_of
from cobatrain.gradients.per_prompt import logit_gradients, trained_parameters

OPTIONS = GradientOptions(
    prompts=60, groups=24, rollouts=8, dim=4096, rank=32, rest=64, plain_rank=8
)


def test_a_step_along_a_gradient_moves_the_logit_as_it_says(learner):
    """phi_i against a finite difference of the true pass rate, at a random direction."""
    prompts = learner.task.train[:3]
    answers = learner.exact_answers(prompts)
    parameters = trained_parameters(learner.model)
    rng = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=rng) * 1e-4 for p in parameters]
    found = [
        gradient.scale
        * sum(float((g * d).sum()) for g, d in zip(gradient.gradients, direction, strict=True))
        for gradient in logit_gradients(learner.model, answers, 1.0, np.arange(3))
    ]

    def logits(sign: float) -> np.ndarray:
        with torch.no_grad():
            for parameter, step in zip(parameters, direction, strict=True):
                parameter.add_(sign * step)
        log_rates = exact_log_rates(learner.model, answers, 1.0)
        with torch.no_grad():
            for parameter, step in zip(parameters, direction, strict=True):
                parameter.sub_(sign * step)
        return log_rates - np.log(-np.expm1(log_rates))

    difference = (logits(1.0) - logits(-1.0)) / 2
    np.testing.assert_allclose(found, difference, rtol=0.02, atol=1e-4)


def test_a_measurement_leaves_everything_as_it_was_and_is_the_same_again(learner, tmp_path):
    before = [p.detach().clone() for p in learner.model.parameters()]
    told: dict[str, list[int]] = {}

    def done(what: str, number: int, total: int) -> None:
        told.setdefault(what, []).append(number)
        assert number <= total

    one = measure_gradients(learner, decide(learner, OPTIONS), done)
    assert list(told) == ["rollouts of groups", "metric", "groups", "directions", "features"]
    for phase in ("metric", "groups", "features"):
        assert told[phase] == list(range(1, len(told[phase]) + 1))
    assert told["directions"] == sorted(told["directions"])
    for parameter, old in zip(learner.model.parameters(), before, strict=True):
        assert torch.equal(parameter, old)
        assert parameter.grad is None
    again = measure_gradients(learner, decide(learner, OPTIONS))
    write_measured(one.measured, tmp_path / "a.npz")
    write_measured(again.measured, tmp_path / "b.npz")
    first, second = (read_measured_gradients(tmp_path / name) for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(first.rate, second.rate)
    np.testing.assert_allclose(first.noise, second.noise, rtol=1e-3, atol=1e-6)
    np.testing.assert_array_equal(first.token, second.token)
    inner = [m.features @ m.features.T for m in (first, second)]
    np.testing.assert_allclose(*inner, rtol=0.01, atol=0.01 * np.abs(inner[0]).max())
    assert first.heldout.sum() == 20
    assert first.info["task fingerprint"] == learner.task.fingerprint()
    assert 0 < first.info["sketch"]["error"] < 3 / np.sqrt(4096)
    assert (first.noise >= 0).all()
    assert first.noise[:-64].sum() <= first.noise_total
    # halves of 4 in a metric that was made of them: sum sqrt(q) <= sqrt(parameters x sum q), so no
    # parameter that is rarely moved can count without bound
    root_sum = first.root_sum * first.info["tokens of a response"]
    assert first.noise_total <= 2 * 4 * root_sum * np.sqrt(first.info["parameters"])
    json.dumps(one.parts.to_json())


def test_odds_and_their_gradients_are_those_of_the_policy(learner):
    """Alternatives against true pass rates, before and after a small step of the parameters."""
    answers = learner.exact_answers(learner.task.train[:4])
    parameters = trained_parameters(learner.model)
    rng = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=rng) * 1e-4 for p in parameters]

    def moved(sign):
        with torch.no_grad():
            for parameter, step in zip(parameters, direction, strict=True):
                parameter.add_(sign * step)

    for number in range(4):
        found = alternatives_of(learner.model, answers, number, 1.0, 1e-2)
        assert found.log_rate == pytest.approx(
            exact_log_rates(learner.model, answers, 1.0)[number], rel=1e-5
        )
        assert (found.token == -1).sum() == found.position.max() + 1  # the rest of each position
        assert (found.probability[found.token >= 0] >= 1e-2).all()
        change = np.zeros(found.odds.size)
        for some, gradients in found.gradients():
            change[some] = sum(
                (gradient @ step.reshape(-1)).numpy()
                for gradient, step in zip(gradients, direction, strict=True)
            )
        like = found.position, found.token
        moved(1.0)
        up = alternatives_of(learner.model, answers, number, 1.0, 1.0, like)
        moved(-2.0)
        down = alternatives_of(learner.model, answers, number, 1.0, 1.0, like)
        moved(1.0)
        np.testing.assert_array_equal(up.token, found.token)
        np.testing.assert_allclose((up.odds - down.odds) / 2, change, rtol=0.02, atol=2e-4)
        single = alternatives_of(learner.model, answers, number, 1.0, 1.0)
        assert (single.token == -1).all()
        assert single.log_rate == pytest.approx(found.log_rate, rel=1e-5)


def test_gradients_do_not_depend_on_how_many_are_computed_at_once(learner, monkeypatch):
    answers = learner.exact_answers(learner.task.train[:1])
    found = alternatives_of(learner.model, answers, 0, 1.0, 1e-2)
    together = [torch.cat(parts) for parts in zip(*(g for _, g in found.gradients()), strict=True)]
    monkeypatch.setattr("cobatrain.gradients.alternatives.AT_ONCE", 1)
    single = [torch.cat(parts) for parts in zip(*(g for _, g in found.gradients()), strict=True)]
    for one, two in zip(together, single, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-5)


def test_the_run_samples_as_if_nothing_had_been_measured(learner):
    """Its rollouts, its measurements of pass rates and its evaluation, by their own seeds."""

    def sampled():
        rollouts = learner.generate(np.arange(6), np.array([1, 2, 3, 4, 5, 6]))
        return (
            rollouts.tokens,
            rollouts.log_probs,
            learner.measure(np.arange(6), 4).tolist(),
            learner.evaluate()["sets"],
        )

    before, state = sampled(), torch.get_rng_state()
    measure_gradients(learner, decide(learner, replace(OPTIONS, groups=8, prompts=30)))
    assert torch.equal(torch.get_rng_state(), state)
    assert sampled() == before


def test_a_later_step_of_the_same_prompts(learner):
    first = measure_gradients(learner, decide(learner, OPTIONS)).measured
    options = GradientOptions(groups=24, rollouts=8, plain_rank=8, like=first).settled()
    assert (options.prompts, options.dim, options.rank) == (60, 4096, 32)
    with torch.no_grad():
        for parameter in learner.model.parameters():
            parameter.mul_(1.02)
    try:
        later = measure_gradients(learner, decide(learner, options), step=7).measured
    finally:
        with torch.no_grad():
            for parameter in learner.model.parameters():
                parameter.div_(1.02)
    assert later.step == 7
    before = later.info["parts before"]
    assert [row["step"] for row in before] == [0]
    assert before[0]["all"] == first.info["parts"]["all"]
    np.testing.assert_array_equal(first.prompt, later.prompt)
    np.testing.assert_array_equal(first.token, later.token)
    assert np.abs(first.odds - later.odds).max() > 0.01


def test_the_cost_is_said_beforehand(learner, monkeypatch):
    """Passes over those of a step: alternatives, those of the directions, and groups twice."""
    found = measure_gradients(learner, decide(learner, OPTIONS)).measured
    passes = found.odds.size + min(found.odds.size, 6 * 32) + 2 * 24 * 8
    steps = plan_cost(learner, decide(learner, OPTIONS)).steps
    assert steps == pytest.approx(passes / learner.config.loop.total_budget, rel=0.2)
    monkeypatch.setattr("cobatrain.gradients.planning.free_memory", lambda: 1e-3)
    with pytest.raises(InputError, match=r"needs about 0.\d GiB of memory, 0.0 are free: lower"):
        plan_cost(learner, decide(learner, OPTIONS))
    with pytest.raises(InputError, match=r"needs about \d.* are free: lower"):
        plan_cost(learner, decide(learner, replace(OPTIONS, method="rollouts")))
    monkeypatch.setattr("cobatrain.gradients.planning.free_memory", lambda: None)
    assert plan_cost(learner, decide(learner, OPTIONS)).steps == steps


def test_other_rollouts_are_sampled_than_those_of_the_run(learner):
    apart = learner.sample_apart(np.arange(4), 4).rollouts.tokens
    own = learner.generate(np.arange(4), np.full(4, 4)).tokens
    assert apart == learner.sample_apart(np.arange(4), 4).rollouts.tokens
    assert apart != own


def test_what_is_not_like_the_earlier_measurement(learner):
    """Another task, another model, other held-out prompts; said before anything is measured."""
    first = measure_gradients(learner, decide(learner, OPTIONS)).measured
    cases = {
        "another task": {"task fingerprint": "x"},
        "another model: some, with 7 parameters": {"model": "some", "parameters of the model": 7},
    }
    for words, changes in cases.items():
        other = replace(first, info=first.info | changes)
        with pytest.raises(InputError, match=words):
            decide(learner, GradientOptions(like=other).settled())
    other = replace(first, heldout=np.arange(80) >= 70)
    with pytest.raises(InputError, match=r"70 training and 10 held-out.*evaluation.prompts"):
        decide(learner, GradientOptions(like=other).settled())


def test_what_cannot_be_measured(learner):
    with pytest.raises(InputError, match="--rest must divide --dim: 100 does not divide 4,096"):
        decide(learner, replace(OPTIONS, rest=100))
    with pytest.raises(InputError, match=r"only \d+ of 4 prompts have pass rates"):
        measure_gradients(learner, decide(learner, replace(OPTIONS, prompts=4)))
    with pytest.raises(InputError, match="at least 4 rollouts"):
        decide(learner, GradientOptions(prompts=60, rollouts=3))
    for parameter in learner.model.parameters():
        parameter.requires_grad_(False)
    try:
        with pytest.raises(InputError, match="all are frozen"):
            decide(learner, OPTIONS)
    finally:
        for parameter in learner.model.parameters():
            parameter.requires_grad_(True)


def flags(learner, file):
    """A small measurement on the command line."""
    return ["gradients", "tiny", "--out", file, "--prompts", 60, "--groups", 16, "--rollouts", 4,
            "--dim", 1024, "--rank", 16, "--rest", 64,
            "--set", f"model.path={learner.config.model.path}",
            "--set", "task.levels=[\"2+1\", \"2-1\"]", "--set", "task.train_size=1200",
            "--set", "task.heldout_size=200", "--set", "engine.name=transformers",
            "--set", "evaluation.prompts=20"]  # fmt: skip


def test_the_parts_as_json_are_those_of_the_file(cobatrain, tmp_path, learner):
    """Of adapters; the command says so on standard error alone, the file in plain words."""
    pytest.importorskip("peft", reason="peft is not installed")
    file = tmp_path / "g.npz"
    lora = 'model.lora={"rank": 2, "targets": ["q_proj"]}'
    answer = cobatrain(*flags(learner, file), "--json", "--set", lora, "--parameters", "lora_B")
    assert answer.code == 0, answer.err
    measured = read_measured_gradients(file)
    parts = json.loads(answer.out)  # nothing else on standard output
    assert parts == measured.info["parts"]
    assert parts["all"]["prompts"] == 16
    for name in ("within", "own", "shared"):
        value, low, high = parts["all"][name]
        assert low <= value <= high
    hidden, layers = 64, 2
    info = measured.info
    assert info["adapters"] == "LoRA adapters of rank 2"
    assert info["parameters"] == layers * hidden * 2  # B: outputs x rank
    whole = sum(p.numel() for p in learner.model.parameters())
    assert info["parameters of the model"] == whole + 2 * info["parameters"]
    assert f"for {info['parameters']:,} measured parameters" in answer.err


def test_the_command_writes_a_file_that_a_world_reads(cobatrain, tmp_path, learner):
    file = tmp_path / "g.npz"
    common = flags(learner, file)
    answer = cobatrain(*common)
    assert answer.code == 0, answer.err
    assert "own / within is" in answer.out
    assert "training steps" in answer.err
    assert file.with_suffix(".html").stat().st_size > 100_000
    assert read_measured_gradients(file).rate.size == 80
    again = cobatrain(*common)
    assert again.code == 2
    assert "exists; choose another --out" in again.err
    bad = cobatrain("gradients", "tiny", "--out", tmp_path / "g.txt")
    assert (bad.code, bad.out) == (2, "")
    assert "must end in .npz" in bad.err
