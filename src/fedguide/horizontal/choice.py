"""Algorithms as a user chooses them: a name, and one number that belongs to it.

``fedprox:0.01`` is FedProx with μ = 0.01, ``fedprox`` the same with the number we would begin
with. What an algorithm needs of its parties, and how large its updates are, stands here too, so
that who builds parties, terms and limits need not know any algorithm.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from fedguide.errors import ConfigError
from fedguide.horizontal.algorithm import Algorithm, ServerState, Waiting
from fedguide.horizontal.ditto import ditto
from fedguide.horizontal.fedavg import fedavg
from fedguide.horizontal.fedbuff import fedbuff
from fedguide.horizontal.fednova import fednova
from fedguide.horizontal.fedopt import adaptive
from fedguide.horizontal.fedper import fedper
from fedguide.horizontal.fedprox import fedprox
from fedguide.horizontal.mean import Aggregator
from fedguide.horizontal.qfedavg import qfedavg
from fedguide.horizontal.scaffold import scaffold
from fedguide.horizontal.server import momentum_sgd
from fedguide.horizontal.threats import Text


@dataclass(frozen=True)
class Around:
    """What an algorithm is built around.

    Attributes:
        aggregator: makes the mean.
        keep_moments: parties keep their optimisers' moments from round to round.
        server_momentum: of the coordinator, where the algorithm leaves its step free.
        local_rate: learning rate of the parties.
        waiting: quorum and deadline of a round.
    """

    aggregator: Aggregator
    keep_moments: bool = False
    server_momentum: float = 0.0
    local_rate: float = 0.1
    waiting: Waiting | None = None


@dataclass(frozen=True)
class Offer:
    """An algorithm that can be chosen.

    Attributes:
        build: from what is around it and its number.
        number: what the number is where none is given.
        gist: what it is for, and what the number means.
        vectors: updates are this many times as long as the model,
        extra: and this many numbers longer.
        figures: of its own that ride along with an update.
        steered: its parties need a fit that can be steered.
        graded: its parties need the loss at a model.
        personal: it leaves a party with a model of its own: ``"beside"`` the shared one, or
            ``"within"``: a part of it.
        keeps: parties may keep their optimisers' moments.
    """

    build: Callable[[Around, float], Algorithm[ServerState]]
    number: float
    gist: Text
    vectors: int = 1
    extra: int = 0
    figures: int = 0
    steered: bool = False
    graded: bool = False
    personal: str = ""
    keeps: bool = True

    def size(self, params: int) -> int:
        """Length of an update of a model of so many parameters."""
        return self.vectors * params + self.extra


@dataclass(frozen=True)
class Choice:
    """An algorithm's name and its number."""

    name: str
    number: float

    @property
    def offer(self) -> Offer:
        """What was chosen."""
        return OFFERS[self.name]

    def __str__(self) -> str:
        """As it is written."""
        return f"{self.name}:{self.number:g}"

    def build(self, around: Around) -> Algorithm[ServerState]:
        """The algorithm.

        Raises:
            ConfigError: its number is out of range, or the parties' moments are to be kept and
                it cannot.
        """
        if around.keep_moments and not self.offer.keeps:
            raise ConfigError(
                f"{self.name} begins every round with fresh moments",
                hint="keep_client_moments = false",
            )
        return self.offer.build(around, self.number)


def read_choice(text: str) -> Choice:
    """The choice in ``NAME`` or ``NAME:NUMBER``.

    Raises:
        ConfigError: no such algorithm, or no number.
    """
    name, colon, written = text.partition(":")
    if name not in OFFERS:
        raise ConfigError(
            f"algorithm must be one of {', '.join(OFFERS)}, got {name!r}",
            hint="fedguide explain fedavg",
        )
    try:
        number = float(written) if colon else OFFERS[name].number
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"algorithm is NAME or NAME:NUMBER, got {text!r}", hint=f"{name}:0.1")
    return Choice(name, number)


def _fedavg(around: Around, momentum: float) -> Algorithm[ServerState]:
    return fedavg(
        around.aggregator,
        server=momentum_sgd(1.0, momentum or around.server_momentum),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedprox(around: Around, pull: float) -> Algorithm[ServerState]:
    return fedprox(
        around.aggregator,
        pull,
        server=momentum_sgd(1.0, around.server_momentum),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedadagrad(around: Around, rate: float) -> Algorithm[ServerState]:
    return fedavg(
        around.aggregator,
        server=adaptive("adagrad", rate, first=0.0),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedadam(around: Around, rate: float) -> Algorithm[ServerState]:
    return fedavg(
        around.aggregator,
        server=adaptive("adam", rate),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedyogi(around: Around, rate: float) -> Algorithm[ServerState]:
    return fedavg(
        around.aggregator,
        server=adaptive("yogi", rate),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _scaffold(around: Around, rate: float) -> Algorithm[ServerState]:
    return scaffold(around.aggregator, rate, waiting=around.waiting)


def _fednova(around: Around, momentum: float) -> Algorithm[ServerState]:
    return fednova(
        around.aggregator,
        momentum,
        server=momentum_sgd(1.0, around.server_momentum),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _qfedavg(around: Around, q: float) -> Algorithm[ServerState]:
    return qfedavg(
        around.aggregator,
        q,
        around.local_rate,
        server=momentum_sgd(1.0, around.server_momentum),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedbuff(around: Around, buffer: float) -> Algorithm[ServerState]:
    if buffer != int(buffer) or buffer < 0:
        raise ConfigError(f"a buffer is a whole number of at least 0, got {buffer:g}")
    return fedbuff(
        around.aggregator,
        int(buffer) or None,
        server=momentum_sgd(1.0, around.server_momentum),
        waiting=around.waiting,
    )


def _ditto(around: Around, pull: float) -> Algorithm[ServerState]:
    return ditto(
        around.aggregator,
        pull,
        server=momentum_sgd(1.0, around.server_momentum),
        keep_moments=around.keep_moments,
        waiting=around.waiting,
    )


def _fedper(around: Around, _number: float) -> Algorithm[ServerState]:
    server = momentum_sgd(1.0, around.server_momentum)
    return fedper(around.aggregator, server=server, waiting=around.waiting)


OFFERS: Mapping[str, Offer] = MappingProxyType(
    {
        "fedavg": Offer(
            _fedavg,
            0.0,
            Text(
                "local training, then the mean of the changes; NUMBER: momentum on the coordinator",
                "本地训练后取更新的均值；NUMBER：协调方动量",
            ),
        ),
        "fedprox": Offer(
            _fedprox,
            0.01,
            Text(
                "FedAvg that holds local training back towards the shared model; NUMBER: μ, 0 is "
                "FedAvg",
                "在 FedAvg 上把本地训练拉向共享模型；NUMBER：μ，0 即 FedAvg",
            ),
            steered=True,
        ),
        "fedadagrad": Offer(
            _fedadagrad,
            0.01,
            Text(
                "adaptive coordinator steps that only shrink; NUMBER: its learning rate",
                "协调方自适应步长，只减不增；NUMBER：其学习率",
            ),
        ),
        "fedadam": Offer(
            _fedadam,
            0.01,
            Text(
                "adaptive coordinator steps by Adam; NUMBER: its learning rate",
                "协调方用 Adam 自适应步长；NUMBER：其学习率",
            ),
        ),
        "fedyogi": Offer(
            _fedyogi,
            0.01,
            Text(
                "adaptive coordinator steps by Yogi, slower to grow than Adam's; NUMBER: its "
                "learning rate",
                "协调方用 Yogi 自适应步长，比 Adam 更稳；NUMBER：其学习率",
            ),
        ),
        "scaffold": Offer(
            _scaffold,
            1.0,
            Text(
                "control variates correct the parties' drift, for twice the traffic; NUMBER: the "
                "coordinator's learning rate",
                "用控制变量修正各方漂移，流量加倍；NUMBER：协调方学习率",
            ),
            vectors=2,
            steered=True,
            keeps=False,
        ),
        "fednova": Offer(
            _fednova,
            0.0,
            Text(
                "parties that take more steps pull no harder; NUMBER: momentum of their SGD",
                "步数多的一方不会拉得更重；NUMBER：本地 SGD 的动量",
            ),
            figures=1,
            steered=True,
        ),
        "qfedavg": Offer(
            _qfedavg,
            1.0,
            Text(
                "parties with a higher loss count more; NUMBER: q, 0 is FedAvg",
                "损失越高的一方权重越大；NUMBER：q，0 即 FedAvg",
            ),
            extra=1,
            graded=True,
        ),
        "fedbuff": Offer(
            _fedbuff,
            0.0,
            Text(
                "a round ends with the first answers, late ones count in a later round; NUMBER: "
                "how many, 0 is two thirds",
                "先到的若干答复即结束一轮，迟到的计入后面的轮次；NUMBER：数量，0 即三分之二",
            ),
            keeps=False,
        ),
        "ditto": Offer(
            _ditto,
            0.1,
            Text(
                "FedAvg, and near to it a model of each party's own that never leaves; NUMBER: λ, "
                "how near",
                "FedAvg 之外，各方另有一个不外传的、靠近共享模型的自有模型；NUMBER：λ，靠近程度",
            ),
            steered=True,
            personal="beside",
        ),
        "fedper": Offer(
            _fedper,
            0.0,
            Text(
                "only a part of the model is shared, the rest never leaves its party; no NUMBER",
                "只共享模型的一部分，其余从不离开本方；无 NUMBER",
            ),
            personal="within",
            keeps=False,
        ),
    }
)
"""Every algorithm that can be chosen by name; ``names.ALGORITHMS`` is what the contract runs."""
