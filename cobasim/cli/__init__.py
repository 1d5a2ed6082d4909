"""The ``cobasim`` command."""
