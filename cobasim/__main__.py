"""``python -m cobasim``: the same as the ``cobasim`` command."""

from cobasim.cli.cli import main

main()
