"""Reads tables where they lie: CSV, JSON lines and Parquet, through DuckDB.

Only the columns asked for are read, every one as text, so that one set of rules parses them all.
What DuckDB says about a broken row quotes it; since a row may hold personal data, its words are
never passed on: an error names the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.errors import DataError, NotFoundError

CSV_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".item", ".inter", ".user")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json")
PARQUET_SUFFIXES = (".parquet", ".pq")

DELIMITERS = (",", "\t", ";", "|")
UNQUOTED = (".item", ".inter", ".user", ".data")
MOST_HEAD_BYTES = 1 << 16

INTEGERS = r"^(-?[0-9]+)\.0$"


@contextmanager
def engine(path: Path | None = None) -> Iterator[Any]:
    """A DuckDB connection in memory (or on ``path``), in UTC, closed at the end.

    Raises:
        DataError: DuckDB could not do what it was asked to.
    """
    import duckdb

    connection = duckdb.connect(str(path) if path else ":memory:")
    try:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET enable_progress_bar = false")
        yield connection
    finally:
        connection.close()


def suffix(path: Path) -> str:
    """The ending that says what a file is, without a trailing ``.gz``."""
    parts = [part.lower() for part in path.suffixes]
    if parts and parts[-1] == ".gz":
        parts.pop()
    return parts[-1] if parts else ""


def scan(
    connection: Any,
    path: Path,
    names: Sequence[str] = (),
    kind: str = "",
    encoding: str = "utf-8",
) -> Any:
    """The table at ``path`` as a DuckDB relation; nothing is read yet but its head.

    Args:
        connection: from ``engine``.
        path: a CSV, JSON lines or Parquet file, perhaps compressed with gzip.
        names: of the columns, for a CSV file without a header.
        kind: ``csv``, ``jsonl`` or ``parquet``; else the file's ending says it.
        encoding: of a CSV file; another than UTF-8 only for small files without a header.

    Raises:
        NotFoundError: no such file.
        DataError: not a file of a known kind, or not readable as one.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}", hint=f"ls {path.parent}")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is empty")
    kind = kind or _kind(path)
    with readable(path):
        if kind == "parquet":
            return connection.read_parquet(str(path))
        if kind == "jsonl":
            lines = suffix(path) != ".json"
            return connection.read_json(str(path), format="newline_delimited" if lines else "auto")
        if encoding != "utf-8":
            return _decoded(connection, path, names, encoding)
        return connection.read_csv(str(path), **_dialect(path, names))


def load(relation: Any, found: Mapping[str, str], wanted: Sequence[str], table: str) -> None:
    """Copies the columns ``found`` (ours to theirs) as text into a new ``table``.

    Those of ``wanted`` that were not found are there too, all NULL; the row's number in the file
    is DuckDB's ``rowid``. Numbers without a fraction lose their ``.0``.
    """
    types = dict(zip(relation.columns, (str(t) for t in relation.types), strict=True))
    parts = [
        f"{_as_text(found[ours], types[found[ours]])} AS {quoted(ours)}"
        if ours in found
        else f"NULL::VARCHAR AS {quoted(ours)}"
        for ours in wanted
    ]
    relation.project(", ".join(parts)).create(table)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns whatever DuckDB says about a file into a ``DataError`` that quotes no row."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        raise DataError(_explain(path, str(error)), hint=_advice(str(error), path)) from None


def quoted(name: str) -> str:
    """A column's name as SQL takes it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def column(table: Mapping[str, Any], name: str, absent: Any, dtype: Any) -> NDArray[Any]:
    """One column of ``fetchnumpy()`` with ``absent`` where it is NULL."""
    values = table[name]
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled(absent)
    return np.asarray(values).astype(dtype)


def texts(table: Mapping[str, Any], name: str) -> tuple[str, ...]:
    """One text column of ``fetchnumpy()`` with ``""`` where it is NULL."""
    values = table[name]
    if isinstance(values, np.ma.MaskedArray):
        values = values.filled("")
    return tuple(values.tolist())


def _kind(path: Path) -> str:
    end = suffix(path)
    for kind, ends in (
        ("csv", CSV_SUFFIXES),
        ("jsonl", JSON_SUFFIXES),
        ("parquet", PARQUET_SUFFIXES),
    ):
        if end in ends:
            return kind
    known = ", ".join((*CSV_SUFFIXES, *JSON_SUFFIXES, *PARQUET_SUFFIXES))
    raise DataError(
        f"{path} ends in {end or 'nothing'}; known are {known}",
        hint="export the table as CSV (UTF-8) or Parquet, or pass --format csv",
    )


def _dialect(path: Path, names: Sequence[str]) -> dict[str, Any]:
    """How to read a CSV file; DuckDB is left nothing to guess, it guesses wrong on broken rows.

    RecBole's and MovieLens' files know no quotes, others may.
    """
    head = _first_line(path)
    quote = "" if suffix(path) in UNQUOTED else '"'
    delimiter = max(DELIMITERS, key=re.sub(r'"[^"]*"', "", head).count)
    columns = list(names) or _header(path, head, delimiter, quote)
    return {
        "auto_detect": False,
        "columns": dict.fromkeys(columns, "VARCHAR"),
        "header": not names,
        "delimiter": delimiter,
        "quotechar": quote,
        "escapechar": quote,
    }


def _first_line(path: Path) -> str:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as file:
        return file.readline(MOST_HEAD_BYTES).decode("utf-8-sig", "replace").rstrip("\r\n")


def _header(path: Path, line: str, delimiter: str, quote: str) -> list[str]:
    if quote:
        names = next(csv.reader([line.split("\r", maxsplit=1)[0]], delimiter=delimiter), [])
    else:
        names = line.split(delimiter)
    names = [name.strip() or f"column{place}" for place, name in enumerate(names, 1)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: two columns are named {', '.join(twice)}", hint="rename one of them"
        )
    return names


def _decoded(connection: Any, path: Path, names: Sequence[str], encoding: str) -> Any:
    """A small table of another encoding than UTF-8, which DuckDB does not read."""
    with path.open(encoding=encoding, newline="") as file:
        delimiter = max(DELIMITERS, key=_first_line(path).count)
        rows = [line.rstrip("\r\n").split(delimiter) for line in file if line.strip()]
    uneven = next((n for n, row in enumerate(rows, 1) if len(row) != len(names)), None)
    if uneven is not None:
        found = len(rows[uneven - 1])
        raise DataError(f"{path}, line {uneven}: expected {len(names)} columns, found {found}")
    table = {}
    for place, name in enumerate(names):
        table[name] = np.empty(len(rows), object)
        table[name][:] = [row[place] for row in rows]
    connection.register("decoded", table)
    return connection.table("decoded")


def _as_text(theirs: str, kind: str) -> str:
    name = quoted(theirs)
    if kind.endswith("[]"):
        return f"array_to_string({name}, '/')"
    return f"regexp_replace({name}::VARCHAR, '{INTEGERS}', '\\1')"


def _explain(path: Path, message: str) -> str:
    line = re.search(r"[Ll]ine:? (\d+)", message)
    where = f"{path}, line {line.group(1)}" if line else str(path)
    expected = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if "not utf-8" in message:
        return f"{where}: text is not UTF-8"
    if expected:
        return f"{where}: expected {expected.group(1)} columns, found {expected.group(2)}"
    if "Out of Memory" in message or "IO Error" in message:
        return f"{where}: could not be read ({message.split(':', maxsplit=1)[0]})"
    return f"{where}: not readable as {suffix(path).lstrip('.') or 'a table'}"


def _advice(message: str, path: Path) -> str:
    if "not utf-8" in message:
        return f"iconv -f GB18030 -t UTF-8 {path.name} > utf8-{path.name} (or -f LATIN1)"
    if "state machine" in message:
        return "are all line ends the same? dos2unix mends them"
    if "Number of Columns" in message or "quote" in message:
        return "put texts that hold the separator or a line end in double quotes"
    return "is it the right file and --format?"
