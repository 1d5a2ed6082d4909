"""Worlds fitted to real runs."""
