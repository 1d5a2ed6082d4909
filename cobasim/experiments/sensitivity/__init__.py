"""Which settings matter."""
