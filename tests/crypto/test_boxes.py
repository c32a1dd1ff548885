"""Sealed boxes: only their receiver, only in their context, only unchanged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedguide.crypto.agreement import agreement_key
from fedguide.crypto.boxes import channel, check_tag, open_box, seal, tag
from fedguide.errors import MalformedError

A, B, C = (agreement_key(bytes([i]) * 32) for i in (1, 2, 3))


def test_gcm_known_answer() -> None:
    # McGrew and Viega, "The Galois/Counter Mode of Operation", 2005, appendix B, test case 14.
    box = seal(bytes(32), b"", bytes(16))
    assert box.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"


@given(st.binary(max_size=200), st.binary(max_size=20))
def test_what_one_seals_the_other_opens(content: bytes, context: bytes) -> None:
    ours, theirs = channel(A, B.public, context), channel(B, A.public, context)
    assert open_box(theirs.receiving, context, seal(ours.sending, context, content)) == content
    assert open_box(ours.receiving, context, seal(theirs.sending, context, content)) == content
    assert ours.sending != ours.receiving


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_changed_bit_is_refused(content: bytes, data: st.DataObject) -> None:
    key = channel(A, B.public, b"c").sending
    box = bytearray(seal(key, b"c", content))
    bit = data.draw(st.integers(0, 8 * len(box) - 1))
    box[bit // 8] ^= 1 << bit % 8
    with pytest.raises(MalformedError):
        open_box(key, b"c", bytes(box))


def test_nobody_else_opens_it_and_not_elsewhere() -> None:
    box = seal(channel(A, B.public, b"c").sending, b"c", b"shares")
    for key, context in (
        (channel(C, A.public, b"c").receiving, b"c"),  # another receiver
        (channel(A, B.public, b"c").receiving, b"c"),  # back to its sender
        (channel(B, A.public, b"d").receiving, b"c"),  # keys of another context
        (channel(B, A.public, b"c").receiving, b"d"),  # another context
    ):
        with pytest.raises(MalformedError):
            open_box(key, context, box)
    for short in (b"", bytes(15)):
        with pytest.raises(MalformedError):
            open_box(bytes(32), b"c", short)


@given(st.binary(max_size=100), st.data())
def test_a_tag_is_for_one_content_and_context(content: bytes, data: st.DataObject) -> None:
    key = bytes(range(32))
    made = tag(key, b"context", content)
    check_tag(key, b"context", content, made)
    check_tag(key, b"context", memoryview(content), made)
    other = data.draw(st.binary(max_size=100).filter(lambda one: one != content))
    for wrong in (
        (key, b"context", other, made),
        (key, b"contexu", content, made),
        (key, b"context" + content[:1], content[1:], made) if content else (key, b"", b"", made),
        (bytes(32), b"context", content, made),
        (key, b"context", content, made[:-1]),
    ):
        with pytest.raises(MalformedError):
            check_tag(*wrong)


def test_no_key_in_the_repr() -> None:
    both = channel(A, B.public, b"c")
    assert both.sending.hex() not in repr(both)
    assert repr(both.sending) not in repr(both)
