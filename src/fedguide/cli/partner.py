"""A party at work for ``party start``: guides it trains with shops, and its table for partners."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fedguide.errors import ConfigError, DataError

if TYPE_CHECKING:
    from fedguide.cli.shop import Shop
    from fedguide.config import Settings
    from fedguide.runtime.consent import AnyProposal, Desk
    from fedguide.runtime.party_files import PartyFiles
    from fedguide.runtime.party_process import Happened, Work
    from fedguide.runtime.vertical_proposal import VerticalProposal
    from fedguide.vertical.align import Attempt
    from fedguide.vertical.features import Columns


class Worker:
    """What a party brings to its tasks: a shop's events, a partner's table, or both.

    Raises:
        NotFoundError, DataError, ConfigError: its data cannot be read.
    """

    def __init__(
        self, settings: Settings, data: Path | None, table: Path | None, key: str, desk: Desk
    ) -> None:
        from fedguide.cli.shop import Shop
        from fedguide.runtime.party_files import PartyFiles

        self._shop: Shop | None = None if data is None else Shop(settings, data)
        self.keeping: PartyFiles = (
            PartyFiles(settings.home / "party") if self._shop is None else self._shop.keeping
        )
        self._table = None if table is None else PartnerTable(settings, table, key, self.keeping)
        self._desk = desk

    def close(self) -> None:
        """Gives the files back."""
        if self._shop is not None:
            self._shop.close()
        else:
            self.keeping.close()

    def prepare(self, proposal: AnyProposal) -> Work:
        """The party's half of a task.

        Raises:
            ConfigError: it was started without the data that the task needs.
        """
        from fedguide.runtime.proposal import Proposal
        from fedguide.values import PartyId

        if isinstance(proposal, Proposal):
            if self._shop is None:
                raise ConfigError("this party was started without --data")
            return self._shop.prepare(proposal)
        if self._table is None:
            raise ConfigError("this party was started without --table")
        self._desk.pin({PartyId(proposal.driver): proposal.driver_key})
        return self._table.prepare(proposal)

    def release(self, on_event: Callable[[Happened], None]) -> None:
        """Makes a release of every guide that has none yet."""
        if self._shop is not None:
            self._shop.release(on_event)


class PartnerTable:
    """A partner's table, its budget, and where its halves of models go.

    HOME/party/sums.db            sums answered over each table's life
    HOME/party/halves/TASK.fgc    its half of a trained model
    HOME/party/attempts.jsonl     every lookup of keys, answered or not
    """

    def __init__(self, settings: Settings, path: Path, key: str, keeping: PartyFiles) -> None:
        self._settings, self._path, self._key = settings, path, key
        self._keeping = keeping

    def prepare(self, proposal: VerticalProposal) -> Work:
        """The partner's half of a vertical task over its table.

        Raises:
            NotFoundError, DataError: the table cannot be read, or a wanted column is not offered.
            RefusedError: it has more rows than agreed.
        """
        from fedguide.cli.federation import passphrase
        from fedguide.runtime import homes
        from fedguide.runtime.sqlite import sqlite_engine
        from fedguide.runtime.table_budget import TableBudget, table_name
        from fedguide.runtime.vertical_party import (
            VERTICAL_WIRE,
            Offered,
            VerticalEnv,
            vertical_work,
        )
        from fedguide.runtime.vertical_proposal import vertical_limits
        from fedguide.seeds import Root, derive
        from fedguide.values import PartyId
        from fedguide.vertical.local import PartnerPlan
        from fedguide.vertical.sealed import Sealing

        said = self._settings.vertical
        keys, columns = self._columns(proposal)
        root = self._keeping.roots()(proposal.task, 0)
        budget = TableBudget(sqlite_engine(self._settings.home / "party" / "sums.db"))
        halves = homes.private_folder(self._settings.home / "party" / "halves")
        offered = Offered(
            keys,
            columns,
            Root(derive(root, "vertical")),
            PartnerPlan(least_bin=said.least_bin, least_common=said.least_common, budget=said.sums),
            budget.spend(table_name(columns), said.sums),
            self._log,
            lambda half: homes.write_private(halves / f"{proposal.task}.fgc", half),
            os.cpu_count() or 1,
        )
        member = homes.membership_of(self._settings.home)
        key = homes.identity(self._settings.home, passphrase())
        own_end = Root(derive(root, "boxes"))
        sealing = Sealing(proposal.task, key, own_end, vertical_limits(), VERTICAL_WIRE)
        return vertical_work(VerticalEnv(proposal, offered), PartyId(member.party), sealing)

    def _columns(self, proposal: VerticalProposal) -> tuple[tuple[str, ...], Columns]:
        """Keys and the columns that are both offered and wanted."""
        from fedguide.data.partner_file import read_partner
        from fedguide.vertical.features import speaking
        from fedguide.vertical.keys import normalised, refuse_duplicates

        read = read_partner(self._path, self._key)
        offered = self._settings.vertical.columns
        cells = {name: c for name, c in read.cells.items() if not offered or name in offered}
        absent = [name for name in proposal.columns if name not in cells]
        if absent:
            # Said to the other side: not which columns there are.
            raise DataError(f"column {absent[0]!r} is wanted, and not offered here")
        wanted = {name: cells[name] for name in proposal.columns} or cells
        keys = normalised(read.keys, proposal.key_kind)
        refuse_duplicates(keys, "the table")
        return keys, speaking(wanted)

    def _log(self, attempt: Attempt) -> None:
        """A line for every lookup, answered or not."""
        import json
        import time

        line = json.dumps({"at_s": round(time.time(), 3)} | asdict(attempt), ensure_ascii=False)
        path = self._settings.home / "party" / "attempts.jsonl"
        with path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
