"""Shoppers' rights in memory: what pages and API are tested with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fedguide.errors import ConfigError
from fedguide.office.persons import Erased, Kept, Known


class MemoryPersons:
    """Keeps one view of an item for everybody, and what was said."""

    def __init__(self, epsilon: float | None = None) -> None:
        self.said: dict[str, str] = {}
        self.ignored: dict[tuple[str, str], tuple[str, ...]] = {}
        self.epsilon = epsilon

    def known(self, shop: str, shopper: str, latest: int) -> Known:
        erased = self.said.get(shopper) == "erased"
        kept = (
            () if erased else (Kept("view", "2026-03-01T10:00:00+00:00", "sku-0041", "a mug", ""),)
        )
        return Known(
            shop=shop,
            said=self.said.get(shopper),  # type: ignore[arg-type]
            used=self.allows(shopper),
            events=len(kept),
            kinds={} if erased else {"view": 1},
            latest=kept[:latest],
            ignored=self.ignored.get((shop, shopper), ()),
            residual="nothing was trained",
            epsilon=self.epsilon,
        )

    def allows(self, shopper: str) -> bool:
        return self.said.get(shopper) not in ("out", "erased")

    def personalise(self, shopper: str, *, wanted: bool) -> bool:
        if self.said.get(shopper) == "erased":
            raise ConfigError("1 of these shoppers were erased, and stay so")
        self.said[shopper] = "in" if wanted else "out"
        return wanted

    def ignore(self, shop: str, shopper: str, items: Sequence[str]) -> None:
        self.ignored[shop, shopper] = tuple(items)

    def export(self, shop: str, shopper: str) -> Mapping[str, Any]:
        said, events = self.said.get(shopper), [{"kind": "view", "item": "sku-0041"}]
        return {"shop": shop, "shopper": shopper, "said": said, "ignored": [], "events": events}

    def erase(self, shopper: str) -> Erased:
        self.said[shopper] = "erased"
        return Erased(1, "nothing was trained", 1)
