"""Options of training under differential privacy, and what is said about it afterwards."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.errors import ConfigError

if TYPE_CHECKING:
    from fedguide.cli.output import Output
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset
    from fedguide.models.plan import GuidePlan
    from fedguide.runtime.arms import Charging
    from fedguide.runtime.private_rounds import Actors, PrivatePlan

DpOption = Annotated[
    str | None, typer.Option("--dp", help="none, gaussian or laplace; default: none")
]
EpsilonOption = Annotated[
    float | None, typer.Option("--epsilon", help="ε over all rounds, for each shopper")
]
DeltaOption = Annotated[float | None, typer.Option("--delta", help="δ of a Gaussian")]
ClipOption = Annotated[
    float | None, typer.Option("--clip", help="Longest vector of one shopper in one round")
]
NoiseOption = Annotated[
    str | None, typer.Option("--noise", help="Who adds it: central, distributed or local")
]
SamplingOption = Annotated[
    float | None, typer.Option("--sampling", help="Probability that a shopper is in a round")
]
PartOption = Annotated[
    str | None, typer.Option("--part", help="What is trained privately: tower or head")
]


_OPERATOR = "coordinator"  # whose ledger of a simulated run without noise is


@dataclasses.dataclass(frozen=True)
class DpChoice:
    """What the command line said; ``None`` where it said nothing."""

    dp: str | None = None
    epsilon: float | None = None
    delta: float | None = None
    clip: float | None = None
    noise: str | None = None
    sampling: float | None = None
    part: str | None = None
    rounds: int | None = None


def private_plan(
    settings: Settings, choice: DpChoice, shoppers: Callable[[], int]
) -> PrivatePlan | None:
    """The private plan of the config file with the command line on top; ``None`` without.

    ``shoppers`` gives the public figure where the config does not.

    Raises:
        ConfigError: a figure is out of its range, or an option is given without ``--dp``.
    """
    from fedguide.runtime.private_rounds import PrivatePlan

    ours = settings.dp
    mechanism = choice.dp or ours.mechanism
    if mechanism not in ("none", "gaussian", "laplace"):
        raise ConfigError(f"--dp must be none, gaussian or laplace, got {mechanism!r}")
    if mechanism == "none":
        given = [
            f"--{name}"
            for name in ("epsilon", "delta", "clip", "noise", "sampling", "part")
            if getattr(choice, name) is not None
        ]
        if given:
            raise ConfigError(f"{given[0]} without noise means nothing", hint="--dp gaussian")
        return None

    def chosen(name: str, default: Any) -> Any:
        said = getattr(choice, name)
        return default if said is None else said

    return PrivatePlan(
        noise=mechanism,  # type: ignore[arg-type]  # checked above
        epsilon=chosen("epsilon", ours.epsilon),
        delta=chosen("delta", ours.delta),
        shoppers=ours.shoppers or shoppers(),
        clip=chosen("clip", ours.clip),
        adaptive=ours.adaptive,
        placement=chosen("noise", ours.noise),
        absent=ours.absent,
        sampling=chosen("sampling", ours.sampling),
        unit=ours.unit,
        rounds=chosen("rounds", ours.rounds),
        part=chosen("part", ours.part),
        baskets=ours.baskets,
        learning_rate=ours.learning_rate,
        cycle=ours.cycle,
        bands=ours.bands,
        sales=ours.sales,
        searches=ours.searches,
        others=ours.others,
    )


def public_figure(datasets: Sequence[Dataset]) -> int:
    """About how many shoppers there are, to two digits: a figure the shops have to publish.

    In a simulation nobody can declare one, so it is read off the data once; it is printed.
    """
    count = sum(len(dataset.events.user_ids) for dataset in datasets)
    unit = 10 ** max(0, len(str(count)) - 2)
    return int(round(count / unit) * unit)


@contextmanager
def charging(settings: Settings, folder: Path) -> Iterator[Charging]:
    """What charges the rounds of a run without noise, as a federation's operator does.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    from fedguide.cli.ledgers import Place, budget_of, opened
    from fedguide.runtime.charged import bare_charge

    place = Place(_OPERATOR, str(folder / f"{_OPERATOR}.db"), folder / f"{_OPERATOR}.mark")
    with opened(place) as ledger:
        yield bare_charge(ledger, budget_of(settings), "shops")


@contextmanager
def actors_of(
    settings: Settings,
    private: PrivatePlan,
    guide: GuidePlan,
    datasets: Sequence[Dataset],
    folder: Path,
    task: str,
) -> Iterator[Actors]:
    """The actors of one run: noise from the system's randomness, a ledger for every shop.

    The ledgers of a simulation are the run's own, under ``folder``: its shops are made up anew
    each time, and so is what they may spend. Every shop has the policy of the config file, as a
    party has in a federation.

    Raises:
        RefusedError: a shop's policy does not allow the task.
        LedgerError: a ledger cannot be written.
    """
    from fedguide.cli.ledgers import Place, opened, policy_of
    from fedguide.privacy.policy import TaskTerms
    from fedguide.runtime.permits import permit
    from fedguide.runtime.private_rounds import fresh_actors, guard_of

    guard = guard_of(private, guide, len(datasets))
    policy = policy_of(settings)
    with ExitStack() as stack:
        permits = {}
        for dataset in datasets:
            name = dataset.name
            place = Place(name, str(folder / f"{name}.db"), folder / f"{name}.mark")
            ledger = stack.enter_context(opened(place))
            terms = TaskTerms(
                task=task,
                purpose="recommend",
                cohort=guard.parties,
                shoppers=len(dataset.events.user_ids),
                events=(guard.event(task),),
                clip=private.clip,
                rounds=guard.charges(private.rounds),
                norm=guard.bound.norm,
                unit=private.unit,
                before=private.before(task),
            )
            permits[name] = permit(ledger, policy, terms, name, once=guard.strategy is not None)
        yield fresh_actors(os.urandom, permits)


def receipt(private: PrivatePlan | None, shops: int, guide: Any) -> Mapping[str, Any]:
    """What was spent, for whom, against whom; ``{"mechanism": "none"}`` without noise."""
    if private is None:
        return {"mechanism": "none"}
    from fedguide.privacy.events import to_record
    from fedguide.runtime.private_rounds import guard_of, spent

    guard = guard_of(private, guide, shops)
    price = spent(private, guard)
    return {
        "mechanism": private.noise,
        "placement": private.placement,
        "masked": private.masked,
        "unit": private.unit,
        "epsilon": price.epsilon,
        "epsilon_insider": price.epsilon_insider,
        "epsilon_rdp": price.epsilon_rdp,
        "delta": price.delta,
        "rounds": private.rounds,
        "sampling": private.sampling,
        "cycle": private.cycle,
        "bands": private.bands,
        "clip": private.clip,
        "noise_multiplier": guard.multiplier,
        "sales": private.sales,
        "sales_multiplier": private.sales_multiplier,
        "searches": private.searches,
        "others": private.others,
        "trained": guard.size,
        "divisor": guard.cohort,
        "event": to_record(guard.event("together")),
        # The clip is per shop: somebody who shops in m of them moves the sum m times as far.
        "sensitivity_in_m_shops": "m x clip",
    }


def in_words(spent: Mapping[str, Any]) -> str:
    """One line for the model card."""
    if spent["mechanism"] == "none":
        return "dp: none"
    return (
        f"dp: {spent['mechanism']} ({spent['placement']} noise), unit: {spent['unit']}, "
        f"ε = {figure(spent['epsilon'])} against outsiders and "
        f"{figure(spent['epsilon_insider'])} against insiders at δ = {spent['delta']:.1g}, "
        f"{spent['rounds']} rounds, sampling {spent['sampling']:g}, noise multiplier "
        f"{spent['noise_multiplier']:.4g}"
    )


def lines(out: Output, spent: Mapping[str, Any]) -> list[str]:
    """The receipt as it is printed."""
    if spent["mechanism"] == "none":
        return []
    return [
        out.pick(
            f"divisor {spent['divisor']} is public; what a shop fits afterwards stays inside it; "
            "a shopper of m shops is protected with m times the clip",
            f"除数 {spent['divisor']} 为公开数字；商店之后自行拟合的内容不离开商店；"
            "在 m 家商店购物的顾客，其敏感度为 m 倍裁剪界",
        ),
    ]


def figure(value: float) -> str:
    """An ε with three digits, or ∞."""
    return f"{value:.3g}" if math.isfinite(value) else "∞"
