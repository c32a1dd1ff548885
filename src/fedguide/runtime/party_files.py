"""What a party keeps on disk: its sealed journal, and the models that its runs ended with."""

from __future__ import annotations

import os
from pathlib import Path

from fedguide.codec import decode, encode
from fedguide.errors import JournalError, PayloadError
from fedguide.runtime.handover import Adopt
from fedguide.runtime.homes import private_folder, write_private
from fedguide.runtime.journal import journaled_roots
from fedguide.runtime.party_store import PartyStore
from fedguide.runtime.proposal import Proposal, task_limits
from fedguide.runtime.sqlite import SqliteJournal, SqlitePartyStore, journal_key, sqlite_engine
from fedguide.seeds import Entropy, Roots, fresh_roots


class PartyFiles:
    """The files of one party under ``folder``; close them when done.

    Raises:
        JournalError: the journal cannot be opened, or its key is damaged.
    """

    def __init__(self, folder: Path, entropy: Entropy = os.urandom) -> None:
        private_folder(folder)
        self._models = private_folder(folder / "models")
        self._key = journal_key(folder / "party.key", entropy)
        self._engine = sqlite_engine(folder / "party.db")
        self._journal = SqliteJournal(self._engine, self._key)
        self._entropy = entropy

    def close(self) -> None:
        """Gives the file back."""
        self._engine.dispose()

    def store(self, task: str) -> PartyStore:
        """The states and answers of one task, sealed."""
        return SqlitePartyStore(self._engine, task, self._key)

    def forget(self, task: str) -> None:
        """Deletes a task's states, answers and roots; the model it ended with stays."""
        SqlitePartyStore(self._engine, task, self._key).forget()
        self._journal.forget(task)

    def roots(self) -> Roots:
        """The party's own roots: drawn once for each task and round, and kept sealed."""
        return journaled_roots(self._journal, fresh_roots(self._entropy))

    def keep_model(self, task: str, adopt: Adopt) -> None:
        """Keeps the model that a run ended with; the same one may come again."""
        write_private(self._models / task, encode(adopt))

    def models(self) -> list[str]:
        """The tasks whose models are here, by name."""
        return sorted(path.name for path in self._models.iterdir() if path.name[0] != ".")

    def model(self, proposal: Proposal) -> Adopt:
        """The model that a task ended with.

        Raises:
            JournalError: it is damaged.
        """
        payload = (self._models / proposal.task).read_bytes()
        try:
            adopt: Adopt = decode(payload, [Adopt], task_limits(proposal))
        except PayloadError as error:
            raise JournalError(f"the model of {proposal.task} is damaged: {error}") from error
        return adopt
