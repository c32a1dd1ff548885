"""The tree of commands; each imports what it needs when it runs."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

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


def build() -> typer.Typer:
    """The whole tree; the modules of its commands import only typer at their head."""
    from fedguide.cli import (
        ads,
        asking,
        attack,
        audience,
        audit,
        bench,
        configure,
        coordinate,
        dataset,
        demo,
        doctor,
        explain,
        federation,
        fit,
        guide,
        keys,
        matching,
        model,
        party,
        privacy,
        shopper,
        stats,
        train,
        uplift,
        vertical,
        vertical_task,
    )

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
    app.command("demo")(demo.demo)
    app.command("doctor")(doctor.doctor)
    app.command("explain")(explain.explain)
    app.command("fit")(fit.fit)
    app.command("sim")(train.sim)
    app.command("recommend")(guide.recommend)
    app.command("search")(guide.search)
    app.command("ask")(asking.ask)
    app.command("serve")(guide.serve)
    app.command("hub")(federation.hub)
    app.command("join")(party.join)
    app.add_typer(dataset.app, name="data")
    app.add_typer(train.evaluation, name="eval")
    privacy.app.command("attack-test")(attack.attack_test)
    app.add_typer(privacy.app, name="privacy")
    app.add_typer(audit.app, name="audit")
    app.add_typer(bench.app, name="bench")
    audience.app.command("uplift")(uplift.uplift)
    app.add_typer(audience.app, name="audience")
    app.add_typer(ads.app, name="ads")
    app.add_typer(shopper.app, name="shopper")
    app.add_typer(stats.app, name="stats")
    app.add_typer(keys.app, name="keys")
    app.add_typer(model.app, name="model")
    app.command("align")(vertical.align)
    app.command("match")(matching.match)
    app.add_typer(vertical_task.app, name="vertical")
    app.add_typer(federation.app, name="federation")
    app.add_typer(party.app, name="party")
    app.add_typer(coordinate.app, name="train")
    app.add_typer(configure.app, name="config")
    return app


def main(argv: Sequence[str]) -> int:
    """Runs one command line and gives its exit code; every failure is a few plain lines."""
    try:
        code = build()(list(argv), prog_name="fedguide", standalone_mode=False)
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
