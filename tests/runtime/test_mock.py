"""A mock run carries a proposal out on made-up rows, with whatever the proposal says."""

import time
from dataclasses import replace

import pytest

from fedguide.errors import ConfigError, RunError
from fedguide.runtime.mock import mock_run

from .hub_world import proposal_of
from .test_noised_task import GUIDE, NAMES, NOISING, SIZE, noised


def test_a_masked_noised_task_is_tried_through_the_bytes_that_would_cross():
    mocked = mock_run(noised("tried"), time.monotonic)
    assert (mocked.parties, len(mocked.rounds)) == (3, 2)
    # A vector of masked words, and what masking needs beside it.
    assert 4 * NOISING.size < mocked.bytes_up < 4 * NOISING.size + 20_000
    assert all(report.parties == NAMES for report in mocked.rounds)


def test_a_plain_task_is_tried_too():
    plain = proposal_of("plain", SIZE, guide=GUIDE, rounds=1)
    mocked = mock_run(plain, time.monotonic)
    assert len(mocked.rounds) == 1
    assert mocked.bytes_up > 4 * SIZE


def test_what_would_not_run_does_not_run_here_either():
    wrong = proposal_of("wrong", SIZE + 1, guide=GUIDE)
    with pytest.raises(ConfigError, match="its network has"):
        mock_run(wrong, time.monotonic)
    slow = proposal_of("slow", SIZE, guide=GUIDE, deadline_s=1e-9)
    with pytest.raises(RunError, match="late"):
        mock_run(slow, time.monotonic)


def test_a_mock_of_very_many_is_refused():
    many = tuple(f"shop-{number:03d}" for number in range(17))
    with pytest.raises(ConfigError, match="at most 16"):
        mock_run(replace(proposal_of("many", SIZE, many), guide=GUIDE), time.monotonic)
