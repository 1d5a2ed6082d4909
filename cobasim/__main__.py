"""``python -m cobasim``: the same as the ``cobasim`` command."""

from cobasim.cli import main

main()
