"""The party's half: policy, order, kept state, seeds of its own."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from fedguide.codec import Limits, decode, encode
from fedguide.errors import DataError, ProtocolError, RefusedError
from fedguide.horizontal.mean import weighted_mean
from fedguide.horizontal.messages import Grade, Submission, Train
from fedguide.horizontal.names import WIRE
from fedguide.horizontal.party import PartyEnv, PartyState, answer
from fedguide.protocol import Message
from fedguide.seeds import seeded_roots
from fedguide.values import Vector
from tests.horizontal.linear import Fitted, Graded

START = np.float32([1, 2])


def environment(seeds: list[int] | None = None, **changes: object) -> PartyEnv:
    def fit(params: Vector, state: Vector | None, seed: int) -> Fitted:
        if seeds is not None:
            seeds.append(seed)
        moments = np.zeros(1, np.float32) if state is None else state
        return Fitted(params + 1 + moments, moments + 1, 5, 0.25)

    env = PartyEnv(
        task="t",
        roots=seeded_roots(0),
        aggregator=weighted_mean(),
        examples=5,
        fit=fit,
        gradient=lambda params: Graded(-params, 5, 0.5),
        figures=lambda params: {"auc": 0.75, "sum": float(params.sum())},
    )
    return replace(env, **changes)  # type: ignore[arg-type]  # the test's own field names


def submitted(env: PartyEnv, state: PartyState, message: Message) -> tuple[PartyState, Submission]:
    state, reply = answer(env, state, message)
    assert isinstance(reply, Submission)
    return state, reply


def test_training_hands_in_the_change_and_the_figures_asked_for() -> None:
    state, reply = submitted(environment(), PartyState(), Train(3, START, figures=("sum", "auc")))
    np.testing.assert_array_equal(reply.vector, [1, 1])
    np.testing.assert_array_equal(reply.figures, [3.0, 0.75])
    assert (reply.round, reply.examples, reply.loss) == (3, 5, 0.25)
    assert state == PartyState(round=3)


def test_grading_hands_in_the_gradient() -> None:
    state, reply = submitted(environment(), PartyState(), Grade(0, START))
    np.testing.assert_array_equal(reply.vector, [-1, -2])
    assert (reply.loss, reply.figures.shape, state.round) == (0.5, (0,), 0)


def test_moments_are_kept_through_bytes_and_only_if_asked() -> None:
    env, limits = environment(), Limits(max_bytes=1 << 16)
    state, _ = submitted(env, PartyState(), Train(0, START, keep_moments=True))
    state = decode(encode(state), WIRE, limits)
    state, reply = submitted(env, state, Train(1, START, keep_moments=True))
    np.testing.assert_array_equal(reply.vector, [2, 2])  # began with moments 1
    state, reply = submitted(env, state, Train(2, START))
    np.testing.assert_array_equal(reply.vector, [1, 1])
    assert state.moments is None


def test_seeds_differ_by_round_and_task_and_repeat() -> None:
    seeds: list[int] = []
    env = environment(seeds)
    for round_number in (0, 1, 1):
        answer(env, PartyState(), Train(round_number, START))
    answer(replace(env, task="other"), PartyState(), Train(0, START))
    assert seeds[1] == seeds[2]
    assert len(set(seeds)) == 3
    assert all(0 <= seed < 1 << 31 for seed in seeds)


@dataclass(frozen=True)
class Stranger(Message):
    """A message no horizontal algorithm knows."""


@pytest.mark.parametrize("kind", [Train, Grade])
def test_a_round_gone_by_is_refused_and_the_last_may_come_again(kind: type) -> None:
    state, _ = answer(environment(), PartyState(), kind(4, START))
    answer(environment(), state, kind(4, START))
    with pytest.raises(ProtocolError, match="round 3 is over, the last was 4"):
        answer(environment(), state, kind(3, START))


def test_an_unknown_step_is_refused() -> None:
    with pytest.raises(ProtocolError, match="no step for Stranger"):
        answer(environment(), PartyState(), Stranger())


@pytest.mark.parametrize(
    ("changes", "message", "text"),
    [
        ({"least_examples": 6}, Train(0, START), "at least 6 examples to take part, there are 5"),
        ({"least_examples": 6}, Grade(0, START), "at least 6 examples"),
        ({"fit": None}, Train(0, START), "does not train"),
        ({"gradient": None}, Grade(0, START), "no gradients"),
        ({}, Train(0, START, figures=("auc", "f1")), r"\['f1'\] are not handed in, only"),
        ({"figures": None}, Train(0, START, figures=("auc",)), r"\['auc'\] are not handed in"),
    ],
)
def test_policy_refuses(changes: dict[str, object], message: Message, text: str) -> None:
    with pytest.raises(RefusedError, match=text):
        answer(environment(**changes), PartyState(), message)


def test_a_refusing_party_has_not_trained() -> None:
    seeds: list[int] = []
    with pytest.raises(RefusedError):
        answer(environment(seeds, least_examples=6), PartyState(), Train(0, START))
    assert not seeds


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"fit": lambda p, _m, _s: Fitted(p, p, 5, float("nan"))}, "local loss is nan"),
        ({"fit": lambda p, _m, _s: Fitted(p * np.inf, p, 5, 0.0)}, "parameters that are not"),
        ({"figures": lambda _p: {"auc": float("nan")}}, r"figures \('auc',\) are not all finite"),
    ],
)
def test_what_is_not_finite_does_not_leave(changes: dict[str, object], text: str) -> None:
    with pytest.raises(DataError, match=text):
        answer(environment(**changes), PartyState(), Train(0, START, figures=("auc",)))
