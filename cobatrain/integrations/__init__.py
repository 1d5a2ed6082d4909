"""Budgets inside trainers of others, one room a trainer: their loop, this project's ledger.

In: a trainer's batches and rewards. Out: budgets for its prompts. Each room imports its trainer and
is imported by name only, so that nobody needs them all.
"""
