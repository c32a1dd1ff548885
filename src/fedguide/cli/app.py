"""The tree of commands; each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from fedguide import __version__
from fedguide.cli.output import show_error
from fedguide.errors import ConfigError, FedGuideError

EXIT_BAD_INPUT = 4
EXIT_DEFECT = 5
EXIT_INTERRUPTED = 130


def _version(wanted: bool) -> None:
    """Answers ``--version`` before anything else is looked at."""
    if wanted:
        sys.stdout.write(f"fedguide {__version__}\n")
        raise typer.Exit


def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", help="Print the version.", is_eager=True, callback=_version
        ),
    ] = False,
) -> None:
    """Options before any command."""
    del version  # answered by its callback


COMMANDS = {
    "demo": "demo:demo",
    "doctor": "doctor:doctor",
    "explain": "explain:explain",
    "fit": "fit:fit",
    "sim": "train:sim",
    "recommend": "guide:recommend",
    "search": "guide:search",
    "ask": "asking:ask",
    "serve": "guide:serve",
    "hub": "federation:hub",
    "join": "party:join",
    "align": "vertical:align",
    "match": "matching:match",
}
"""The commands without a group: the function of each, by module and name; in the help's order."""

GROUPS = {
    "data": "dataset:app",
    "eval": "train:evaluation",
    "privacy": "attack:app",
    "audit": "audit:app",
    "bench": "bench:app",
    "audience": "uplift:app",
    "ads": "ads:app",
    "shopper": "shopper:app",
    "stats": "stats:app",
    "keys": "keys:app",
    "model": "model:app",
    "vertical": "vertical_task:app",
    "federation": "federation:app",
    "party": "party:app",
    "train": "coordinate:app",
    "config": "configure:app",
}
"""The groups; where two modules share one, the module that adds to the other's."""


def build(only: str = "") -> typer.Typer:
    """The tree of commands; where ``only`` is the first word of one, no more than that.

    The whole tree is ninety commands, whose options take longer to read than many take to run.
    """
    app = typer.Typer(
        name="fedguide",
        help="A shopping guide that shops train together without sharing their customers' data.\n\n"
        "多家商店共同训练、互不共享顾客数据的 AI 导购。",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        callback=root,
    )
    everything = only not in COMMANDS and only not in GROUPS
    for name, place in COMMANDS.items():
        if everything or name == only:
            app.command(name)(_at(place))
    for name, place in GROUPS.items():
        if everything or name == only:
            app.add_typer(_at(place), name=name)
    return app


def _at(place: str) -> Any:
    """What the module of a command holds; it imports only typer at its head."""
    module, _, name = place.partition(":")
    return getattr(import_module(f"fedguide.cli.{module}"), name)


def main(argv: Sequence[str]) -> int:
    """Runs one command line and gives its exit code; every failure is a few plain lines."""
    try:
        command = build(argv[0] if argv else "")
        code = command(list(argv), prog_name="fedguide", standalone_mode=False)
    except FedGuideError as error:
        show_error(error, argv)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader went away (`| head`): not an error; keep the interpreter from saying so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001 - the one place where a defect becomes an exit code
        return _unexpected(error, argv)
    return code if isinstance(code, int) else 0


def _unexpected(error: Exception, argv: Sequence[str]) -> int:
    """Wrong usage (typer's own errors, of any of its versions) or a defect of ours."""
    explain = getattr(error, "format_message", None)
    if type(error).__name__ == "NoArgsIsHelpError" and callable(explain):
        # Nothing was asked and nothing done: the help is the answer, and no error.
        sys.stdout.write(f"{explain()}\n")
        return EXIT_BAD_INPUT
    if callable(explain):
        context = getattr(error, "ctx", None)
        hint = f"{context.command_path} --help" if context is not None else "fedguide --help"
        show_error(ConfigError(str(explain()), hint=hint), argv)
        return EXIT_BAD_INPUT
    if os.environ.get("FEDGUIDE_DEBUG"):
        traceback.print_exception(error)
    show_error(
        FedGuideError(
            f"a defect of fedguide: {type(error).__name__} "
            f"(its text is withheld, it may hold data)",
            hint="run again with FEDGUIDE_DEBUG=1 and report what it prints",
        ),
        argv,
    )
    return EXIT_DEFECT
