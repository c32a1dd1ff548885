"""What a command prints: data to stdout, prose to stderr, one JSON envelope with ``--json``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.errors import ConfigError, FedGuideError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object instead of text / 输出 JSON")
]
LangOption = Annotated[
    str | None,
    typer.Option("--lang", help="Language of the prose: zh or en / 语言", metavar="zh|en"),
]


@dataclass(frozen=True)
class Output:
    """Where one command reports to; made by ``begin``."""

    command: str
    as_json: bool
    lang: str
    started: float

    def pick(self, en: str, zh: str) -> str:
        """The text in the language asked for."""
        return zh if self.lang == "zh" else en

    def note(self, en: str, zh: str) -> None:
        """One line of prose on stderr; quiet with ``--json``."""
        if not self.as_json:
            console(stderr=True).print(self.pick(en, zh), highlight=False, markup=False)

    def finish(self, data: dict[str, Any], *shown: Any) -> None:
        """The result: ``data`` with ``--json``, else the texts and tables ``shown``."""
        if self.as_json:
            envelope = {
                "ok": True,
                "command": self.command,
                "data": data,
                "seconds": round(time.monotonic() - self.started, 3),
            }
            sys.stdout.write(json.dumps(envelope, ensure_ascii=False, allow_nan=False) + "\n")
            sys.stdout.flush()
            return
        out = console()
        for part in shown:
            out.print(part, highlight=False, markup=False)


def begin(command: str, *, as_json: bool, lang: str | None, fallback: str = "en") -> Output:
    """Starts the report of one command.

    Raises:
        ConfigError: ``lang`` is neither ``zh`` nor ``en``.
    """
    if lang not in (None, "zh", "en"):
        raise ConfigError(f"--lang must be zh or en, got {lang!r}")
    return Output(command, as_json, lang or fallback, time.monotonic())


def console(*, stderr: bool = False) -> Console:
    """A rich console; wide enough when piped that no table loses a column."""
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else 120
    return Console(file=stream, width=width, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Any:
    """A table whose first column is text and whose others are figures."""
    from rich import box
    from rich.table import Table

    made = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for index, column in enumerate(columns):
        made.add_column(column, justify="left" if index == 0 else "right", no_wrap=True)
    for row in rows:
        made.add_row(*row)
    return made


def progress() -> Progress:
    """A progress bar on stderr; silent where stderr is no terminal."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} {task.fields[note]}"),
        TimeElapsedColumn(),
        console=console(stderr=True),
        disable=not sys.stderr.isatty(),
        transient=True,
    )


def show_error(error: FedGuideError, argv: Sequence[str]) -> None:
    """An error in at most four lines, or as the envelope with ``--json``."""
    if "--json" in argv:
        body = {"code": error.code, "message": str(error), "hint": error.hint}
        sys.stdout.write(json.dumps({"ok": False, "error": body}, ensure_ascii=False) + "\n")
        return
    lines = [f"error: {error}"]
    if error.hint:
        lines.append(f"try:   {error.hint}")
    lines.append(f"code:  {error.code}")
    sys.stderr.write("\n".join(lines) + "\n")
