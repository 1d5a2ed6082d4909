"""``python -m cobatrain``: the same as the ``cobatrain`` command."""

from cobatrain.cli import main

main()
