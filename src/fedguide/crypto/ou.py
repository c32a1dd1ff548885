"""Sums over bins by Okamoto-Uchiyama encryption, of sf-heu: the conservative scheme.

Okamoto and Uchiyama, "A New Public-Key Cryptosystem as Secure as Factoring", EUROCRYPT 1998, with
a modulus of 3072 bits (128 bits of security by NIST SP 800-57, part 1, table 2; none against a
quantum computer). The label party L encrypts pairs of numbers, the feature party H adds up
ciphertexts.

Threat model: as ``linear_query`` in reveal mode. H, even malicious, learns nothing about the
numbers. A semi-honest L learns their sums alone: H adds a fresh encryption of zero to each, or the
randomness of a sum would tell which ciphertexts are in it. A malicious L, also one with a key that
is none, is held back by H's budget only. Keys and ciphertexts cross as the library writes them;
sizes are checked before it reads them. It draws its own randomness: a run cannot be made again
after a crash, so that it is for runs in one process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.rows import BinRows
from fedguide.errors import ConfigError, OversizedError, WrongShapeError

KEY_BITS = 3072
_MOST_KEY_BYTES = 2048  # 1,176 at 3072 bits
_MOST_BINS = 127  # the library counts bins in signed bytes
_NUMBER_BYTES = KEY_BITS // 8 + 32  # as the library writes one, with room
_FRAME_BYTES = 64


@dataclass(frozen=True)
class OuKey:
    """L's key pair; its secret half stays in the library's object."""

    public: bytes
    kit: Any = field(repr=False)


def make_ou_key() -> OuKey:
    """A fresh key pair.

    Raises:
        ConfigError: sf-heu is not installed.
    """
    phe, arrays = _library()
    kit = arrays.setup(phe.SchemaType.OU, KEY_BITS)
    return OuKey(kit.public_key().serialize(), kit)


def encrypt_pairs(key: OuKey, values: NDArray[np.int64]) -> tuple[bytes, ...]:
    """Vectors of shape ``(T, n)``, two in each ciphertext; a last odd one beside zeros."""
    kit = key.kit
    encoder = kit.batch_integer_encoder()
    return tuple(
        kit.encryptor().encrypt(kit.array(pair, encoder)).serialize() for pair in _pairs(values)
    )


def sum_pairs(public: bytes, vectors: Sequence[bytes], rows: BinRows) -> tuple[bytes, ...]:
    """H's answer: the sums of every vector over each bin, re-randomised.

    Raises:
        ConfigError: sf-heu is not installed, or a feature has more than 127 bins.
        OversizedError: key or vectors are longer than they can be.
        WrongShapeError: they are not a key and vectors of as many samples as M has.
    """
    phe, arrays = _library()
    _, samples = rows.shape
    features, bins = _grid(rows)
    if len(public) > _MOST_KEY_BYTES:
        raise OversizedError(f"a key has at most {_MOST_KEY_BYTES} bytes, got {len(public)}")
    with _refusing("a key"):
        kit = arrays.setup(phe.PublicKey.load_from(public))
    if kit.get_schema() != phe.SchemaType.OU:
        raise WrongShapeError("the key is not one of Okamoto-Uchiyama")
    codes = np.ascontiguousarray(rows.codes.T, np.int8)
    everybody, encoder = np.ones(samples, np.int8), kit.batch_integer_encoder()
    zeros = kit.array(np.zeros((features * bins, 2), np.int64), encoder)
    answers = []
    for flat in vectors:
        hidden = _loaded(arrays, flat, samples)
        with _refusing("ciphertexts"):
            sums = kit.evaluator().feature_wise_bucket_sum(hidden, everybody, codes, bins, False)
            answers.append(kit.evaluator().add(sums, kit.encryptor().encrypt(zeros)).serialize())
    return tuple(answers)


def open_sums(
    key: OuKey, answers: Sequence[bytes], sizes: NDArray[np.int64], vectors: int
) -> NDArray[np.int64]:
    """L's result, shape ``(R, T)``.

    Args:
        key: the pair that the vectors were encrypted with.
        answers: H's.
        sizes: bins of each feature.
        vectors: T, how many were asked for.

    Raises:
        OversizedError: an answer is longer than it can be.
        WrongShapeError: answers are not as many, or not of as many bins.
    """
    _, arrays = _library()
    bins = int(sizes.max())
    if len(answers) != -(-vectors // 2):
        raise WrongShapeError(f"{vectors} vectors have {-(-vectors // 2)} answers of pairs")
    columns = []
    for flat in answers:
        hidden = _loaded(arrays, flat, len(sizes) * bins)
        with _refusing("sums"):
            opened = key.kit.decryptor().decrypt(hidden).to_numpy(key.kit.batch_integer_encoder())
        columns.append(np.asarray(opened, np.int64))
    sums = np.concatenate(columns, 1)[:, :vectors].reshape(len(sizes), bins, vectors)
    return np.concatenate([part[:size] for part, size in zip(sums, sizes.tolist(), strict=True)])


def _pairs(values: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Two vectors at a time, shape ``(n, 2)``."""
    whole = np.zeros((len(values) + len(values) % 2, values.shape[1]), np.int64)
    whole[: len(values)] = values
    for at in range(0, len(whole), 2):
        yield np.ascontiguousarray(whole[at : at + 2].T)


def _grid(rows: BinRows) -> tuple[int, int]:
    """How many features, and the bins of the one that has most."""
    sizes = np.diff(rows.offsets)
    if int(sizes.max()) > _MOST_BINS:
        raise ConfigError(f"scheme ou takes up to {_MOST_BINS} bins a feature, got {sizes.max()}")
    return len(sizes), int(sizes.max())


def _loaded(arrays: Any, flat: bytes, count: int) -> Any:
    """A column of so many ciphertexts."""
    most = count * _NUMBER_BYTES + _FRAME_BYTES
    if len(flat) > most:
        raise OversizedError(f"{count} ciphertexts have at most {most} bytes, got {len(flat)}")
    with _refusing("ciphertexts"):
        hidden = arrays.CiphertextArray.load_from(flat)
    if (hidden.rows, hidden.cols) != (count, 1):
        raise WrongShapeError(f"{count} ciphertexts are due, got {hidden.rows} x {hidden.cols}")
    return hidden


@contextmanager
def _refusing(what: str) -> Iterator[None]:
    """Turns what the library throws at bytes from elsewhere into an error of ours."""
    try:
        yield
    except (RuntimeError, LookupError, ValueError) as error:  # its own are RuntimeErrors
        raise WrongShapeError(f"these are not {what} of Okamoto-Uchiyama") from error


@cache
def _library() -> tuple[Any, Any]:
    """sf-heu's two modules.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        from heu import numpy as arrays
        from heu import phe
    except ImportError as error:
        raise ConfigError(
            "scheme ou needs sf-heu, which is not installed", hint="pip install 'fedguide[heu]'"
        ) from error
    with _quiet():
        kit = arrays.setup(phe.SchemaType.Mock, 2048)
        kit.encryptor().encrypt(kit.array(np.zeros((2, 1), np.int64)))
    return phe, arrays


@contextmanager
def _quiet() -> Iterator[None]:
    """The library writes to standard output as it starts its threads; output is for answers."""
    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "w") as nothing:  # noqa: PTH123 - a descriptor is wanted, not a file
            os.dup2(nothing.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
