"""What ``party start`` says while it runs: what its owner may want to know, not every answer."""

import time

import pytest

from fedguide.cli.output import Output
from fedguide.cli.party import _reporter
from fedguide.runtime.party_process import Happened


def said(capsys, *, verbose, lang="en"):
    report = _reporter(Output("party start", False, lang, time.monotonic()), verbose=verbose)
    report(Happened("decided", "spring", detail="approved by policy"))
    for trip in range(3):
        report(Happened("answered", "spring", trip, "", 1000))
    report(Happened("failed", "spring", 3, "late"))
    report(Happened("ended", "spring"))
    report(Happened("ended", "other"))
    return capsys.readouterr().err.splitlines()


def test_answers_are_summed_up_at_the_end(capsys):
    assert said(capsys, verbose=False) == [
        "decided spring: approved by policy",
        "failed spring trip 3: late",
        "ended spring: 3 answers, 3,000 bytes left",
        "ended other",
    ]


def test_verbose_says_each(capsys):
    lines = said(capsys, verbose=True)
    assert lines[1:4] == [f"answered spring trip {n} 1,000 bytes left" for n in range(3)]


@pytest.mark.parametrize("verbose", [True, False])
def test_in_chinese(capsys, verbose):
    lines = said(capsys, verbose=verbose, lang="zh")
    assert "已结束 spring：共回复 3 次，发出 3,000 字节" in lines
