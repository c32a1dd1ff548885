"""The main job with real processes: a market is written, imported, trained, served, asked."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

FEDGUIDE = str(Path(sys.executable).parent / "fedguide")


def _fedguide(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [FEDGUIDE, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=400
    )


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a user has synthesised, trained and compared, in processes of their own."""
    folder = tmp_path_factory.mktemp("user")
    small = ["--shops", "2", "--shoppers", "40", "--items", "30", "--days", "100"]
    made = _fedguide(folder, "data", "synth", "--out", "market", *small)
    assert made.returncode == 0, made.stderr
    trained = _fedguide(folder, "sim", "--data", "market", "--rounds", "2", "--json")
    assert trained.returncode == 0, trained.stderr
    body = json.loads(trained.stdout)
    assert body["ok"]
    assert {row["model"] for row in body["data"]["rows"]} >= {"alone", "together", "pooled"}
    return folder


@pytest.fixture(scope="module")
def address(shop_folder: Path) -> Iterator[str]:
    """The address printed by a real ``fedguide serve``, stopped by Ctrl-C afterwards."""
    server = subprocess.Popen(
        [FEDGUIDE, "serve", "--port", "0"],
        cwd=shop_folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert server.stdout is not None
    found = None
    for line in server.stdout:
        found = found or re.search(r"http://127\.0\.0\.1:\d+", line)
        if "Ctrl-C" in line:
            break
    assert found is not None
    yield found.group()
    server.send_signal(signal.SIGINT)
    _, errors = server.communicate(timeout=30)
    assert "Traceback" not in errors
    assert server.returncode in (0, 130)


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_served_guide_answers_with_reasons(address: str) -> None:
    status, text = _get(f"{address}/api/v1/recommend?user=shop1-u03&k=5&slate=both")
    body = json.loads(text)
    assert status == 200
    assert body["source"] == "personal"
    assert any(item["because"] for item in body["items"])


def test_the_served_page_is_the_shops_own(address: str) -> None:
    status, page = _get(f"{address}/?shop=shop1&user=shop1-u03")
    assert status == 200
    assert "<html" in page


def test_what_the_command_line_recommends_is_what_the_server_recommends(
    shop_folder: Path, address: str
) -> None:
    printed = _fedguide(
        shop_folder, "recommend", "shop1-u03", "--shop", "shop1", "-k", "5", "--json"
    )
    assert printed.returncode == 0, printed.stderr
    here = [item["item_id"] for item in json.loads(printed.stdout)["data"]["items"]]
    _, text = _get(f"{address}/api/v1/recommend?shop=shop1&user=shop1-u03&k=5&slate=both")
    assert here == [item["item_id"] for item in json.loads(text)["items"]]


def test_a_bad_question_is_a_problem_document(address: str) -> None:
    status, text = _get(f"{address}/api/v1/recommend")
    assert status in (400, 422)
    assert json.loads(text)["hint"]
