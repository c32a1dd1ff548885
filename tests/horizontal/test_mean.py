"""The plain weighted mean, and what it does with updates that are not sound."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.errors import ConfigError, ProtocolError
from fedguide.horizontal.mean import Mean, Terms, Update, weighted_mean
from fedguide.horizontal.messages import Submission, Train
from fedguide.protocol import Ask, Message, QuorumLost, Replies, run
from fedguide.seeds import seeded_root
from fedguide.values import PartyId

TRAIN = Train(4, np.zeros(2, np.float32), figures=("auc",))


def submission(vector: list[float], examples: int, loss: float = 0.0, auc: float = 0.0) -> Message:
    update = Update(4, np.float32(vector), examples, loss, np.float64([auc]))
    return weighted_mean().submit(update, seeded_root(0))[1]


def collect(
    answers: Mapping[str, Message], quorum: int = 1, weighting: str = "num_examples"
) -> Mean:
    named = {PartyId(name): answer for name, answer in answers.items()}
    ask = Ask(dict.fromkeys(named, TRAIN), quorum)
    aggregator = weighted_mean(weighting)  # type: ignore[arg-type]  # any str on purpose
    return run(
        aggregator.collect(ask, Replies(named), Terms(4, 2, 1, seeded_root(0))),
        lambda _ask: Replies({}),
    )


def test_by_hand() -> None:
    answers = {"a": submission([1, 0], 1, 2.0, 0.5), "b": submission([0, 4], 3, 6.0, 0.9)}
    mean = collect(answers)
    np.testing.assert_array_equal(mean.vector, [0.25, 3.0])
    assert (mean.loss, mean.examples, mean.parties) == (5.0, 4, ("a", "b"))
    np.testing.assert_allclose(mean.figures, [0.8])
    uniform = collect(answers, weighting="uniform")
    np.testing.assert_array_equal(uniform.vector, [0.5, 2.0])
    assert (uniform.loss, uniform.examples) == (4.0, 4)
    np.testing.assert_allclose(uniform.figures, [0.7])


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_order_of_arrival_changes_no_bit(order: list[str]) -> None:
    rng = np.random.default_rng(0)
    answers = {
        name: submission(rng.normal(size=2).tolist(), i + 1, float(rng.normal()))
        for i, name in enumerate("abcd")
    }
    one, other = collect(answers), collect({name: answers[name] for name in order})
    assert one.vector.tobytes() == other.vector.tobytes()
    assert one.loss == other.loss


GOOD = Submission(4, np.float32([1, 2]), 3, 1.0, np.float64([0.5]))
BAD = {
    "shapes must be": replace(GOOD, vector=np.float32([1])),
    "and \\(1,\\), got \\(2,\\) and \\(0,\\)": replace(GOOD, figures=np.float64([])),
    "answered round 3": replace(GOOD, round=3),
    "at least 1 and at most 1099511627776, got 0": replace(GOOD, examples=0),
    "at most 1099511627776, got 9223372036854775807": replace(GOOD, examples=2**63 - 1),
    "vector is not finite": replace(GOOD, vector=np.float32([1, np.nan])),
    "loss or vector is not finite": replace(GOOD, loss=float("inf")),
    "figure is not finite": replace(GOOD, figures=np.float64([np.nan])),
    "sent a Train": TRAIN,
}


@pytest.mark.parametrize("reason", BAD)
def test_an_unsound_update_is_missing_not_everybodys_model(reason: str) -> None:
    mean = collect({"a": GOOD, "b": BAD[reason]})
    np.testing.assert_array_equal(mean.vector, GOOD.vector)
    assert [(m.party, m.reason) for m in mean.missing] == [("b", "faulty")]
    with pytest.raises(QuorumLost, match="1 of 2 parties answered") as lost:
        collect({"a": GOOD, "b": BAD[reason]}, quorum=2)
    (missing,) = lost.value.replies.missing
    assert missing.party == "b"
    assert re.search(reason, missing.detail)


def test_an_unknown_weighting_is_refused() -> None:
    with pytest.raises(ConfigError, match="num_examples or uniform, got 'examples'"):
        weighted_mean("examples")  # type: ignore[arg-type]  # wrong on purpose


def test_there_is_no_second_trip() -> None:
    with pytest.raises(ProtocolError, match="no step for Train"):
        weighted_mean().answer(None, TRAIN, seeded_root(0))
