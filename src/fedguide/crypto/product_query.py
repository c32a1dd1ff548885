"""Scores nobody sees: X w in additive shares, where one side has X and the other w.

The holder has a matrix X of small whole numbers, n samples by d columns; the asker has w, numbers
modulo 2^k. Afterwards the asker has u and the holder v, u + v = X w modulo 2^k. The specification's
"polynomial form" of the private linear query: the question is a few polynomials however many
samples there are. Threat model: that of ``linear_query`` in share mode. The holder learns nothing
about w (decision RLWE); the asker's numbers are uniform whatever it asks, so that only what is
opened later counts. Reviewed inside the project only.

Here a polynomial carries ``per`` columns, after the packing of Huang et al., "Cheetah: Lean and
Fast Secure Two-Party Deep Neural Network Inference", 2022, section 3.1: sample i of a block puts
its column l at X^(i per + per - 1 - l) and w its at X^l, so that the product has the sample's score
at X^(i per + per - 1). The question is ``per`` times smaller, the hint ``per`` times larger.

A holder's answer is transformed (FFT) where X may be anything. Where X is bins, most of it zeros,
and q fits a machine word, it adds up the few numbers that count instead: the same to the last bit.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.digits import (
    DIGIT_BITS,
    Digits,
    Spectrum,
    digit_spectra,
    folding,
    from_spectra,
    packed,
    rounded_shift,
    shifted,
    to_spectrum,
    unpacked,
)
from fedguide.crypto.kernels import add_folded, add_shifted
from fedguide.crypto.lattice import Parameters, errors, ternary
from fedguide.crypto.linear_query import KEY, Answer, Numbers, public_polynomial, share_mask
from fedguide.crypto.rows import BinRows, Rows
from fedguide.errors import ConfigError, WrongShapeError
from fedguide.protocol import Message
from fedguide.seeds import Root, derive

_MOST_PER = 32
_WORD_BITS = 63
_ADDS_A_PRODUCT = 5  # whole numbers added in the time of one product of complex ones
_BLOCKS_AT_ONCE = 16  # of the hint, transformed together: 13 MB in set W


@dataclass(frozen=True)
class ProductHint(Message):
    """Holder to asker, once a session: Σ x_{c,j} a_j + r_c p + e'_c, shape ``(C, N, 3 d)``."""

    blocks: Annotated[Numbers, Array("uint8", "C", "N", "B")]


@dataclass(frozen=True)
class ProductQuestion(Message):
    """Asker to holder: a_j s + e_j + Δ w_j of every polynomial, then p s + e''."""

    polynomials: Annotated[Numbers, Array("uint8", "J", "N", "B")]


@dataclass(frozen=True)
class ProductSession:
    """What both sides know.

    Attributes:
        params: of share mode.
        samples: n.
        columns: d.
        per: columns in a polynomial, a power of two.
        public: spectra of a_1 … a_J and p, shape ``(J + 1, digits, N/2)``.
    """

    params: Parameters
    samples: int
    columns: int
    per: int
    public: Spectrum = field(repr=False)

    @property
    def polynomials(self) -> int:
        """J, polynomials of a question beside p's."""
        return -(-self.columns // self.per)

    @property
    def blocks(self) -> int:
        """C, blocks of ``N / per`` samples."""
        return -(-self.samples * self.per // self.params.n)

    @property
    def fold(self) -> Spectrum:
        """Picks the coefficients that are scores."""
        return folding(self.params.n, self.per, self.per - 1)


@dataclass(frozen=True)
class ProductHolder:
    """The holder's side.

    Attributes:
        session: of the joint seed.
        root: its own.
        blocks: spectra of the blocks and their secret r, shape ``(J + 1, C, N/2)``; of r alone,
            shape ``(1, C, N/2)``, if there are ``bins``.
        bins: X, if its numbers are added up one by one.
    """

    session: ProductSession
    root: Root = field(repr=False)
    blocks: Spectrum = field(repr=False)
    bins: BinRows | None = field(default=None, repr=False)


@dataclass(frozen=True)
class ProductHintKept:
    """The hint as the asker keeps it: spectra, shape ``(1, C digits, N/2)``."""

    blocks: Spectrum = field(repr=False)


@dataclass(frozen=True)
class ProductAsked:
    """What the asker keeps of a question: s, shape ``(N,)``."""

    secret: NDArray[np.int8] = field(repr=False)


def columns_per(columns: int, samples: int, questions: int, n: int) -> int:
    """Columns in a polynomial with which hint and questions together are smallest."""
    options = [1 << at for at in range(_MOST_PER.bit_length()) if 1 << at < 2 * columns]
    return min(options, key=lambda per: questions * -(-columns // per) + -(-samples * per // n))


def open_product_session(
    params: Parameters, samples: int, columns: int, per: int, seed: bytes
) -> ProductSession:
    """The session of a joint seed; both sides expand the same public polynomials from it.

    Raises:
        ConfigError: there is no sample or column, or ``per`` is no power of two within bounds.
    """
    if samples < 1 or columns < 1:
        raise ConfigError(f"a session needs samples and columns, got {samples} and {columns}")
    if per < 1 or per & (per - 1) or per > min(_MOST_PER, params.n // 4):
        raise ConfigError(f"per must be a power of two up to {_MOST_PER}, got {per}")
    names = [*range(-(-columns // per)), KEY]
    public = digit_spectra(np.stack([public_polynomial(seed, params, name) for name in names]))
    return ProductSession(params, samples, columns, per, public)


def hold_products(
    session: ProductSession, rows: Rows, root: Root
) -> tuple[ProductHolder, ProductHint]:
    """The holder's set-up: every block blinded by a fresh secret r.

    Args:
        session: of the joint seed.
        rows: X transposed, a row for each column of X.
        root: the holder's own of this session.

    Raises:
        WrongShapeError: X is not of the session.
    """
    if rows.shape != (session.columns, session.samples):
        raise WrongShapeError(
            f"X must have shape ({session.samples}, {session.columns}), got {rows.shape[::-1]}"
        )
    params = session.params
    bins = rows if isinstance(rows, BinRows) and _is_sparse(session, rows) else None
    blinds = ternary(root, "product blind", shape=(session.blocks, params.n))
    off = errors(root, "product hint error", shape=(session.blocks, params.n))
    hint = np.empty((session.blocks, params.n, params.number_bytes), np.uint8)
    kept = []
    for start in range(0, session.blocks, _BLOCKS_AT_ONCE):
        block = slice(start, min(start + _BLOCKS_AT_ONCE, session.blocks))
        parts = [to_spectrum(_blocks(session, rows, j, block)) for j in range(session.polynomials)]
        spectra = np.stack([*parts, to_spectrum(blinds[block].astype(np.float64))])
        wide = from_spectra(_sum(spectra, session.public, 1))
        wide[..., 0] += off[block]
        hint[block] = packed(wide)
        kept.append(spectra if bins is None else spectra[-1:].copy())
    return ProductHolder(session, root, np.concatenate(kept, 1), bins), ProductHint(hint)


def keep_product_hint(session: ProductSession, hint: ProductHint) -> ProductHintKept:
    """The asker's set-up: the hint made ready for many answers.

    Raises:
        WrongShapeError: it is of another session.
    """
    params = session.params
    wanted = (session.blocks, params.n, params.number_bytes)
    if hint.blocks.shape != wanted:
        raise WrongShapeError(f"a hint has shape {wanted}, got {hint.blocks.shape}")
    parts = [
        digit_spectra(unpacked(hint.blocks[start : start + _BLOCKS_AT_ONCE]))
        for start in range(0, session.blocks, _BLOCKS_AT_ONCE)
    ]
    return ProductHintKept(np.concatenate(parts).reshape(1, -1, params.n // 2))


def ask_products(
    session: ProductSession, weights: NDArray[np.int64], root: Root, number: int
) -> tuple[ProductQuestion, ProductAsked]:
    """The asker's question; its secrets belong to this number and these weights alone.

    Args:
        session: of the joint seed.
        weights: w, numbers modulo 2^k, shape ``(d,)``.
        root: the asker's own of this session.
        number: of the question within the session.

    Raises:
        WrongShapeError: there are not as many weights as columns.
    """
    if weights.shape != (session.columns,):
        raise WrongShapeError(f"weights must have shape ({session.columns},), got {weights.shape}")
    params = session.params
    content = hashlib.sha256(np.ascontiguousarray(weights, "<i8").tobytes()).digest()
    own = Root(derive(root, "product question", number, content))
    secret = ternary(own, "secret", shape=(params.n,))
    wide = from_spectra(session.public * to_spectrum(secret.astype(np.float64)))
    wide[..., 0] += errors(own, "error", shape=wide.shape[:-1])
    whole = np.zeros(session.polynomials * session.per, np.int64)
    whole[: session.columns] = weights
    places = whole.reshape(session.polynomials, session.per)
    wide[:-1, : session.per] += shifted(places, params.delta_bits, params.digits)
    return ProductQuestion(packed(wide)), ProductAsked(secret)


def share_products(
    holder: ProductHolder, question: ProductQuestion, mask: Root | None = None
) -> tuple[Answer, NDArray[np.int64]]:
    """The holder's answer, uniform to the asker, and its own share v, shape ``(n,)``.

    Args:
        holder: of the session.
        question: what is asked.
        mask: as in ``linear_query.share``.

    Raises:
        WrongShapeError: the question is of another session.
    """
    session, params = holder.session, holder.session.params
    wanted = (session.polynomials + 1, params.n, params.number_bytes)
    if question.polynomials.shape != wanted:
        raise WrongShapeError(f"a question has shape {wanted}, got {question.polynomials.shape}")
    if mask is None:
        digest = hashlib.sha256(question.polynomials.tobytes()).digest()
        mask = Root(derive(holder.root, "share products", digest))
    polynomials = unpacked(question.polynomials)
    spectra = digit_spectra(polynomials[-len(holder.blocks) :])
    spectra *= session.fold
    wide = _scores(session, _sum(holder.blocks, spectra, session.per))
    if holder.bins is not None:
        wide += _added(session, holder.bins, polynomials[:-1])
    drawn, kept = share_mask(mask, (session.samples,), params)
    wide += drawn
    return Answer(packed(wide)[:, None]), kept


def open_products(
    session: ProductSession, hint: ProductHintKept, asked: ProductAsked, answer: Answer
) -> NDArray[np.int64]:
    """The asker's share u, shape ``(n,)``.

    Raises:
        WrongShapeError: the answer does not fit the session.
    """
    params = session.params
    wanted = (session.samples, 1, params.number_bytes)
    if answer.numbers.shape != wanted:
        raise WrongShapeError(f"an answer has shape {wanted}, got {answer.numbers.shape}")
    secret = to_spectrum(asked.secret.astype(np.float64)) * session.fold
    folded = _sum(hint.blocks, secret[None, None], session.per)
    known = _scores(session, folded.reshape(session.blocks, params.digits, -1))
    difference = unpacked(answer.numbers[:, 0])
    difference -= known
    return rounded_shift(difference, params.delta_bits, params.sum_bits)


def _is_sparse(session: ProductSession, rows: BinRows) -> bool:
    """Is adding up single numbers less work than transforms?"""
    params = session.params
    added = len(rows.codes) * (params.n // session.per)
    multiplied = (session.polynomials + 1) * session.per * params.digits
    return params.digits * DIGIT_BITS < _WORD_BITS and added < _ADDS_A_PRODUCT * multiplied


def _added(session: ProductSession, bins: BinRows, polynomials: Digits) -> Digits:
    """Σ_j of X's products with a question's polynomials at the scores' places, shape ``(n, d)``.

    Sample m of a block has its column l at X^(m per + per - 1 - l): at the place of sample m' it
    meets coefficient (m' - m) per + l, or minus that of N more where m' < m.
    """
    size = session.params.n // session.per
    words = np.zeros(polynomials.shape[:2], np.int64)
    for place in range(session.params.digits):
        words += polynomials[..., place] << (DIGIT_BITS * place)
    columns = np.moveaxis(words.reshape(len(words), size, session.per), 1, 2).reshape(-1, size)
    table = np.concatenate([-columns, columns], 1)
    total = np.zeros(session.blocks * size, np.int64)
    add_shifted(total, table, bins.codes, bins.offsets)
    return shifted(total[: session.samples], 0, session.params.digits)


def _blocks(session: ProductSession, rows: Rows, number: int, block: slice) -> NDArray[np.float64]:
    """x_{c,j} of some blocks c as coefficients, shape ``(blocks, N)``."""
    first, size = number * session.per, session.params.n // session.per
    count = block.stop - block.start
    samples = slice(block.start * size, min(block.stop * size, session.samples))
    part = rows.dense(slice(first, min(first + session.per, session.columns)), samples)
    whole = np.zeros((count * size, session.per))
    whole[: part.shape[1], session.per - len(part) :] = part[::-1].T
    return whole.reshape(count, session.params.n)


def _sum(left: Spectrum, right: Spectrum, every: int) -> Spectrum:
    """Σ_j left[j, b] right[j, d], folded: shape ``(b, d, N / (2 every))``."""
    shape = (left.shape[1], right.shape[1], left.shape[2] // every)
    result = np.zeros(shape, np.complex128)
    add_folded(result, left, right)
    return result


def _scores(session: ProductSession, folded: Spectrum) -> Digits:
    """The scores' numbers, not carried, shape ``(n, d)``."""
    wide = from_spectra(folded)
    return wide.reshape(-1, session.params.digits)[: session.samples]
