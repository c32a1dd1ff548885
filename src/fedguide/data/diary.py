"""Lives through the days of one shop of the synthetic market and writes down its events."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fedguide.data.contract import ABSENT, Events
from fedguide.data.goods import PRODUCT_KINDS, Goods
from fedguide.data.truth import Floats, Ints, MarketPlan, ShopTruth
from fedguide.values import BUY, CART, SEARCH, VIEW

DAY_S = 86_400
START_DAY = 19_723
"""2024-01-01, in days since 1970-01-01."""


class Diary:
    """Lives through the days of one shop and notes what its shoppers do."""

    def __init__(
        self, plan: MarketPlan, truth: ShopTruth, goods: Goods, rng: np.random.Generator
    ) -> None:
        self.plan, self.truth, self.goods, self.rng = plan, truth, goods, rng
        self.cycles = np.array([PRODUCT_KINDS[k][1].cycle_days for k in truth.kinds], np.float64)
        self.last_bought = np.full((plan.shoppers, plan.items), -np.inf, np.float32)
        self.peaks = rng.uniform(0, 365, len(PRODUCT_KINDS))[truth.kinds]
        self.seasonal = (0.5 * rng.random(len(PRODUCT_KINDS)))[truth.kinds]
        self.notes: list[tuple[NDArray[np.int64], ...]] = []
        self.queries: list[str] = []

    def write(self, shop: str) -> Events:
        """The events of all days, sorted by shopper and time."""
        for day in range(self.plan.days):
            self._live(day)
        users, kinds, times, items, queries, quantities = (
            np.concatenate(column) for column in zip(*self.notes, strict=True)
        )
        order = np.lexsort((kinds, times, users))
        known, people = np.unique(users[order], return_inverse=True)
        texts, numbers = np.unique(np.array(self.queries, dtype=object), return_inverse=True)
        asked = queries[order]
        kinds, items = kinds[order].astype(np.uint8), items[order].astype(np.int32)
        prices = np.where(items >= 0, self.goods.catalogue.prices[items], np.nan)
        width = len(str(self.plan.shoppers))
        found = numbers[asked] if len(numbers) else asked
        return Events(
            users=people.astype(np.int32),
            items=items,
            kinds=kinds,
            times=times[order],
            days=(times[order] // DAY_S).astype(np.int32),
            queries=np.where(asked >= 0, found, ABSENT).astype(np.int32),
            quantities=np.where(kinds == BUY, quantities[order], np.nan).astype(np.float32),
            prices=prices.astype(np.float32),
            baskets=np.full(len(order), ABSENT, np.int32),
            user_ids=tuple(f"{shop}-u{user:0{width}}" for user in known.tolist()),
            groups=("",) * len(known),
            query_texts=tuple(texts.tolist()),
        )

    def _live(self, day: int) -> None:
        """One day: who comes, what they search, see, put in the cart and buy."""
        plan, truth, rng = self.plan, self.truth, self.rng
        rates = np.exp(truth.activity) * plan.visits / plan.days
        who = np.flatnonzero(rng.random(plan.shoppers) < rates)
        if who.size == 0:
            return
        liking = truth.relevance(day, who) + self._season(day) + self._need(who, day)
        liking[:, truth.launches > day] = -np.inf
        clock = (START_DAY + day) * DAY_S + rng.integers(8 * 3600, 22 * 3600, who.size)
        liking = self._search(who, liking, clock)
        self._shop(who, liking, clock, day)

    def _season(self, day: int) -> Floats:
        return np.asarray(self.seasonal * np.cos(2 * np.pi * (day - self.peaks) / 365))

    def _need(self, who: Ints, day: int) -> Floats:
        """Liking added by what was bought before, ``(v, n)``."""
        since = day - self.last_bought[who]
        known = np.isfinite(since)
        used_up = self.cycles > 0
        ratio = np.where(known & used_up, since / np.maximum(self.cycles, 1), 0.0)
        # Nothing is wanted again at once; near the end of its cycle it is wanted most.
        again = 3.5 * np.exp(-((np.minimum(ratio, 2.0) - 1.1) ** 2) / 0.15) - 1.5
        return np.where(known, np.where(used_up, again, -4.0), 0.0)

    def _search(self, who: Ints, liking: Floats, clock: Ints) -> Floats:
        """Some shoppers search for what they want; they then look at that kind above all."""
        searching = np.flatnonzero(self.rng.random(who.size) < 0.35)
        if searching.size == 0:
            return liking
        noise = self.rng.gumbel(size=(searching.size, liking.shape[1]))
        wanted = (liking[searching] + noise).argmax(1)
        first = len(self.queries)
        for shopper, item in zip(who[searching].tolist(), wanted.tolist(), strict=True):
            self.queries.append(self._words(item, bool(self.truth.chinese[shopper])))
        numbers = np.arange(first, len(self.queries))
        self._note(SEARCH, who[searching], clock[searching], queries=numbers)
        boost = np.zeros_like(liking)
        boost[searching] = 2.0 * (self.truth.kinds[None, :] == self.truth.kinds[wanted][:, None])
        return liking + boost

    def _words(self, item: int, chinese: bool) -> str:
        """What somebody types who wants this item."""
        rng, goods = self.rng, self.goods
        words = [goods.nouns[item]]
        if rng.random() < 0.6:
            words.insert(0, goods.traits[item][int(rng.integers(len(goods.traits[item])))])
        if rng.random() < 0.15:
            words.insert(0, goods.makers[item])
        return "".join(w.zh for w in words) if chinese else " ".join(w.en for w in words).lower()

    def _shop(self, who: Ints, liking: Floats, clock: Ints, day: int) -> None:
        rng, most = self.rng, 8
        noisy = liking + rng.gumbel(size=liking.shape)
        seen = np.argpartition(-noisy, most - 1, axis=1)[:, :most]
        seen = np.take_along_axis(
            seen, np.argsort(-np.take_along_axis(noisy, seen, 1), axis=1, kind="stable"), 1
        )
        looked = np.arange(most) < rng.integers(2, most + 1, who.size)[:, None]
        # A visit usually ends with a purchase of what was looked at first, and of some more.
        chance = np.array([0.62, 0.42, 0.34, 0.27, 0.22, 0.18, 0.15, 0.12])
        bought = looked & (rng.random(seen.shape) < chance)
        carted = looked & (bought | (rng.random(seen.shape) < 0.12))
        late = np.broadcast_to(60 * np.arange(1, most + 1), seen.shape)
        for kind, chosen, delay in ((VIEW, looked, 0), (CART, carted, 20), (BUY, bought, 900)):
            rows, columns = np.nonzero(chosen)
            items = seen[rows, columns]
            times = clock[rows] + late[rows, columns] + delay
            pieces = rng.geometric(0.8, rows.size)
            self._note(kind, who[rows], times, items=items, pieces=pieces)
            if kind == BUY:
                self.last_bought[who[rows], items] = day

    def _note(self, kind: int, who: Ints, times: Ints, **columns: Ints) -> None:
        """Writes down events of one kind; what is not given is absent."""
        absent = np.full(who.size, ABSENT)
        rest = (columns.get(name, absent) for name in ("items", "queries", "pieces"))
        self.notes.append((who, np.full(who.size, kind), times, *rest))
