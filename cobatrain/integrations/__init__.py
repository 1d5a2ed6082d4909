"""Budgets inside other trainers: TRL and verl, without a fork."""
