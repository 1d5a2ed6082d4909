"""Budgets inside TRL with a real vLLM server: what it is asked, what comes back, its weights."""

from __future__ import annotations

from collections import Counter

import pytest

pytest.importorskip("trl", reason="TRL is not installed")
pytest.importorskip("vllm", reason="vllm is not installed")

import torch
from transformers import Qwen3ForCausalLM
from trl import GRPOTrainer
from trl_runs import GROUP, PROMPTS, data, right, trainer
from trl_server import FileClient, serving

from cobatrain.tiny import encode, tiny_tokenizer
from cobatrain.tiny.model import tiny_config

TOTAL = GROUP * PROMPTS
TOKENIZER = tiny_tokenizer()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A small model with heads that vLLM can serve."""
    torch.manual_seed(0)
    small = tiny_config(hidden=64, layers=1, heads=2, intermediate=64, context=32)
    made = tmp_path_factory.mktemp("served") / "model"
    Qwen3ForCausalLM(small).save_pretrained(made)
    TOKENIZER.save_pretrained(made)
    return made


@pytest.fixture(scope="module")
def address(folder):
    """The server's; it takes most of a minute to start, so all tests share it."""
    with serving(folder, folder.parent / "server.log") as url:
        yield url


@pytest.fixture
def build(folder, address, tmp_path, monkeypatch):
    """``build(kind, ...)``: a trainer that generates with the server."""
    monkeypatch.setattr("trl.generation.vllm_generation.VLLMClient", FileClient)
    monkeypatch.setattr(FileClient, "folder", tmp_path, raising=False)
    monkeypatch.setattr(FileClient, "made", [])

    def make(*kind, steps, **changes):
        settings = {"use_vllm": True, "vllm_mode": "server", "vllm_server_base_url": address}
        return trainer(
            tmp_path, *kind, settings=settings | {"max_steps": steps}, source=folder,
            **({"reward_funcs": right} | changes),
        )  # fmt: skip

    return make


def in_words(tokens):
    return TOKENIZER.decode(tokens, skip_special_tokens=True)


def differences(run):
    """The largest differences between log-probs of the server and of the trainer, each step."""
    name = "sampling/sampling_logp_difference/max"
    return [line[name] for line in run.state.log_history if name in line]


def test_a_server_generates_for_unequal_groups_with_the_weights_of_each_step(build):
    judged = []

    def watched(prompts, completions, answer, **rest):
        judged.append(list(zip(prompts, completions, strict=True)))
        return right(completions, answer)

    run = build(steps=5, reward_funcs=watched, budgets={"allocator": "signal", "low": 2, "high": 9})
    run.train()
    [client] = FileClient.made
    assert client.asked == [(TOTAL, 1)] * 5
    logs = [line for line in run.state.log_history if "loss" in line]
    sizes, rollouts, distinct = set(), 0, 0
    for given, batch, line in zip(client.given, judged, logs, strict=True):
        drawn = [(in_words(prompt), in_words(completion)) for prompt, completion in given]
        assert drawn == batch  # each row was judged on what the server made of its prompt
        budgets = Counter(prompt for prompt, _ in drawn)
        assert len(budgets) == PROMPTS
        assert budgets.keys() <= set(data()["prompt"])
        own = (min(budgets.values()), max(budgets.values()))
        assert (line["budgets/min"], line["budgets/max"]) == own
        sizes.add(tuple(sorted(budgets.values())))
        rollouts += len(drawn)
        distinct += len({(str(prompt), str(completion)) for prompt, completion in given})
    assert run.ledger.rollouts == rollouts == 5 * TOTAL
    assert min(map(min, sizes)) >= 2
    assert max(map(max, sizes)) > GROUP
    # rows of one prompt are draws of their own: with the same draws 5 * PROMPTS would differ
    assert distinct > 0.6 * rollouts
    assert max(differences(run)) < 1e-3

    prompts = [encode(TOKENIZER, text) for text in data()["prompt"]]
    before = of_server(client, prompts)
    run.vllm_generation.sync_weights()
    after = of_server(client, prompts)
    for (tokens, found), (_, old) in zip(after, before, strict=True):
        expected = of_model(run.model, tokens)
        assert found == pytest.approx(expected, abs=1e-3)
        assert max(abs(a - b) for a, b in zip(found, old, strict=True)) > 0.01
    greedy = client.generate(prompts, n=1, max_tokens=5, temperature=0.0)["completion_ids"]
    assert greedy == [largest(run.model, prompt, len(own)) for prompt, own in
                      zip(prompts, greedy, strict=True)]  # fmt: skip


def of_server(client, prompts):
    """Tokens of the prompts, and the server's log-prob of each but the first."""
    request = {"model": client.model, "prompt": prompts, "max_tokens": 1, "prompt_logprobs": 0}
    choices = client._post(f"{client.base_url}/v1/completions", json=request)["choices"]
    return [
        (tokens, [ranked[str(token)]["logprob"] for token, ranked in
                  zip(tokens[1:], choice["prompt_logprobs"][1:], strict=True)])
        for tokens, choice in zip(prompts, choices, strict=True)
    ]  # fmt: skip


def of_model(model, tokens):
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0, :-1]
    return logits.log_softmax(-1)[range(len(tokens) - 1), tokens[1:]].tolist()


def largest(model, prompt, length):
    """The model's own greedy completion."""
    tokens = list(prompt)
    for _ in range(length):
        with torch.no_grad():
            tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(prompt) :]


def test_a_server_whose_weights_stay_behind_is_seen(build, monkeypatch):
    """The check of the test above can fail."""
    monkeypatch.setattr(FileClient, "stale", True)
    run = build(steps=3, budgets={"allocator": "signal", "low": 2, "high": 9})
    run.train()
    assert max(differences(run)) > 0.01


def test_uniform_budgets_ask_for_as_many_rollouts_as_the_stock_trainer(build):
    drawn = []
    for kind, more in (((GRPOTrainer,), {}), ((), {"budgets": {"allocator": "uniform"}})):
        build(*kind, steps=2, **more).train()
        batches = [[in_words(prompt) for prompt, _ in each] for each in FileClient.made[-1].given]
        drawn.append([Counter(batch) for batch in batches])
    stock, uniform = drawn
    assert uniform == stock
    for budgets in stock:
        assert list(budgets.values()) == [GROUP] * PROMPTS
    asked = [client.asked for client in FileClient.made]
    assert asked == [[(PROMPTS, GROUP)] * 2, [(TOTAL, 1)] * 2]


def test_with_a_seed_rows_of_one_prompt_are_one_rollout(address):
    """Why ``generation_kwargs`` with a seed are refused: vLLM seeds requests, and within them."""
    client = FileClient(base_url=address)
    prompt = encode(TOKENIZER, "3+9=")
    seeded = {"max_tokens": 8, "generation_kwargs": {"seed": 5}}
    rows = client.generate([prompt] * 8, n=1, **seeded)["completion_ids"]
    group = client.generate([prompt], n=8, **seeded)["completion_ids"]
    assert len(set(map(tuple, rows))) == 1
    assert len(set(map(tuple, group))) > 4
