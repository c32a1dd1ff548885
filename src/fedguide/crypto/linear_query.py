"""The private linear query: one side has a matrix, the other vectors; one learns the products.

The feature party H holds M, R rows by n samples; the label party L holds m. In *reveal* mode L
learns y = M m. In *share* mode L gets u and H gets v with u + v = y modulo 2^k. The project's own
specification, after SimplePIR (Henzinger et al., USENIX Security 2023) with a hint that is blinded
once; reviewed inside the project with attacks, **not by an outside cryptographer**.

Threat model. H, even malicious, learns nothing about m from the messages (decision RLWE). A
semi-honest L learns y alone (RLWE, and a statistical distance of 2^-40 over the budget K). A
malicious L in reveal mode is held back by the budget only: H cannot see what m is, and one query
can be built to read single entries of M; in share mode its answer is uniform whatever it sends,
and only what is opened later counts. A malicious H may use another M. Out of scope: timing.

Secrets are used once by construction: those of a question are derived from the label party's root,
the question's number and a digest of its vectors, so another question has other secrets even
after a restart; the same question again is the same bytes. H's noise is derived from its root and a
digest of the question it answers.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias

import numpy as np
from numpy.typing import NDArray

from fedguide.codec import Array
from fedguide.crypto.digits import (
    Digits,
    Spectrum,
    balanced,
    constant_row,
    digit_spectra,
    from_spectra,
    packed,
    rounded_shift,
    shifted,
    signed,
    to_spectrum,
    unpacked,
)
from fedguide.crypto.kernels import add_products
from fedguide.crypto.lattice import (
    Parameters,
    errors,
    expanded,
    noise,
    secret_stream,
    ternary,
    uniform,
)
from fedguide.crypto.rows import Rows
from fedguide.errors import ConfigError, OversizedError, WrongShapeError
from fedguide.protocol import Message
from fedguide.seeds import Root, derive

Spend: TypeAlias = Callable[[int], None]
"""Takes that many coordinates off H's lifetime budget, or raises ``RefusedError``."""

Numbers: TypeAlias = NDArray[np.uint8]
"""Numbers modulo q as bytes, shape ``(..., 3 d)``."""

NONCE_BYTES = 32
_PUBLIC_AT_ONCE = 64  # polynomials expanded together: 3 MB in set S
_ROWS_AT_ONCE = 16  # rows of M transformed together

KEY = -1
"""Number of the public polynomial p that is no sample's."""


@dataclass(frozen=True)
class Hint(Message):
    """H to L, once a session: a'_r as polynomials, shape ``(R, N, 3 d)``."""

    rows: Annotated[Numbers, Array("uint8", "R", "N", "B")]


@dataclass(frozen=True)
class Question(Message):
    """L to H: T blinded vectors.

    Attributes:
        vectors: b, shape ``(T, n, 3 d)``.
        keys: pk, shape ``(T, N, 3 d)``.
    """

    vectors: Annotated[Numbers, Array("uint8", "T", "n", "B")]
    keys: Annotated[Numbers, Array("uint8", "T", "N", "B")]


@dataclass(frozen=True)
class Answer(Message):
    """H to L: one number a row and vector, shape ``(R, T, 3 d)``."""

    numbers: Annotated[Numbers, Array("uint8", "R", "T", "B")]


@dataclass(frozen=True)
class Session:
    """What both sides know: parameters, samples n, and the public polynomials' spectra.

    Attributes:
        params: see ``lattice.parameters``.
        samples: n.
        seed: made by both; nobody accepts public polynomials from the other.
        public: of a_1 … a_C, shape ``(C, d, N/2)``.
        key: of p, shape ``(d, N/2)``.
    """

    params: Parameters
    samples: int
    seed: bytes
    public: Spectrum = field(repr=False)
    key: Spectrum = field(repr=False)

    @property
    def chunks(self) -> int:
        """C, polynomials that n samples take."""
        return -(-self.samples // self.params.n)


@dataclass(frozen=True)
class Holder:
    """H's side of a session: its rows and the secret r of each, shape ``(R, N)``."""

    session: Session
    rows: Rows
    root: Root = field(repr=False)
    blinds: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class HintKept:
    """The hint as L keeps it: balanced digits, shape ``(R, d, N)``, exact in float64."""

    rows: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Asked:
    """What L keeps of a question to open its answer: s of each vector, shape ``(T, N)``."""

    secrets: NDArray[np.float64] = field(repr=False)


def joint_seed(session: str, nonces: tuple[bytes, bytes], context: bytes) -> bytes:
    """The seed that neither side can choose alone: label party's nonce first, then H's.

    Args:
        session: its name.
        nonces: 32 fresh bytes of each side.
        context: digest of n, the order of samples, the bins and the parameters.

    Raises:
        ConfigError: a nonce is not 32 bytes.
    """
    if any(len(nonce) != NONCE_BYTES for nonce in nonces):
        raise ConfigError(f"a nonce has {NONCE_BYTES} bytes, got {[len(n) for n in nonces]}")
    name = session.encode()
    parts = (b"PLQ1", len(name).to_bytes(4, "big"), name, *nonces, context)
    return hashlib.sha256(b"".join(parts)).digest()


def open_session(params: Parameters, samples: int, seed: bytes) -> Session:
    """The session of a joint seed; both sides expand the same public polynomials from it.

    Raises:
        ConfigError: there is no sample.
    """
    if samples < 1:
        raise ConfigError(f"a session needs at least 1 sample, got {samples}")
    count = -(-samples // params.n)
    spectra = []
    for start in range(0, count, _PUBLIC_AT_ONCE):
        numbers = range(start, min(start + _PUBLIC_AT_ONCE, count))
        spectra.append(
            digit_spectra(np.stack([public_polynomial(seed, params, i) for i in numbers]))
        )
    key = digit_spectra(public_polynomial(seed, params, KEY))
    return Session(params, samples, seed, np.concatenate(spectra), key)


def hold(session: Session, rows: Rows, root: Root) -> tuple[Holder, Hint]:
    """H's set-up: a'_r = (M A)_r + row0(r_r p) + e'_r for every row.

    M A itself never leaves: it would give M by linear algebra.

    Args:
        session: of the joint seed.
        rows: M.
        root: H's own of this session.

    Raises:
        WrongShapeError: M has another number of samples than the session.
    """
    count, samples = rows.shape
    if samples != session.samples:
        raise WrongShapeError(f"M has {samples} samples, the session {session.samples}")
    n = session.params.n
    blinds = ternary(root, "blind", shape=(count, n))
    off = errors(root, "hint error", shape=(count, n))
    hint = np.empty((count, n, session.params.number_bytes), np.uint8)
    for start in range(0, count, _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        spectrum = _matrix_spectra(session, rows, block)
        spectrum += to_spectrum(blinds[block].astype(np.float64))[:, None, :] * session.key
        wide = constant_row(from_spectra(spectrum))
        wide[..., 0] += off[block]
        hint[block] = packed(wide)
    return Holder(session, rows, root, blinds.astype(np.float64)), Hint(hint)


def ask(
    session: Session, values: NDArray[np.int64], root: Root, number: int
) -> tuple[Question, Asked]:
    """L's question: b = A s + e + Δ m and pk = p s + e'' with fresh secrets for every vector.

    Args:
        session: of the joint seed.
        values: m of each vector, shape ``(T, n)``.
        root: L's own of this session.
        number: of the question within the session.

    Raises:
        WrongShapeError: the vectors have another length than the session.
    """
    if values.ndim != 2 or values.shape[1] != session.samples:
        raise WrongShapeError(f"vectors must have shape (T, {session.samples}), got {values.shape}")
    params, count = session.params, len(values)
    content = hashlib.sha256(np.ascontiguousarray(values, "<i8").tobytes()).digest()
    own = Root(derive(root, "question", session.seed, number, values.shape[0], content))
    secrets = ternary(own, "secret", shape=(count, params.n)).astype(np.float64)
    spectra = to_spectrum(secrets)
    vectors = np.empty((count, session.samples, params.number_bytes), np.uint8)
    for row in range(count):  # one after another: the sums of all vectors would not fit in a cache
        product = from_spectra(session.public * spectra[row])
        wide = product.reshape(-1, params.digits)[: session.samples]
        wide += shifted(values[row], params.delta_bits, params.digits)
        wide[:, 0] += errors(own, "vector error", row, shape=(session.samples,))
        vectors[row] = packed(wide)
    keys = from_spectra(session.key * spectra[:, None, :])
    keys[..., 0] += errors(own, "key error", shape=(count, params.n))
    return Question(vectors, packed(keys)), Asked(secrets)


def reveal(holder: Holder, question: Question, spend: Spend) -> Answer:
    """H's answer in reveal mode: ans = M b + (r pk)[0] + noise.

    The budget is charged before anything is computed, and for a repeat as well.

    Raises:
        RefusedError: the budget does not allow it.
        WrongShapeError: the question does not fit the session.
    """
    wide = _answered(holder, question, spend)
    # The same question has the same noise, as a courier's re-delivery must; another one never has.
    labels = ("noise", question_digest(question))
    wide += noise(holder.root, *labels, shape=wide.shape[:2], params=holder.session.params)
    return Answer(packed(wide))


def share(
    holder: Holder, question: Question, spend: Spend, mask: Root | None = None
) -> tuple[Answer, NDArray[np.int64]]:
    """H's answer in share mode, uniform to L, and H's own share v, shape ``(R, T)``.

    A uniform number hides the answer whatever was asked, so no other noise is needed.
    u + v = y modulo 2^k, but for one unit with probability |error| / Δ.

    Args:
        holder: of the session.
        question: what is asked.
        spend: the lifetime budget.
        mask: gives the uniform numbers; must never serve two questions. ``None``: bound to this
            question by its digest.

    Raises:
        RefusedError: the budget does not allow it.
        WrongShapeError: the question does not fit the session.
    """
    wide = _answered(holder, question, spend)
    params = holder.session.params
    own = Root(derive(holder.root, "share", question_digest(question))) if mask is None else mask
    drawn, kept = share_mask(own, wide.shape[:2], params)
    wide += drawn
    return Answer(packed(wide)), kept


def share_mask(
    root: Root, shape: tuple[int, ...], params: Parameters
) -> tuple[Digits, NDArray[np.int64]]:
    """Uniform numbers modulo q that hide answers, and the shares they leave their holder with."""
    size = math.prod(shape) * params.number_bytes
    drawn = uniform(secret_stream(root, "share mask", size=size), shape, params)
    kept = -rounded_shift(drawn, params.delta_bits, params.sum_bits)
    return drawn, signed(kept, params.sum_bits)


def keep_hint(session: Session, hint: Hint) -> HintKept:
    """L's set-up: the hint made ready for many answers.

    Raises:
        WrongShapeError: it is of other parameters.
    """
    params = session.params
    if hint.rows.shape[1:] != (params.n, params.number_bytes):
        raise WrongShapeError(
            f"a hint has shape (R, {params.n}, {params.number_bytes}), got {hint.rows.shape}"
        )
    even = np.empty((len(hint.rows), params.digits, params.n))
    for row, numbers in enumerate(hint.rows):
        even[row] = balanced(unpacked(numbers)).T
    return HintKept(even)


def open_answer(
    session: Session, hint: HintKept, asked: Asked, answer: Answer
) -> NDArray[np.int64]:
    """L's result, shape ``(R, T)``: y in reveal mode, its share u in share mode.

    Raises:
        WrongShapeError: the answer does not fit the question.
    """
    params = session.params
    count, vectors = len(hint.rows), len(asked.secrets)
    if answer.numbers.shape != (count, vectors, params.number_bytes):
        raise WrongShapeError(
            f"an answer has shape ({count}, {vectors}, {params.number_bytes}), "
            f"got {answer.numbers.shape}"
        )
    # Exact: N balanced digits times ±1 stay far below 2^53.
    flat = hint.rows.reshape(-1, params.n) @ asked.secrets.T
    inner = np.moveaxis(flat.astype(np.int64).reshape(count, params.digits, vectors), 1, 2)
    difference = unpacked(answer.numbers) - inner
    return rounded_shift(difference, params.delta_bits, params.sum_bits)


def _answered(holder: Holder, question: Question, spend: Spend) -> NDArray[np.int64]:
    """M b + (r pk)[0], shape ``(R, T, d)``, not carried; charged first."""
    session, params = holder.session, holder.session.params
    vectors = len(question.vectors)
    if question.vectors.shape != (vectors, session.samples, params.number_bytes) or (
        question.keys.shape != (vectors, params.n, params.number_bytes)
    ):
        raise WrongShapeError(
            f"the question has shapes {question.vectors.shape} and {question.keys.shape}"
        )
    count = holder.rows.shape[0]
    if vectors < 1:
        raise OversizedError("a question needs at least 1 vector")
    spend(count * vectors)
    side_by_side = np.moveaxis(unpacked(question.vectors), 0, 1).reshape(session.samples, -1)
    sums = holder.rows.sums(side_by_side).reshape(count, vectors, params.digits)
    return sums + _row_inner(holder.blinds, unpacked(question.keys))


def _matrix_spectra(session: Session, rows: Rows, block: slice) -> Spectrum:
    """Spectra of Σ_c M~_{r,c} a_c for a block of rows: shape ``(rows, d, N/2)``.

    M~ is M with X^-j for X^j, whose spectrum is the conjugate.
    """
    params = session.params
    start, stop, _ = block.indices(rows.shape[0])
    result = np.zeros((stop - start, params.digits, params.n // 2), np.complex128)
    for chunk in range(session.chunks):
        columns = slice(chunk * params.n, min((chunk + 1) * params.n, session.samples))
        part = np.zeros((stop - start, params.n))
        part[:, : columns.stop - columns.start] = rows.dense(block, columns)
        add_products(result, to_spectrum(part).conj(), session.public[chunk])
    return result


def _row_inner(blinds: NDArray[np.float64], keys: Digits) -> NDArray[np.int64]:
    """(r pk)[0] of every blind ``(R, N)`` and key ``(T, N, d)``: shape ``(R, T, d)``."""
    rows = constant_row(balanced(keys))
    vectors, n, digits = rows.shape
    flat = np.moveaxis(rows, 0, 1).reshape(n, vectors * digits).astype(np.float64)
    return (blinds @ flat).astype(np.int64).reshape(-1, vectors, digits)


def public_polynomial(seed: bytes, params: Parameters, number: int) -> Digits:
    """One public polynomial of a seed, shape ``(N, d)``; number ``KEY`` is p."""
    key = hashlib.sha256(b"PLQ1 public" + seed + number.to_bytes(4, "big", signed=True)).digest()
    return uniform(expanded(key, params.n * params.number_bytes), (params.n,), params)


def question_digest(question: Question) -> bytes:
    """What tells one question from every other."""
    made = hashlib.sha256(question.vectors.tobytes())
    made.update(question.keys.tobytes())
    return made.digest()
