"""Where budget ledgers lie, how they are opened, and what their figures are called."""

from __future__ import annotations

import datetime
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fedguide.errors import NotFoundError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.privacy.chain import Signer, Verify
    from fedguide.privacy.ledger import Ledger
    from fedguide.privacy.policy import Policy
    from fedguide.privacy.spend import Budget, Counts
    from fedguide.privacy.witness import Witness

RunOption = Annotated[
    str | None,
    typer.Option("--run", help="Ledgers of a simulated run's shops; default: the party's own"),
]
ShopOption = Annotated[str | None, typer.Option("--shop", help="One shop of --run")]


@dataclass(frozen=True)
class Place:
    """One ledger: whose it is, its database and its mark."""

    party: str
    where: str
    mark: Path


def places(settings: Settings, run: str | None, shop: str | None) -> list[Place]:
    """The ledgers a command is about; none where nothing was ever charged.

    Without ``run`` it is the party's own; where there is none, those of the latest simulated run.

    Raises:
        NotFoundError: the run has no ledgers, or not of this shop.
    """
    own = own_place(settings)
    if run is None and shop is None and is_there(own):
        return [own]
    name = run or _latest(settings.home)
    folder = settings.home / "ledgers" / name
    found = [
        Place(path.stem, str(path), path.with_suffix(".mark"))
        for path in (sorted(folder.glob("*.db")) if name else [])
    ]
    chosen = [place for place in found if shop in (None, place.party)]
    if not chosen and (run or shop):
        what = f"shop {shop!r}" if shop and found else f"run {name!r}"
        raise NotFoundError(
            f"no ledger of {what} under {folder}", hint="fedguide sim --dp gaussian"
        )
    return chosen


def _latest(home: Path) -> str:
    pointer = home / "latest"
    return pointer.read_text("utf-8").strip() if pointer.is_file() else ""


def own_place(settings: Settings) -> Place:
    """The party's own ledger, there or not."""
    privacy, folder = settings.privacy, settings.home / "privacy"
    where = privacy.ledger or str(folder / "ledger.db")
    return Place(privacy.party, where, privacy.mark or folder / "ledger.mark")


def is_there(place: Place) -> bool:
    """Was the ledger begun? A database of a server is, once it has a mark here."""
    return place.mark.exists() or ("://" not in place.where and Path(place.where).exists())


def one_place(settings: Settings, run: str | None, shop: str | None) -> Place:
    """The only ledger a command is about.

    Raises:
        NotFoundError: there is none, or there are several.
    """
    found = places(settings, run, shop)
    if not found:
        raise NotFoundError(
            "there is no ledger yet: nothing was charged", hint="fedguide sim --dp gaussian"
        )
    if len(found) > 1:
        names = ", ".join(place.party for place in found)
        raise NotFoundError(f"there are {len(found)} ledgers: {names}", hint="--shop NAME")
    return found[0]


def opened(place: Place) -> Ledger:
    """The ledger at a place.

    Raises:
        LedgerError, ConfigError: see ``open_ledger``.
    """
    from fedguide.privacy.ledger import open_ledger

    if "://" not in place.where:
        Path(place.where).parent.mkdir(parents=True, exist_ok=True)
    place.mark.parent.mkdir(parents=True, exist_ok=True)
    return open_ledger(place.where, place.party, place.mark, clock=time.time, entropy=os.urandom)


def budget_of(settings: Settings) -> Budget:
    """What the config allows an account to spend."""
    from fedguide.privacy.spend import Budget

    ours = settings.privacy
    return Budget(ours.epsilon, ours.delta, ours.adversary, ours.allow_unnoised)


def policy_of(settings: Settings) -> Policy:
    """The party's policy, from its config."""
    from fedguide.privacy.policy import Policy

    ours = settings.privacy
    return Policy(budget_of(settings), ours.least_cohort, ours.most_clip, ours.purposes)


def signer_of(home: Path) -> Signer:
    """Signs heads with this machine's key."""
    from fedguide.cli.folders import signing_key
    from fedguide.crypto.signing import sign
    from fedguide.privacy.chain import PURPOSE, Signer

    key = signing_key(home)
    return Signer(str(key.public), lambda message: sign(key, PURPOSE, message))


def verifier() -> Verify:
    """Checks the signature of a head."""
    from fedguide.crypto.signing import PublicKey, verify
    from fedguide.privacy.chain import PURPOSE

    return lambda key, message, signature: verify(PublicKey(key), PURPOSE, message, signature)


def witness_of(home: Path) -> Witness:
    """What this home keeps of others' ledgers."""
    from fedguide.privacy.witness import Witness

    return Witness(home / "privacy" / "heads.json", verifier())


def peers(home: Path) -> list[dict[str, Any]]:
    """The others' ledgers as they were last seen, and what contradicts them."""
    return [
        {
            "party": peer.party,
            "ledger": peer.last.head.ledger,
            "records": peer.last.head.seq,
            "seen": peer.last.head.time,
            "key": peer.last.key,
            "doubt": peer.doubt,
        }
        for peer in witness_of(home).all().values()
    ]


@dataclass(frozen=True)
class Standing:
    """What an account has spent, in figures.

    Attributes:
        account: whose shoppers.
        epsilon: of everything with noise, against the budget's adversary.
        epsilon_outsider: against outsiders only.
        unnoised: was anything released without noise? Then the whole ε is ∞.
        rounds_left: rounds like the last one that the budget still affords; ``None`` for no end.
    """

    account: str
    epsilon: float
    epsilon_outsider: float
    unnoised: bool
    rounds_left: int | None

    @property
    def total(self) -> float:
        """The ε of everything, ∞ where there was no noise."""
        return math.inf if self.unnoised else self.epsilon


def standing(ledger: Ledger, account: str, last: Counts, budget: Budget) -> Standing:
    """Works out the figures of one account; ``last`` is what one more round would do.

    Raises:
        ConfigError: dp-accounting is not installed.
    """
    from dataclasses import replace

    from fedguide.privacy.policy import rounds_left
    from fedguide.privacy.spend import noised

    counts = ledger.counts(account)
    with_noise = noised(counts)
    return Standing(
        account,
        ledger.price(with_noise, budget),
        ledger.price(with_noise, replace(budget, adversary="outsider")),
        len(with_noise) < len(counts),
        rounds_left(ledger, account, last, budget) if last else None,
    )


def last_charges(ledger: Ledger) -> dict[str, dict[str, int]]:
    """What the latest charge of every account did."""
    from fedguide.privacy.chain import CHARGE, spent_by

    latest: dict[str, dict[str, int]] = {}
    for entry in ledger.entries():
        if entry.record["kind"] == CHARGE:
            done = spent_by(entry.record)
            latest[entry.record["account"]] = {what: times for (_, what), times in done.items()}
    return latest


def mechanism_in_words(what: Mapping[str, Any]) -> str:
    """What was done in one line: mechanism, its figures, sampling and placement."""
    mechanism = what["mechanism"]
    figures = ", ".join(f"{k} {v:g}" for k, v in mechanism.items() if k != "kind")
    sampled = "" if what["sampling"] == 1 else f", q {what['sampling']:g}"
    return f"{mechanism['kind']}({figures}){sampled}, {what['placement']}, per {what['unit']}"


def summary(what: str) -> str:
    """``mechanism_in_words`` of canonical JSON."""
    return mechanism_in_words(json.loads(what))


def figure(value: float) -> str:
    """An ε with three digits, or ∞."""
    return f"{value:.3g}" if math.isfinite(value) else "∞"


def finite(value: float) -> float | None:
    """The figure as JSON can hold it: ∞ is null."""
    return value if math.isfinite(value) else None


def when(seconds: int) -> str:
    """A time as people read it, in UTC."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%d %H:%M")


def each(found: list[Place], act: Callable[[Ledger], dict[str, Any]]) -> list[dict[str, Any]]:
    """Does something with every ledger, one open at a time."""
    made = []
    for place in found:
        with opened(place) as ledger:
            made.append({"party": place.party, **act(ledger)})
    return made
