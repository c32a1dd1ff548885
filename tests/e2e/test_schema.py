"""The API keeps its own description: schemathesis asks every operation of a real server.

Examples, edges and generated requests, valid and not; each answer must be as described, and no
request may end in a defect. Bounded: a few examples an operation, a minute in all.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Running

pytestmark = pytest.mark.e2e

# What belongs to each role; what needs none is asked with the shop's key as well.
ASKED = {
    "shop": ["--exclude-path-regex", "/(parties|runs|privacy/|audit|models)"],
    "operator": ["--include-path-regex", "/api/v1/(parties|runs|privacy/|audit|models)"],
}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "unsupported_method",
    "ignored_auth",
)


@pytest.mark.parametrize("role", sorted(ASKED))
def test_every_operation_keeps_its_description(running: Running, role: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "run"]
    done = subprocess.run(
        [
            *command,
            f"{running.address}/api/v1/openapi.json",
            *ASKED[role],
            # A run that goes on is streamed until it ends: not a thing to ask at random.
            "--exclude-operation-id",
            "run_stream",
            "--header",
            f"Authorization: Bearer {running.keys[role]}",
            "--checks",
            ",".join(CHECKS),
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "4",
            "--seed",
            "7",
            "--request-timeout",
            "60",
            "--no-color",
        ],
        cwd=tmp_path,  # it keeps what failed beside where it runs
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
