"""``python -m fedguide`` is the command ``fedguide``."""

from fedguide.cli.main import run

if __name__ == "__main__":
    run()
