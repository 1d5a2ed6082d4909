"""``cobasim allocators``: all allocators, with their parameters."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console

from cobasim.cli.common import JsonFlag
from cobasim.cli.output import say


def allocators(as_json: JsonFlag = False) -> None:
    """Every allocator: what it does, its source, its parameters with defaults and bounds."""
    from cobasim.allocation import describe_allocators

    rows = describe_allocators()
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    console = Console()
    for row in rows:
        console.print(f"[bold]{row['name']}[/bold]  {row['summary']}", highlight=False)
        say(f"    source: {row['source']}")
        for described in row["parameters"]:
            default = "derived" if described["default"] is None else described["default"]
            say(f"    {described['name']} = {default}{_bounds(described)}: {described['doc']}")
    say(
        "In a simulation also as oracle-NAME, which is shown the true pass rates.",
        "Your own by import path, module:Class; a trained one as learned:FILE.",
    )


def _bounds(described: dict[str, Any]) -> str:
    if "choices" in described:
        return f" ({' | '.join(described['choices'])})"
    signs = (("above", ">"), ("at_least", ">="), ("at_most", "<="))
    bounds = [f"{sign} {described[key]:g}" for key, sign in signs if key in described]
    return f" ({', '.join(bounds)})" if bounds else ""
