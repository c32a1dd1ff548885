"""What stands on the pages where a shopper asks, and where two items are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from fedguide.errors import ConfigError
from fedguide.guide import ask as asking
from fedguide.guide.answers import Pick
from fedguide.guide.asked import Asked, Chip
from fedguide.guide.compare import compare as compare_items
from fedguide.guide.wish import PRICE
from fedguide.web import view
from fedguide.web.content import Page, Visit, drawn, setting_of, shops
from fedguide.web.view import Setting

_SHOWN = 12
_CHIP_KINDS = ("category", "feature", "brand", "price")


@dataclass(frozen=True)
class ChipView:
    """A chip to tap: its link adds the constraint, or takes it away where it is set."""

    label: str
    address: str
    count: int = 0


def ask(visit: Visit) -> Page:
    """The answer to a wish: what was understood, chips that stack, and items that fit."""
    if visit.guide is None:
        return shops(visit)
    query = visit.request.query_params
    text, chips = query.get("wish", "").strip(), tuple(query.getlist("chip"))
    setting = setting_of(visit, visit.guide)
    values: dict[str, Any] = {"wish": text, "set_chips": chips, "reset": _link(setting, "", ())}
    if not text and not chips:
        return Page("ask.html", visit.say("ask.title"), {**values, "answer": None})
    answer = asking.ask(
        visit.guide, text, shopper=visit.user or None, chips=chips, lang=visit.lang, k=_SHOWN
    )
    cards = view.cards(setting, answer.picks)
    values |= {
        "answer": answer,
        "active": [_active(setting, text, chips, code, answer) for code in chips],
        "groups": _groups(setting, text, chips, answer),
        "cards": cards,
    }
    return Page("ask.html", text or visit.say("ask.title"), values, drawn(cards))


def compare(visit: Visit) -> Page:
    """Two items side by side, where they differ, and which of them suits the shopper more.

    Raises:
        ConfigError: the address does not name two items.
    """
    if visit.guide is None:
        return shops(visit)
    items = visit.request.query_params.getlist("item")
    if len(items) != 2:
        raise ConfigError(f"two items are compared, got {len(items)}", hint="choose two")
    setting = setting_of(visit, visit.guide)
    found = compare_items(visit.guide, *items, shopper=visit.user or None, lang=visit.lang)
    picks = (found.first, found.second)
    cards = view.cards(setting, picks)
    values = {
        "cards": cards,
        "suits": [pick.item_id == found.suits for pick in picks],
        "said": found.said,
        "alike": f"{found.alike:.2f}",
        "rows": [
            (
                visit.say(f"compare.{one.field}"),
                _fact(setting, one.field, picks[0], one.first),
                _fact(setting, one.field, picks[1], one.second),
            )
            for one in found.differences
        ],
    }
    return Page("compare.html", visit.say("compare.title"), values, drawn(cards))


def _groups(
    setting: Setting, text: str, chips: tuple[str, ...], answer: Asked
) -> list[tuple[str, list[ChipView]]]:
    """The offered chips by kind; a kind without any is left out."""
    made = []
    for kind in _CHIP_KINDS:
        some = [chip for chip in answer.chips if chip.kind == kind]
        if some:
            shown = [_offered(setting, text, chips, chip) for chip in some]
            made.append((setting.say(f"ask.kind.{kind}"), shown))
    return made


def _offered(setting: Setting, text: str, chips: tuple[str, ...], chip: Chip) -> ChipView:
    label = _band(setting, chip.label) if chip.kind == PRICE else chip.label
    return ChipView(label, _link(setting, text, (*chips, chip.code)), chip.count)


def _active(
    setting: Setting, text: str, chips: tuple[str, ...], code: str, answer: Asked
) -> ChipView:
    kind, _, words = code.partition(":")
    known = [one.label for one in answer.understood if one.chip == code and kind != PRICE]
    label = _band(setting, words) if kind == PRICE else (known[0] if known else words)
    left = tuple(one for one in chips if one != code)
    return ChipView(label, _link(setting, text, left))


def _band(setting: Setting, band: str) -> str:
    """The label of a price chip, ``LOW-HIGH`` with either left out."""
    low, _, high = band.partition("-")
    if not low:
        return setting.say("ask.up_to", high=_money(setting, high))
    if not high:
        return setting.say("ask.from", low=_money(setting, low))
    return f"{_money(setting, low)} – {_money(setting, high)}"


def _money(setting: Setting, amount: str) -> str:
    return view.price_of(setting, float(amount.replace(",", ""))).removesuffix(".00")


def _link(setting: Setting, text: str, chips: tuple[str, ...]) -> str:
    asked = [("shop", setting.guide.shop), ("user", setting.user), ("wish", text)]
    kept = [(name, value) for name, value in asked if value]
    return f"/ask?{urlencode([*kept, *(('chip', code) for code in chips)])}"


def _fact(setting: Setting, field: str, pick: Pick, text: str) -> str:
    return view.price_of(setting, pick.price) if field == "price" else text
