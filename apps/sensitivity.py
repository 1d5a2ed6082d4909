"""Placeholder until sweeps exist."""


def page() -> None:
    """Draw the page."""
