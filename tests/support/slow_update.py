"""The loss and gradient of an update as the papers write them: one token at a time."""

from __future__ import annotations

import copy
import math
import statistics

import torch


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
            if config.dual_clip is not None and a < 0:
                value = -torch.maximum(-value, torch.tensor(config.dual_clip * a))
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
