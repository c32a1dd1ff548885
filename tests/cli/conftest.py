"""One small real run that all command tests share: made through the command line itself."""

from pathlib import Path

import pytest

from fedguide.cli.app import main


@pytest.fixture(scope="session")
def config_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Settings whose home is a temporary folder and whose training is short."""
    folder = tmp_path_factory.mktemp("cli")
    path = folder / "fedguide.toml"
    path.write_text(f"home = '{folder / 'home'}'\n[train]\nrounds = 2\npatience = 1\n", "utf-8")
    return path


@pytest.fixture(scope="session")
def market_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small synthetic market, written by ``data synth``."""
    folder = tmp_path_factory.mktemp("market") / "market"
    sizes = ["--shops", "2", "--shoppers", "40", "--items", "30", "--days", "100"]
    assert main(["data", "synth", "--out", str(folder), *sizes]) == 0
    return folder


@pytest.fixture(scope="session")
def trained(config_file: Path, market_folder: Path) -> Path:
    """A finished ``sim`` named ``first``; gives the config file that leads to it."""
    command = ["sim", "--data", str(market_folder), "--config", str(config_file), "--name", "first"]
    assert main(command) == 0
    return config_file
