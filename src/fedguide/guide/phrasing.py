"""What was understood and found, in Chinese and English sentences; every figure is the engine's."""

from __future__ import annotations

import math
from collections.abc import Sequence

from fedguide.guide.asked import Relax, Understood
from fedguide.guide.function_words import CHEAP, DEAR, POPULAR
from fedguide.guide.segment import Term
from fedguide.guide.vocabulary import text_of
from fedguide.guide.wish import PRICE, REFUSE, SORT, WANT, Wanted, Wish

_SORTS = {
    CHEAP: ("价格从低到高", "cheapest first"),
    DEAR: ("价格从高到低", "most expensive first"),
    POPULAR: ("卖得最好的在前", "best sellers first"),
}


def pick(lang: str, zh: str, en: str) -> str:
    """The text of a language."""
    return zh if lang == "zh" else en


def figure(amount: float) -> str:
    """An amount without needless decimals."""
    return f"{amount:,.2f}".rstrip("0").rstrip(".")


def understood(wish: Wish, lang: str, chips: Sequence[str] = ()) -> tuple[Understood, ...]:
    """The constraints of a wish as they are shown; the last wants are the chips'."""
    words = [chip for chip in chips if not chip.startswith(f"{PRICE}:")]
    first = len(wish.wants) - len(words)
    shown = [
        _want(WANT, wanted, label_of(wanted, lang), "" if at < first else words[at - first])
        for at, wanted in enumerate(wish.wants)
    ]
    shown += [
        _want(REFUSE, wanted, pick(lang, "不要", "not ") + label_of(wanted, lang))
        for wanted in wish.refusals
    ]
    if wish.has_price:
        low, high = wish.at_least, wish.at_most
        bands = [chip for chip in chips if chip.startswith(f"{PRICE}:")]
        shown.append(
            Understood(
                PRICE,
                price_label(wish, lang),
                at_least=low if math.isfinite(low) else None,
                at_most=high if math.isfinite(high) else None,
                chip=bands[-1] if bands else "",
            )
        )
    if wish.sort:
        shown.append(Understood(SORT, pick(lang, *_SORTS[wish.sort]), words=(wish.sort,)))
    return tuple(shown)


def label_of(wanted: Wanted, lang: str) -> str:
    """A want in the shopper's words; in the catalogue's where a slip was read as another word."""
    return pick(lang, "或", " or ").join(dict.fromkeys(map(_word, wanted.terms)))


def price_label(wish: Wish, lang: str) -> str:
    """The bounds of a price."""
    low, high = wish.at_least, wish.at_most
    if math.isfinite(wish.about):
        about = figure(wish.about)
        return pick(lang, f"{about} 左右", f"around {about}") + f" ({figure(low)}–{figure(high)})"
    if not math.isfinite(low):
        return pick(lang, f"{figure(high)} 以内", f"up to {figure(high)}")
    if not math.isfinite(high):
        return pick(lang, f"{figure(low)} 以上", f"{figure(low)} or more")
    return f"{figure(low)}–{figure(high)}"


def notes(wish: Wish, lang: str, currency: str) -> tuple[str, ...]:
    """What a shopper should know about how the wish was read."""
    made = []
    terms = [term for wanted in (*wish.wants, *wish.refusals) for term in wanted.terms]
    for term in terms:
        if term.slip:
            words = " / ".join(map(text_of, term.keys))
            made.append(
                pick(lang, f"“{term.text}”按“{words}”理解", f'"{term.text}" was read as "{words}"')
            )
    if wish.currency and wish.currency != currency:
        own = currency or pick(lang, "本店货币", "the shop's own currency")
        made.append(
            pick(
                lang,
                f"您说的是 {wish.currency}，这里的价格是{own}；金额未经换算",
                f"You named {wish.currency}, prices here are in {own}; "
                "the amount was not converted",
            )
        )
    return tuple(made)


def sentence(
    shown: Sequence[Understood],
    unknown: Sequence[str],
    lang: str,
    *,
    total: int,
    relax: Sequence[Relax] = (),
) -> str:
    """The answer in words."""
    labels = pick(lang, "，", ", ").join(one.label for one in shown)
    if relax:
        ways = pick(lang, "；", "; ").join(_way(one, lang) for one in relax[:2])
        said = pick(
            lang,
            f"没有商品同时符合：{labels}。{ways}。下面是最接近的。",
            f"Nothing fits all of: {labels}. {ways}. These come nearest.",
        )
    elif not total:
        said = pick(lang, f"没有商品符合：{labels}。", f"Nothing fits: {labels}.")
    elif labels:
        count = pick(lang, f"{total} 件", f"{total} item" + ("" if total == 1 else "s"))
        said = pick(lang, f"{labels}：找到 {count}。", f"{labels}: {count} found.")
    else:
        said = pick(
            lang,
            "没有听懂具体要求，按含义最接近的排列。",
            "No constraint was understood; nearest by meaning.",
        )
    return said + not_applied(unknown, lang)


def not_applied(unknown: Sequence[str], lang: str) -> str:
    """What was said and is no condition, as a sentence behind the answer; may be empty."""
    if not unknown:
        return ""
    words = pick(lang, "”“", '", "').join(unknown)
    return pick(
        lang,
        f"本店商品里没有“{words}”，未作为条件。",
        f' "{words}" is not in this shop\'s words and was not applied.',
    )


def _way(one: Relax, lang: str) -> str:
    """One way out of an empty answer."""
    labels = pick(lang, "和", " and ").join(
        pick(lang, f"“{label}”", f'"{label}"') for label in one.labels
    )
    return pick(lang, f"放宽{labels}后有 {one.count} 件", f"Without {labels}: {one.count}")


def _want(kind: str, wanted: Wanted, label: str, chip: str = "") -> Understood:
    fields = {term.field for term in wanted.terms}
    field = fields.pop() if len(fields) == 1 else "any"
    return Understood(kind, label, field, tuple(map(text_of, wanted.keys)), chip=chip)


def _word(term: Term) -> str:
    return " / ".join(map(text_of, term.keys)) if term.slip else term.text
