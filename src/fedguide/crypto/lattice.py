"""Parameters and randomness of the private linear query.

Decision RLWE in Z_q[X]/(X^N + 1) with ternary secrets and centred binomial errors. Set S
(N = 4096, q = 2^96) is estimated at 147 bits against primal uSVP, set W (8192, 2^144) at 204;
the Homomorphic Encryption Standard (Albrecht et al., 2018) allows 2^109 and 2^218 for 128 bits.
Threat model: see ``linear_query``. Everything secret here is expanded from a root by AES-256-CTR;
everything public from a seed that both sides made together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from fedguide.crypto.digits import DIGIT_BITS, DIGIT_BYTES, Digits, carried, unpacked
from fedguide.errors import ConfigError
from fedguide.seeds import Label, Root, derive, keystream

SetName: TypeAlias = Literal["S", "W"]
Mode: TypeAlias = Literal["reveal", "share"]

ERROR_BITS = 21  # CBD(21): variance 10.5, and exactly uniform parity
ERROR_VARIANCE = ERROR_BITS / 2
DISTANCE_BITS = 40  # statistical distance over the whole budget is at most 2^-40

_SHARE_DELTA_BITS = 40
_W_NOISE_BITS, _W_DELTA_BITS, _W_SUM_BITS = 82, 84, 60


@dataclass(frozen=True)
class Parameters:
    """What a session is made of.

    Attributes:
        name: ``S`` or ``W``; tests use others.
        n: N, length of a polynomial, a power of two.
        digits: d, so that q = 2^(24 d).
        noise_bits: w, width of each centred uniform in the feature party's noise.
        noise_terms: how many of them are added.
        delta_bits: Δ = 2^delta_bits.
        sum_bits: k, width of a signed sum.
    """

    name: str
    n: int
    digits: int
    noise_bits: int
    noise_terms: int
    delta_bits: int
    sum_bits: int

    @property
    def number_bytes(self) -> int:
        """Bytes of one number modulo q."""
        return self.digits * DIGIT_BYTES


@dataclass(frozen=True)
class Load:
    """What a session has to carry.

    Attributes:
        row_sum: largest Σ|M| of a row.
        row_square: largest ΣM² of a row.
        max_abs: largest |m| of a queried vector.
        budget: K, coordinates answered over the life of the data, all sessions and repeats.
    """

    row_sum: int
    row_square: int
    max_abs: int
    budget: int


def parameters(load: Load, name: SetName = "S", mode: Mode = "reveal") -> Parameters:
    """The parameters of a set for a load; spare bits go to the noise.

    The noise rule of reveal mode is section 2 of the specification: over K answered coordinates
    the distance of what the label party sees from what the sums alone would show is at most 2^-40.
    In share mode a uniform number hides everything and there is no such noise; Δ is then chosen
    for the errors of one unit, of probability about 2^-22 a coordinate in set S and below 2^-60
    in set W.

    Raises:
        ConfigError: a number is out of range, set or mode are unknown, or 40 bits cannot be had.
    """
    for field in ("row_sum", "row_square", "max_abs", "budget"):
        if getattr(load, field) < 1:
            raise ConfigError(f"{field} must be at least 1, got {getattr(load, field)}")
    if mode not in get_args(Mode):
        raise ConfigError(f"mode must be reveal or share, got {mode!r}")
    need = 1 + (load.row_sum * load.max_abs).bit_length()
    if mode == "share":
        return _shared(name, need)
    if name == "S":
        return _set_s(load, need)
    if name == "W":
        return _set_w(load, need)
    raise ConfigError(f"parameter set must be S or W, got {name!r}")


def _shared(name: str, need: int) -> Parameters:
    """Share mode: no noise, and Δ far above every error."""
    sets = {
        "S": Parameters("S", 4096, 4, 0, 0, _SHARE_DELTA_BITS, 4 * DIGIT_BITS - _SHARE_DELTA_BITS),
        "W": Parameters("W", 8192, 6, 0, 0, _W_DELTA_BITS, _W_SUM_BITS),
    }
    if name not in sets:
        raise ConfigError(f"parameter set must be S or W, got {name!r}")
    if need > sets[name].sum_bits:
        raise ConfigError(
            f"sums of {need} bits are too wide for set {name} in share mode, "
            f"at most {sets[name].sum_bits}"
        )
    return sets[name]


def least_noise_bits(load: Load, n: int = 4096) -> int:
    """The smallest w with sqrt(3.12 K v) / 2^(w+1) ≤ 2^-40, v = 10.5 (w_max + 4N/3)."""
    variance = ERROR_VARIANCE * (load.row_square + 4 * n / 3)
    return math.ceil(math.log2(3.12 * load.budget * variance) / 2 + DISTANCE_BITS - 1)


def _set_s(load: Load, need: int) -> Parameters:
    """N = 4096, q = 2^96, noise of four uniforms, Δ = 2^(w+2)."""
    bits = 4 * DIGIT_BITS
    noise_bits = bits - 2 - need
    least = least_noise_bits(load)
    if noise_bits < least:
        raise ConfigError(
            f"sums of {need} bits leave {noise_bits} bits of noise in set S, {least} are needed "
            f"for a distance of 2^-{DISTANCE_BITS} over {load.budget} answers",
            hint="fewer gradient bits, a smaller budget, or set W",
        )
    return Parameters("S", 4096, 4, noise_bits, 4, noise_bits + 2, bits - noise_bits - 2)


def _set_w(load: Load, need: int) -> Parameters:
    """N = 8192, q = 2^144, one uniform of 82 bits; every error within its tail bound."""
    if need > _W_SUM_BITS:
        raise ConfigError(f"sums of {need} bits are too wide for set W, at most {_W_SUM_BITS}")
    # Errors are sub-Gaussian with their variance; a secret has at most N entries of one.
    deviation = math.sqrt(ERROR_VARIANCE * (load.row_square + 2 * 8192))
    tail = math.sqrt(2 * math.log(2) * (DISTANCE_BITS + 2 + math.log2(load.budget)))
    distance = math.log2(load.budget * tail * deviation) - _W_NOISE_BITS
    if distance > -(DISTANCE_BITS + 1):
        raise ConfigError(
            f"{load.budget} answers bring set W to a distance of 2^{distance:.1f}, "
            f"at most 2^-{DISTANCE_BITS + 1}",
            hint="a smaller budget",
        )
    return Parameters("W", 8192, 6, _W_NOISE_BITS, 1, _W_DELTA_BITS, _W_SUM_BITS)


def expanded(key: bytes, size: int) -> NDArray[np.uint8]:
    """The first ``size`` bytes of the keystream of a key that is used for nothing else."""
    return np.frombuffer(keystream(key).update(bytes(size)), np.uint8)


def secret_stream(root: Root, *labels: Label, size: int) -> NDArray[np.uint8]:
    """``size`` secret bytes that belong to these labels of a root."""
    return expanded(derive(root, *labels), size)


def uniform(flat: NDArray[np.uint8], shape: tuple[int, ...], params: Parameters) -> Digits:
    """Numbers modulo q from uniform bytes: shape ``(*shape, d)``."""
    return unpacked(flat.reshape(*shape, params.number_bytes))


def ternary(root: Root, *labels: Label, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Independent uniform values of {-1, 0, 1}."""
    count = math.prod(shape)
    # A byte of 255 is thrown away; that more than a twentieth are, and 64 besides, has a
    # probability below 2^-100, and then the next loop draws more of the same stream.
    room = count + count // 20 + 64
    while True:
        flat = secret_stream(root, *labels, size=room)
        kept = flat[flat < 255][:count]
        if len(kept) == count:
            return (kept % 3).astype(np.int8).reshape(shape) - np.int8(1)
        room *= 2


def errors(root: Root, *labels: Label, shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Independent centred binomial values, CBD(21)."""
    flat = secret_stream(root, *labels, size=6 * math.prod(shape)).view(np.uint16).reshape(-1, 3)
    value = _ONES[flat[:, 0]] - _ONES[flat[:, 1]]
    value += _ONES[flat[:, 2] & 31] - _ONES[flat[:, 2] >> 5 & 31]
    return value.reshape(shape)


def noise(root: Root, *labels: Label, shape: tuple[int, ...], params: Parameters) -> Digits:
    """The feature party's noise: a sum of centred uniforms of w bits, shape ``(*shape, d)``."""
    places = -(-params.noise_bits // DIGIT_BITS)
    wanted = (params.noise_terms, *shape)
    flat = secret_stream(root, *labels, size=math.prod(wanted) * places * DIGIT_BYTES)
    drawn = unpacked(flat.reshape(*wanted, places * DIGIT_BYTES))
    top = params.noise_bits - DIGIT_BITS * (places - 1)
    drawn[..., -1] &= (1 << top) - 1
    drawn[..., -1] -= 1 << (top - 1)
    wide = np.zeros((*shape, params.digits), np.int64)
    wide[..., :places] = drawn.sum(0)
    return carried(wide)


_ONES = np.array([bin(value).count("1") for value in range(1 << 16)], np.int8)
