"""Entry point of ``fedguide``: the quick answers here, everything else in ``app``."""

from __future__ import annotations

import sys

from fedguide import __version__


def run() -> None:
    """Runs the command line and exits with its code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        sys.stdout.write(f"fedguide {__version__}\n")
        return
    from fedguide.cli.app import main

    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
