"""Whatever another member sends, a named refusal is the worst that comes of it.

``FEDGUIDE_FUZZ=100000 pytest tests/runtime/test_hub_fuzz.py`` tries so many examples of each.
"""

import contextlib
import os

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fedguide.codec import Limits, decode, encode
from fedguide.errors import MalformedError, PayloadError, ProtocolError
from fedguide.horizontal.messages import Train
from fedguide.horizontal.party import PartyState
from fedguide.horizontal.thin import Step, thin_answer
from fedguide.horizontal.thrift import Packed, Squeezed, spread
from fedguide.protocol import Message
from fedguide.runtime import hub_wire
from fedguide.runtime.proposal import ALLOWED, proposal_bytes, read_proposal
from tests.runtime.hub_world import proposal_of

EXAMPLES = int(os.environ.get("FEDGUIDE_FUZZ", "60"))
often = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.too_slow])
BODIES = [kind for kind in vars(hub_wire).values()
          if isinstance(kind, type) and issubclass(kind, hub_wire.Struct)
          and kind is not hub_wire.Struct]  # fmt: skip
LIMITS = Limits(1 << 16, {"p": 64, "u": 64, "n": 64, "s": 129, "bytes": 256, "b": 64})
LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats()
    | st.text(max_size=4) | st.binary(max_size=40)
)  # fmt: skip
TREES = st.recursive(
    LEAVES,
    lambda node: (
        st.lists(node, max_size=5) | st.dictionaries(st.text(max_size=3), node, max_size=2)
    ),
    max_leaves=12,
)


def byte_arrays(most):
    return st.integers(0, most).flatmap(lambda size: arrays(np.uint8, size))


SQUEEZED = st.builds(
    Squeezed,
    size=st.integers(-1, 70) | st.sampled_from([10**6, 2**40, 2**62]),
    bits=st.sampled_from([0, 4, 8, 64]),
    gaps=byte_arrays(12),
    levels=byte_arrays(70),
    scales=st.integers(0, 3).flatmap(
        lambda size: arrays(np.float32, size, elements=st.floats(-2, 2, width=32))
    ),
)
PAYLOADS = [
    encode(Train(3, np.ones(7, np.float32))),
    encode(PartyState(2, np.ones(5, np.float32))),
    encode(Packed(1, Squeezed(3, 8, np.zeros(0, np.uint8), np.ones(3, np.uint8),
                              np.ones(1, np.float32)), 5, 0.5, np.zeros(1))),
    proposal_bytes(proposal_of("t", 6, compress="top:0.1", first=3)),
]  # fmt: skip


@often
@given(st.sampled_from(BODIES), TREES | st.lists(LEAVES, max_size=6), st.binary(max_size=40))
def test_a_body_is_of_its_kind_or_malformed(kind, tree, junk):
    for body in (junk, msgspec.msgpack.encode(tree), msgspec.msgpack.encode(tree) + junk):
        try:
            value = hub_wire.unpack(body, kind)
        except MalformedError:
            continue
        assert hub_wire.unpack(hub_wire.pack(value), kind) == value or "nan" in repr(value)


@often
@given(
    st.sampled_from(PAYLOADS),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    st.integers(0, 10**6),
    st.binary(max_size=8),
)
def test_a_damaged_payload_of_a_task_is_refused_by_name_or_is_another(payload, flips, cut, tail):
    changed = bytearray(payload)
    for where, mask in flips:
        changed[where % len(changed)] ^= mask
    for damaged in (bytes(changed), bytes(changed[: cut % len(changed)]) + tail):
        with contextlib.suppress(PayloadError):
            assert encode(decode(damaged, ALLOWED, LIMITS)) == damaged


@often
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), min_size=1, max_size=3))
def test_a_damaged_proposal_is_refused_by_name_or_is_another(flips):
    changed = bytearray(PAYLOADS[-1])
    for where, mask in flips:
        changed[where % len(changed)] ^= mask
    with contextlib.suppress(PayloadError):
        assert proposal_bytes(read_proposal(bytes(changed))) == bytes(changed)


@often
@given(SQUEEZED, st.integers(-3, 5))
def test_a_difference_is_as_long_as_the_model_or_refused_before_memory_is_taken(change, base):
    """A size of 2**62 must not be tried."""
    params = np.ones(9, np.float32)
    half, initial = thin_answer(lambda _env, state, message: (state, message), PartyState)
    state = initial()
    state, _ = half(None, state, Step(-1, whole(params), Train(0, np.zeros(0, np.float32))))
    try:
        _, heard = half(None, state, Step(base, change, Train(1, np.zeros(0, np.float32))))
    except (PayloadError, ProtocolError):
        return
    assert isinstance(heard, Message)
    assert len(heard.params) == change.size <= 70


def whole(params):
    from fedguide.horizontal.thrift import Thrift, squeeze

    return squeeze(params, Thrift(8), None)


@often
@given(SQUEEZED.filter(lambda one: one.size < 10**6))
def test_a_squeezed_vector_is_of_its_size_or_refused(change):
    with contextlib.suppress(PayloadError, ProtocolError):
        assert spread(change).shape == (change.size,)


def test_these_are_the_bodies_of_the_wire():
    assert len(BODIES) > 15
    with pytest.raises(MalformedError):
        hub_wire.unpack(b"", BODIES[0])
