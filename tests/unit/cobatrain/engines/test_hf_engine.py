"""Engines: exact budgets, honest log-probabilities after every sync, seeds, and clean deaths.

The vLLM tests start real engines on a tiny model; they are slow, and skipped without vllm.
"""

# ruff: noqa: E402 (imports follow the check that torch is there)

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (docs/install-train.md)")
pytest.importorskip("transformers", reason="transformers is not installed (docs/install-train.md)")

from hypothesis import given, settings
from hypothesis import strategies as st
from log_probs import log_probs_of, next_token_log_probs
from scipy import stats

from cobatrain import engines
from cobatrain.engines import EngineConfig, EngineError, Rollouts, SamplingConfig, make_engine
from cobatrain.engines.model_folder import end_token_ids, stored_names
from cobatrain.engines.requests import checked_request
from cobatrain.engines.sampling import choose
from cobatrain.engines.vllm_engine import VllmEngine
from cobatrain.engines.weights import named_weights
from cobatrain.tiny import build_tiny, encode, tiny_tokenizer

SMALL = {"hidden": 64, "layers": 2, "heads": 2, "intermediate": 128, "context": 512}
TOKENIZER = tiny_tokenizer()
EOS = TOKENIZER.eos_token_id
PROMPTS = [encode(TOKENIZER, text) for text in ("12+7=", "3*4=", "100-99=", "5", "8888*77=")]
BUDGETS = np.array([3, 0, 8, 1, 5])
SEEDS = np.array([5, 6, 7, 8, 9])
SAMPLING = SamplingConfig(max_tokens=8)

needs_vllm = pytest.mark.skipif(
    importlib.util.find_spec("vllm") is None,
    reason="vllm is not installed (docs/install-train.md)",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Model folders by `tied`."""
    made = {}
    for tied in (False, True):
        made[tied] = tmp_path_factory.mktemp(f"tied-{tied}")
        build_tiny(made[tied], seed=0, tied=tied, **SMALL)
    return made


@pytest.fixture(scope="module")
def hf_engine(folders):
    with make_engine(config_for("transformers"), folders[False]) as engine:
        yield engine


def config_for(name: str, **changes) -> EngineConfig:
    base = {"subprocess": False, "max_model_len": 512, "threads": 1}
    return EngineConfig(name=name, **(base | changes))


def load(folder):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder).requires_grad_(True)


def shake(model, seed: int, scale: float = 0.05) -> None:
    """Change every weight, as an optimiser step would, only more."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=scale)


def largest_difference(model, prompts, rollouts: Rollouts, temperature: float = 1.0) -> float:
    expected = log_probs_of(model, prompts, rollouts, temperature)
    assert [len(e) for e in expected] == [len(v) for v in rollouts.log_probs]
    return max(
        abs(a - b)
        for e, v in zip(expected, rollouts.log_probs, strict=True)
        for a, b in zip(e, v, strict=True)
    )


def check_form(rollouts: Rollouts, prompts, budgets, sampling) -> None:
    """What every engine promises about the form of its answer."""
    assert np.array_equal(np.bincount(rollouts.prompt, minlength=len(prompts)), budgets)
    assert np.all(np.diff(rollouts.prompt) >= 0)
    assert rollouts.prompt_tokens == [list(p) for p in prompts]
    assert len(rollouts) == len(rollouts.log_probs) == len(rollouts.finished) == budgets.sum()
    for tokens, values, finished in zip(
        rollouts.tokens, rollouts.log_probs, rollouts.finished, strict=True
    ):
        assert 1 <= len(tokens) == len(values) <= sampling.max_tokens
        assert all(v <= 0 for v in values)
        assert EOS not in tokens[:-1]
        if not sampling.stop and not sampling.stop_token_ids:
            assert finished == (tokens[-1] == EOS)
        if not finished:
            assert len(tokens) == sampling.max_tokens


# ---------------------------------------------------------------- requests and configs


@given(st.lists(st.integers(-3, 5), min_size=1, max_size=5), st.integers(1, 6))
def test_budgets_must_be_one_nonnegative_integer_per_prompt(budgets, m):
    prompts, seeds, array = [[1]] * m, np.zeros(m, dtype=int), np.array(budgets)
    if len(budgets) == m and min(budgets) >= 0:
        checked = checked_request(prompts, array, seeds, SAMPLING, 64)
        assert np.array_equal(checked.budgets, array)
    else:
        with pytest.raises(ValueError, match="budgets"):
            checked_request(prompts, array, seeds, SAMPLING, 64)


@pytest.mark.parametrize(
    ("prompts", "budgets", "seeds", "message"),
    [
        ([[1], []], [1, 1], [0, 0], "prompt 1 has no tokens"),
        ([[1], [1] * 60], [1, 1], [0, 0], "exceeds max_model_len = 64"),
        ([[1]], [1.5], [0], "expected .1,. integers"),
        ([[1]], [1], [-1], "seeds contains -1"),
    ],
)
def test_bad_requests_are_named(prompts, budgets, seeds, message):
    with pytest.raises(ValueError, match=message):
        checked_request(prompts, np.array(budgets), np.array(seeds), SAMPLING, 64)


def test_a_folder_without_model_is_named(tmp_path):
    for name in ("transformers", "vllm") if importlib.util.find_spec("vllm") else ("transformers",):
        with pytest.raises(ValueError, match=r"no config\.json"):
            make_engine(config_for(name), tmp_path)
    with pytest.raises(ValueError, match=r"no config\.json"):
        end_token_ids(tmp_path)


def test_a_missing_vllm_names_the_install_command_and_the_fallback(monkeypatch, folders):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "vllm" else real(name, *a)
    )
    with pytest.raises(EngineError, match=r"requirements/train-cpu\.txt.*transformers"):
        make_engine(EngineConfig(name="vllm"), folders[False])


def test_importing_the_engines_does_not_import_vllm():
    code = "import sys, cobatrain.engines; sys.exit('vllm' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_named_engine_is_registered():
    assert set(engines.ENGINES) == {"vllm", "transformers"}
    with pytest.raises(ValueError, match="name"):
        EngineConfig(name="sglang")
    with pytest.raises(ValueError, match="budgets"):
        EngineConfig(budgets=3)


# ---------------------------------------------------------------- sampling, pure


@given(
    st.lists(st.floats(-5, 5, width=32), min_size=2, max_size=12),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([0.5, 1.0, 2.0]),
    st.sampled_from([0.3, 0.9, 1.0]),
)
@settings(deadline=None)
def test_choice_is_the_inverse_of_the_cumulative_distribution(logits, u, temperature, top_p):
    sampling = SamplingConfig(temperature=temperature, top_p=top_p)
    token, value = choose(torch.tensor([logits]), torch.tensor([u], dtype=torch.float64), sampling)
    # an independent, plain reference
    p = np.exp(np.array(logits, dtype=np.float64) / temperature)
    p /= p.sum()
    order = sorted(range(len(p)), key=lambda i: -p[i])
    kept, mass = set(), 0.0
    for i in order:
        if mass >= top_p - 1e-6:
            break
        kept.add(i)
        mass += p[i]
    k = int(token)
    near_the_cut = abs(mass - top_p) < 1e-5 or len(set(np.round(p, 6))) < len(p)
    if near_the_cut and top_p < 1:
        return  # float32 and float64 may cut differently
    assert k in kept
    q = np.array([p[i] if i in kept else 0.0 for i in range(len(p))])
    q /= q.sum()
    assert float(value) == pytest.approx(np.log(q[k]), abs=1e-4)
    assert q[:k].sum() - 1e-6 <= u <= q[: k + 1].sum() + 1e-6


def test_greedy_takes_the_most_likely_token():
    logits = torch.tensor([[0.0, 3.0, 1.0]])
    token, value = choose(logits, torch.tensor([0.99]), SamplingConfig(temperature=0.0))
    assert int(token) == 1
    assert float(value) == pytest.approx(float(logits.log_softmax(-1)[0, 1]))


# ---------------------------------------------------------------- log-probabilities, pure torch


def test_padding_and_batch_size_change_no_log_probability(folders, hf_engine):
    model = load(folders[False])
    rollouts = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    together = log_probs_of(model, PROMPTS, rollouts, temperature=0.7)
    alone = log_probs_of(model, PROMPTS, rollouts, temperature=0.7, max_tokens_per_batch=1)
    for row, (p, tokens) in enumerate(zip(rollouts.prompt, rollouts.tokens, strict=True)):
        with torch.no_grad():  # plain reference: one unpadded sequence
            logits = model(input_ids=torch.tensor([[*PROMPTS[p], *tokens]])).logits[0]
        table = (logits / 0.7).log_softmax(-1)
        first = len(PROMPTS[p]) - 1
        plain = [float(table[first + k, t]) for k, t in enumerate(tokens)]
        assert together[row] == pytest.approx(plain, abs=1e-5)
        assert alone[row] == pytest.approx(plain, abs=1e-5)


def test_log_probabilities_carry_a_gradient(folders):
    model = load(folders[False])
    ids = torch.tensor([PROMPTS[0]])
    next_token_log_probs(model, ids, torch.ones_like(ids)).sum().backward()
    assert float(model.model.layers[0].mlp.up_proj.weight.grad.abs().sum()) > 0
    with pytest.raises(ValueError, match="temperature"):
        next_token_log_probs(model, ids, torch.ones_like(ids), temperature=0.0)


# ---------------------------------------------------------------- the transformers engine


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_hf_log_probs_equal_the_models_after_each_sync(folders, tied, temperature):
    model = load(folders[tied])
    sampling = SamplingConfig(max_tokens=8, temperature=temperature)
    with make_engine(config_for("transformers"), folders[tied]) as engine:
        for step in range(3):
            rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS + step, sampling)
            check_form(rollouts, PROMPTS, BUDGETS, sampling)
            assert largest_difference(model, PROMPTS, rollouts, temperature) < 1e-4
            shake(model, step)
            assert largest_difference(model, PROMPTS, rollouts, temperature) > 1e-2  # can fail
            assert engine.sync(model) >= 0


def test_hf_seeds_budgets_and_batches(folders, hf_engine):
    full = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    same = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    other = hf_engine.generate(PROMPTS, BUDGETS, SEEDS + 1, SAMPLING)
    assert full.tokens == same.tokens
    assert full.tokens != other.tokens
    # rollout j of a prompt depends neither on the budget nor on the other prompts
    alone = hf_engine.generate([PROMPTS[2]], np.array([20]), SEEDS[2:3], SAMPLING)
    assert alone.tokens[:8] == [t for p, t in zip(full.prompt, full.tokens, strict=True) if p == 2]
    assert len({tuple(t) for t in alone.tokens}) > 10
    # nor on how the work is cut into batches
    with make_engine(config_for("transformers", max_num_seqs=3), folders[False]) as small:
        assert small.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens == full.tokens


def test_hf_first_tokens_follow_the_softmax(folders, hf_engine):
    model = load(folders[False])
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double()
    n = 4000
    for temperature in (1.0, 0.5):
        sampling = SamplingConfig(max_tokens=1, temperature=temperature)
        rollouts = hf_engine.generate([PROMPTS[0]], np.array([n]), np.array([1]), sampling)
        counts = np.bincount([t[0] for t in rollouts.tokens], minlength=len(logits))
        expected = (logits / temperature).softmax(-1).numpy() * n
        assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
        flat = np.full(len(logits), n / len(logits))
        assert stats.chisquare(counts, flat).pvalue < 1e-4  # the test can tell them apart


def test_hf_stops_at_tokens_and_strings(hf_engine):
    budgets, stop_id = np.full(len(PROMPTS), 20), 4
    by_id = SamplingConfig(max_tokens=12, stop_token_ids=(stop_id,))
    rollouts = hf_engine.generate(PROMPTS, budgets, SEEDS, by_id)
    assert rollouts.finished.any()
    for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
        assert finished == (tokens[-1] in (stop_id, EOS))
        assert stop_id not in tokens[:-1]
    by_text = SamplingConfig(max_tokens=12, stop=(TOKENIZER.decode([stop_id]),))
    assert hf_engine.generate(PROMPTS, budgets, SEEDS, by_text).tokens == rollouts.tokens


def test_hf_greedy_ignores_the_seed(folders, hf_engine):
    greedy = SamplingConfig(max_tokens=5, temperature=0.0)
    rollouts = hf_engine.generate(PROMPTS, BUDGETS, SEEDS, greedy)
    assert rollouts.tokens == hf_engine.generate(PROMPTS, BUDGETS, SEEDS + 9, greedy).tokens
    assert largest_difference(load(folders[False]), PROMPTS, rollouts) < 1e-4


def test_nothing_asked_gives_nothing(hf_engine):
    none = hf_engine.generate([], np.array([], dtype=int), np.array([], dtype=int), SAMPLING)
    zero = hf_engine.generate(PROMPTS[:2], np.array([0, 0]), np.array([0, 1]), SAMPLING)
    assert len(none) == len(zero) == 0


def test_sync_refuses_another_model(tmp_path, folders, hf_engine):
    deeper, _ = build_tiny(tmp_path, seed=0, **(SMALL | {"layers": 3}))
    with pytest.raises(ValueError, match="unknown"):
        hf_engine.sync(deeper)
    partial = dict(named_weights(load(folders[False])))
    partial.pop("model.norm.weight")
    with pytest.raises(ValueError, match="1 missing"):
        hf_engine.sync(partial)


@pytest.mark.parametrize("tied", [False, True])
def test_weights_have_the_names_of_the_checkpoint(folders, tied):
    weights = dict(named_weights(torch.compile(load(folders[tied])), torch.bfloat16))
    assert set(weights) == stored_names(folders[tied])
    assert ("lm_head.weight" in weights) is not tied
    assert {w.dtype for w in weights.values()} == {torch.bfloat16}


def test_a_closed_engine_says_so(folders):
    engine = make_engine(config_for("transformers"), folders[False])
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)


# ---------------------------------------------------------------- an engine process


def gone(pid: int) -> bool:
    """Whether the process has ended (a zombie has)."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until(condition, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


LARGE = {"prompt_tokens": [PROMPTS[0]], "sampling": SamplingConfig(max_tokens=400)}


def long_call(engine):
    """Generate for many seconds."""
    return engine.generate(budgets=np.array([4000]), seeds=np.array([1]), **LARGE)


@pytest.mark.slow
def test_a_process_gives_the_same_rollouts_and_ends(folders, hf_engine):
    model = load(folders[False])
    shake(model, 0)
    with make_engine(config_for("transformers", subprocess=True), folders[False]) as engine:
        folder = engine.exchange_folder
        first = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert first.tokens == hf_engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING).tokens
        engine.sync(model)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-4
        with pytest.raises(ValueError, match="budgets"):
            engine.generate(PROMPTS, -BUDGETS, SEEDS, SAMPLING)
        with pytest.raises(ValueError, match="missing"):
            engine.sync({"lm_head.weight": model.lm_head.weight})
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)  # a refused call breaks nothing
        pid = engine.pid
        assert not gone(pid)
        assert folder.exists()
    assert gone(pid)
    assert not folder.exists()
    with pytest.raises(EngineError, match="closed"):
        engine.sync(model)


@pytest.mark.slow
def test_a_process_that_cannot_start_says_why(tmp_path):
    with pytest.raises(ValueError, match=r"no config\.json"):
        make_engine(config_for("transformers", subprocess=True), tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(EngineError, match="start"):
        make_engine(config_for("transformers", subprocess=True), tmp_path)


@pytest.mark.slow
def test_a_process_killed_while_generating_is_an_error(folders):
    engine = make_engine(config_for("transformers", subprocess=True), folders[False])
    threading.Timer(0.5, os.kill, (engine.pid, signal.SIGKILL)).start()
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"died during 'generate'.*SIGKILL"):
        long_call(engine)
    assert time.monotonic() - start < 5
    with pytest.raises(EngineError, match="died during 'generate'"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)  # and stays one
    engine.close()


@pytest.mark.slow
def test_a_process_that_hangs_is_ended(folders):
    config = config_for("transformers", subprocess=True, call_timeout=1.5)
    engine = make_engine(config, folders[False])
    os.kill(engine.pid, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(EngineError, match=r"did not answer to 'generate' within 1\.5 s"):
        engine.generate(PROMPTS, BUDGETS, SEEDS, SAMPLING)
    assert time.monotonic() - start < 8
    assert gone(engine.pid)


PARENT = """
import sys
from cobatrain.engines import EngineConfig, make_engine
from test_engines import long_call
engine = make_engine(EngineConfig(name=sys.argv[1], max_model_len=512, threads=1), sys.argv[2])
print(engine.pid, engine.exchange_folder, flush=True)
if sys.argv[3] == "raise":
    raise SystemExit(3)
if sys.argv[3] == "idle":
    sys.stdin.read()
while True:
    long_call(engine)
"""


def start_parent(name: str, folder, ending: str) -> tuple[subprocess.Popen[str], int, str]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, name, str(folder), ending],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.path.dirname(__file__), "OMP_NUM_THREADS": "1"},
    )
    assert parent.stdout is not None
    pid, exchange = parent.stdout.readline().split()
    return parent, int(pid), exchange


@pytest.mark.slow
@pytest.mark.parametrize("doing", ["generating", "idle"])
@pytest.mark.parametrize("name", ["transformers", pytest.param("vllm", marks=needs_vllm)])
def test_the_engine_ends_when_its_parent_is_killed(folders, name, doing):
    parent, pid, exchange = start_parent(name, folders[False], doing)
    with parent:
        time.sleep(1.0)
        assert not gone(pid)
        parent.kill()
    assert wait_until(lambda: gone(pid), 10.0)
    assert not os.path.exists(exchange)


@pytest.mark.slow
def test_the_engine_ends_when_its_parent_exits_without_closing(folders):
    parent, pid, exchange = start_parent("transformers", folders[False], "raise")
    with parent:
        assert parent.wait(timeout=30) == 3
    assert wait_until(lambda: gone(pid), 10.0)
    assert not os.path.exists(exchange)


# ---------------------------------------------------------------- vLLM


@pytest.mark.slow
@needs_vllm
@pytest.mark.parametrize("tied", [False, True])
def test_vllm_log_probs_equal_the_models_after_each_sync(folders, tied):
    """Inside and outside the trainer: the same tokens, and the training model's log-probs.

    One prompt is longer than a cache block (128 tokens on a CPU), so that a prefix kept over a sync
    would show; the difference before each sync shows that a stale weight would, too.
    """
    rng = np.random.default_rng(0)
    long_prompt = [1, *rng.integers(3, len(TOKENIZER), size=300).tolist()]
    prompts, budgets, seeds = [*PROMPTS, long_prompt], np.append(BUDGETS, 4), np.append(SEEDS, 4)
    tokens = {}
    for inside in (True, False):
        model = load(folders[tied])
        tokens[inside] = []
        torch.manual_seed(1)
        state = torch.get_rng_state()
        with make_engine(config_for("vllm", subprocess=not inside), folders[tied]) as engine:
            for step in range(4):
                rollouts = engine.generate(prompts, budgets, seeds, SAMPLING)
                check_form(rollouts, prompts, budgets, SAMPLING)
                assert largest_difference(model, prompts, rollouts) < 1e-3
                tokens[inside].append(rollouts.tokens)
                shake(model, step)
                assert largest_difference(model, prompts, rollouts) > 1e-2
                assert engine.sync(model) >= 0
            again = [engine.generate(prompts, budgets, seeds, SAMPLING).tokens for _ in range(2)]
            assert again[0] == again[1]
            assert engine.generate(prompts, budgets, seeds + 10, SAMPLING).tokens != again[0]
            more = engine.generate(prompts[2:3], np.array([20]), seeds[2:3], SAMPLING)
            at = np.flatnonzero(rollouts.prompt == 2)
            assert more.tokens[:8] == [again[0][i] for i in at]
        assert torch.equal(torch.get_rng_state(), state)  # the trainer's randomness is its own
    assert tokens[True] == tokens[False]


@pytest.mark.slow
@needs_vllm
def test_vllm_samples_as_told(folders):
    model = load(folders[False])
    with make_engine(config_for("vllm"), folders[False]) as engine:
        for temperature in (1.0, 0.5):
            n, sampling = 4000, SamplingConfig(max_tokens=1, temperature=temperature)
            rollouts = engine.generate([PROMPTS[0]], np.array([n]), np.array([1]), sampling)
            assert largest_difference(model, [PROMPTS[0]], rollouts, temperature) < 1e-3
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([PROMPTS[0]])).logits[0, -1].double()
            expected = (logits / temperature).softmax(-1).numpy() * n
            counts = np.bincount([t[0] for t in rollouts.tokens], minlength=len(logits))
            assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-4
        stop = SamplingConfig(max_tokens=12, stop_token_ids=(4,))
        rollouts = engine.generate(PROMPTS, BUDGETS * 4, SEEDS, stop)
        for tokens, finished in zip(rollouts.tokens, rollouts.finished, strict=True):
            assert finished == (tokens[-1] in (4, EOS))
        text = SamplingConfig(max_tokens=12, stop=(TOKENIZER.decode([4]),))
        assert engine.generate(PROMPTS, BUDGETS * 4, SEEDS, text).tokens == rollouts.tokens
        greedy = SamplingConfig(max_tokens=5, temperature=0.0)
        rollouts = engine.generate(PROMPTS, BUDGETS, SEEDS, greedy)
        assert largest_difference(model, PROMPTS, rollouts) < 1e-3
        with pytest.raises(ValueError, match="missing"):
            engine.sync({"lm_head.weight": model.lm_head.weight})


@needs_vllm
def test_vllm_refuses_to_share_a_process_group(folders, tmp_path):
    store = torch.distributed.FileStore(str(tmp_path / "store"), 1)
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        with pytest.raises(EngineError, match="subprocess = true"):
            VllmEngine(config_for("vllm"), folders[False])
    finally:
        torch.distributed.destroy_process_group()
