"""Ways to send less as a user chooses them: ``int4``, ``top:0.05``, ``rank:4``.

Each says what happens on the way up (``thrift``) and on the way down (``thin``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm, ServerState
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.thin import Answer, thin, thin_answer
from fedguide.horizontal.threats import Text
from fedguide.horizontal.thrift import FOLD, Thrift, chosen_of, common_choice, thrifty
from fedguide.protocol import State

WIDER = 3
"""The mean of several parties' largest coordinates, or low ranks, has more than each."""

COMPRESSIONS: Mapping[str, Text] = MappingProxyType(
    {
        "none": Text("float32 both ways", "双向 float32"),
        "int8": Text(
            "8 bits a number both ways, rounded at random upwards",
            "双向每数 8 位，上行随机舍入",
        ),
        "int4": Text(
            "4 bits a number both ways, rounded at random upwards",
            "双向每数 4 位，上行随机舍入",
        ),
        "top": Text(
            "top:SHARE: each party's largest changes in 4 bits; what is left out it sends later",
            "top:比例：各方只发最大的变化（4 位），其余留待以后",
        ),
        "rank": Text(
            "rank:R: each party's nearest matrix of rank R in 8 bits; what is left out it sends "
            "later",
            "rank:R：各方只发最接近的 R 秩矩阵（8 位），其余留待以后",
        ),
        "random": Text(
            "random:SHARE: coordinates drawn alike for all, another choice each round; goes under "
            "masks",
            "random:比例：各方共用同一组随机坐标，每轮更换；可与掩码同用",
        ),
    }
)
"""What each way to send less does."""


@dataclass(frozen=True)
class Compression:
    """A way to send less, and its share, or its rank."""

    name: str
    share: float = 1.0
    rank: int = 0

    @property
    def is_plain(self) -> bool:
        """Is nothing compressed?"""
        return self.name == "none"

    @property
    def bits(self) -> int:
        """Of a number on its way."""
        return {"int8": 8, "int4": 4, "top": 4, "rank": 8, "random": 8}[self.name]

    def up(self, aggregator: Aggregator) -> Aggregator:
        """The aggregator with its updates made short; the same function at both ends."""
        if self.is_plain:
            return aggregator
        if self.name == "random":
            return common_choice(aggregator, self.share)
        return thrifty(aggregator, Thrift(self.bits, self.share, self.rank))

    def down(self, algorithm: Algorithm[ServerState]) -> Algorithm[ServerState]:
        """The algorithm with its model sent as differences."""
        if self.is_plain:
            return algorithm
        if self.name == "rank":
            return thin(algorithm, Thrift(self.bits, rank=min(FOLD, WIDER * self.rank)))
        wider = WIDER if self.name == "top" else 1
        return thin(algorithm, Thrift(self.bits, min(1.0, wider * self.share)))

    def party(
        self, answer: Answer, initial: Callable[[], State]
    ) -> tuple[Answer, Callable[[], State]]:
        """A party's half, and its first state, for such a model."""
        return (answer, initial) if self.is_plain else thin_answer(answer, initial)

    def size(self, update: int) -> int:
        """How long the vectors of the inner aggregator are."""
        return chosen_of(update, self.share) if self.name == "random" else update


def read_compression(text: str) -> Compression:
    """The compression in ``NAME``, ``NAME:SHARE`` or ``rank:R``.

    Raises:
        ConfigError: no such way, or the share is missing, or outside (0, 1].
    """
    name, colon, written = text.partition(":")
    if name not in COMPRESSIONS:
        raise ConfigError(
            "compress must be one of none, int8, int4, top:SHARE, rank:R, random:SHARE, "
            f"got {text!r}"
        )
    if name == "rank":
        if not (written.isascii() and written.isdigit() and 1 <= int(written) <= FOLD):
            raise ConfigError(f"rank:R needs a whole number in [1, {FOLD}], got {text!r}")
        return Compression(name, rank=int(written))
    if (name in ("top", "random")) != bool(colon):
        raise ConfigError(f"{name} {'takes no' if colon else 'needs a'} share, got {text!r}",
                          hint="top:0.05")  # fmt: skip
    try:
        share = float(written) if colon else 1.0
    except ValueError:
        share = math.nan
    if not 0 < share <= 1:
        raise ConfigError(f"the share of {name} must be in (0, 1], got {written!r}")
    return Compression(name, share)
