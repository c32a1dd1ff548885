"""The book of served ads: who was shown and clicked what, what each ad has spent, and its pace.

One SQLite file in the shop; it holds the shop's own shopper ids and never leaves. An anonymous
shopper, or one who is not to be profiled, stands in it as the empty id. A click is paid once,
whatever often it is reported. Lines older than ``KEPT_DAYS`` go.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fedguide.errors import DataError, NotFoundError
from fedguide.guide.pacing import Pace

KEPT_DAYS = 90

_TABLES = """
CREATE TABLE IF NOT EXISTS placements(
    id TEXT PRIMARY KEY, ad TEXT NOT NULL, shopper TEXT NOT NULL, day INTEGER NOT NULL,
    slot INTEGER NOT NULL, price_fen INTEGER NOT NULL, clicked INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS by_ad ON placements(ad, day, clicked);
CREATE INDEX IF NOT EXISTS by_day ON placements(day);
CREATE INDEX IF NOT EXISTS by_shopper ON placements(shopper, ad, day);
CREATE TABLE IF NOT EXISTS paces(
    ad TEXT NOT NULL, day INTEGER NOT NULL, rate REAL NOT NULL, at_s REAL NOT NULL,
    PRIMARY KEY (ad, day));
"""


@dataclass(frozen=True)
class Day:
    """What an ad did on a day: for the shop's own eyes, nothing of it is noised."""

    views: int = 0
    clicks: int = 0
    spent_fen: int = 0


class AdBook:
    """An open book; safe for threads and for several processes on one file.

    Raises:
        DataError: the file is not a book.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        try:
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA busy_timeout = 5000")
            # Erasing somebody must leave no byte of them in a freed page.
            self._db.execute("PRAGMA secure_delete = ON")
            self._db.executescript(_TABLES)
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} is no book of ads: {type(error).__name__}") from None
        path.chmod(0o600)

    def __enter__(self) -> AdBook:
        """The book itself."""
        return self

    def __exit__(self, *_reason: object) -> None:
        """Closes it."""
        self.close()

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def shown(self, shopper: str, day: int) -> dict[str, int]:
        """How often a shopper was shown each ad on a day; nothing for the empty id."""
        if not shopper:
            return {}
        rows = self._all(
            "SELECT ad, count(*) FROM placements WHERE shopper = ? AND day = ? GROUP BY ad",
            (shopper, day),
        )
        return dict(rows)

    def spent_fen(self, day: int) -> dict[str, int]:
        """What each ad has spent on a day."""
        rows = self._all(
            "SELECT ad, sum(price_fen) FROM placements WHERE day = ? AND clicked = 1 GROUP BY ad",
            (day,),
        )
        return dict(rows)

    def today(self, day: int) -> dict[str, Day]:
        """What each ad did on a day."""
        rows = self._all(
            "SELECT ad, count(*), sum(clicked), sum(price_fen * clicked) FROM placements "
            "WHERE day = ? GROUP BY ad",
            (day,),
        )
        return {ad: Day(*figures) for ad, *figures in rows}

    def paces(self, day: int) -> dict[str, Pace]:
        """The pace of each ad on a day."""
        rows = self._all("SELECT ad, rate, at_s FROM paces WHERE day = ?", (day,))
        return {ad: Pace(rate, at) for ad, rate, at in rows}

    def set_pace(self, ad: str, day: int, pace: Pace) -> None:
        """Notes an ad's pace."""
        self._do(
            "INSERT INTO paces VALUES (?, ?, ?, ?) ON CONFLICT(ad, day) DO UPDATE SET "
            "rate = excluded.rate, at_s = excluded.at_s",
            (ad, day, pace.rate, pace.at_s),
        )

    def note(self, place: str, ad: str, shopper: str, day: int, slot: int, price_fen: int) -> None:
        """Notes that an ad was shown; old lines go."""
        self._do("DELETE FROM placements WHERE day < ?", (day - KEPT_DAYS,))
        self._do(
            "INSERT INTO placements VALUES (?, ?, ?, ?, ?, ?, 0)",
            (place, ad, shopper, day, slot, price_fen),
        )

    def click(self, place: str) -> bool:
        """Notes a click; ``False`` where it was noted before.

        Raises:
            NotFoundError: no such placement.
        """
        with self._lock:
            found = self._db.execute("SELECT 1 FROM placements WHERE id = ?", (place,)).fetchone()
            changed = self._db.execute(
                "UPDATE placements SET clicked = 1 WHERE id = ? AND clicked = 0", (place,)
            ).rowcount
        if found is None:
            raise NotFoundError("no such placement of an ad")
        return changed == 1

    def reached(self, ad: str) -> tuple[set[str], set[str]]:
        """Known shoppers who were shown an ad, and those of them who clicked it."""
        rows = self._all(
            "SELECT shopper, max(clicked) FROM placements WHERE ad = ? AND shopper <> '' "
            "GROUP BY shopper",
            (ad,),
        )
        return {who for who, _ in rows}, {who for who, clicked in rows if clicked}

    def known(self, shopper: str) -> list[dict[str, str | int | bool]]:
        """Every view of a shopper, oldest first."""
        rows = self._all(
            "SELECT ad, day, slot, clicked FROM placements WHERE shopper = ? ORDER BY day, rowid",
            (shopper,),
        )
        return [
            {"ad": ad, "day": day, "slot": slot, "clicked": bool(clicked)}
            for ad, day, slot, clicked in rows
        ]

    def forget(self, shopper: str) -> int:
        """Takes a shopper's id out of every line; how many there were."""
        count = self._do("UPDATE placements SET shopper = '' WHERE shopper = ?", (shopper,))
        self._do("VACUUM", ())
        self._do("PRAGMA wal_checkpoint(TRUNCATE)", ())
        return count

    def _all(self, text: str, values: tuple[str | int, ...]) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(text, values).fetchall()

    def _do(self, text: str, values: tuple[str | int | float, ...]) -> int:
        with self._lock:
            return self._db.execute(text, values).rowcount
