"""Rows of JSON: lines, lists, objects of columns or rows, tables of Weights & Biases."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Any

from cobasim.data.objects import parse
from cobasim.data.rows import UNNAMED, BadRow, Row, refuse_repeats, text_of, top_names
from cobasim.errors import InputError


def read_jsonl(lines: Iterable[bytes], _: Sequence[str] = ()) -> Iterator[Row]:
    """JSON lines: one object a line. Empty lines are passed over, but not between plain values."""
    empty: list[Row] = []  # lines since the last plain value, rows if another one follows
    plain = False
    for number, line in enumerate(lines, 1):
        where = f"line {number}"
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line.strip():
            if plain:
                empty.append((where, {UNNAMED: None}))
            continue
        try:
            row = parse(line.decode("utf-8", "surrogatepass"))
        except InputError as error:
            yield where, BadRow(str(error))
            continue
        except (ValueError, RecursionError) as error:  # also bytes that are not UTF-8
            yield where, BadRow(f"not JSON ({error})")
            continue
        plain = not isinstance(row, dict | list)
        if empty:
            if plain:
                yield from empty
            empty.clear()
        yield where, row if isinstance(row, dict) else {UNNAMED: row}


def read_json(file: IO[bytes], columns: Sequence[str] = ()) -> Iterator[Row]:
    """A JSON list, or an object that holds one list; JSON lines are read too."""
    data = file.read()
    content = parse_json(data)
    if content is None or (isinstance(content, dict) and _first_line_is_whole(data)):
        yield from read_jsonl(io.BytesIO(data), columns)
        return
    yield from rows_of_json(content, columns)


def _first_line_is_whole(data: bytes) -> bool:
    """Whether there are several lines of which the first is an object by itself."""
    first, _, rest = data.strip().partition(b"\n")
    if not rest:
        return False
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def parse_json(data: bytes) -> Any:
    """The content of a JSON file; None for JSON lines. Raises InputError, with the line."""
    try:
        return parse(text_of(data))
    except InputError:
        raise
    except RecursionError:
        raise InputError("this is not JSON that can be read: it is nested too deeply") from None
    except json.JSONDecodeError as error:
        if _first_line_is_whole(data):
            return None
        raise InputError(f"malformed JSON at line {error.lineno}: {error.msg}") from None
    except ValueError as error:  # such as a number of too many digits
        raise InputError(f"malformed JSON: {error}") from None


def rows_of_json(content: Any, columns: Sequence[str] = ()) -> Iterator[Row]:
    """The rows of parsed JSON: a list; an object that holds one list of objects; a table; columns.

    A table, as Weights & Biases stores it, is an object of ``columns`` (names) and ``data`` (rows).
    Columns are an object of lists; what else it holds is passed over. An object without lists is
    one row. Lists of values that are needed win over rows that stand beside them.

    Raises InputError if something needed stands twice, is one value beside lists, or stands beside
    rows that lack it.
    """
    if isinstance(content, dict):
        table = _table_of(content)
        if table is not None:
            refuse_repeats(table[0], columns)
            yield from _rows_of_table(*table)
            return
        content = _rows_of_object(content, top_names(columns))
    if not isinstance(content, list):
        raise InputError(f"expected a JSON list, got {type(content).__name__}")
    for number, row in enumerate(content, 1):
        yield f"row {number}", row if isinstance(row, dict) else {UNNAMED: row}


def _rows_of_object(content: dict[str, Any], needed: set[str]) -> list[Any]:
    """The rows of an object that is no table. Raises InputError if they are in doubt."""
    lists = {name: value for name, value in content.items() if isinstance(value, list)}
    if not lists:
        return [content]
    rows = {name: value for name, value in lists.items() if value and isinstance(value[0], dict)}
    columns = {
        name: value for name, value in lists.items() if name not in rows and name.lower() in needed
    }
    numbers = [
        name
        for name, value in content.items()
        if isinstance(value, int | float) and name.lower() in needed
    ]
    if not rows and not columns and numbers:
        return [content]
    if len(rows) == 1:
        name, values = next(iter(rows.items()))
        inside = {str(key).lower() for key in values[0]}
        if inside.isdisjoint(column.lower() for column in columns):
            if not inside.isdisjoint(needed):
                beside = [key for key in (*columns, *numbers) if key.lower() not in inside]
                if beside:
                    raise InputError(
                        f"{beside[0]!r} stands beside the rows of {name!r}: put it into them"
                    )
                return values
            if not columns:
                return values
    if columns and numbers:
        raise InputError(
            f"{numbers[0]!r} is one value, but {next(iter(columns))!r} is a list: make it a list"
        )
    return _transposed(columns or lists)


def _table_of(content: dict[str, Any]) -> tuple[list[str], list[list[Any]]] | None:
    """Names of columns and rows of cells; None: this is no table."""
    names, data = content.get("columns"), content.get("data")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    if not isinstance(data, list) or not all(isinstance(cells, list) for cells in data):
        return None
    return names, data


def _transposed(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    """Rows of columns. Raises InputError if these differ in length."""
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        shown = ", ".join(f"{name} {length}" for name, length in list(lengths.items())[:5])
        raise InputError(f"the lists differ in length ({shown})")
    return [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]


def _rows_of_table(names: list[str], data: list[list[Any]]) -> Iterator[Row]:
    for number, cells in enumerate(data, 1):
        where = f"row {number}"
        if len(cells) == len(names):
            yield where, dict(zip(names, cells, strict=True))
        else:
            yield where, BadRow(f"{len(cells)} values, but the table has {len(names)} columns")
