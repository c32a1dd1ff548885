"""The command line as a user meets it: answers, errors in a few lines, exit codes, envelopes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from fedguide import __version__
from fedguide.cli.app import COMMANDS, GROUPS, build, main

HEAVY = ("jax", "duckdb", "faiss", "fastapi", "numpy", "sqlalchemy")


@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["data", "--help"]])
def test_quick_answers_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom fedguide.cli.main import run\n"
        f"sys.argv = ['fedguide', *{arguments!r}]\n"
        "try:\n    run()\nexcept SystemExit as end:\n    assert not end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def described(command: object) -> object:
    """Names, helps and options of a command and of all below it."""
    inner = {name: described(one) for name, one in getattr(command, "commands", {}).items()}
    return command.help, [(one.name, one.opts) for one in command.params], inner


def test_a_part_of_the_tree_is_as_in_the_whole() -> None:
    def parts(only: str) -> dict[str, object]:
        return typer.main.get_command(build(only)).commands

    whole = parts("")
    assert list(whole) == [*COMMANDS, *GROUPS]
    assert list(parts("--help")) == list(parts("nonsense")) == list(whole)
    for name, command in whole.items():
        (part,) = parts(name).items()
        assert part[0] == name
        assert described(part[1]) == described(command)


def test_the_package_is_run_like_the_command() -> None:
    command = [sys.executable, "-m", "fedguide", "data", "check", "absent.csv"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (4, "")
    assert "absent.csv" in done.stderr


@pytest.mark.parametrize(("arguments", "shown"), [([], "demo"), (["privacy"], "budget")])
def test_a_command_to_which_nothing_is_said_shows_its_help(
    arguments: list[str], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 4  # nothing was asked, nothing was done
    said = capsys.readouterr()
    assert said.out.startswith("Usage: fedguide")
    assert f"\n  {shown} " in said.out
    assert said.err == ""


def test_version_says_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"fedguide {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["nonsense"], 4, "nonsense"),
        (["sim", "--shops", "many"], 4, "--shops"),
        (["sim", "--data", "absent.csv", "--shops", "2"], 4, "absent.csv"),
        (["sim", "--encoder", "gru"], 4, "encoder must be one of"),
        (["sim", "--aggregator", "sum"], 4, "aggregator must be one of"),
        (["sim", "--name", "../up"], 4, "--name must be a plain name"),
        (["sim", "--partition", "dirichlet:0"], 4, "above 0"),
        (["eval", "compare", "--run", "absent"], 4, "run 'absent' is not there"),
        (["recommend", "anybody"], 4, "a run is not there"),
        (["serve"], 4, "a run is not there"),
        (["config", "check", "--config", "absent.toml"], 4, "absent.toml"),
        (["doctor", "--lang", "fr"], 4, "--lang must be zh or en"),
        (["data", "import", "x.csv", "--out", "x.db"], 4, "must end in .duckdb"),
    ],
)
def test_an_error_is_a_few_lines_and_an_exit_code(
    arguments: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if "dirichlet:0" in arguments:
        (tmp_path / "o.csv").write_text("user,item,time\na,1,2024-01-01\nb,2,2024-01-02\n", "utf-8")
        arguments = [*arguments, "--data", "o.csv", "--shops", "2"]
    assert main(arguments) == code
    printed = capsys.readouterr()
    assert says in printed.err
    assert len(printed.err.strip().splitlines()) <= 4
    assert "Traceback" not in printed.err + printed.out


def test_an_error_with_json_is_an_envelope(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "check", "absent.csv", "--json"]) == 4
    body = json.loads(capsys.readouterr().out)
    assert body["ok"] is False
    assert body["error"]["code"] == "FG404"


def test_a_defect_is_exit_code_5_and_does_not_quote_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("13800138000")

    monkeypatch.setattr("fedguide.config.load", broken)
    assert main(["config", "show"]) == 5
    printed = capsys.readouterr()
    assert "ValueError" in printed.err
    assert "13800138000" not in printed.err + printed.out


def test_doctor_names_a_taken_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import socket

    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("FEDGUIDE_SET__SERVE__PORT", str(port))
        assert main(["doctor", "--json"]) == 1
    checks = json.loads(capsys.readouterr().out)["data"]["checks"]
    failed = {check["name"]: check["fix"] for check in checks if not check["holds"]}
    assert failed == {f"port 127.0.0.1:{port}": "fedguide serve --port 0"}


def test_config_schema_is_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert "properties" in json.loads(capsys.readouterr().out)


def test_an_unknown_config_key_names_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "f.toml"
    path.write_text("[train]\nround = 3\n", "utf-8")
    assert main(["config", "check", "--config", str(path)]) == 4
    assert "nearest known key: rounds" in capsys.readouterr().err
