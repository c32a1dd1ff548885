"""Many points of ristretto255 at once, in one process or in several.

De Valence, Grigg, Hamburg, Lovecruft, Tankersley and Valsorda, "The ristretto255 and decaf448
Groups", RFC 9496, 2023; the arithmetic is libsodium's (through rbcl). Threat model: scalars are
secret, points may come from anybody; an encoding that is not canonical, and the identity, are
refused before they meet a scalar. Helpers are processes of this machine that get the scalar
through a pipe and end with the call; nothing is unpickled in them. What leaks: how many points
there were and how long it took.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import NewType, TypeAlias

import numpy as np
import rbcl
from numpy.typing import NDArray

from fedguide.errors import ConfigError, MalformedError, RunError

Points: TypeAlias = NDArray[np.uint8]
"""Encoded points, shape ``(n, 32)``."""

Scalar = NewType("Scalar", bytes)
"""A scalar modulo the group's order, 32 bytes little-endian, never zero; secret unless said."""

POINT_BYTES = 32
WIDE_BYTES = 64  # what hashes to one point, and what reduces to one scalar without bias

_LEAST_SHARE = 1000  # points a helper must get to be worth starting: about 70 ms of work


def from_hashes(hashes: NDArray[np.uint8]) -> Points:
    """The points that hashes map to (RFC 9496, section 4.3.4).

    Args:
        hashes: shape ``(n, 64)``, uniform bytes.
    """
    flat = hashes.tobytes()
    parts = [
        rbcl.crypto_core_ristretto255_from_hash(flat[at : at + WIDE_BYTES])
        for at in range(0, len(flat), WIDE_BYTES)
    ]
    return _points(parts)


def to_scalar(wide: bytes) -> Scalar:
    """64 uniform bytes as a scalar without bias.

    Raises:
        ConfigError: not 64 bytes, or they reduce to zero.
    """
    if len(wide) != WIDE_BYTES:
        raise ConfigError(f"a scalar is made of {WIDE_BYTES} bytes, got {len(wide)}")
    scalar = rbcl.crypto_core_ristretto255_scalar_reduce(wide)
    if not any(scalar):
        raise ConfigError("the bytes reduce to the zero scalar, which hides nothing")
    return Scalar(scalar)


def inverse(scalar: Scalar) -> Scalar:
    """The scalar that undoes a multiplication by this one."""
    return Scalar(rbcl.crypto_core_ristretto255_scalar_invert(scalar))


def multiply(scalar: Scalar, points: Points, workers: int = 1) -> Points:
    """Every point times the scalar.

    Args:
        scalar: secret; it is handed to no process but own helpers.
        points: shape ``(n, 32)``.
        workers: processes that may share the work, this one among them.

    Raises:
        MalformedError: a point is not a canonical encoding, or is the identity.
        ConfigError: ``workers`` is below 1.
        RunError: a helper died.
    """
    if workers < 1:
        raise ConfigError(f"workers must be at least 1, got {workers}")
    shares = max(1, min(workers, len(points) // _LEAST_SHARE))
    own, *others = np.array_split(points, shares)
    helpers: list[subprocess.Popen[bytes]] = []
    try:
        helpers += (_start(scalar, other) for other in others)
        done = [_points(_times(scalar, own))]
        done += [_finish(helper, len(other)) for helper, other in zip(helpers, others, strict=True)]
    finally:
        for helper in helpers:
            helper.kill()
            helper.wait()
    return np.concatenate(done)


def _times(scalar: Scalar, points: Points) -> list[bytes]:
    """Every point times the scalar, one after another."""
    flat = points.tobytes()
    try:
        return [
            rbcl.crypto_scalarmult_ristretto255(scalar, flat[at : at + POINT_BYTES])
            for at in range(0, len(flat), POINT_BYTES)
        ]
    except (RuntimeError, ValueError, TypeError):
        # libsodium refuses what does not decode and what would give the identity.
        raise MalformedError("a point is not a legal ristretto255 element") from None


def _points(parts: list[bytes]) -> Points:
    """Encodings side by side."""
    return np.frombuffer(b"".join(parts), np.uint8).reshape(-1, POINT_BYTES).copy()


def _start(scalar: Scalar, points: Points) -> subprocess.Popen[bytes]:
    """A helper that has begun with its share; secrets go through the pipe, not the command."""
    helper = subprocess.Popen(
        [sys.executable, "-m", "fedguide.crypto.points"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    if helper.stdin is None:
        raise RunError("a helper has no standard input")
    # A helper reads everything before it writes, so this cannot deadlock.
    with suppress(BrokenPipeError), helper.stdin as pipe:  # who died is named when it is waited for
        pipe.write(scalar + points.tobytes())
    return helper


def _finish(helper: subprocess.Popen[bytes], count: int) -> Points:
    """A helper's points, once it is done."""
    if helper.stdout is None:
        raise RunError("a helper has no standard output")
    with helper.stdout as output:
        flat = output.read()
    code = helper.wait()
    if code == _REFUSED:
        raise MalformedError("a point is not a legal ristretto255 element")
    if code or len(flat) != count * POINT_BYTES:
        raise RunError(f"a helper ended with {code} after {len(flat)} bytes")
    return _points([flat])


_REFUSED = 3


def _help() -> int:
    """What a helper process does: scalar and points in, points out."""
    scalar = Scalar(sys.stdin.buffer.read(POINT_BYTES))
    flat = sys.stdin.buffer.read()
    try:
        done = _times(scalar, np.frombuffer(flat, np.uint8).reshape(-1, POINT_BYTES))
    except MalformedError:
        return _REFUSED
    sys.stdout.buffer.write(b"".join(done))
    return 0


if __name__ == "__main__":
    sys.exit(_help())
