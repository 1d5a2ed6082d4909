"""What mkdocs does not do by itself for this site.

- Pages at the root of the repository (README, CONTRIBUTING, CHANGELOG) become pages of the site.
- The reference is made: allocators, commands, public packages.
- Formulas become MathML while the site is built, so that no script and no network shows them.
"""

from __future__ import annotations

import ast
import html
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer.main
from latex2mathml.converter import convert
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ROOT_PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.txt",
    "CITATION.cff": "citation.txt",
}
NOT_PUBLIC = ("cli", "explorer")  # commands, which have a page of their own; the app's parts


def on_config(config: Any) -> None:
    """The reference joins the navigation."""
    section = next(part["Reference"] for part in config.nav if "Reference" in part)
    section += [
        {"Allocators": "reference/allocators.md"},
        {"Commands of cobasim": "reference/commands-cobasim.md"},
        {"Commands of cobatrain": "reference/commands-cobatrain.md"},
    ]
    for package in ("cobasim", "cobatrain"):
        pages = [{room: f"reference/{room}.md"} for room in public_rooms(package)]
        section.append({package: pages})


def on_files(files: Files, config: Any) -> Files:
    """Pages that are not files of ``docs``."""
    for source, target in ROOT_PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, target, content=text))
    made: dict[str, Callable[[], str]] = {
        "allocators": allocators_page,
        "commands-cobasim": lambda: commands_page("cobasim"),
        "commands-cobatrain": lambda: commands_page("cobatrain"),
    }
    for name, page in made.items():
        files.append(File.generated(config, f"reference/{name}.md", content=page()))
    for package in ("cobasim", "cobatrain"):
        for room in public_rooms(package):
            content = room_page(room)
            files.append(File.generated(config, f"reference/{room}.md", content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links between the root of the repository and ``docs`` become links of the site."""
    if page.file.src_uri in ROOT_PAGES.values():
        markdown = re.sub(r"\]\(docs/", "](", markdown)
        for source, target in ROOT_PAGES.items():
            markdown = markdown.replace(f"]({source}", f"]({target}")
        return markdown
    for source, target in ROOT_PAGES.items():
        markdown = re.sub(rf"\]\(((?:\.\./)*)\.\./{source}", rf"](\g<1>{target}", markdown)
    return markdown


def on_page_content(content: str, page: Any, **_: Any) -> str:
    """TeX between the marks of arithmatex becomes MathML."""

    def mathml(found: re.Match[str]) -> str:
        tex = html.unescape(found["tex"])
        display = "block" if found["open"] == "\\[" else "inline"
        made = convert(tex, display=display)
        if "\\" in made:  # what it does not know stays as it is
            raise PluginError(f"{page.file.src_uri}: unknown TeX in the formula {tex!r}")
        return f'<{found["tag"]} class="formula">{made}</{found["tag"]}>'

    marks = r'<(?P<tag>span|div) class="arithmatex">(?P<open>\\[(\[])(?P<tex>.*?)\\[)\]]</(?P=tag)>'
    return re.sub(marks, mathml, content, flags=re.DOTALL)


def public_rooms(package: str) -> list[str]:
    """Import paths of the packages that export names: ``package`` itself and its rooms."""
    found = [package] if exported(ROOT / package / "__init__.py") else []
    for path in sorted((ROOT / package).glob("*/__init__.py")):
        room = f"{package}.{path.parent.name}"
        if path.parent.name in NOT_PUBLIC:
            continue
        if exported(path):
            found.append(room)
        if room == "cobasim.experiments":  # which does not export its parts again
            parts = sorted(path.parent.glob("*/__init__.py"))
            found += [f"{room}.{part.parent.name}" for part in parts if exported(part)]
    return found


def exported(path: Path) -> list[str]:
    """The names in ``__all__`` of a module, sorted; read, not imported."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            names = ast.literal_eval(node.value)
            return sorted(name for name in names if not name.startswith("__"))
    return []


def room_page(room: str) -> str:
    """A page of the reference: what a package says of itself, then its public names."""
    path = ROOT.joinpath(*room.split("."), "__init__.py")
    members = json.dumps(exported(path))
    return f"# {room}\n\n::: {room}\n    options:\n      members: {members}\n"


def allocators_page() -> str:
    """Every allocator with its source, pass-rate rule, needs and parameters."""
    from cobasim.allocation import describe_allocators

    lines = [
        "# Allocators",
        "",
        "What `cobasim allocators` prints, for every registered allocator. Formulas and departures",
        "from the papers, are on [their page](../allocators.md). *Exact*: budgets sum to exactly",
        "the total.",
    ]
    for one in describe_allocators():
        exact = "yes" if one["exact"] else "no"
        lines += ["", f"## `{one['name']}`", "", cell(one["summary"]), ""]
        lines += [f"- Source: {cell(one['source'] or 'this project')}"]
        lines += [f"- Pass-rate rule: `{one['estimator']}`", f"- Exact: {exact}"]
        if one["needs"]:
            lines.append("- Needs: " + ", ".join(f"`{need}`" for need in one["needs"]))
        if one["parameters"]:
            lines += ["", "| parameter | default | allowed | meaning |", "|---|---|---|---|"]
            for parameter in one["parameters"]:
                default = parameter["default"]
                shown = "derived" if default is None else f"`{default}`"
                row = [f"`{parameter['name']}`", shown, allowed(parameter), cell(parameter["doc"])]
                lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + "\n"


def allowed(parameter: dict[str, Any]) -> str:
    """The bounds or the choices of an allocator's parameter."""
    if "choices" in parameter:
        return ", ".join(f"`{choice}`" for choice in parameter["choices"])
    signs = {"above": ">", "at_least": "≥", "below": "<", "at_most": "≤"}
    return ", ".join(f"{sign} {parameter[key]}" for key, sign in signs.items() if key in parameter)


def commands_page(package: str) -> str:
    """Every command of a command line with its arguments and options."""
    module = __import__(f"{package}.cli", fromlist=["app"])
    lines = [f"# Commands of {package}", "", f"What `{package} --help` says, in one page."]
    for name, command in commands(typer.main.get_command(module.app)):
        lines += ["", f"## `{package} {name}`", "", paragraphs(command.help or ""), ""]
        rows = [row for parameter in command.params if (row := parameter_row(parameter))]
        if rows:
            lines += ["| option | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def commands(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Commands of a click group and of its groups, with their whole names."""
    for name, command in group.commands.items():
        if command.hidden:
            continue
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def parameter_row(parameter: Any) -> str:
    """A row of the table of options."""
    if parameter.name == "help" or getattr(parameter, "hidden", False):
        return ""
    if parameter.param_type_name == "argument":
        shown = f"`{parameter.name.upper()}`"
    else:
        shown = ", ".join(f"`{option}`" for option in [*parameter.opts, *parameter.secondary_opts])
    default = getattr(parameter, "show_default", None)
    if not isinstance(default, str):
        default = parameter.default
    hidden = default is None or callable(default) or default in ((), [], False)
    cells = [shown, "" if hidden else f"`{default}`", cell(getattr(parameter, "help", "") or "")]
    return "| " + " | ".join(cells) + " |"


def cell(text: str) -> str:
    """Text as a cell of a table: one line, nothing taken for markup."""
    return re.sub(r"([|<*_\[\]])", r"\\\1", re.sub(r"\s+", " ", text)).strip()


def paragraphs(text: str) -> str:
    """Help as Markdown: typer's mark for kept line breaks becomes a block of text."""
    blocks = []
    for block in re.split(r"\n\s*\n", text.strip()):
        if block.startswith("\b"):
            blocks.append("```text\n" + block.lstrip("\b\n") + "\n```")
        else:
            blocks.append(cell(block))
    return "\n\n".join(blocks)
