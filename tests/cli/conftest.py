"""One small real run that all command tests share: made through the command line itself."""

from pathlib import Path

import pytest

from fedguide.cli.app import main


def _settings(folder: Path) -> Path:
    """Settings whose home is in the folder and whose training is short."""
    path = folder / "fedguide.toml"
    path.write_text(f"home = '{folder / 'home'}'\n[train]\nrounds = 2\npatience = 1\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings whose home is a temporary folder that several tests may run into."""
    return _settings(tmp_path_factory.mktemp("cli"))


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic market, written by ``data synth``."""
    folder = tmp_path_factory.mktemp("market") / "market"
    sizes = ["--shops", "2", "--shoppers", "40", "--items", "30", "--days", "100"]
    assert main(["data", "synth", "--out", str(folder), *sizes]) == 0
    return folder


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, market_folder: Path) -> Path:
    """A finished ``sim`` named ``first``, the only one in its home; the config that leads to it."""
    path = _settings(tmp_path_factory.mktemp("trained"))
    command = ["sim", "--data", str(market_folder), "--config", str(path), "--name", "first"]
    assert main(command) == 0
    return path
