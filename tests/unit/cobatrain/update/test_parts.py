"""The policy update against a plain, slow reference, and the laws that keep it honest."""

from __future__ import annotations

import copy
import math
import statistics
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from cobasim.errors import InputError  # noqa: E402
from cobasim.settings import validated  # noqa: E402
from cobatrain.update import (  # noqa: E402
    ADVANTAGES,
    LOSSES,
    WEIGHTINGS,
    Batch,
    NonFiniteError,
    UpdateConfig,
    make_optimiser,
    make_schedule,
    pad,
    token_log_probs,
    update,
    warmup_factor,
)

VOCABULARY = 13
UNIFORM = [4, 4, 4]
UNEQUAL = [1, 2, 7, 4, 3]


def gpt2(seed=0):
    """A tiny model that computes in float64 throughout."""
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=8, n_layer=2, n_head=2, initializer_range=0.5
    )
    return transformers.GPT2LMHeadModel(config).double().eval()


def qwen3(seed=0, tied=False):
    """A tiny Qwen3, float32."""
    torch.manual_seed(seed)
    config = transformers.Qwen3Config(
        vocab_size=VOCABULARY,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=64,
        tie_word_embeddings=tied,
        initializer_range=0.3,
    )
    return transformers.Qwen3ForCausalLM(config).eval()


def make_batch(budgets, seed=0, mixed=None, spread=0.3):
    """Rollouts of random tokens and lengths; log-probs as of an engine that differs a lot.

    ``mixed`` lists the groups that get both outcomes (as far as they have two rollouts); the
    others get one outcome. None: at random.
    """
    rng = np.random.default_rng([seed, 11])
    group = np.repeat(np.arange(len(budgets)), budgets)
    prompts = [rng.integers(0, VOCABULARY, rng.integers(1, 6)).tolist() for _ in budgets]
    responses = [rng.integers(0, VOCABULARY, rng.integers(1, 9)).tolist() for _ in group]
    rewards = rng.integers(0, 2, len(group)).astype(float)
    if mixed is not None:
        for i in range(len(budgets)):
            rewards[group == i] = float(i % 2)
            if i in mixed:
                rewards[np.flatnonzero(group == i)[0]] = 1.0 - i % 2
    log_probs = [
        (-math.log(VOCABULARY) + spread * rng.standard_normal(len(row))).tolist()
        for row in responses
    ]
    return Batch([prompts[i] for i in group], responses, log_probs, rewards, group)


def slow_log_probs(model, batch, j):
    """One rollout at a time, unpadded."""
    prompt, response = list(batch.prompts[j]), list(batch.responses[j])
    logits = model(input_ids=torch.tensor([prompt + response])).logits[0] / batch.temperature
    table = torch.log_softmax(logits, dim=-1)
    return [table[len(prompt) - 1 + t, token] for t, token in enumerate(response)]


def slow_advantage(batch, j, kind):
    same = [r for r, g in zip(batch.rewards, batch.group, strict=True) if g == batch.group[j]]
    if len(set(same)) < 2:
        return 0.0
    mean = statistics.fmean(same)
    if kind == "grpo":
        return (batch.rewards[j] - mean) / statistics.pstdev(same)
    if kind == "dr-grpo":
        return batch.rewards[j] - mean
    return batch.rewards[j] - (math.fsum(same) - batch.rewards[j]) / (len(same) - 1)


def mean(values):
    return sum(values) / len(values)


def slow_loss(model, batch, config, weighting, reference=None):
    """The loss as the papers write it: a token, a rollout and a prompt at a time, nested means."""
    rollouts = []  # token losses of each rollout
    for j in range(len(batch)):
        new = slow_log_probs(model, batch, j)
        engine = [float(x) for x in batch.log_probs[j]]
        old = engine if config.old_log_probs == "engine" else [float(x.detach()) for x in new]
        a = slow_advantage(batch, j, config.advantage)
        ratios = [torch.exp(x - y) for x, y in zip(new, old, strict=True)]
        if config.loss == "gspo":
            s = torch.exp(mean([x - y for x, y in zip(new, old, strict=True)]))
            ratios = [s] * len(new)
        losses = []
        for t, r in enumerate(ratios):
            clipped = torch.clamp(r, 1 - config.clip_low, 1 + config.clip_high)
            value = -torch.minimum(r * a, clipped * a)
            if config.tis_cap is not None:
                value = value * min(math.exp(old[t] - engine[t]), config.tis_cap)
            losses.append(value)
        if config.kl_coef:
            with torch.no_grad():
                ref = slow_log_probs(reference, batch, j)
            for t, x in enumerate(new):
                d = ref[t] - x
                losses[t] = losses[t] + config.kl_coef * (torch.exp(d) - d - 1)
        rollouts.append(losses)
    if weighting == "token":
        return mean([value for losses in rollouts for value in losses])

    def inside(losses):
        return sum(losses) / (config.constant_length or len(losses))

    if weighting == "rollout":
        return mean([inside(losses) for losses in rollouts])
    names = sorted(set(batch.group.tolist()))
    return mean(
        [
            mean([inside(rollouts[j]) for j in range(len(batch)) if batch.group[j] == name])
            for name in names
        ]
    )


def slow_gradient(model, batch, config, weighting, reference=None):
    model = copy.deepcopy(model)
    loss = slow_loss(model, batch, config, weighting, reference)
    loss.backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters()])
    return float(loss.detach()), gradient


def flat(model):
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fast_gradient(model, batch, config, **kwargs):
    """The gradient that ``update`` uses: SGD with learning rate 1, unclipped, moves by minus it."""
    model = copy.deepcopy(model)
    before = flat(model)
    optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
    metrics = update(model, optimiser, batch, changed(config, max_grad_norm=None), **kwargs)
    return metrics, before - flat(model)


def changed(config, **changes):
    return config.model_copy(update=changes)


def assert_same(one, other, tolerance=1e-9):
    """Equal up to ``tolerance`` of the gradient's own size."""
    assert other.norm() > 1e-3, "a gradient of zero proves nothing"
    assert (one - other).norm() <= tolerance * other.norm()


@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("kind", sorted(ADVANTAGES))
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
@pytest.mark.parametrize("budgets", [UNIFORM, UNEQUAL], ids=["uniform", "unequal"])
def test_equals_the_slow_reference(budgets, weighting, kind, loss):
    """Off-policy (ratios far from 1, many clipped), with micro-batches of a few rollouts."""
    model = gpt2()
    batch = make_batch(budgets, seed=len(budgets), mixed=[0, 2, 3], spread=0.6)
    config = UpdateConfig(advantage=kind, loss=loss, old_log_probs="engine", micro_tokens=30)
    expected_loss, expected = slow_gradient(model, batch, config, weighting)
    metrics, gradient = fast_gradient(model, batch, config, weighting=weighting)
    assert_same(gradient, expected)
    assert metrics["loss"] == pytest.approx(expected_loss, rel=1e-9, abs=1e-12)
    assert metrics["grad_norm"] == pytest.approx(float(expected.norm()), rel=1e-9)
    assert metrics["clip_fraction"] > 0


@pytest.mark.parametrize(
    "change",
    [
        {"old_log_probs": "recompute"},
        {"old_log_probs": "recompute", "loss": "gspo", "temperature": 0.7},
        {"old_log_probs": "recompute", "tis_cap": 2.0},
        {"old_log_probs": "recompute", "tis_cap": 0.8, "weighting": "prompt"},
        {"old_log_probs": "engine", "kl_coef": 0.3},
        {"old_log_probs": "recompute", "kl_coef": 0.3, "weighting": "token", "temperature": 1.5},
        {"old_log_probs": "engine", "constant_length": 10},
        {"old_log_probs": "engine", "constant_length": 10, "weighting": "prompt"},
    ],
    ids=str,
)
def test_options_equal_the_slow_reference(change):
    model, reference = gpt2(), gpt2(seed=1)
    settings = {"weighting": "rollout", "temperature": 1.0} | change
    weighting = settings.pop("weighting")
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    batch = replace(batch, temperature=settings.pop("temperature"))
    config = UpdateConfig(micro_tokens=40, **settings)
    expected_loss, expected = slow_gradient(model, batch, config, weighting, reference)
    metrics, gradient = fast_gradient(
        model, batch, config, weighting=weighting, reference=reference
    )
    assert_same(gradient, expected)
    assert metrics["loss"] == pytest.approx(expected_loss, rel=1e-9, abs=1e-12)


def test_uniform_is_plain_grpo():
    """M prompts x G rollouts by the usual reshape: (r - mean) / std of (M, G), and a mean loss."""
    model = qwen3()
    batch = make_batch([4, 4, 4, 4], mixed=[0, 1, 3])
    rewards = torch.tensor(batch.rewards).view(4, 4)
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    std = rewards.std(dim=1, correction=0, keepdim=True)
    advantage = (centred / std.where(std > 0, 1.0)).flatten()
    plain = copy.deepcopy(model)
    total = 0.0
    for j in range(16):
        new = torch.stack(slow_log_probs(plain, batch, j))
        total = total - (torch.exp(new - new.detach()) * advantage[j]).mean() / 16
    total.backward()
    expected = torch.cat([p.grad.flatten() for p in plain.parameters()])
    for weighting in ("rollout", "prompt"):
        _, gradient = fast_gradient(model, batch, UpdateConfig(), weighting=weighting)
        assert_same(gradient, expected, 1e-5)


@pytest.mark.parametrize("make", [gpt2, qwen3])
def test_token_log_probs_are_those_without_padding(make):
    model = make()
    batch = replace(make_batch(UNEQUAL), temperature=0.8)
    rows = np.arange(len(batch))
    micro = pad(batch.prompts, batch.responses, batch.log_probs, rows)
    with torch.no_grad():
        log_probs, entropy = token_log_probs(model, micro, 0.8)
        for j in rows:
            slow = torch.stack(slow_log_probs(model, batch, j))
            torch.testing.assert_close(log_probs[j][micro.mask[j]], slow, rtol=1e-5, atol=1e-5)
        whole = torch.tensor([list(batch.prompts[0]) + list(batch.responses[0])])
        logits = model(input_ids=whole).logits[0, len(batch.prompts[0]) - 1 : -1] / 0.8
        exact = torch.distributions.Categorical(logits=logits).entropy()
    torch.testing.assert_close(entropy[0][micro.mask[0]], exact, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_micro_batch_size_changes_nothing(weighting):
    model = gpt2()
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    outcomes = [
        fast_gradient(
            model,
            batch,
            UpdateConfig(micro_tokens=size, old_log_probs="engine", tis_cap=2.0),
            weighting=weighting,
        )
        for size in (1, 25, 60, 10**6)
    ]
    assert [m["micro_batches"] for m, _ in outcomes] == sorted(
        (m["micro_batches"] for m, _ in outcomes), reverse=True
    )
    assert outcomes[0][0]["micro_batches"] == outcomes[0][0]["rollouts_trained"]
    assert outcomes[-1][0]["micro_batches"] == 1
    for metrics, gradient in outcomes[1:]:
        assert_same(gradient, outcomes[0][1], 1e-12)
        for name in set(metrics) - {"micro_batches", "padding_share", "kl"}:
            assert metrics[name] == pytest.approx(outcomes[0][0][name], rel=1e-9, abs=1e-12), name


def momentum(model):
    """Has state, and is linear: AdamW would blow up rounding where the exact gradient is zero."""
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)


@pytest.mark.parametrize("minibatches", [1, 3])
@pytest.mark.parametrize("loss", sorted(LOSSES))
@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_leaving_out_rollouts_without_signal_changes_nothing(weighting, loss, minibatches):
    batch = make_batch(UNEQUAL, mixed=[2, 4])  # 10 of 17 rollouts have signal
    ends = []
    for skip in (True, False):
        model = gpt2()
        config = UpdateConfig(loss=loss, skip_no_signal=skip, minibatches=minibatches)
        optimiser = momentum(model)
        metrics = [update(model, optimiser, batch, config, weighting=weighting) for _ in range(2)]
        ends.append(flat(model))
        assert metrics[0]["rollouts"] == 17
        assert metrics[0]["rollouts_trained"] == (10 if skip else 17)
    assert (ends[0] - flat(gpt2())).norm() > 0.01
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-9, atol=1e-11)


def test_with_kl_every_rollout_is_run():
    metrics, _ = fast_gradient(
        gpt2(), make_batch(UNEQUAL, mixed=[2]), UpdateConfig(kl_coef=0.1), reference=gpt2(1)
    )
    assert metrics["rollouts_trained"] == metrics["rollouts"] == 17
    assert metrics["kl"] > 0


@pytest.mark.parametrize("skip", [True, False])
def test_a_batch_without_any_signal_still_steps_with_zero_gradient(skip):
    """Momentum goes on as it would if the rollouts had been run."""
    model = gpt2()
    optimiser = momentum(model)
    config = UpdateConfig(skip_no_signal=skip)
    update(model, optimiser, make_batch(UNEQUAL, mixed=[2, 4]), config)
    before = flat(model)
    metrics = update(model, optimiser, make_batch(UNEQUAL, mixed=[]), config)
    assert metrics["grad_norm"] == 0.0
    assert metrics["loss"] == 0.0
    assert (metrics["entropy"] is None) == skip
    assert (metrics["log_prob_gap_max"] is None) == skip
    moved = flat(model) - before
    assert moved.norm() > 0
    other = gpt2()
    optimiser = momentum(other)
    config = changed(config, skip_no_signal=not skip)
    update(other, optimiser, make_batch(UNEQUAL, mixed=[2, 4]), config)
    update(other, optimiser, make_batch(UNEQUAL, mixed=[]), config)
    torch.testing.assert_close(flat(other), flat(model), rtol=1e-9, atol=1e-11)


def test_mini_batch_gradients_average_to_the_batch():
    """With a learning rate too small to matter, k steps move k times as far as one."""
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    moves = {}
    for parts in (1, 4):
        model = gpt2()
        optimiser = torch.optim.SGD(model.parameters(), lr=1e-6)
        config = UpdateConfig(minibatches=parts, max_grad_norm=None)
        metrics = update(model, optimiser, batch, config, rng=np.random.default_rng([0, 1]))
        moves[parts] = (flat(model) - flat(gpt2())) / parts
        assert metrics["rollouts_trained"] == 12
    assert_same(moves[4] * 1e6, moves[1] * 1e6, 1e-4)


def test_recomputed_old_log_probs_are_of_before_the_first_step():
    """Two mini-batches by hand: the second one's ratio is against the first weights."""
    batch = make_batch([2, 2], mixed=[0, 1])
    config = UpdateConfig(minibatches=2, max_grad_norm=None, clip_low=0.01, clip_high=0.01)
    model = gpt2()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    metrics = update(model, optimiser, batch, config)
    slow = gpt2()
    old = [[float(x.detach()) for x in slow_log_probs(slow, batch, j)] for j in range(4)]
    for part in ((0, 2), (1, 3)):
        loss = 0.0
        for j in part:
            a = slow_advantage(batch, j, "grpo")
            new = slow_log_probs(slow, batch, j)
            ratios = [torch.exp(x - y) for x, y in zip(new, old[j], strict=True)]
            values = [-torch.minimum(r * a, torch.clamp(r, 0.99, 1.01) * a) for r in ratios]
            loss = loss + 2 * mean(values) / 4
        slow.zero_grad()
        loss.backward()
        with torch.no_grad():
            for p in slow.parameters():
                p -= 0.5 * p.grad
    torch.testing.assert_close(flat(model), flat(slow), rtol=1e-9, atol=1e-11)
    assert metrics["clip_fraction"] > 0


def test_gap_to_the_engine_is_measured_before_the_first_step():
    batch = make_batch(UNEQUAL, mixed=range(5), spread=0.4)
    model = gpt2()
    gaps = [
        abs(float(x.detach()) - y)
        for j in range(1, len(batch))  # group 0 has one rollout: no signal
        for x, y in zip(slow_log_probs(model, batch, j), batch.log_probs[j], strict=True)
    ]
    for parts in (1, 3):
        fresh = gpt2()
        metrics = update(fresh, make_optimiser(fresh, 0.1), batch, UpdateConfig(minibatches=parts))
        assert metrics["log_prob_gap_mean"] == pytest.approx(mean(gaps), rel=1e-9)
        assert metrics["log_prob_gap_max"] == pytest.approx(max(gaps), rel=1e-9)


class Softmaxes(TorchDispatchMode):
    """Notes the rows of every softmax over logits that is taken, those of backward too."""

    def __init__(self):
        super().__init__()
        self.rows = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function is torch.ops.aten.logsumexp.default:
            self.rows.append(len(arguments[0]))
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize("tied", [True, False])
def test_gradient_checkpointing_and_chunks_change_nothing(tied):
    model = qwen3(tied=tied)
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    with Softmaxes() as softmaxes:
        _, expected = fast_gradient(model, batch, UpdateConfig())
    [whole] = softmaxes.rows
    config = UpdateConfig(gradient_checkpointing=True, logit_chunk=7 * VOCABULARY + 1)
    with Softmaxes() as softmaxes:
        _, gradient = fast_gradient(model, batch, config)
    assert max(softmaxes.rows) == 7
    assert sum(softmaxes.rows) == 2 * whole  # each chunk is recomputed in backward
    assert len(softmaxes.rows) > 6
    assert_same(gradient, expected, 1e-5)


def test_gradient_checkpointing_really_recomputes():
    layers = {}
    for switch in (False, True):
        model = qwen3()
        count = []
        model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, c=count: c.append(1))
        config = UpdateConfig(gradient_checkpointing=switch)
        update(model, make_optimiser(model, 1e-3), make_batch(UNIFORM, mixed=[0]), config)
        layers[switch] = len(count)
        assert not model.training
    assert layers == {False: 1, True: 2}


def test_dropout_is_not_in_effect():
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY, n_positions=32, n_embd=8, n_layer=1, n_head=2, resid_pdrop=0.5
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(config).double().train()
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    _, one = fast_gradient(model, batch, UpdateConfig())
    _, other = fast_gradient(model, batch, UpdateConfig())
    torch.testing.assert_close(one, other, rtol=0, atol=0)
    assert model.training


def test_bf16_autocast_is_close_and_keeps_weights_in_float32():
    model = qwen3()
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    _, expected = fast_gradient(model, batch, UpdateConfig())
    metrics, gradient = fast_gradient(model, batch, UpdateConfig(bf16=True))
    assert gradient.dtype == torch.float32
    cosine = torch.nn.functional.cosine_similarity(gradient, expected, dim=0)
    assert 0.99 < cosine < 1 - 1e-7  # close, and really in lower precision
    assert math.isfinite(metrics["entropy"])


def test_gradients_are_clipped_to_the_norm():
    batch = make_batch(UNEQUAL, mixed=[1, 2, 4])
    config = UpdateConfig()
    metrics, whole = fast_gradient(gpt2(), batch, config)
    for bound in (0.01, 1e6):
        model = gpt2()
        optimiser = torch.optim.SGD(model.parameters(), lr=1.0)
        again = update(model, optimiser, batch, changed(config, max_grad_norm=bound))
        moved = flat(gpt2()) - flat(model)
        norm = min(bound, metrics["grad_norm"])
        assert float(moved.norm()) == pytest.approx(norm, rel=1e-4)
        assert_same(moved / norm, whole / metrics["grad_norm"], 1e-4)
        assert again["grad_norm"] == pytest.approx(metrics["grad_norm"])


def test_warm_up_then_constant():
    assert [warmup_factor(s, 4) for s in range(6)] == [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    assert warmup_factor(0, 0) == 1.0
    model = gpt2()
    optimiser = make_optimiser(model, 0.1)
    schedule = make_schedule(optimiser, 4)
    batch = make_batch(UNIFORM, mixed=[0])
    config = UpdateConfig(minibatches=2)
    rates = [
        update(model, optimiser, batch, config, schedule=schedule)["learning_rate"]
        for _ in range(3)
    ]
    assert rates == pytest.approx([0.05, 0.1, 0.1])


def test_weight_decay_spares_biases_and_norms():
    model = gpt2()
    optimiser = make_optimiser(model, 0.1, weight_decay=0.5)
    decayed = {id(p) for g in optimiser.param_groups if g["weight_decay"] for p in g["params"]}
    assert {id(p) for p in model.parameters() if p.ndim > 1} == decayed
    everything = [p for g in optimiser.param_groups for p in g["params"]]
    assert len(everything) == len(list(model.parameters()))


@pytest.mark.parametrize("weighting", sorted(WEIGHTINGS))
def test_it_learns(weighting):
    """Rewarding one token on a fixed prompt raises its probability: the sign is right."""
    model = qwen3()
    optimiser = make_optimiser(model, 0.01)
    rng = np.random.default_rng([0, 3])
    prompt = [1, 2, 3]
    chances = []
    for _ in range(25):
        with torch.no_grad():
            p = model(input_ids=torch.tensor([prompt])).logits[0, -1].softmax(-1).double().numpy()
        chances.append(p[5])
        tokens = rng.choice(VOCABULARY, 64, p=p / p.sum())
        batch = Batch(
            [prompt] * 64,
            [[int(token)] for token in tokens],
            [[math.log(p[token])] for token in tokens],
            (tokens == 5).astype(float),
            np.zeros(64, dtype=int),
        )
        update(model, optimiser, batch, UpdateConfig(advantage="rloo"), weighting=weighting)
    assert chances[0] < 0.3
    assert chances[-1] > 0.9


def poison(batch, j, value):
    log_probs = [list(row) for row in batch.log_probs]
    log_probs[j][0] = value
    return replace(batch, log_probs=log_probs)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_engine_log_probs_that_are_not_finite_stop_the_update(value):
    model = gpt2()
    batch = poison(make_batch(UNEQUAL, mixed=[2, 4]), 5, value)
    with pytest.raises(NonFiniteError, match="engine") as error:
        update(model, make_optimiser(model, 0.1), batch, UpdateConfig())
    assert error.value.batch is batch
    assert error.value.rows.tolist() == [5]
    torch.testing.assert_close(flat(model), flat(gpt2()), rtol=0, atol=0)


def test_a_loss_that_is_not_finite_names_its_micro_batch():
    """One token's embedding is NaN: only rollouts that contain it are suspect."""
    model = gpt2()
    with torch.no_grad():
        model.transformer.wpe.weight[10:] = math.nan  # positions that only long rollouts reach
    batch = make_batch(UNEQUAL, mixed=[1, 2, 3, 4])
    before = flat(model)
    optimiser = make_optimiser(model, 0.1)
    with pytest.raises(NonFiniteError, match="the loss") as error:
        update(model, optimiser, batch, UpdateConfig(micro_tokens=1))
    used = np.flatnonzero(batch.group > 0)
    lengths = batch.prompt_lengths + batch.lengths
    assert 0 < len(error.value.rows) < len(used)
    assert sorted(error.value.rows) == [j for j in used if lengths[j] > 10]
    assert error.value.steps == 0
    torch.testing.assert_close(flat(model), before, rtol=0, atol=0, equal_nan=True)
    assert not optimiser.state
    assert all(p.grad is None for p in model.parameters())


def test_a_gradient_that_is_not_finite_stops_before_the_step():
    model = gpt2()
    model.lm_head.weight.register_hook(lambda gradient: gradient * math.inf)
    batch = make_batch(UNEQUAL, mixed=[2, 4])
    with pytest.raises(NonFiniteError, match="the gradient") as error:
        update(model, make_optimiser(model, 0.1), batch, UpdateConfig())
    assert sorted(error.value.rows) == np.flatnonzero(np.isin(batch.group, [2, 4])).tolist()
    torch.testing.assert_close(flat(model), flat(gpt2()), rtol=0, atol=0)


def test_a_later_mini_batch_says_how_many_steps_were_taken():
    model = gpt2()
    calls = []

    def hook(gradient):
        calls.append(1)
        return gradient * math.nan if len(calls) > 1 else gradient

    model.transformer.h[0].mlp.c_fc.weight.register_hook(hook)
    batch = make_batch(UNIFORM, mixed=[0, 1, 2])
    with pytest.raises(NonFiniteError) as error:
        update(model, make_optimiser(model, 0.01), batch, UpdateConfig(minibatches=3))
    assert error.value.steps == 1


def test_frozen_parameters_stay():
    model = qwen3()
    model.model.embed_tokens.weight.requires_grad_(False)
    frozen = model.model.embed_tokens.weight.clone()
    update(model, make_optimiser(model, 0.1), make_batch(UNIFORM, mixed=[0]), UpdateConfig())
    assert torch.equal(model.model.embed_tokens.weight, frozen)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"advantage": "dr_grpo"}, "did you mean 'dr-grpo'"),
        ({"loss": "gsp"}, "did you mean 'gspo'"),
        ({"old_log_probs": "engines"}, "did you mean 'engine'"),
        ({"minibatches": 0}, "minibatches: .* greater than or equal to 1, got 0"),
        ({"micro_tokens": 0}, "micro_tokens: .* greater than or equal to 1, got 0"),
        ({"logit_chunk": 0}, "logit_chunk: .* greater than or equal to 1, got 0"),
        ({"constant_length": 0}, "constant_length: .* greater than or equal to 1, got 0"),
        ({"max_grad_norm": math.nan}, "max_grad_norm: .*, got nan"),
        ({"max_grad_norm": 0.0}, "max_grad_norm: .* greater than 0, got 0"),
        ({"tis_cap": -1.0}, "tis_cap: .* greater than 0, got -1"),
        ({"kl_coef": -0.1}, "kl_coef: .* greater than or equal to 0, got -0.1"),
        ({"clip_low": 1.5}, "clip_low: .* less than or equal to 1, got 1.5"),
        ({"clip_low": 0.0}, "clip_low: .* greater than 0, got 0"),
        ({"clip_high": 0.0}, "clip_high: .* greater than 0, got 0"),
        ({"learning_rate": 0.0}, "learning_rate: .* greater than 0, got 0"),
    ],
    ids=str,
)
def test_a_bad_setting_is_refused(change, match):
    with pytest.raises(InputError, match=match):
        validated(UpdateConfig, change)


def test_a_bad_batch_is_refused():
    good = make_batch([2], mixed=[0])
    with pytest.raises(InputError, match="rewards has 1 entries for 2 responses"):
        replace(good, rewards=np.ones(1))
    with pytest.raises(InputError, match=r"rollout 1 has .* 0 sampled tokens"):
        replace(good, responses=[good.responses[0], []], log_probs=[good.log_probs[0], []])
    with pytest.raises(InputError, match=r"rollout 0 has .* log-probs"):
        replace(good, log_probs=[[0.0] * 20, good.log_probs[1]])
    with pytest.raises(InputError, match="temperature must be above 0"):
        replace(good, temperature=0.0)
    model = gpt2()
    optimiser = make_optimiser(model, 0.1)
    with pytest.raises(InputError, match="did you mean 'token'"):
        update(model, optimiser, good, UpdateConfig(), weighting="tokens")
    with pytest.raises(InputError, match="constant_length goes with"):
        update(model, optimiser, good, UpdateConfig(constant_length=9), weighting="token")
    with pytest.raises(InputError, match="reference"):
        update(model, optimiser, good, UpdateConfig(kl_coef=0.1))
    with pytest.raises(InputError, match="mini-batches"):
        update(model, optimiser, good, UpdateConfig(minibatches=3))
    with pytest.raises(InputError, match="must be finite"):
        update(model, optimiser, replace(good, rewards=np.array([0, math.nan])), UpdateConfig())
