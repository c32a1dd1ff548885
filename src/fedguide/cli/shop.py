"""A shop at work for ``party start``: its rows, its half of every task, its releases."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, FedGuideError

if TYPE_CHECKING:
    from fedguide.config import Settings
    from fedguide.data.contract import Dataset
    from fedguide.horizontal.roster import Seat, SignedTerms
    from fedguide.models.card import Card
    from fedguide.privacy.ledger import Ledger
    from fedguide.privacy.policy import TaskTerms
    from fedguide.runtime.handover import Adopt
    from fedguide.runtime.heads import Heads
    from fedguide.runtime.party_process import Happened, Work
    from fedguide.runtime.private_rounds import Permit
    from fedguide.runtime.proposal import Proposal
    from fedguide.runtime.shop_release import ShopRelease
    from fedguide.values import ShopData


class Shop:
    """One shop's rows and files; close it when done.

    Raises:
        NotFoundError, DataError, ConfigError: its data cannot be read, or are not one shop's.
    """

    def __init__(self, settings: Settings, source: Path) -> None:
        from fedguide.runtime.party_files import PartyFiles

        self._settings = settings
        self._dataset = one_dataset(settings, source)
        self._split: ShopData | None = None
        self._broken: set[str] = set()
        self._ledger: Ledger | None = None
        self.keeping = PartyFiles(settings.home / "party")

    def close(self) -> None:
        """Gives the files back."""
        self.keeping.close()
        if self._ledger is not None:
            self._ledger.close()

    def prepare(self, proposal: Proposal) -> Work:
        """The shop's half of a task, on its own rows."""
        try:
            from fedguide.runtime.shop_party import shop_work
        except ModuleNotFoundError as error:
            raise needs_training(error) from error

        def keep(adopt: Adopt) -> None:
            self.keeping.keep_model(proposal.task, adopt)

        least = self._settings.party.least_examples
        roots = self.keeping.roots()
        return shop_work(
            self._shop(),
            proposal,
            roots,
            keep,
            self._consent,
            self._permit,
            least,
            self._heads(),
        )

    def _permit(self, terms: TaskTerms) -> Permit:
        """Judged by the party's policy, charged to the party's own ledger."""
        from fedguide.cli.ledgers import policy_of
        from fedguide.runtime.permits import permit

        account = self._settings.privacy.party
        return permit(self._book(), policy_of(self._settings), terms, account)

    def _book(self) -> Ledger:
        """The party's own ledger, opened when it is first needed."""
        from fedguide.cli.ledgers import opened, own_place

        if self._ledger is None:
            self._ledger = opened(own_place(self._settings))
        return self._ledger

    def _heads(self) -> Heads:
        """Shows where the party's ledger stands, and keeps what others show."""
        from fedguide.cli.ledgers import signer_of, witness_of
        from fedguide.privacy.witness import head_text
        from fedguide.runtime.heads import Heads

        home = self._settings.home
        return Heads(
            lambda: head_text(self._book().signed_head(signer_of(home))), witness_of(home).keep
        )

    def _consent(self, signed: SignedTerms) -> Seat:
        """The party's seat in a masked task, by its own key and the keys it knows others by."""
        from fedguide.cli.federation import passphrase
        from fedguide.cli.party import desk_of
        from fedguide.crypto.signing import PublicKey
        from fedguide.horizontal.neighbours import LEAST_COHORT
        from fedguide.horizontal.roster import Policy, consent
        from fedguide.runtime import homes
        from fedguide.values import PartyId

        member = homes.membership_of(self._settings.home)
        key = homes.identity(self._settings.home, passphrase())
        with desk_of(self._settings) as desk:
            known = desk.pin(signed.terms.identities)
        least = max(LEAST_COHORT, self._settings.party.least_parties)
        coordinator = PublicKey(member.coordinator)
        policy = Policy(PartyId(member.party), key.public, coordinator, known, least)
        return consent(signed, policy, key)

    def release(self, on_event: Callable[[Happened], None]) -> None:
        """Makes a release of every model that has none yet; signed, and ready to be served."""
        from fedguide.runtime.party_process import Happened

        for task in self.keeping.models():
            done = (self._settings.home / "runs" / task).exists()
            if done or task in self._broken:
                continue
            try:
                chosen = self._release(task)
            except FedGuideError as error:
                # The party goes on with its other tasks; a new process tries this one again.
                self._broken.add(task)
                on_event(Happened("failed", task, detail=f"no release: {error}"))
            else:
                kept = f"the gate kept {chosen}; fedguide serve --run {task}"
                on_event(Happened("released", task, detail=kept))

    def _release(self, task: str) -> str:
        from fedguide.cli.folders import Trained, save_run
        from fedguide.cli.party import desk_of
        from fedguide.models.card import chosen_text
        from fedguide.runtime.arms import TrainPlan
        from fedguide.runtime.proposal import Proposal
        from fedguide.runtime.shop_release import shop_release

        with desk_of(self._settings) as desk:
            proposal = desk.get(task).proposal
        if not isinstance(proposal, Proposal):
            raise ConfigError(f"{task} trained no guide")
        adopt = self.keeping.model(proposal)
        plan = TrainPlan(
            guide=proposal.guide,
            rounds=proposal.rounds,
            patience=self._settings.train.patience,
            server_momentum=proposal.server_momentum,
            keep_moments=proposal.keep_moments,
        )
        shop = self._shop()
        made = shop_release(
            shop,
            adopt.params,
            adopt.round,
            plan,
            proposal.seed,
            time.monotonic,
            noised=proposal.noising is not None,
        )
        card = card_of(self._dataset, shop, made, adopt.parties, adopt.round, None)
        record = {
            "run": task,
            "federation": True,
            "parties": list(adopt.parties),
            "rounds": adopt.round,
            "chosen": made.chosen,
            "rows": [],
        }
        save_run(self._settings.home, task, [Trained(self._dataset, made.model, card)], record)
        return chosen_text(made.chosen)

    def _shop(self) -> ShopData:
        from fedguide.data.split import split

        if self._split is None:
            (self._split,) = split([self._dataset])
        return self._split


def one_dataset(
    settings: Settings,
    source: Path,
    format_name: str | None = None,
    pairs: Sequence[str] | None = None,
    withhold: Sequence[str] | None = None,
) -> Dataset:
    """The data of one shop, with those shoppers only who allow it.

    Raises:
        ConfigError: the source holds several shops.
        NotFoundError, DataError: see ``read_cohort``.
    """
    from fedguide.cli.source import read_cohort

    # Only shoppers who allow it are trained on, and served.
    datasets = read_cohort(source, format_name, settings, pairs, withhold)
    if len(datasets) != 1:
        names = ", ".join(dataset.name for dataset in datasets)
        raise ConfigError(
            f"{source} holds {len(datasets)} shops ({names}), a party is one",
            hint="fedguide data import, then --data one of the stores",
        )
    return datasets[0]


def card_of(
    dataset: Dataset,
    shop: ShopData,
    made: ShopRelease,
    parties: tuple[str, ...],
    rounds: int,
    bytes_sent: int | None,
) -> Card:
    """The card of a shop's release; ``bytes_sent`` is ``None`` where nobody counted."""
    from fedguide.models.card import Card

    def day(number: int) -> str:
        if not dataset.clocked:
            return ""
        return (datetime.date(1970, 1, 1) + datetime.timedelta(days=number)).isoformat()

    return Card(
        shop=dataset.name,
        made=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        data_from=day(int(shop.train.days.min())),
        data_to=day(int(shop.train.days.max())),
        shops=parties,
        rounds=rounds,
        bytes_sent=bytes_sent,
        synthetic=dataset.synthetic,
        clocked=dataset.clocked,
        metrics=made.metrics,
        chosen=made.chosen,
    )


def needs_training(error: ModuleNotFoundError) -> ConfigError:
    """What to say where the part for training is not installed."""
    return ConfigError(
        f"training needs {error.name}, which is not installed", hint="pip install 'fedguide[train]'"
    )
