"""Advice: it counts rightly what teaches nothing, weighs worlds by a run, and prefers uniform."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cobasim.data import MeasuredRates
from cobasim.errors import InputError
from cobasim.experiments import advice
from cobasim.experiments.advice import known_runs, worlds
from cobasim.experiments.advice.advice import LEAST_GAIN, MOST_HARM, Option, decide
from cobasim.experiments.advice.case import Case, starting_pool
from cobasim.records import Run, RunHeader, StepRecord

SMALL = advice.Effort(tried=8, kept=4, seeds=1)
SIZES = advice.Sizes(batch_size=8, total_budget=64, visits=1.0)


def pool(rates, attempts=None):
    rates = np.asarray(rates, dtype=float)
    return MeasuredRates(rates, attempts, np.arange(rates.size), "rates.csv", rates.size, "p")


def a_case(sizes=SIZES, seed=0, size=64) -> Case:
    return advice.of_pass_rates(pool(np.random.default_rng(seed).beta(0.6, 1.0, size)), sizes)


# -- the case ----------------------------------------------------------------------------------


@given(st.lists(st.floats(0, 1, allow_subnormal=False), min_size=1, max_size=8), st.integers(1, 12))
def test_groups_of_one_outcome_are_those_of_the_binomial(rates, n):
    rates = [*rates, 0.5]
    case = advice.of_pass_rates(
        pool(rates), advice.Sizes(batch_size=2, total_budget=2 * n, low=1, high=n, visits=9)
    )
    name, prompts, share = case.silent()[0]
    one = stats.binom.pmf(0, n, rates) + stats.binom.pmf(n, n, rates)
    assert (name, prompts) == ("all", len(rates))
    assert share == pytest.approx(one.mean(), abs=1e-9)
    assert sum(k for _, k, _ in case.silent()[1:]) == len(rates)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 8), st.integers(1, 6))
def test_with_attempts_they_are_those_of_the_posterior(passes, n):
    case = advice.of_pass_rates(
        pool([passes / 8] * 2 + [0.5], np.array([8.0, 8.0, 8.0])),
        advice.Sizes(batch_size=2, total_budget=2 * n, low=1, high=n, visits=9),
    )
    p = np.random.default_rng(0).beta(passes + 0.5, 8 - passes + 0.5, 40_000)
    q = np.random.default_rng(1).beta(4.5, 4.5, 40_000)
    drawn = (2 * (p**n + (1 - p) ** n).mean() + (q**n + (1 - q) ** n).mean()) / 3
    assert case.silent()[0][2] == pytest.approx(drawn, abs=0.02)


def test_cases_that_no_allocator_can_help_are_refused_by_their_reason():
    for value, remedy in ((0.0, "easier prompts"), (1.0, "harder prompts")):
        with pytest.raises(InputError, match=f"all 50 pass rates are {value:.0f}.*{remedy}"):
            advice.of_pass_rates(pool([value] * 50), SIZES)
    with pytest.raises(InputError, match=r"a step of 8 prompts needs a pool.*got 5"):
        advice.of_pass_rates(pool([0.5] * 5), SIZES)
    with pytest.raises(InputError, match=r"make only 1 step.*more --visits"):
        a_case(replace(SIZES, visits=0.1))
    with pytest.raises(InputError, match=r"unknown weighting 'tokens'.*token"):
        advice.Sizes(weighting="tokens")
    with pytest.raises(InputError, match="visits is nan"):
        advice.Sizes(visits=float("nan"))


def test_sizes_that_mean_nothing_are_refused():
    for name in ("batch_size", "total_budget", "low", "high"):
        with pytest.raises(InputError, match=f"{name} is 0; expected at least 1"):
            advice.Sizes(**{name: 0})
    with pytest.raises(InputError, match="visits is 1000000"):
        advice.Sizes(visits=1_000_000)


def test_a_mean_budget_between_two_numbers_is_both_in_their_shares():
    sizes = advice.Sizes(batch_size=2, total_budget=3, low=1, high=2, visits=9)
    assert advice.of_pass_rates(pool([0.5] * 4), sizes).silent()[0][2] == pytest.approx(0.75)


@pytest.mark.parametrize("attempts", [2, 4, 16])
def test_few_attempts_do_not_spread_the_pool(attempts):
    rng = np.random.default_rng(0)
    true = rng.beta(0.8, 1.6, 4000)
    measured = rng.binomial(attempts, true) / attempts
    found = starting_pool(measured, np.full(4000, float(attempts)), seed=0)
    assert found.mean() == pytest.approx(true.mean(), abs=0.02)
    assert found.std() == pytest.approx(true.std(), abs=0.03)
    assert measured.std() > true.std() + 0.01
    assert starting_pool(true, None, seed=0) is true


def test_a_run_is_weighed_at_its_own_sizes_whatever_is_planned():
    own = advice.of_run(a_run(), advice.Sizes())
    planned = advice.of_run(a_run(), advice.Sizes(batch_size=32, visits=3.0))
    assert (planned.batch_size, planned.total_budget, planned.steps) == (32, 256, 72)
    for case in (own, planned):
        assert (case.seen.batch_size, case.seen.total_budget, case.seen.steps) == (64, 512, 12)


def test_one_prompt_a_step_leaves_nothing_to_divide():
    with pytest.raises(InputError, match="one prompt leaves nothing to divide"):
        a_case(replace(SIZES, batch_size=1))
    assert advice.usual_sizes(7)[0] == 2
    alone = a_run(m=1, steps=200)  # a run of one prompt a step still shows how the model learns
    assert advice.of_run(alone, advice.Sizes(batch_size=32, pool_size=64)).seen.batch_size == 1


def test_few_prompts_get_a_warning():
    assert "10 prompts say little" in " ".join(a_case(replace(SIZES, visits=9.0), size=10).notes)
    assert not a_case(replace(SIZES, visits=2.0), size=200).notes


def test_where_no_prompt_comes_up_twice_the_answer_says_that_nothing_can_differ():
    answer = advice.advise(a_case(replace(SIZES, visits=1.0)), SMALL, jobs=1)
    text = " ".join(advice.lines(answer))
    assert "No prompt comes up twice" in text
    assert "Keep away" not in text
    for option in answer.options:  # which is what uniform does, for certain
        assert (option.mean, option.low, option.high, option.hurts, option.pair) == (0,) * 5
    assert answer.recommended == "uniform"


def a_run(allocator="uniform", steps=12, a=0.8, b=1.6, n=8, m=64, uneven=0) -> Run:
    """A run whose batches are all of unseen prompts with pass rates of a Beta distribution."""
    rng = np.random.default_rng(0)
    header = RunHeader.create(
        source="ledger", seed=0, allocator=allocator, estimator="last", weighting="rollout"
    )
    records = []
    for step in range(1, steps + 1):
        passes = rng.binomial(n, rng.beta(a, b, m))
        bins = {"prompts": [0] * 12 + [m]}
        records.append(
            StepRecord(
                step,
                step * n * m,
                prompts=m,
                failure_rate=float(1 - passes.mean() / n),
                mixed_share=float(np.mean((passes > 0) & (passes < n))),
                bins=bins,
                budget_min=n,
                budget_max=n + uneven,
            )
        )
    return Run(header, tuple(records), Path("mine"))


def test_a_runs_pool_has_its_failure_rate_and_mixed_groups():
    case = advice.of_run(a_run(), advice.Sizes())
    assert (case.batch_size, case.total_budget, case.prompts) == (64, 512, 768)
    assert case.pass_rates.mean() == pytest.approx(0.8 / 2.4, abs=0.03)
    assert case.pass_rates.std() == pytest.approx(stats.beta(0.8, 1.6).std(), abs=0.03)
    assert "first visits" in " ".join(case.notes)


def test_runs_without_uniform_budgets_are_refused():
    with pytest.raises(InputError, match="mine was made with coba: advice needs a uniform run"):
        advice.of_run(a_run("coba"), advice.Sizes())
    with pytest.raises(InputError, match=r"unequal budgets in 12 of 12 steps \(step 1: 8 to 11\)"):
        advice.of_run(a_run(uneven=3), advice.Sizes())
    run = a_run(steps=20)
    lost = replace(run.steps[7], budget_min=6)
    few = replace(run, steps=(*run.steps[:7], lost, *run.steps[8:]))
    assert "1 of 20 steps have unequal budgets" in " ".join(advice.of_run(few, SIZES).notes)
    with pytest.raises(InputError, match="has 2 steps"):
        advice.of_run(a_run(steps=2), advice.Sizes())


@pytest.mark.parametrize("source", ["import", "ledger"])
def test_bounds_of_a_log_are_not_bounds_of_a_plan(source):
    run = a_run()
    config = {"loop": {"low": 8, "high": 8}}
    run = replace(run, header=replace(run.header, source=source, config=config))
    case = advice.of_run(run, advice.Sizes())
    assert (case.low, case.high) == ((2, 64) if source == "import" else (8, 8))
    assert ("leave nothing to divide" in " ".join(case.notes)) == (source == "ledger")


def test_a_lower_bound_that_does_not_fit_is_told_with_the_total():
    with pytest.raises(InputError, match=r"total.*128.*64"):
        a_case(advice.Sizes(batch_size=64, total_budget=128, low=20, visits=5.0))


def test_a_prompt_that_was_not_measured_has_no_start():
    rates = pool([0.2, 0.5, 0.5], np.array([8.0, 8.0, 0.0]))
    with pytest.raises(InputError, match=r"1 of 3 prompts were not measured.*--missing skip"):
        advice.of_pass_rates(rates, SIZES)


def with_accuracies(run, accuracies):
    steps = tuple(
        replace(step, evaluation={"heldout": accuracies[step.step]})
        if step.step in accuracies
        else step
        for step in run.steps
    )
    return replace(run, steps=steps)


def test_the_gain_of_a_run_is_that_between_its_evaluations():
    observed = advice.of_run(with_accuracies(a_run(), {3: 0.25, 12: 0.75}), SIZES).observed
    assert (observed.heldout, observed.span) == (0.5, (0.25, 1.0))
    assert advice.of_run(with_accuracies(a_run(), {3: 0.25}), SIZES).observed.heldout is None
    with pytest.raises(InputError, match="accuracy at step 3 is 25; expected a share"):
        advice.of_run(with_accuracies(a_run(), {3: 25.0, 12: 75.0}), SIZES)


@pytest.mark.parametrize("few", [2, 16])
def test_the_starting_pool_is_as_wide_as_the_prompts_whatever_their_attempts(few):
    rng = np.random.default_rng(3)
    true = rng.beta(8, 8, 4000)
    attempts = np.where(np.arange(4000) % 2, few, 64).astype(float)
    start = starting_pool(rng.binomial(attempts.astype(int), true) / attempts, attempts, 0)
    assert start.std() == pytest.approx(true.std(), rel=0.15)


# -- worlds ------------------------------------------------------------------------------------


@given(st.integers(2, 2000), st.integers(1, 40), st.floats(0.5, 30), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_small_case_keeps_the_mean_budget_the_bounds_and_the_visits(m, n, visits, seed):
    size = 4 * m
    sizes = advice.Sizes(m, m * n, 1, max(n, 2) * 8, max(visits, 1.0))
    case = a_case(sizes, seed, size)
    scaled = worlds.Scaled.of(case)
    assert scaled.batch == min(m, worlds.PROMPTS)
    assert scaled.rollouts == n * scaled.batch
    assert scaled.steps == min(case.steps, worlds.STEPS)
    small = scaled.pool.pass_rate
    assert small.size >= scaled.batch
    assert set(small) <= set(case.pass_rates)
    here = scaled.steps * scaled.batch / small.size
    assert here == pytest.approx(case.visits, rel=0.5) or small.size == scaled.batch


def test_what_is_not_known_is_drawn_around_what_was_measured():
    drawn = worlds.draw(256, seed=0)
    for ratio in worlds.RATIOS.values():
        below = float(np.mean(drawn.knobs["ratio"] < ratio))
        assert 0.05 < below < 0.95
    assert drawn.weight.sum() == pytest.approx(1)
    again = worlds.draw(256, seed=0)
    assert all(np.array_equal(drawn.knobs[name], again.knobs[name]) for name in drawn.knobs)


def test_a_run_chooses_the_worlds_that_learn_as_it_did():
    drawn = worlds.draw(8, seed=0)
    truth = worlds.runs_in(worlds.Scaled.of(a_case()), drawn, ("uniform",), 1, lambda: None)
    uniform = truth["uniform"]
    observed = replace(uniform[3].observed, failure=uniform[3].observed.failure + 0.001)
    kept, index, doubt = worlds.weighed(drawn, uniform, observed, 8, seed=0)
    assert doubt is None
    assert index[np.argmax(kept.weight)] == 3
    assert kept.weight.sum() == pytest.approx(1)
    near = [abs(uniform[i].observed.failure - observed.failure).max() for i in index]
    assert max(near) < 8 * worlds.TOLERANCE


def test_a_run_that_no_world_is_like_is_said_and_leaves_several_worlds():
    case = a_case()
    drawn = worlds.draw(16, seed=0)
    uniform = worlds.runs_in(worlds.Scaled.of(case), drawn, ("uniform",), 1, lambda: None)
    strange = replace(uniform["uniform"][0].observed, failure=np.array([0.7, 0.7, 0.1, 0.1]))
    kept, _, doubt = worlds.weighed(drawn, uniform["uniform"], strange, 16, seed=0)
    assert "No simulated world learns as this run did" in doubt
    assert 1 / np.sum(kept.weight**2) > 2
    answer = advice.advise(replace(case, kind="run", observed=strange), SMALL, jobs=1)
    assert answer.recommended == "uniform"
    assert "No simulated world" in " ".join(advice.lines(answer))


def test_knobs_tell_what_follows_from_them_and_nothing_else():
    drawn = worlds.draw(64, seed=1)
    told = worlds.told_by(drawn, np.log(drawn.knobs["noise"]) ** 3, ("noise", "ratio"))
    assert told == pytest.approx(1, abs=1e-9)
    assert worlds.told_by(drawn, drawn.knobs["noise"], ("harm",)) < 0.2
    assert worlds.told_by(drawn, np.zeros(64), ("noise",)) == 0


# -- the error of predictions ------------------------------------------------------------------


def rows_of(rng, slope, base, share, conditions=9, arms=8):
    for c in range(conditions):
        for _ in range(arms):
            x = rng.normal(0, 2)
            real = slope * x + rng.normal(0, np.hypot(base, share * x)) + rng.normal(0, 0.3)
            half = 0.3 * stats.t.ppf(0.975, 3)
            yield known_runs.Known("measured", f"c{c}", "rollout", "coba", real, half, x, 0.0)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_error_of_predictions_is_found(seed):
    rows = list(rows_of(np.random.default_rng(seed), slope=0.8, base=0.5, share=0.4))
    error = known_runs.fit(rows)
    assert error.slope == pytest.approx(0.8, abs=0.25)
    assert 0.1 <= error.base < 1.2
    assert error.expected(0.0, 0.0)[1] == pytest.approx(error.base)
    assert error.expected(3.0, 1.0)[1] > error.expected(3.0, 0.0)[1]
    assert error.pair == pytest.approx(0.6)
    table = advice.coverage(rows)
    assert 0.8 < sum(row.inside for row in table) / sum(row.arms for row in table) <= 1


def test_predictions_that_told_nothing_leave_the_scatter_of_real_runs():
    rng = np.random.default_rng(0)
    rows = [
        known_runs.Known("run", f"c{k // 8}", "rollout", "greso", y, 0.3, 5 - 3 * y, 4.0)
        for k, y in enumerate(rng.normal(0, 1.5, 72))
    ]
    error = known_runs.fit(rows)
    assert error.slope == 0
    for spread in (0.1, 30.0):
        mean, deviation = error.expected(7.0, spread)
        assert mean == 0
        assert deviation == pytest.approx(np.std([row.real for row in rows]), rel=0.15)


# -- the answer --------------------------------------------------------------------------------

NUMBER = st.floats(-5, 5)


@given(st.lists(st.tuples(NUMBER, st.floats(0, 1)), min_size=1, max_size=5))
def test_nothing_is_recommended_that_may_hurt(found):
    names = advice.CANDIDATES[: len(found)]
    options = [
        Option(name, mean, mean - 1, mean + 1, 1.0, hurts, None, mean, 1.0)
        for name, (mean, hurts) in zip(names, found, strict=True)
    ]
    chosen = decide(options)
    good = [o for o in options if o.hurts <= MOST_HARM and o.mean >= LEAST_GAIN]
    if chosen == "uniform":
        assert not good
    else:
        assert chosen == max(good, key=lambda o: o.mean).allocator


def test_the_same_seed_gives_the_same_answer_with_any_number_of_processes():
    case = a_case(replace(SIZES, visits=4.0))
    count = []
    answer = advice.advise(case, SMALL, seed=1, jobs=1, on_finished=lambda: count.append(1))
    again = advice.advise(case, SMALL, seed=1, jobs=2)
    assert answer.to_json() == again.to_json()
    assert 8 < len(count) <= advice.num_runs(case, SMALL)
    json.dumps(answer.to_json(), allow_nan=False)
    for option in answer.options:
        assert option.low < option.mean < option.high
    text = " ".join(advice.lines(answer))
    assert "teach nothing at the start" in text
    for trainer in advice.TRAINERS:
        assert advice.snippet(answer, trainer)


@pytest.fixture(scope="module")
def answered():
    return advice.advise(a_case(), advice.Effort(tried=2, kept=1, seeds=1), jobs=1)


@pytest.mark.parametrize("allocator", advice.CANDIDATES)
@pytest.mark.parametrize("trainer", advice.TRAINERS)
def test_settings_name_what_their_trainer_can_do(answered, trainer, allocator):
    text = advice.snippet(replace(answered, recommended=allocator), trainer)
    chooses = allocator in ("signal-skip", "greso")
    assert ("chooses prompts" in text) == (chooses and trainer != "cobatrain")
    named = "signal" if chooses and trainer != "cobatrain" else allocator
    assert any(mark + named in text for mark in ('allocator="', "allocator: ", "allocator="))
    assert "64" in text


def test_the_page_is_whole(tmp_path):
    answer = advice.advise(a_case(), SMALL, jobs=1)
    page, numbers = advice.store(answer, tmp_path, command="cobasim advise")
    assert "Should budgets be uneven here?" in page.read_text()
    assert json.loads(numbers.read_text())["recommended"] == answer.recommended


# -- what ships --------------------------------------------------------------------------------


def test_intervals_hold_and_recommendations_do_no_harm_on_conditions_left_out():
    for kind in ("pass rates", "run", "measured"):
        table = advice.coverage([row for row in advice.known() if row.kind == kind])
        inside, arms = sum(row.inside for row in table), sum(row.arms for row in table)
        assert inside / arms >= known_runs.LEVEL - 0.05  # arms of a condition go together
        assert sum(row.harmful for row in table) == 0


def test_the_size_of_the_pool_can_be_said():
    run = advice.of_run(a_run(), advice.Sizes(pool_size=2048))
    assert (run.prompts, run.steps, run.seen.prompts) == (2048, 12, 2048)
    assert "--pool-size" in " ".join(advice.of_run(a_run(steps=4), advice.Sizes()).notes)
    case = a_case(replace(SIZES, pool_size=1000), size=200)
    assert (case.prompts, case.pass_rates.size) == (1000, 200)
    assert "200 pass rates stand for a pool of 1,000" in " ".join(case.notes)
    few = a_case(replace(SIZES, pool_size=1000), size=20)
    assert "20 prompts say little" in " ".join(few.notes)
    with pytest.raises(InputError, match="give a larger --pool-size"):
        advice.of_run(a_run(), advice.Sizes(pool_size=50))
    with pytest.raises(InputError, match="pool_size is 0"):
        advice.Sizes(pool_size=0)


def test_features_from_rollouts_are_asked_for_their_pass_rates_only():
    """The measured world of SmolLM2 learned everything, and the model did not."""
    root = Path(__file__).parents[5]
    file = root / "docs" / "real" / "smollm2" / "start.npz"
    case = advice.of_measured(str(file), advice.Sizes())
    assert (case.kind, case.measured, case.gradients_tell) == ("pass rates", None, False)
    assert (case.batch_size, case.total_budget, case.prompts) == (16, 128, 128)
    with np.load(file) as stored:
        rates = stored["rate"][~stored["heldout"]]
    passes = case.pass_rates * case.attempts
    np.testing.assert_allclose(passes, np.rint(passes), atol=1e-9)
    np.testing.assert_allclose((passes + 0.5) / (case.attempts + 1), rates)
    found = advice.advise(case, advice.Effort(tried=8, kept=2), jobs=1)
    assert list(found.narrows) == ["uniform run"]
    assert any("pass rates" in line for line in advice.lines(found))
