"""The ``cobasim`` command: one module a command, and what command lines share.

In: what was typed. Out: what is printed: in cobasim, only this room prints. Bad input gives one
line on standard error and exit code 2. What is slow to import is imported inside the commands.
"""

from cobasim.cli.commands import app, main
from cobasim.cli.common import (
    Interrupted,
    JsonFlag,
    command_text,
    interruptible,
    new_app,
    progress_bar,
    run_app,
)
from cobasim.cli.comparison_tables import comparison_tables
from cobasim.cli.options import grouped
from cobasim.cli.output import dated_folder, narrow_table, resumable, say, say_files, show

__all__ = [
    "Interrupted",
    "JsonFlag",
    "app",
    "command_text",
    "comparison_tables",
    "dated_folder",
    "grouped",
    "interruptible",
    "main",
    "narrow_table",
    "new_app",
    "progress_bar",
    "resumable",
    "run_app",
    "say",
    "say_files",
    "show",
]
