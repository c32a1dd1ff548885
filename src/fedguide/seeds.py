"""Named randomness: 256-bit roots, keys derived from them, and reproducible streams.

Who draws what: an actor draws one root for each task and round and keeps it to itself; every key,
mask, rounding and noise of that round is derived from it under its own label, so that a replay
after a crash finds the same ones. Whoever knows a root knows everything derived from it; whoever
knows any number of derived keys learns nothing about the root or about the other keys (HKDF,
Krawczyk and Eronen, RFC 5869). ``stream`` gives an ordinary numpy generator: for shuffles,
sampling of training examples and rounding, never for keys, masks or released noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from fedguide.errors import ConfigError

ROOT_BYTES = 32
MAX_DERIVED_BYTES = 255 * 32  # RFC 5869, section 2.3: at most 255 blocks of the hash

Entropy: TypeAlias = Callable[[int], bytes]
"""Gives that many random bytes; ``os.urandom`` outside of tests."""

Label: TypeAlias = str | int | bytes

_SALT = b"fedguide/seeds/1"
_FIRST_COUNTER = bytes(16)
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # the odd number nearest to 2^64 / golden ratio
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
_KEY, _STREAM = b"key", b"stream"  # so that a stream can never leak a key of the same label


@dataclass(frozen=True)
class Root:
    """A secret of 32 bytes that everything random of one task and round is derived from.

    Raises:
        ConfigError: ``value`` is not 32 bytes long.
    """

    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Checks the length."""
        if len(self.value) != ROOT_BYTES:
            raise ConfigError(f"a root has {ROOT_BYTES} bytes, got {len(self.value)}")


Roots: TypeAlias = Callable[[str, int], Root]
"""Gives the root of a task and round; asked once for each, then journaled."""


def fresh_root(entropy: Entropy) -> Root:
    """Draws a new root, with ``os.urandom`` as ``entropy`` outside of tests.

    Raises:
        ConfigError: ``entropy`` did not give 32 bytes.
    """
    return Root(entropy(ROOT_BYTES))


def fresh_roots(entropy: Entropy) -> Roots:
    """A new, independent root for every task and round."""
    return lambda _task, _round: fresh_root(entropy)


def derive(root: Root, *labels: Label, size: int = 32) -> bytes:
    """The ``size`` secret bytes that belong to these labels; others for any other labels.

    Raises:
        ConfigError: no label, or ``size`` is outside [1, 8160].
    """
    return _derive(root, _KEY, labels, size)


def keystream(key: bytes) -> CipherContext:
    """The AES-256-CTR keystream of a key (NIST SP 800-38A, section 6.5): what zeros become.

    Its counter begins at 0, so a key is for ONE stream and for nothing else.

    Raises:
        ConfigError: the key is not 32 bytes long.
    """
    if len(key) != ROOT_BYTES:
        raise ConfigError(f"the key of a keystream has {ROOT_BYTES} bytes, got {len(key)}")
    return Cipher(AES(key), CTR(_FIRST_COUNTER)).encryptor()


def stream(root: Root, *labels: Label) -> np.random.Generator:
    """A reproducible generator for what need not be secret (Philox, independent by label).

    Raises:
        ConfigError: no label.
    """
    seed = int.from_bytes(_derive(root, _STREAM, labels, ROOT_BYTES), "big")
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seed)))


def shuffled(
    seeds: NDArray[np.int64], counts: NDArray[np.int64], turn: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Shuffles ``counts[k]`` things under ``seeds[k]`` for each k, all at once; not secret.

    A thing's place is the rank of a hash of seed, turn and thing: the mixer of Steele, Lea and
    Flood, "Fast Splittable Pseudorandom Number Generators", 2014, figure 16 (MurmurHash3's 64-bit
    finaliser, variant 13). Each shuffle is the same whether it is made alone or with others; making
    a generator for each took longer than training.

    Args:
        seeds: ``(k,)``, at least 0.
        counts: ``(k,)``, at least 0.
        turn: which shuffle of a seed.

    Returns:
        The k orders one after the other, ``(sum of counts,)``, and the k of each place.
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    # In arrays, which wrap around; a number by itself would warn.
    start = _mixed(np.asarray(seeds, np.uint64) + np.full(1, turn, np.uint64) * _GOLDEN)
    widest = int(counts.max(initial=0))
    if len(counts) * widest <= 2 * len(owner):
        # Counts that are nearly equal make a grid, whose short rows sort four times as fast.
        thing = np.arange(widest)
        ranks = _mixed(start[:, None] + (thing.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
        inside = thing < counts[:, None]
        ranks[~inside] = _LAST
        return np.argsort(ranks, axis=1, kind="stable")[inside], owner
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    ranks = _mixed(start[owner] + (nth.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
    return nth[np.lexsort((ranks, owner))], owner


def mixed(key: int, turn: int, things: NDArray[np.int64]) -> NDArray[np.uint64]:
    """A hash of key, turn and each thing, by the same mixer; for simulations, not secret.

    Args:
        key: at least 0, below 2^64.
        turn: at least 0.
        things: any shape, at least 0.
    """
    start = _mixed(np.full(1, key, np.uint64) + np.full(1, turn + 1, np.uint64) * _GOLDEN)
    return _mixed(start + (things.astype(np.uint64) + np.uint64(1)) * _GOLDEN)


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit of a value in every bit of the result; wraps around on purpose."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def seeded_root(seed: int, *labels: Label) -> Root:
    """A root anybody can compute from ``seed``: for simulations and tests, NOT secret.

    Raises:
        ConfigError: ``seed`` is negative.
    """
    base = Root(seeded_entropy(seed)(ROOT_BYTES))
    return Root(derive(base, *labels)) if labels else base


def seeded_roots(seed: int) -> Roots:
    """The same root for the same task and round, in any process: reproducible, NOT secret."""
    return lambda task, round_number: seeded_root(seed, task, round_number)


def seeded_entropy(seed: int) -> Entropy:
    """Stands in for ``os.urandom`` in simulations and tests: reproducible, NOT secret.

    Successive calls give successive bytes of SHAKE-256 blocks under ``seed``.

    Raises:
        ConfigError: ``seed`` is negative.
    """
    if seed < 0:
        raise ConfigError(f"a seed must be at least 0, got {seed}")
    calls = 0

    def entropy(size: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(_join((b"entropy", seed, calls))).digest(size)

    return entropy


def _derive(root: Root, purpose: bytes, labels: tuple[Label, ...], size: int) -> bytes:
    """HKDF-SHA256 with the labels as its ``info``."""
    if not labels:
        raise ConfigError("derive needs at least one label, got none")
    if not 1 <= size <= MAX_DERIVED_BYTES:
        raise ConfigError(f"size must be in [1, {MAX_DERIVED_BYTES}] bytes, got {size}")
    info = _join((purpose, *labels))
    return HKDF(algorithm=SHA256(), length=size, salt=_SALT, info=info).derive(root.value)


def _join(labels: tuple[Label, ...]) -> bytes:
    """The labels as bytes, each with its type and length: ("ab", "c") is not ("a", "bc")."""
    parts: list[bytes] = []
    for label in labels:
        if isinstance(label, str):  # the most frequent first: a simulation derives millions
            kind, body = b"s", label.encode("utf-8", "surrogatepass")
        elif isinstance(label, bytes):
            kind, body = b"b", label
        else:
            kind, body = b"i", b"%d" % label
        parts += (kind, len(body).to_bytes(4, "big"), body)
    return b"".join(parts)
