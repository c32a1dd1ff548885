"""What the guide answers with: picks, and why.

These are msgspec structs, not dataclasses: an answer holds forty of them, and a frozen dataclass
takes twenty times as long to make. They cannot be part of a cycle, so the collector need not look
at them (``gc=False``).
"""

from __future__ import annotations

import msgspec

AGAIN, DISCOVER = "again", "discover"
BOTH = "both"
ASKABLE = (DISCOVER, AGAIN, BOTH)
"""What a caller may ask for; ``both`` is the two slates one after the other."""

PERSONAL, POPULAR = "personal", "popular"
WORDS, MEANING, SIMILAR = "words", "meaning", "similar"
"""Where a pick comes from: the shopper's history, the shop's best sellers, the words of a
search, the meaning of a search, or another item."""


class Because(msgspec.Struct, frozen=True, gc=False):
    """One reason for a pick, computed from the model, never made up.

    Taking every event with this item (or this search) out of the history lowers the pick's
    score by exactly ``effect``.

    Attributes:
        kind: the strongest kind of these events, one of ``KINDS``.
        item: id of the item in the history; empty for a search.
        title: its title.
        query: the searched text; empty for an item.
        effect: how much the score falls without these events, above 0.
        share: ``effect`` as a part of all that lifts this pick, in (0, 1].
        times: how many events there are.
        last_day: day of the latest of them.
    """

    kind: str
    item: str
    title: str
    query: str
    effect: float
    share: float
    times: int
    last_day: int


class Pick(msgspec.Struct, frozen=True, gc=False):
    """One item of an answer.

    ``price`` is ``None`` where the shop gave none; ``matched`` are the words of a search that
    stand in the item.
    """

    item_id: str
    title: str
    brand: str
    category: str
    price: float | None
    score: float
    rank: int
    source: str
    slate: str
    because: tuple[Because, ...] = ()
    matched: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """Picks for one question, best first.

    Attributes:
        source: ``personal``; ``popular`` for a shopper nobody has seen; for a search ``words`` when
            a word of it stands in an item, else ``meaning``; ``similar``.
        slate: the slate asked for; empty for a search and for similar items.
        picks: the items; in ``both``, the first slate's, then the second's.
    """

    source: str
    slate: str
    picks: tuple[Pick, ...]
